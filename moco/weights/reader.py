"""Lazy reading of checkpoint folders and of adapters on them, block by block; nothing is mapped or
kept.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from moco import checkpoint, lora
from moco.checkpoint import Slot
from moco.errors import ModelFormatError, clip
from moco.lora import LoraModule
from moco.weights import ops


class Reader:
    """A checkpoint folder's tensors by name; an output projection tied to the embeddings is left
    out. May be used from several threads.
    """

    def __init__(self, folder: Path) -> None:
        self._open: dict[Path, int] = {}
        self._lock = threading.Lock()
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
        slot = self.slots[name]
        return _read(slot, start, stop, self._descriptor(slot.file))

    def weights(self, name: str, start: int, stop: int) -> Tensor:
        """The same in float32, a tensor of its own."""
        return self.block(name, start, stop).to(torch.float32)

    def _descriptor(self, file: Path) -> int:
        with self._lock:
            if file not in self._open:
                self._open[file] = os.open(file, os.O_RDONLY)
            return self._open[file]

    def close(self) -> None:
        """Closes the files; reading opens them again."""
        with self._lock:
            for descriptor in self._open.values():
                os.close(descriptor)
            self._open.clear()

    def __del__(self) -> None:
        self.close()


class Adapted:
    """An adapter on a base: its factors are held, its deltas made when asked for."""

    def __init__(self, base: Reader, folder: Path) -> None:
        adapter = lora.read(folder)
        lora.check_fits(adapter, base.slots, checkpoint.digest(base.slots), base.folder)
        self.folder = folder
        self.base = base
        self.slots = base.slots
        self._factors: dict[str, tuple[LoraModule, Tensor, Tensor]] = {}
        for module in adapter.modules.values():
            name = lora.tensor_name(module.name, base.slots)
            if name is None:
                raise ModelFormatError(
                    f"{folder} adapts '{clip(module.name)}', which is tied to the input embeddings "
                    f"of {base.folder}; a merge would change both"
                )
            a, b = (factor(slot).to(torch.float32) for slot in (module.a, module.b))
            self._factors[name] = (module, a, b * module.scale)

    def touches(self, name: str) -> bool:
        """Whether the adapter changes this tensor."""
        return name in self._factors

    def delta(self, name: str, start: int, stop: int) -> Tensor:
        """What it adds to the elements start to stop of the flattened tensor, in float32."""
        if name not in self._factors:
            return torch.zeros(stop - start)
        module, a, b = self._factors[name]
        left, right = (a.T, b.T) if module.transposed else (b, a)
        width = right.shape[1]
        first = start // width
        rows = left[first : -(-stop // width)] @ right
        return rows.reshape(-1)[start - first * width : stop - first * width]

    def weights(self, name: str, start: int, stop: int) -> Tensor:
        """Base and delta together, in float32."""
        return self.base.weights(name, start, stop) + self.delta(name, start, stop)


class Source(Protocol):
    """A member whose weights can be read."""

    folder: Path

    def weights(self, name: str, start: int, stop: int) -> Tensor:
        """The elements start to stop of the flattened tensor, in float32."""
        ...


def _read(slot: Slot, start: int, stop: int, descriptor: int) -> Tensor:
    dtype = ops.dtype_of(slot)
    buffer = torch.empty(max(stop - start, 0), dtype=dtype)
    view = ops.as_bytes(buffer) if len(buffer) else memoryview(b"")
    at = slot.start + start * dtype.itemsize
    while len(view):
        count = os.preadv(descriptor, [view], at)
        if not count:
            raise ModelFormatError(f"{slot.file} was cut short while it was read")
        view, at = view[count:], at + count
    return buffer


def factor(slot: Slot) -> Tensor:
    """One factor of a LoRA adapter."""
    descriptor = os.open(slot.file, os.O_RDONLY)
    try:
        return _read(slot, 0, slot.num_items, descriptor).reshape(slot.shape)
    finally:
        os.close(descriptor)


def check_aligned(readers: Sequence[Reader]) -> None:
    """Raises `ModelFormatError` where checkpoints do not have the same tensors."""
    first = readers[0]
    for other in readers[1:]:
        for name, slot in sorted({**first.slots, **other.slots}.items()):
            if not checkpoint.is_learnt(slot):
                continue  # only some versions store it; the result has the first one's
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


def close_all(readers: Iterable[Reader]) -> None:
    """Closes the files of all of them."""
    for reader in readers:
        reader.close()
