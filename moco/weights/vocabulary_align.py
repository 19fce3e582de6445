"""A checkpoint read with the rows of another vocabulary."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from moco.checkpoint import Slot
from moco.merging import alignment
from moco.merging.alignment import Alignment
from moco.weights import ops
from moco.weights.reader import Reader

STEP = 1 << 16
"""Numbers that a mean reads at a time."""


class Means:
    """The mean of all rows of each table that take part, of every model alike; found once, for all
    who ask, whichever thread they are in.
    """

    def __init__(self, found: Alignment, models: Sequence[Reader]) -> None:
        self._found = found
        self._models = models
        self._made: dict[str, Tensor] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> Tensor:
        """One row."""
        with self._lock:
            if name not in self._made:
                means = [self._mean(reader, name) for reader in self._models]
                self._made[name] = torch.stack(means).mean(0).to(torch.float32)
            return self._made[name]

    def _mean(self, reader: Reader, name: str) -> Tensor:
        own = self._found.sources[reader.folder]
        used = own[own >= 0]
        width = reader.slots[name].num_items // _rows_of(reader)
        total = torch.zeros(width, dtype=torch.float64)
        step = max(STEP // width, 1)
        for start in range(0, len(used), step):
            rows = torch.empty(len(used[start : start + step]), width)
            _gather(reader, name, used[start : start + step], rows)
            total += rows.sum(0, dtype=torch.float64)
        return total / max(len(used), 1)


class Aligned(Reader):
    """A checkpoint whose embeddings and output projection are seen row by row in another order.

    A row that the model lacks is that of `base`, to which the difference is then 0, or else the
    mean of the models of `fill` that have it; where nobody has it, the mean of all rows that are
    there.
    """

    def __init__(
        self,
        inner: Reader,
        found: Alignment,
        *,
        base: Aligned | None = None,
        fill: Sequence[Reader] = (),
        means: Means,
    ) -> None:
        self.folder = inner.folder
        self.inner = inner
        self.rows = alignment.num_rows(inner.slots, inner.folder)
        self.slots = {
            name: _resized(slot, found.rows) if alignment.is_vocabulary(slot, self.rows) else slot
            for name, slot in inner.slots.items()
        }
        self._found = found
        self._base = base
        self._fill = fill
        self._means = means

    def block(self, name: str, start: int, stop: int) -> Tensor:
        """The elements start to stop of the flattened tensor, in their stored type."""
        if not alignment.is_vocabulary(self.inner.slots[name], self.rows):
            return self.inner.block(name, start, stop)
        stored = ops.DTYPES[self.inner.slots[name].dtype]
        return self.weights(name, start, stop).to(stored)

    def weights(self, name: str, start: int, stop: int) -> Tensor:
        """The same in float32, a tensor of its own."""
        slot = self.inner.slots[name]
        if not alignment.is_vocabulary(slot, self.rows):
            return self.inner.weights(name, start, stop)
        width = slot.num_items // self.rows
        first, last = start // width, -(-stop // width)
        own = self._found.sources[self.folder][first:last]
        result = torch.empty(len(own), width)
        _gather(self.inner, name, own, result)
        missing = np.flatnonzero(own < 0)
        if len(missing):
            self._complete(name, result, missing, first)
        return result.reshape(-1)[start - first * width : stop - first * width]

    def _complete(self, name: str, result: Tensor, missing: np.ndarray, first: int) -> None:
        """Fills the rows of a block that begins at row `first` which the model lacks."""
        width = result.shape[1]
        if self._base is not None:
            for i in missing:
                row = (first + int(i)) * width
                result[i] = self._base.weights(name, row, row + width)
            return
        total = torch.zeros(len(missing), width)
        count = np.zeros(len(missing))
        for other in self._fill:
            own = self._found.sources[other.folder][first + missing]
            rows = torch.zeros(len(missing), width)
            _gather(other, name, own, rows)
            total += rows
            count += own >= 0
        if not count.all():
            total[torch.from_numpy(count == 0)] = self._means.of(name)
        divisor = torch.from_numpy(np.maximum(count, 1).astype(np.float32))
        result[torch.from_numpy(missing)] = total / divisor[:, None]

    def close(self) -> None:
        """Closes the files."""
        self.inner.close()


def _rows_of(reader: Reader) -> int:
    return alignment.num_rows(reader.slots, reader.folder)


def _resized(slot: Slot, rows: int) -> Slot:
    return replace(slot, shape=(rows, *slot.shape[1:]))


def _gather(reader: Reader, name: str, rows: np.ndarray, into: Tensor) -> None:
    """Reads these rows, runs of them at once; negative ones are left as they are."""
    width = into.shape[1]
    ends = np.flatnonzero((np.diff(rows) != 1) | (rows[:-1] < 0)) + 1
    for begin, end in zip([0, *ends], [*ends, len(rows)], strict=True):
        if end > begin and rows[begin] >= 0:
            at = int(rows[begin])
            got = reader.weights(name, at * width, (at + int(end - begin)) * width)
            into[int(begin) : int(end)] = got.reshape(-1, width)


def readers(
    found: Alignment,
    members: Sequence[Path],
    base: Path | None,
    new: Callable[[Path], Reader] = Reader,
) -> Mapping[Path, Aligned]:
    """Every model of a merge with the rows of the result.

    A token that a member lacks has difference 0 to the base where one is given; else, and where the
    base lacks it, it takes the mean of the members that have it.
    """
    folders = list(dict.fromkeys(members))
    plain = {folder: new(folder) for folder in dict.fromkeys([*folders, *([base] if base else [])])}
    others = [plain[folder] for folder in folders]
    means = Means(found, list(plain.values()))
    made: dict[Path, Aligned] = {}
    if base is not None:
        made[base] = Aligned(plain[base], found, fill=others, means=means)
    below = made.get(base) if base is not None else None
    for folder in folders:
        made.setdefault(folder, Aligned(plain[folder], found, base=below, fill=others, means=means))
    return made
