"""Merges that take the changes of each matrix apart into singular vectors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from moco.methods.merging import WeightedMerge
from moco.weights.settings import Setting, TensorInfo

if TYPE_CHECKING:
    from torch import Tensor


class Spectral(WeightedMerge[None]):
    """base + scale · a combination of the task vectors: of matrices by their singular vectors, of
    everything else (vectors, embeddings, output projection) the weighted mean.

    Weights are relative: what counts is their share of the sum.
    """

    whole: ClassVar[bool] = True

    scale: Setting = Field(default=1.0)
    """What the merged task vector is multiplied by."""

    @abstractmethod
    def combine(
        self, matrices: Sequence[Tensor], shares: Sequence[float], info: TensorInfo
    ) -> Tensor:
        """The merged task vector of a matrix; shares add up to 1."""

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The merged task vector."""
        import torch

        from moco.weights import ops

        shares, scale = self.shares(info), info.at(self.scale)
        if info.kind == "matrix":
            return self.combine(tensors, shares, info).mul_(scale).to(torch.float32)
        return ops.weighted_sum(tensors, [scale * share for share in shares])


def summed(matrices: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Their sum in float64, where the shares are equal; else each counts more or less."""
    import torch

    total = torch.zeros_like(matrices[0], dtype=torch.float64)
    for matrix, share in zip(matrices, shares, strict=True):
        total.add_(matrix, alpha=share * len(matrices))
    return total
