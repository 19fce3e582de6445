"""Pure functions on tensors: arithmetic in fp32, one cast at the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moco.checkpoint import Slot
from moco.errors import ModelFormatError, clip

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
NONE = 0x7F800000
"""The bits of infinity: no entry is larger."""
MOST = 1 << 16
"""Columns that `gram_of_rows` copies at a time."""


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
        if weight != 1:
            tensor.mul_(weight)
    total = tensors[0].clone()
    for tensor in tensors[1:]:
        total.add_(tensor)
    if not elect:
        share = sum(weights)
        return total.div_(share) if normalize and abs(share) > 1e-8 else total
    # Comparisons into float tensors: on a CPU many times faster than boolean masks.
    sign = torch.ge(total, 0, out=torch.empty_like(total)).mul_(2).sub_(1)
    divisor = torch.zeros_like(total) if normalize else None
    merged = total.zero_()
    for tensor, weight in zip(tensors, weights, strict=True):
        merged.add_(tensor.mul_(sign).relu_())
        if divisor is not None:
            divisor.add_(tensor.gt_(0), alpha=weight)
    merged.mul_(sign)
    if divisor is None:
        return merged
    divisor.add_(torch.eq(divisor, 0, out=sign))
    return merged.div_(divisor)


def agreeing_mean(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted mean of the entries whose sign is that of the plain sum (zero sums count as
    positive), as SCE takes it; 0 where no entry has it.
    """
    total = weighted_sum(tensors, [1.0] * len(tensors))
    sign = torch.ge(total, 0, out=torch.empty_like(total)).mul_(2).sub_(1)
    divisor, merged = torch.zeros_like(total), total.zero_()
    for tensor, weight in zip(tensors, weights, strict=True):
        agreeing = tensor.mul(sign).relu_()
        merged.add_(agreeing, alpha=weight)
        divisor.add_(agreeing.gt_(0), alpha=weight)
    merged.mul_(sign)
    divisor.add_(torch.eq(divisor, 0, out=sign))
    return merged.div_(divisor)


def trimmed_mean(tensors: Sequence[Tensor], bad: int) -> Tensor:
    """The mean of each entry without its `bad` smallest and `bad` largest values. The tensors are
    changed: afterwards the first holds the smallest values, the last the largest.
    """
    for end in range(len(tensors) - 1, 0, -1):  # exchanges beat a sort for a few members
        for low, high in itertools.pairwise(tensors[: end + 1]):
            smaller = torch.minimum(low, high)
            torch.maximum(low, high, out=high)
            low.copy_(smaller)
    middle = tensors[bad : len(tensors) - bad]
    return weighted_sum(middle, [1 / len(middle)] * len(middle))


def variance(tensors: Sequence[Tensor]) -> Tensor:
    """Each entry's variance over the tensors, divided by their number; 0 where they are equal."""
    count = len(tensors)
    mean = weighted_sum(tensors, [1.0] * count).div_(count)  # thirds would round equal numbers
    total = torch.zeros_like(mean)
    for tensor in tensors:
        total.add_((tensor - mean).square_())
    return total.div_(count)


def by_rows(block: Tensor, width: int) -> Tensor:
    """A block as rows of this width; as one row where it does not hold whole ones."""
    return block.reshape(-1, width) if block.numel() % width == 0 else block.reshape(1, -1)


def drop(tensor: Tensor, noise: np.ndarray, keep: float) -> float:
    """Sets entries to zero in place where the noise (uint16, uniform) is not among the lowest
    `keep` of its values; gives the share that stays on average, `keep` rounded to 1/65536.
    """
    kept = min(max(round(keep * 65536), 0), 65536)
    if kept < 65536:
        mask = torch.from_numpy((noise < kept).astype(np.float32)).to(tensor.device)
        tensor.mul_(mask.reshape(tensor.shape))
    return kept / 65536


def drop_by_rank(rows: Tensor, noise: np.ndarray, low: float, high: float) -> Tensor:
    """Sets entries to zero in place; the probability to stay rises evenly with an entry's rank by
    magnitude within its row, from `low` for the smallest to `high` (equals: the later one ranks
    higher). Gives these probabilities, rounded to 1/65536.
    """
    width = rows.shape[1]
    middle = (low + high) / 2
    steps = np.linspace(low, high, width) if width > 1 else np.full(1, middle)
    counts = torch.from_numpy((steps * 65536).round().clip(1, 65536).astype(np.float32))
    order = _order(rows.abs())
    chances = torch.empty_like(rows)
    chances.scatter_(1, order, counts.to(rows.device).expand_as(rows))
    drawn = torch.from_numpy(noise.astype(np.float32)).to(rows.device)
    drawn = drawn.reshape(rows.shape)
    rows.mul_(torch.lt(drawn, chances, out=drawn))
    return chances.div_(65536)


