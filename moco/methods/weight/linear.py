"""Average the members' weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from moco.access import ModelFacts, Problem, Requires
from moco.methods.merging import WEIGHTS, WeightedMerge
from moco.types import Sampling
from moco.weights.settings import TensorInfo

if TYPE_CHECKING:
    from torch import Tensor


class Linear(WeightedMerge[None]):
    """The weighted average of the members' weights."""

    paper: ClassVar[str] = "Wortsman et al. 2022, arXiv 2203.05482 (uniform soup)"
    requires: ClassVar[Requires] = WEIGHTS
    on: ClassVar[Literal["weights", "deltas"]] = "weights"

    normalize: bool = True
    """Whether the weights are divided by their sum."""

    @property
    def relative(self) -> bool:
        """As they are told to be."""
        return self.normalize

    def as_sum(self, names: Sequence[str]) -> list[float] | None:
        """The members' shares, where they add up to 1."""
        weights = self.plain_weights(names)
        total = sum(weights or [0.0])
        if weights is None or not ((self.normalize and abs(total) > 1e-8) or total == 1):
            return None
        return [weight / total for weight in weights]

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Adapters' weights add up to 1: any other sum would scale their base too."""
        found = super().problems(facts, sampling)
        adapters = all(own is not None and own.adapter for own in facts.values())
        if adapters and not self.normalize and self.as_sum(list(facts)) is None:
            what = "is false and the weights do not add up to 1, which would scale the base too"
            found.append(Problem("method.normalize", what, "use task_arithmetic for adapters"))
        return found

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The weighted sum."""
        from moco.weights import ops

        weights = self.shares(info) if self.normalize else info.each(self.weights)
        return ops.weighted_sum(tensors, weights)
