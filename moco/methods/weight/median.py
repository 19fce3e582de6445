"""The median of the members' weights, number by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from moco.access import Requires
from moco.methods.merging import WEIGHTS, MergeMethod
from moco.weights.settings import TensorInfo

if TYPE_CHECKING:
    from torch import Tensor


class Median(MergeMethod[None]):
    """The median of each number over the members, which no minority of spoilt members moves far; of
    an even number of members the mean of the two in the middle.
    """

    paper: ClassVar[str] = "Yin et al. 2018, arXiv 1803.01498"
    requires: ClassVar[Requires] = replace(WEIGHTS, min_models=3)
    on: ClassVar[Literal["weights", "deltas"]] = "weights"

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The median."""
        from moco.weights import ops

        return ops.trimmed_mean(tensors, (len(tensors) - 1) // 2)
