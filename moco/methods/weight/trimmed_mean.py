"""Average the members' weights without the most extreme values of each number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from moco.access import Requires
from moco.methods.merging import WEIGHTS, MergeMethod
from moco.weights.settings import TensorInfo

if TYPE_CHECKING:
    from torch import Tensor


class TrimmedMean(MergeMethod[None]):
    """The mean of each number over the members without its largest and its smallest values, so that
    a few spoilt members cannot move it far.
    """

    paper: ClassVar[str] = "Yin et al. 2018, arXiv 1803.01498"
    requires: ClassVar[Requires] = WEIGHTS
    on: ClassVar[Literal["weights", "deltas"]] = "weights"

    bad: int = Field(default=1, ge=0)
    """Members that may be spoilt: so many of the largest and of the smallest values are left
    out.
    """

    def needs(self) -> Requires:
        """More good members than bad ones."""
        return replace(self.requires, min_models=max(2 * self.bad + 1, 2))

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The mean of the values in the middle."""
        from moco.weights import ops

        return ops.trimmed_mean(tensors, self.bad)
