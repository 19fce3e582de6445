"""Average the members' weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from moco.access import Requires
from moco.methods.merging import WEIGHTS, WeightedMerge
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

    def as_sum(self, names: Sequence[str]) -> list[float] | None:
        """The members' shares, where they add up to 1."""
        weights = self.plain_weights(names)
        total = sum(weights or [0.0])
        if weights is None or not ((self.normalize and abs(total) > 1e-8) or total == 1):
            return None
        return [weight / total for weight in weights]

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The weighted sum."""
        from moco.weights import ops

        weights = self.shares(info) if self.normalize else info.each(self.weights)
        return ops.weighted_sum(tensors, weights)
