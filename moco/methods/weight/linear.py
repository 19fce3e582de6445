"""Average the members' weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from moco.access import Requires
from moco.errors import ConfigError
from moco.methods.merging import WEIGHTS, MergeMethod
from moco.weights.settings import TensorInfo

if TYPE_CHECKING:
    from torch import Tensor


class Linear(MergeMethod[None]):
    """The weighted average of the members' weights."""

    paper: ClassVar[str] = "Wortsman et al. 2022, arXiv 2203.05482 (uniform soup)"
    requires: ClassVar[Requires] = WEIGHTS
    on: ClassVar[Literal["weights", "deltas"]] = "weights"

    normalize: bool = True
    """Whether the weights are divided by their sum."""

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The weighted sum."""
        from moco.weights import ops

        weights = info.each(self.weights)
        total = sum(weights) if self.normalize else 1.0
        if abs(total) < 1e-8:
            raise ConfigError(
                f"method.weights: add up to 0 at '{info.name}'; change them or set normalize: false"
            )
        return ops.weighted_sum(tensors, [weight / total for weight in weights])
