"""The merge engine: reads all members block by block, applies a rule, hands each block on.

Every block is read, computed and delivered by one of several threads, so that reading, arithmetic
and writing overlap; nothing larger than a block per member is held, unless a rule needs whole
tensors. Arithmetic is in float32. Tensors that are tied in the checkpoints come once.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from moco.checkpoint import Slot, is_learnt
from moco.errors import ConfigError, ModelFormatError, clip
from moco.weights import ops
from moco.weights.reader import Adapted, Reader, Source, check_aligned, close_all
from moco.weights.settings import TensorInfo, depths, kind_of

BLOCK = 1 << 20
"""Numbers of each member that one thread works on at a time; 4 MiB in float32."""
TEMPORARIES = 6
"""Blocks that a rule may need beside those of the members."""

Put = Callable[[str, int, Tensor], None]
"""Takes (tensor name, first element in the flattened tensor, a block in float32 or as stored)."""


class Rule(Protocol):
    """How tensors are merged; `moco.methods.merging.MergeMethod` is one."""

    @property
    def on(self) -> Literal["weights", "deltas"]:
        """What it is given and what it returns: weights, or differences to the base."""
        ...

    @property
    def whole(self) -> bool:
        """Whether it needs whole tensors of two and more dimensions."""
        ...

    @property
    def surveys(self) -> bool:
        """Whether `survey` is called."""
        ...

    @property
    def studies(self) -> bool:
        """Whether `study` is called."""
        ...

    def study(self, blocks: Iterator[tuple[TensorInfo, list[Tensor]]]) -> Any:
        """What it has to know of the whole models, from all their blocks."""
        ...

    def survey(self, blocks: Blocks, info: TensorInfo) -> Any:
        """What it has to know of one tensor before it merges the first block of it."""
        ...

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """One block of the result from the members' blocks of equal shape, in float32."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """A member of a merge: a checkpoint, or an adapter on the base."""

    name: str
    key: str
    """Its fingerprint."""
    folder: Path
    adapter: Path | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A merge: rule, members and base."""

    rule: Rule
    parts: tuple[Part, ...]
    base: Path | None = None
    """Checkpoint that differences are taken to; adapters have their own."""
    seed: int = 0

    @property
    def folder(self) -> Path:
        """The checkpoint whose names, shapes and texts the result has."""
        return self.base or self.parts[0].folder


@dataclass(frozen=True, slots=True)
class Blocks:
    """One tensor of all members, block by block, as often as it is asked for.

    A single block is read once: `merge` is given it as the survey leaves it.
    """

    spans: Sequence[tuple[int, int]]
    load: Callable[[int, int], _Loaded]

    def __iter__(self) -> Iterator[list[Tensor]]:
        for start, stop in self.spans:
            yield self.load(start, stop)[0]


_Loaded = tuple[list[Tensor], Tensor | None]
"""A block of the members, and of the base where it was needed."""


class Merge:
    """A recipe with its files open."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        device: str = "cpu",
        max_memory: int | None = None,
        reader: Callable[[Path], Reader] = Reader,
    ) -> None:
        self.recipe = recipe
        self.device = device
        self._new_reader = reader
        self._readers: dict[Path, Reader] = {}
        self.base = self._reader(recipe.base) if recipe.base is not None else None
        self.sources = [self._source(part) for part in recipe.parts]
        self.like = self._reader(recipe.folder)
        check_aligned([self.like, *(r for r in self._readers.values() if r is not self.like)])
        self._depths = depths(self.like.names)
        self.workers, self._block = _sizes(recipe, self.like.slots, max_memory)
        self._overall: Any = None

    def _reader(self, folder: Path) -> Reader:
        if folder not in self._readers:
            self._readers[folder] = self._new_reader(folder)
        return self._readers[folder]

    def _source(self, part: Part) -> Source:
        reader = self._reader(part.folder)
        if part.adapter is None:
            return reader
        if self.base is None:
            self.base = reader
        if reader is not self.base:
            raise ModelFormatError(
                f"{part.adapter} is an adapter of {part.folder}, but {self.base.folder} is merged"
                " over; adapters merge over their own base"
            )
        return Adapted(reader, part.adapter)

    def run(self, put: Put) -> None:
        """Hands every block of the result to `put`, which several threads call."""
        rule = self.recipe.rule
        if rule.on == "deltas" and self.base is None:
            raise ConfigError("a rule on differences needs a base")
        names = sorted(self.like.names, key=lambda name: -self.like.slots[name].num_items)
        try:
            with _one_thread_each(self.workers), ThreadPoolExecutor(self.workers) as threads:
                if rule.studies:
                    self._overall = rule.study(self._everything(names))
                tasks: list[tuple[str, list[tuple[int, int]]]] = []
                for name in names:
                    spans = self._spans(name)
                    together = rule.surveys or not self._merges(name)
                    tasks += [(name, spans)] if together else [(name, [span]) for span in spans]
                for _ in threads.map(lambda task: self._tensor(task[0], task[1], put), tasks):
                    pass
        finally:
            close_all(self._readers.values())

    def _merges(self, name: str) -> bool:
        """Whether a tensor is merged; else it is the base's."""
        if not is_learnt(self.like.slots[name]) or not self.like.slots[name].num_items:
            return False
        if all(isinstance(source, Adapted) for source in self.sources):
            return any(isinstance(s, Adapted) and s.touches(name) for s in self.sources)
        return True

    def _spans(self, name: str) -> list[tuple[int, int]]:
        """A tensor's blocks, of whole rows where a row fits."""
        shape, size = self.like.slots[name].shape, self.like.slots[name].num_items
        if not size or (self.recipe.rule.whole and kind_of(name, shape) == "matrix"):
            return [(0, size)]
        rows = (math.prod(shape[1:]), shape[-1]) if len(shape) > 1 else (1,)
        row = next((row for row in rows if row <= self._block), 1)
        step = max(self._block // row, 1) * row
        return [(start, min(start + step, size)) for start in range(0, size, step)] or [(0, 0)]

    def _info(self, name: str, start: int, stop: int) -> TensorInfo:
        shape = self.like.slots[name].shape
        return TensorInfo(
            name=name,
            shape=shape,
            kind=kind_of(name, shape),
            depth=self._depths[name],
            members=tuple(part.name for part in self.recipe.parts),
            keys=tuple(part.key for part in self.recipe.parts),
            seed=self.recipe.seed,
            start=start,
            stop=stop,
            overall=self._overall,
        )

    def _load(self, name: str, start: int, stop: int) -> _Loaded:
        """The members' blocks, on the device, whole rows with their shape; and the base's."""
        shown = _shape_of(self.like.slots[name].shape, stop - start)
        if self.recipe.rule.on == "weights":
            found, base = [s.weights(name, start, stop) for s in self.sources], None
        else:
            found, base = self._deltas(name, start, stop)
        placed = [tensor.to(self.device).reshape(shown) for tensor in found]
        return placed, None if base is None else base.to(self.device)

    def _deltas(self, name: str, start: int, stop: int) -> _Loaded:
        assert self.base is not None
        base = self.base.weights(name, start, stop)
        found = [
            source.delta(name, start, stop)
            if isinstance(source, Adapted)
            else source.weights(name, start, stop).sub_(base)
            for source in self.sources
        ]
        return found, base

    def _everything(self, names: Sequence[str]) -> Iterator[tuple[TensorInfo, list[Tensor]]]:
        for name in names:
            if self._merges(name):
                for start, stop in self._spans(name):
                    yield self._info(name, start, stop), self._load(name, start, stop)[0]

    def _tensor(self, name: str, spans: Sequence[tuple[int, int]], put: Put) -> None:
        """Merges these blocks of a tensor, or passes the base's on."""
        rule = self.recipe.rule
        if not self._merges(name):
            for start, stop in spans:
                put(name, start, self.like.block(name, start, stop))
            return
        held: _Loaded | None = None
        facts: Any = None
        if rule.surveys:
            if len(spans) == 1:
                held = self._load(name, *spans[0])
            blocks = Blocks(spans, lambda start, stop: held or self._load(name, start, stop))
            facts = rule.survey(blocks, self._info(name, 0, self.like.slots[name].num_items))
        for start, stop in spans:
            tensors, base = held or self._load(name, start, stop)
            result = rule.merge(tensors, self._info(name, start, stop), facts).reshape(-1)
            # a sum costs one pass without a mask; rarely both are needed
            if not bool(torch.isfinite(result.sum()) or torch.isfinite(result).all()):
                raise ModelFormatError(self._why_not_finite(name, start, stop))
            if base is not None:
                result = base.add_(result)
            put(name, start, result)
            del tensors, base, result  # before the next block is read

    def _why_not_finite(self, name: str, start: int, stop: int) -> str:
        """Whose numbers are to blame."""
        blocks = self._load(name, start, stop)[0]
        parts = zip(self.recipe.parts, blocks, strict=True)
        bad = [part.name for part, block in parts if not torch.isfinite(block).all()]
        whose = f"; so do those of {', '.join(bad)}" if bad else ""
        return f"merging gives numbers in '{clip(name)}' that are not finite{whose}"


def _shape_of(shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The shape of so many elements of a tensor: whole rows, else flat."""
    row = math.prod(shape[1:]) if len(shape) > 1 else 0
    return (count // row, *shape[1:]) if row and count % row == 0 else (count,)


def _sizes(recipe: Recipe, slots: Mapping[str, Slot], max_memory: int | None) -> tuple[int, int]:
    """(threads, numbers per block) that stay within the memory allowed; no row is ever cut."""
    floats = [slot.shape for slot in slots.values() if slot.is_float and len(slot.shape) > 1]
    widest = max((shape[-1] for shape in floats), default=1)
    workers, block = len(os.sched_getaffinity(0)), max(BLOCK, widest)
    if max_memory is None:
        return workers, block
    rule = recipe.rule
    held = 2 if rule.surveys or rule.studies else 1  # a loop still has the block before
    each = 4 * (held * len(recipe.parts) + TEMPORARIES)
    matrices = [s.num_items for n, s in slots.items() if kind_of(n, s.shape) == "matrix"]
    if rule.whole and matrices:
        largest = max(matrices)
        workers = min(workers, max_memory // (each * largest))
        if not workers:
            raise ConfigError(
                f"this rule needs whole tensors, the largest takes {each * largest:,} bytes with"
                f" its copies, {max_memory:,} are allowed; allow more memory"
            )
        return workers, block
    least = max(widest, 1024)
    workers = min(workers, max_memory // (each * least))
    if not workers:
        raise ConfigError(
            f"{max_memory:,} bytes are too few to merge in: the widest rows take"
            f" {each * least:,} with their copies; allow some megabytes"
        )
    return workers, min(block, max_memory // (each * workers))


@contextlib.contextmanager
def _one_thread_each(workers: int) -> Iterator[None]:
    """While it holds, each of several threads computes alone."""
    before = torch.get_num_threads()
    if workers > 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class Combination:
    """Σ wᵢ·memberᵢ, of weights or of differences to the base; weights need not add up to 1."""

    weights: tuple[float, ...]
    on: Literal["weights", "deltas"] = "weights"
    whole: ClassVar[bool] = False
    surveys: ClassVar[bool] = False
    studies: ClassVar[bool] = False

    def study(self, blocks: Iterator[tuple[TensorInfo, list[Tensor]]]) -> Any:
        """Nothing."""

    def survey(self, blocks: Blocks, info: TensorInfo) -> Any:
        """Nothing."""

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The weighted sum."""
        return ops.weighted_sum(tensors, self.weights)
