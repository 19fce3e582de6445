"""Lazy reading of checkpoint folders, tensor by tensor or block by block; nothing is mapped or
kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from moco import checkpoint
from moco.checkpoint import Slot
from moco.errors import ModelFormatError, clip
from moco.weights import ops

BLOCK = 1 << 20
"""Numbers that a sum reads of each checkpoint at a time."""


class Reader:
    """A checkpoint folder's tensors by name; an output projection tied to the embeddings is left
    out.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.slots = checkpoint.unique(self.folder)

    @property
    def names(self) -> list[str]:
        """Tensor names in sorted order."""
        return sorted(self.slots)

    def tensor(self, name: str) -> Tensor:
        """One whole tensor in its stored type."""
        slot = self.slots[name]
        return self.block(name, 0, slot.num_items).reshape(slot.shape)

    def block(self, name: str, start: int, stop: int) -> Tensor:
        """The elements start to stop of the flattened tensor, in their stored type."""
        return _read(self.slots[name], start, stop)


def _read(slot: Slot, start: int, stop: int) -> Tensor:
    dtype = ops.DTYPES.get(slot.dtype)
    if dtype is None:
        raise ModelFormatError(
            f"{slot.file}: tensor '{clip(slot.name)}' has type {slot.dtype}, which cannot be "
            "computed with"
        )
    if stop <= start:
        return torch.empty(0, dtype=dtype)
    width = checkpoint.ITEM_BYTES[slot.dtype]
    buffer = bytearray((stop - start) * width)
    with slot.file.open("rb") as handle:
        handle.seek(slot.start + start * width)
        if handle.readinto(buffer) != len(buffer):
            raise ModelFormatError(f"{slot.file} was cut short while it was read")
    return torch.frombuffer(buffer, dtype=dtype)


def factor(slot: Slot) -> Tensor:
    """One factor of a LoRA adapter."""
    return _read(slot, 0, slot.num_items).reshape(slot.shape)


def aligned(folders: Sequence[Path]) -> list[Reader]:
    """Readers of checkpoints that have the same tensors; raises `ModelFormatError` where they do
    not.
    """
    readers = [Reader(folder) for folder in folders]
    first = readers[0]
    for other in readers[1:]:
        for name in sorted(first.slots.keys() | other.slots.keys()):
            for one, two in ((first, other), (other, first)):
                if name not in one.slots:
                    raise ModelFormatError(
                        f"{one.folder} has no tensor '{clip(name)}', {two.folder} has"
                    )
            mine, theirs = first.slots[name], other.slots[name]
            if mine.shape != theirs.shape:
                raise ModelFormatError(
                    f"tensor '{clip(name)}' has shape {mine.shape} in {first.folder} and "
                    f"{theirs.shape} in {other.folder}; only equal architectures merge"
                )
    return readers


def linear_state(
    paths: Sequence[Path], weights: Sequence[float], dtype: torch.dtype | None = None
) -> Iterator[tuple[str, Tensor]]:
    """The linear combination Σ wᵢ·modelᵢ, tensor by tensor in name order.

    Sums are in fp32 and cast once, to `dtype` or to what the first model stores. A tied tensor
    comes once, under its embedding name; tensors of whole numbers come from the first model. Peak
    memory is the largest tensor in fp32, its cast, and a few blocks.
    """
    if len(paths) != len(weights) or not paths:
        raise ValueError(f"{len(paths)} checkpoints and {len(weights)} weights")
    readers = aligned(paths)
    for name in readers[0].names:
        slot = readers[0].slots[name]
        if not slot.is_float:
            yield name, readers[0].tensor(name)
            continue
        total = _combined(readers, weights, name)
        yield name, ops.cast(total, dtype or ops.DTYPES[slot.dtype])


def _combined(readers: Sequence[Reader], weights: Sequence[float], name: str) -> Tensor:
    """One tensor's weighted sum in fp32, read block by block."""
    slot = readers[0].slots[name]
    total = torch.empty(slot.num_items)
    for start in range(0, slot.num_items, BLOCK):
        stop = min(start + BLOCK, slot.num_items)
        blocks = (reader.block(name, start, stop) for reader in readers)
        total[start:stop] = ops.weighted_sum(blocks, weights)
    return total.reshape(slot.shape)
