"""Average the members and go back towards their base, the further the less they agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from moco.methods.merging import MergeMethod
from moco.weights.settings import TensorInfo

if TYPE_CHECKING:
    from torch import Tensor

    from moco.weights.merge import Blocks


class ModelStock(MergeMethod[None]):
    """base + t · (mean of the task vectors), where t follows from the angle between the task
    vectors: n·cos / (1 + (n − 1)·cos) for n members.

    The cosine is the mean over all pairs, per tensor; a member that did not change a tensor counts
    as orthogonal to the others. Where the formula has no finite value the base stays.
    """

    paper: ClassVar[str] = "Jang et al. 2024, arXiv 2403.19522"

    filter_wise: bool = False
    """Whether each row of a matrix has a ratio of its own."""

    @property
    def surveys(self) -> bool:
        """For the angles."""
        return True

    def survey(self, blocks: Blocks, info: TensorInfo) -> float | None:
        """The tensor's ratio t; none where its rows have their own."""
        from moco.weights import ops

        if self.filter_wise and len(info.shape) > 1:
            return None
        return float(ratio(ops.gram(blocks)[None])[0])

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The shortened mean."""
        import torch

        from moco.weights import ops

        mean = ops.weighted_sum(tensors, [1 / len(tensors)] * len(tensors))
        if facts is not None:
            return mean.mul_(facts)
        rows = [ops.by_rows(tensor, info.shape[-1]) for tensor in tensors]
        ratios = ratio(ops.gram_of_rows(rows))
        return ops.by_rows(mean, info.shape[-1]).mul_(torch.from_numpy(ratios).to(mean)[:, None])


def ratio(gram_RNN: np.ndarray) -> np.ndarray:
    """t of each of several sets of task vectors from their inner products."""
    count = gram_RNN.shape[1]
    if count == 1:
        return np.ones(len(gram_RNN))  # what a single one is nearest to is itself
    lengths_RN = np.sqrt(np.einsum("rnn->rn", gram_RNN))
    products_RNN = lengths_RN[:, :, None] * lengths_RN[:, None, :]
    cosines_RNN = np.divide(
        gram_RNN, products_RNN, out=np.zeros_like(gram_RNN), where=products_RNN > 0
    )
    pairs = np.triu_indices(count, 1)
    cosine_R = cosines_RNN[:, pairs[0], pairs[1]].clip(-1, 1).mean(axis=1)
    divisor_R = 1 + (count - 1) * cosine_R
    finite_R = np.abs(divisor_R) >= 1e-6
    found_R: np.ndarray = np.zeros_like(cosine_R)
    np.divide(count * cosine_R, divisor_R, out=found_R, where=finite_R)
    return found_R
