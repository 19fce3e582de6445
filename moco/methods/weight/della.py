"""Drop the smaller changes with a higher probability, rescale, elect signs, average what agrees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from moco.access import ModelFacts, Problem
from moco.methods.task_vectors import Dropped
from moco.types import Json, Sampling
from moco.weights.settings import PerMember, TensorInfo, numbers_in

if TYPE_CHECKING:
    from torch import Tensor


class Della(Dropped):
    """Entries of task vectors are dropped at random, small ones more often than large ones
    (MagPrune); the others are rescaled; then the sign of their weighted sum is elected, and the
    entries of that sign are averaged.

    The probability to stay rises evenly with the rank by magnitude within a row of the tensor,
    from density − epsilon to density + epsilon; a vector is one row. Each entry is rescaled by its
    own probability, so every expected value stays (`rescale: norm` keeps the tensor's sum of
    magnitudes instead, as mergekit does).
    """

    paper: ClassVar[str] = "Deep et al. 2024, arXiv 2406.11617"
    plain: ClassVar[Mapping[str, Json]] = {"density": 1.0}

    epsilon: PerMember = Field(default=0.15)
    """Half the difference between the probabilities of the largest and of the smallest entry of a
    row, also by member (0 where one is not named).
    """
    consensus: bool = True
    """Whether signs are elected; without, all that stays is added up."""
    normalize: bool = True
    """Whether agreeing entries are averaged or added."""

    @property
    def electing(self) -> bool:
        """As `consensus` says."""
        return self.consensus

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Every probability lies between 0 and 1."""
        for name in facts:
            spread = numbers_in(_of(self.epsilon, name, 0.0))
            for density in numbers_in(_of(self.density, name, 1.0)):
                if density < 1 and not all(0 <= e < min(density, 1 - density) for e in spread):
                    what = f"is {max(spread):g} at density {density:g}"
                    fix = "keep density − epsilon above 0 and density + epsilon below 1"
                    wrong = Problem("method.epsilon", what, fix)
                    return [*super().problems(facts, sampling), wrong]
        return super().problems(facts, sampling)

    def kept(self, vector: Tensor, member: int, info: TensorInfo) -> tuple[Tensor, float | Tensor]:
        """(the block with entries dropped, the probability with which each stayed)."""
        from moco.weights import ops

        density, epsilon = info.each(self.density)[member], info.each(self.epsilon, 0.0)[member]
        if density >= 1:
            return vector, 1.0
        rows = ops.by_rows(vector, info.shape[-1]) if info.shape else vector.reshape(1, -1)
        low, high = density - epsilon, density + epsilon
        chances = ops.drop_by_rank(rows, info.noise(member), low, high)
        return vector, chances.reshape(vector.shape)


def _of(setting: PerMember, name: str, default: float) -> PerMember:
    return setting.get(name, default) if isinstance(setting, dict) else setting
