"""Pure functions on tensors: arithmetic in fp32, one cast at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Types as safetensors writes them."""
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def weighted_sum(tensors: Iterable[Tensor], weights: Sequence[float]) -> Tensor:
    """Σ wᵢ·tᵢ in fp32, one tensor at a time. Weights need not add up to 1."""
    total: Tensor | None = None
    for tensor, weight in zip(tensors, weights, strict=True):
        if total is None:
            total = tensor.to(torch.float32) * weight
        else:
            total.add_(tensor.to(torch.float32), alpha=weight)
    if total is None:
        raise ValueError("nothing to add up")
    return total


def low_rank(a: Tensor, b: Tensor, scale: float) -> Tensor:
    """scale · B · A in fp32, shape [out, in]."""
    return (b.to(torch.float32) @ a.to(torch.float32)) * scale


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Rounds to nearest, once; `OverflowError` where a finite number would become infinite."""
    result = tensor.to(dtype)
    if dtype == torch.float16 and not bool(
        torch.isfinite(result).all() == torch.isfinite(tensor).all()
    ):
        raise OverflowError("a value is too large for float16")
    return result
