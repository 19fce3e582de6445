"""Trim task vectors, elect signs, and average the entries that agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from moco.methods.task_vectors import Thinned
from moco.types import Json
from moco.weights.settings import PerMember, TensorInfo

if TYPE_CHECKING:
    from torch import Tensor

    from moco.weights.merge import Blocks
    from moco.weights.ops import Cut


class Ties(Thinned):
    """Of each task vector the largest entries stay (per tensor); the sign of their weighted sum is
    elected, and the entries of that sign are averaged.
    """

    paper: ClassVar[str] = "Yadav et al. 2023, arXiv 2306.01708"
    plain: ClassVar[Mapping[str, Json]] = {"density": 1.0}
    elects: ClassVar[bool] = True

    density: PerMember = Field(default=0.2)
    """Share of each task vector's entries that is kept, the largest in magnitude, also by
    member.
    """
    normalize: bool = True
    """Whether agreeing entries are averaged (as published) or added."""

    @property
    def surveys(self) -> bool:
        """Where entries are dropped."""
        return True

    def survey(self, blocks: Blocks, info: TensorInfo) -> Sequence[Cut]:
        """Where each member's largest entries begin."""
        from moco.weights import ops

        size = info.stop
        return ops.largest(blocks, [max(int(d * size), 1) for d in info.each(self.density)])

    def thin(self, vector: Tensor, member: int, info: TensorInfo, facts: Any) -> Tensor:
        """Its largest entries."""
        return vector.mul_(facts[member].keep(vector))