def _order(sizes: Tensor) -> Tensor:
    """The places of each row's numbers, none of them negative, in ascending order; of equals the
    first comes first.
    """
    if sizes.device.type != "cpu":
        return sizes.argsort(dim=1, stable=True)
    # Numbers and places packed into one integer: numpy sorts these three times as fast.
    packed = sizes.view(torch.int32).to(torch.int64).bitwise_left_shift_(32)
    packed.add_(torch.arange(sizes.shape[1]))
    return torch.from_numpy(np.sort(packed.numpy(), axis=1)).bitwise_and_((1 << 32) - 1)


def magnitude(tensor: Tensor) -> float:
    """Sum of the magnitudes of all entries."""
    return float(tensor.abs().sum())


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
        """1 for the entries of the next block that stay, else 0."""
        sizes = block.to(torch.float32).abs()
        edge = float(np.int32(self.bits).view(np.float32))
        kept = torch.gt(sizes, edge, out=torch.empty_like(sizes))
        if not self.ties:
            return kept
        equal = sizes.eq_(edge)
        found = int(equal.sum(dtype=torch.float64))
        if found > self.ties:
            equal.mul_(
                torch.cumsum(equal.reshape(-1), 0, dtype=torch.float64)
                .le_(self.ties)
                .reshape(equal.shape)
            )
        self.ties -= min(found, self.ties)
        return kept.add_(equal)


def as_bytes(flat: Tensor) -> memoryview:
    """The bytes of a contiguous tensor in one dimension on the CPU, shared with it."""
    array: Any = flat.view(torch.uint8).numpy()
    return memoryview(array)


def _bits(block: Tensor) -> Tensor:
    """Magnitudes as whole numbers of the same order."""
    return block.to(torch.float32).contiguous().view(torch.int32) & 0x7FFFFFFF


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
        if count <= 0:
            cuts.append(Cut(NONE, 0))
            continue
        inner, over = _place(own, count - above)
        cuts.append(Cut((place << LOW_BITS) + inner, count - above - over))
    return cuts


def _inside(bits: Tensor, place: int) -> Tensor:
    if bits.device.type == "cpu":  # numpy selects several times faster
        array = bits.numpy()
        chosen = torch.from_numpy(array[(array >> LOW_BITS) == place])
    else:
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


@dataclass(frozen=True, slots=True)
class Mapped:
    """Blocks made from other blocks, as often as they are read."""

    blocks: Iterable[Sequence[Tensor]]
    function: Callable[[Sequence[Tensor]], Sequence[Tensor]]

    def __iter__(self) -> Iterator[Sequence[Tensor]]:
        return map(self.function, self.blocks)


def gram(blocks: Iterable[Sequence[Tensor]]) -> np.ndarray:
    """Inner products ⟨tᵢ, tⱼ⟩ of tensors that come block by block, float64 [tensors, tensors]."""
    total: np.ndarray | float = 0.0
    for tensors in blocks:
        total = total + gram_of_rows([tensor.reshape(1, -1) for tensor in tensors])[0]
        del tensors  # before the next block is read
    return np.asarray(total)


def gram_of_rows(tensors: Sequence[Tensor]) -> np.ndarray:
    """The same of each row of matrices, float64 [rows, tensors, tensors]."""
    count, (height, width) = len(tensors), tensors[0].shape
    total = torch.zeros(height, count, count, dtype=torch.float64, device=tensors[0].device)
    step = max(min(width // count, MOST), 1)  # copies take no more than three blocks in float32
    for start in range(0, width, step):
        part = torch.stack([tensor[:, start : start + step] for tensor in tensors], dim=1)
        part = part.to(torch.float64)
        total.baddbmm_(part, part.transpose(1, 2))
    found: np.ndarray = total.cpu().numpy()
    return found


def dtype_of(slot: Slot) -> torch.dtype:
    """The type of a stored tensor; `ModelFormatError` for one that cannot be computed with."""
    if slot.dtype not in DTYPES:
        raise ModelFormatError(
            f"{slot.file}: tensor '{clip(slot.name)}' has type {slot.dtype}, which cannot be"
            " computed with"
        )
    return DTYPES[slot.dtype]


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Rounds to nearest, once; `OverflowError` where a finite number would become infinite."""
    result = tensor.to(dtype)
    if dtype == torch.float16 and bool((result.isinf() & tensor.isfinite()).any()):
        raise OverflowError("a value is too large for float16")
    return result
