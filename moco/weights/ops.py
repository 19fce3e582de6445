"""Pure functions on tensors: arithmetic in fp32, one cast at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
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


LOW_BITS = 16
"""Bits of a float32 that the second histogram of `largest` tells apart."""


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


def signed_sum(
    tensors: Sequence[Tensor], weights: Sequence[float], *, elect: bool, normalize: bool
) -> Tensor:
    """Σ wᵢ·tᵢ; with `elect` only entries count whose sign is that of the sum (zero sums count as
    positive), as TIES does. `normalize` divides by the weights of the entries that count.

    The tensors are changed.
    """
    for tensor, weight in zip(tensors, weights, strict=True):
        tensor.mul_(weight)
    total = tensors[0].clone()
    for tensor in tensors[1:]:
        total.add_(tensor)
    if not elect:
        share = sum(weights)
        return total.div_(share) if normalize and abs(share) > 1e-8 else total
    up = tensors[0].clamp(min=0)
    for tensor in tensors[1:]:
        up.add_(tensor.clamp(min=0))
    positive = total >= 0
    merged = torch.where(positive, up, total.sub_(up))
    if not normalize:
        return merged
    divisor = torch.zeros_like(merged)
    for tensor, weight in zip(tensors, weights, strict=True):
        divisor.add_(torch.where(positive, tensor > 0, tensor < 0), alpha=weight)
    divisor[divisor == 0] = 1
    return merged.div_(divisor)


def drop(tensor: Tensor, noise: np.ndarray, keep: float) -> float:
    """Sets entries to zero in place where the noise (uint16, uniform) is not among the lowest
    `keep` of its values; gives the share that stays on average, `keep` rounded to 1/65536.
    """
    kept = min(max(round(keep * 65536), 0), 65536)
    if kept < 65536:
        mask = torch.from_numpy(noise < kept).to(tensor.device)
        tensor.mul_(mask.reshape(tensor.shape))
    return kept / 65536


def magnitude(tensor: Tensor) -> float:
    """Sum of the magnitudes of all entries, in float64."""
    return float(tensor.abs().sum(dtype=torch.float64))


@dataclass(slots=True)
class Cut:
    """The entries of a tensor that are largest in magnitude; among equals the first ones.

    Its blocks have to be asked for in order.
    """

    bits: int
    """The smallest magnitude that stays, as the bits of a float32; entries above it all stay."""
    ties: int
    """How many entries of exactly this magnitude may still stay."""

    def keep(self, block: Tensor) -> Tensor:
        """Which entries of the next block stay, a boolean tensor."""
        bits = _bits(block)
        kept, equal = bits > self.bits, bits == self.bits
        found = int(equal.sum())
        if found > self.ties:
            first = torch.cumsum(equal.reshape(-1), 0).reshape(equal.shape) <= self.ties
            equal &= first
        self.ties -= min(found, self.ties)
        return kept | equal


def as_bytes(flat: Tensor) -> memoryview:
    """The bytes of a contiguous tensor in one dimension on the CPU, shared with it."""
    array: Any = flat.view(torch.uint8).numpy()
    return memoryview(array)


def _bits(block: Tensor) -> Tensor:
    """Magnitudes as whole numbers of the same order."""
    return block.to(torch.float32).abs().view(torch.int32)


def largest(blocks: Iterable[Sequence[Tensor]], counts: Sequence[int]) -> list[Cut]:
    """The `counts` largest entries in magnitude of each of several tensors that come block by block
    and are read twice.
    """
    top = _counted(blocks, [0] * len(counts), lambda bits, _: bits >> LOW_BITS)
    places = [_place(own, count) for own, count in zip(top, counts, strict=True)]
    bins = [place for place, _ in places]
    low = _counted(blocks, bins, _inside)
    cuts = []
    for (place, above), own, count in zip(places, low, counts, strict=True):
        inner, over = _place(own, count - above)
        cuts.append(Cut((place << LOW_BITS) + inner, count - above - over))
    return cuts


def _inside(bits: Tensor, place: int) -> Tensor:
    chosen = bits[(bits >> LOW_BITS) == place]
    return chosen & ((1 << LOW_BITS) - 1)


def _counted(
    blocks: Iterable[Sequence[Tensor]],
    places: Sequence[int],
    bin_of: Callable[[Tensor, int], Tensor],
) -> list[np.ndarray]:
    """How many entries of each tensor fall into each bin."""
    totals = [np.zeros(1 << LOW_BITS, np.int64) for _ in places]
    for tensors in blocks:
        for total, tensor, place in zip(totals, tensors, places, strict=True):
            bins = bin_of(_bits(tensor).reshape(-1), place)
            total += torch.bincount(bins, minlength=1 << LOW_BITS).cpu().numpy()
    return totals


def _place(histogram: np.ndarray, count: int) -> tuple[int, int]:
    """(the bin that the count-th largest entry lies in, entries in the bins above it)."""
    if count <= 0:
        return len(histogram) - 1, 0
    above = np.cumsum(histogram[::-1])
    place = int(np.searchsorted(above, count))
    place = min(place, len(histogram) - 1)
    return len(histogram) - 1 - place, int(above[place - 1]) if place else 0


def gram(blocks: Iterable[Sequence[Tensor]]) -> np.ndarray:
    """Inner products ⟨tᵢ, tⱼ⟩ of tensors that come block by block, float64 [tensors, tensors]."""
    total: np.ndarray | float = 0.0
    for tensors in blocks:
        flat = torch.stack([tensor.reshape(-1) for tensor in tensors]).to(torch.float64)
        total = total + (flat @ flat.T).cpu().numpy()
    return np.asarray(total)


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Rounds to nearest, once; `OverflowError` where a finite number would become infinite."""
    result = tensor.to(dtype)
    if dtype == torch.float16 and not bool(
        torch.isfinite(result).all() == torch.isfinite(tensor).all()
    ):
        raise OverflowError("a value is too large for float16")
    return result
