"""Leave out the largest and the smallest changes of each member, and add up the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from moco.access import ModelFacts, Problem
from moco.methods.merging import out_of_range
from moco.methods.task_vectors import Thinned
from moco.types import Json, Sampling
from moco.weights.settings import PerMember, Setting, TensorInfo

if TYPE_CHECKING:
    from torch import Tensor

    from moco.weights.merge import Blocks
    from moco.weights.ops import Cut


class Breadcrumbs(Thinned):
    """Of each task vector the few largest entries are left out as outliers, and all but a share of
    the next ones as too small to matter; what is left is added up.

    Both shares are counted per tensor. Where they add up to more than 1, fewer outliers are left
    out.
    """

    paper: ClassVar[str] = "Davari and Belilovsky 2023, arXiv 2312.06795"
    plain: ClassVar[Mapping[str, Json]] = {"density": 1.0, "normalize": True, "scale": 1.0}
    paper_preset: ClassVar[Mapping[str, Json]] = {"gamma": 0.006, "scale": 0.2}

    density: PerMember = Field(default=0.15)
    """Share of each task vector's entries that is kept, also by member."""
    gamma: PerMember = Field(default=0.01)
    """Share of each task vector's entries that are outliers, the largest in magnitude, also by
    member (0 where one is not named).
    """
    consensus: bool = False
    """Whether an entry counts only if its sign is that of the weighted sum, as in TIES."""
    scale: Setting = Field(default=0.4)
    """What the sum of task vectors is multiplied by (α in the paper)."""

    @property
    def surveys(self) -> bool:
        """For the magnitudes between which entries are kept."""
        return True

    @property
    def electing(self) -> bool:
        """As `consensus` says."""
        return self.consensus

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Both shares lie between 0 and 1."""
        wrong = out_of_range("gamma", self.gamma, 0, 1)
        return [*super().problems(facts, sampling), *wrong]

    def survey(self, blocks: Blocks, info: TensorInfo) -> list[tuple[Cut, Cut]]:
        """Where each member's outliers end, and where the entries that are kept do."""
        from moco.weights import ops

        size = info.stop
        kept = [int(density * size) for density in info.each(self.density)]
        shares = info.each(self.gamma, 0.0)
        top = [min(int(g * size), size - k) for g, k in zip(shares, kept, strict=True)]
        ends = [*top, *(t + k for t, k in zip(top, kept, strict=True))]
        cuts = ops.largest(ops.Mapped(blocks, _twice), ends)
        return list(zip(cuts[: len(top)], cuts[len(top) :], strict=True))

    def thin(self, vector: Tensor, member: int, info: TensorInfo, facts: Any) -> Tensor:
        """Its entries between the outliers and the negligible ones."""
        outliers, kept = facts[member]
        return vector.mul_(kept.keep(vector).sub_(outliers.keep(vector)))


def _twice(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    return [*tensors, *tensors]
