"""Where the tokens of one forward pass go, and what each may look at.

The tokens of all rows are packed into one sequence, so nothing is padded in the large products. In
attention, chunks of few tokens are batched over their rows (padded to the longest of them); a long
chunk is read on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

import torch
from torch import Tensor

SHORT = (4, 32)
"""Chunks of up to so many tokens share one batched attention; longer ones are read alone."""
FEW = 3
"""Fewer chunks than this of a class beyond the first are read alone."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one row that are read in one forward pass."""

    slot: int
    start: int
    """Positions that the row holds already."""
    ids: Sequence[int]
    index: int
    """Which of the caller's chunks this is (part of)."""
    keep: int = 0
    """Of how many last tokens the caller wants the outputs."""

    @property
    def end(self) -> int:
        """Positions that the row holds afterwards."""
        return self.start + len(self.ids)

    @property
    def size_class(self) -> int:
        """0 or 1: batched with its like; 2: alone."""
        return sum(len(self.ids) > limit for limit in SHORT)


@dataclass(slots=True)
class Group:
    """Chunks that share one batched attention; their tokens are `first` to `last` of the pack."""

    chunks: Sequence[Chunk]
    first: int
    device: torch.device
    last: int = 0
    """End of its tokens in the pack."""
    width: int = 0
    """Tokens of its longest chunk."""
    even: bool = True
    """Whether all chunks have the same number of tokens."""
    _bias: dict[tuple[int | None, int, torch.dtype], Tensor] = field(default_factory=dict)
    _spots: Tensor | None = None
    _picked: Tensor | None = None

    def __post_init__(self) -> None:
        counts = [len(chunk.ids) for chunk in self.chunks]
        self.last, self.width = self.first + sum(counts), max(counts)
        self.even = min(counts) == self.width

    def rows_of(self, buffer: Tensor) -> Tensor:
        """The group's slots of a buffer: a view where they lie together, else a copy."""
        first, last = self.chunks[0].slot, self.chunks[-1].slot
        if last - first == len(self.chunks) - 1:
            return buffer[first : last + 1]
        if self._picked is None:
            self._picked = torch.tensor([chunk.slot for chunk in self.chunks], device=self.device)
        return buffer.index_select(0, self._picked)

    def spots(self) -> Tensor:
        """Where each token stands in the padded [row, width] block, flattened."""
        if self._spots is None:
            width = self.width
            flat = [i * width + j for i, c in enumerate(self.chunks) for j in range(len(c.ids))]
            self._spots = torch.tensor(flat, device=self.device)
        return self._spots

    def bias(self, window: int | None, length: int, dtype: torch.dtype) -> Tensor:
        """What to add to the scores, [row, width, key]: 0 where a token may look, else -inf."""
        key = (window, length, dtype)
        if key not in self._bias:
            starts = torch.tensor([chunk.start for chunk in self.chunks], device=self.device)
            query = starts[:, None] + torch.arange(self.width, device=self.device)
            self._bias[key] = bias(query[:, :, None], length, window, dtype)
        return self._bias[key]


@dataclass(slots=True)
class Alone:
    """A chunk that is read on its own; its tokens start at `first` of the pack."""

    chunk: Chunk
    first: int
    device: torch.device
    _bias: dict[tuple[int | None, torch.dtype], Tensor | None] = field(default_factory=dict)

    def bias(self, window: int | None, dtype: torch.dtype) -> Tensor | None:
        """What to add to the scores, [token, key]; None where causal order says it all."""
        chunk = self.chunk
        if window is not None and window >= chunk.end:
            window = None
        if window is None and chunk.start == 0:
            return None
        key = (window, dtype)
        if key not in self._bias:
            query = torch.arange(chunk.start, chunk.end, device=self.device)
            self._bias[key] = bias(query[:, None], chunk.end, window, dtype)
        return self._bias[key]


def bias(query: Tensor, length: int, window: int | None, dtype: torch.dtype) -> Tensor:
    """0 where a query at position `query` [..., 1] may look at a key position below `length`."""
    key = torch.arange(length, device=query.device)
    seen = key <= query
    if window is not None:
        seen &= key > query - window
    return torch.zeros(seen.shape, dtype=dtype, device=query.device).masked_fill_(~seen, -torch.inf)


class Plan:
    """One forward pass over the chunks of several rows."""

    def __init__(self, chunks: Sequence[Chunk], device: torch.device) -> None:
        self.chunks = ordered(chunks)
        self.device = device
        self.groups: list[Group] = []
        self.alone: list[Alone] = []
        self._split()
        ids = [i for chunk in self.chunks for i in chunk.ids]
        positions = [p for chunk in self.chunks for p in range(chunk.start, chunk.end)]
        slots = [chunk.slot for chunk in self.chunks for _ in chunk.ids]
        packed = torch.tensor([ids, positions, slots], device=device)
        self.ids_T, self.positions_T, self.slots_T = packed
        self._places: dict[tuple[int, int], Tensor] = {}

    def places(self, heads: int, capacity: int) -> Tensor:
        """Rows of a flat [slot, head, position] buffer that the tokens go to, [token × head]."""
        key = (heads, capacity)
        if key not in self._places:
            head = torch.arange(heads, device=self.device)
            places = (self.slots_T[:, None] * heads + head) * capacity + self.positions_T[:, None]
            self._places[key] = places.reshape(-1)
        return self._places[key]

    def wanted(self) -> tuple[list[int], list[int]]:
        """Pack positions whose outputs are wanted, and whose they are, in the caller's order."""
        found: list[tuple[int, int]] = []
        end = 0
        for chunk in self.chunks:
            end += len(chunk.ids)
            found.extend((chunk.index, place) for place in range(end - chunk.keep, end))
        found.sort()
        return [place for _, place in found], [index for index, _ in found]

    def _split(self) -> None:
        first = 0
        for size_class, same in groupby(self.chunks, key=attrgetter("size_class")):
            chunks = list(same)
            if size_class == 0 or (size_class == 1 and len(chunks) > FEW):
                self.groups.append(Group(chunks, first, self.device))
                first = self.groups[-1].last
                continue
            for chunk in chunks:
                self.alone.append(Alone(chunk, first, self.device))
                first += len(chunk.ids)


def ordered(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Chunks in the order in which a pass packs them: by class, then by slot."""
    return sorted(chunks, key=lambda chunk: (chunk.size_class, chunk.slot))
