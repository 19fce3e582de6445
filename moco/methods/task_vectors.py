"""Merges that add up task vectors: thinned out, signs agreed on, weighted and scaled."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from moco.access import ModelFacts, Problem
from moco.methods.merging import WeightedMerge, out_of_range
from moco.types import Sampling
from moco.weights.settings import PerMember, Setting, TensorInfo

if TYPE_CHECKING:
    from torch import Tensor

    from moco.weights.merge import Blocks


class TaskVectors(WeightedMerge[None]):
    """base + scale · Σ weight · task vector, over the entries of each that its rule keeps.

    Where signs are elected, an entry counts only if its sign is that of the weighted sum (TIES).
    """

    elects: ClassVar[bool] = False
    """Whether signs are elected, unless a field says so."""

    normalize: bool = False
    """Whether the sum is divided by the weights of what was added."""
    scale: Setting = Field(default=1.0)
    """What the merged task vector is multiplied by (λ in the papers)."""

    @property
    def relative(self) -> bool:
        """A sum of 0 is left as it is."""
        return False

    @property
    def electing(self) -> bool:
        """Whether signs are elected."""
        return self.elects

    @abstractmethod
    def thin(self, vector: Tensor, member: int, info: TensorInfo, facts: Any) -> Tensor:
        """What is kept of a block of one member's task vector; it may be changed."""

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The merged task vector."""
        from moco.weights import ops

        thin = [self.thin(tensor, i, info, facts) for i, tensor in enumerate(tensors)]
        total = ops.signed_sum(
            thin, info.each(self.weights), elect=self.electing, normalize=self.normalize
        )
        scale = info.at(self.scale)
        return total if scale == 1 else total.mul_(scale)


class Thinned(TaskVectors):
    """Task vectors of which a share of the entries is kept."""

    density: PerMember = Field(default=0.5)
    """Share of each task vector's entries that is kept, also by member."""

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """A share lies between 0 and 1."""
        wrong = out_of_range("density", self.density, 0, 1)
        return [*super().problems(facts, sampling), *wrong]


@dataclass(frozen=True, slots=True)
class Norms:
    """What is known of a tensor whose sums of magnitudes are to stay."""

    factors: list[float]
    """By what each member's kept entries are multiplied."""
    dropped: bool
    """Whether the others are dropped already."""


class Dropped(Thinned):
    """Task vectors of which entries are dropped at random, and the others rescaled (DARE).

    The mask of a member follows from its content, the tensor and the run's seed alone.
    """

    random: ClassVar[bool] = True

    rescale: Literal["density", "norm", "none"] = "density"
    """What the kept entries are multiplied by: 1 / density (unbiased, as published), so much that
    the tensor's sum of magnitudes stays (mergekit), or nothing.
    """

    @property
    def surveys(self) -> bool:
        """Where sums of magnitudes are to be kept."""
        return self.rescale == "norm"

    def survey(self, blocks: Blocks, info: TensorInfo) -> Norms:
        """By what each member's kept entries are multiplied; those of a single block are dropped
        at once.
        """
        from moco.weights import ops

        before, after = np.zeros(len(info.members)), np.zeros(len(info.members))
        start, single = 0, len(blocks.spans) == 1
        for tensors in blocks:
            here = replace(info, start=start, stop=start + tensors[0].numel())
            for i, tensor in enumerate(tensors):
                before[i] += ops.magnitude(tensor)
                kept = self.kept(tensor if single else tensor.clone(), i, here)[0]
                after[i] += ops.magnitude(kept)
            start = here.stop
        small = np.minimum(before, after) <= 1e-7
        factors = np.where(small, 1.0, before / np.where(small, 1.0, after))
        return Norms(factors.tolist(), single)

    def kept(self, vector: Tensor, member: int, info: TensorInfo) -> tuple[Tensor, float | Tensor]:
        """(the block with entries dropped, the probability with which they, or each, stayed)."""
        from moco.weights import ops

        density = info.each(self.density)[member]
        if density >= 1:
            return vector, 1.0
        return vector, ops.drop(vector, info.noise(member), density) or 1.0

    def thin(self, vector: Tensor, member: int, info: TensorInfo, facts: Any) -> Tensor:
        """Its entries that were not dropped, rescaled."""
        if self.rescale == "norm":
            kept = vector if facts.dropped else self.kept(vector, member, info)[0]
            return kept.mul_(facts.factors[member])
        vector, chance = self.kept(vector, member, info)
        return vector.div_(chance) if self.rescale == "density" else vector
