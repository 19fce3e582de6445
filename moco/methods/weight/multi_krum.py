"""Average the members that lie closest to the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from moco.access import Requires
from moco.methods.merging import WEIGHTS, MergeMethod
from moco.weights.settings import TensorInfo

if TYPE_CHECKING:
    from torch import Tensor


class MultiKrum(MergeMethod[None]):
    """The mean of the members that lie closest to their neighbours; as many as may be spoilt are
    left out.

    A member's score is the sum of the squared distances, over all weights that are merged, to its
    n − bad − 2 closest others, as published, and to at least one. The published guarantee asks for
    n ≥ 2 · bad + 3 members; fewer are accepted as long as the good ones are the majority.
    """

    paper: ClassVar[str] = "Blanchard et al. 2017, arXiv 1703.02757"
    requires: ClassVar[Requires] = WEIGHTS
    on: ClassVar[Literal["weights", "deltas"]] = "weights"
    studies: ClassVar[bool] = True

    bad: int = Field(default=1, ge=0)
    """Members that may be spoilt, and are left out."""

    def needs(self) -> Requires:
        """More good members than bad ones."""
        return replace(self.requires, min_models=max(2 * self.bad + 1, 2))

    def study(self, blocks: Iterator[tuple[TensorInfo, list[Tensor]]]) -> list[int]:
        """Which members are kept, by their place."""
        from moco.weights import ops

        # Inner products of differences: those of the weights would cancel out in the distances.
        gram = ops.gram([t - tensors[0] for t in tensors] for _, tensors in blocks)
        squares = gram.diagonal()
        distances = squares[:, None] + squares[None, :] - 2 * gram
        np.fill_diagonal(distances, 0)  # itself comes first
        count = len(distances)
        near = np.sort(distances, axis=1)[:, : max(count - self.bad - 2, 1) + 1]
        order = np.argsort(near.sum(axis=1), kind="stable")
        return sorted(int(i) for i in order[: count - self.bad])

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The mean of those kept."""
        from moco.weights import ops

        kept = [tensors[i] for i in info.overall]
        return ops.weighted_sum(kept, [1 / len(kept)] * len(kept))
