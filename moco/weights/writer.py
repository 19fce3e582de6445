"""Writing checkpoint folders block by block, in any order; the folder appears when it is whole."""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from moco import checkpoint, paths
from moco.errors import InputError
from moco.facts import TEXT_FILES
from moco.weights import ops
from moco.weights.merge import Put

SHARD_BYTES = 5 << 30
"""Largest weights file."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor that is going to be written."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_bytes(self) -> int:
        """Bytes it takes."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


def plan_like(folder: Path, dtype: torch.dtype | None = None) -> list[Planned]:
    """The tensors of a checkpoint in name order; `dtype` replaces floating-point types."""
    slots = checkpoint.unique(folder)
    return [
        Planned(name, slot.shape, dtype if dtype and slot.is_float else ops.dtype_of(slot))
        for name, slot in sorted(slots.items())
    ]


def write(
    final: Path,
    fill: Callable[[Put], None],
    like: Path,
    *,
    dtype: torch.dtype | None = None,
    files: Mapping[str, str] | None = None,
    shard_bytes: int = SHARD_BYTES,
    plan: Sequence[Planned] | None = None,
) -> Path:
    """Writes a checkpoint folder with the names and shapes of the checkpoint `like`.

    `fill` is given a function that takes (name, first element, block) in any order and from several
    threads, and has to give it every element; blocks are cast, once, where their type is another.
    Configuration and tokenizer are copied from `like`, `files` (name → text, a model card for
    example) are added; a `plan` replaces the tensors of `like`. Raises `InputError` where `final`
    exists already, `EnvironmentProblem` for a full disk.
    """
    if final.exists():
        raise InputError(f"{final} exists already; choose another folder or remove it")
    plan = plan_like(like, dtype) if plan is None else plan
    paths.need_space(final.parent, sum(p.num_bytes for p in plan), str(final))
    with paths.disk_errors(f"cannot write {final}"), paths.atomic_dir(final) as work:
        with _Shards(work, plan, shard_bytes) as shards:
            fill(shards.put)
        _copy_texts(like, work, dtype)
        for name, text in (files or {}).items():
            (work / name).write_text(text, encoding="utf-8")
    return final


class _Shards:
    """Weights files of known layout, filled block by block."""

    def __init__(self, work: Path, plan: Sequence[Planned], shard_bytes: int) -> None:
        shards = _split(plan, shard_bytes)
        self._places: dict[str, tuple[int, int, Planned]] = {}
        self._descriptors: list[int] = []
        self._left = {planned.name: math.prod(planned.shape) for planned in plan}
        self._lock = threading.Lock()
        names: dict[str, str] = {}
        for index, shard in enumerate(shards, 1):
            name = (
                checkpoint.WEIGHTS
                if len(shards) == 1
                else f"model-{index:05d}-of-{len(shards):05d}.safetensors"
            )
            descriptor = os.open(work / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            self._descriptors.append(descriptor)
            at = _write_header(descriptor, shard)
            for planned in shard:
                self._places[planned.name] = (descriptor, at, planned)
                names[planned.name] = name
                at += planned.num_bytes
        if len(shards) > 1:
            total = sum(planned.num_bytes for planned in plan)
            index_text = json.dumps(
                {"metadata": {"total_size": total}, "weight_map": names}, indent=2
            )
            (work / checkpoint.INDEX).write_text(index_text + "\n", encoding="utf-8")

    def put(self, name: str, start: int, block: Tensor) -> None:
        """Writes one block of a tensor."""
        descriptor, at, planned = self._places[name]
        flat = block.detach().reshape(-1)
        if flat.dtype != planned.dtype:
            flat = ops.cast(flat, planned.dtype)
        if flat.numel():
            view = ops.as_bytes(flat.to("cpu").contiguous())
            at += start * planned.dtype.itemsize
            while len(view):
                count = os.pwrite(descriptor, view, at)
                view, at = view[count:], at + count
        with self._lock:
            self._left[name] -= flat.numel()

    def __enter__(self) -> _Shards:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            missing = sorted(name for name, left in self._left.items() if left)
            if kind is None and missing:
                raise ValueError(f"{len(missing)} tensors were not written whole: {missing[0]}")
            if kind is None:
                for descriptor in self._descriptors:
                    os.fsync(descriptor)
        finally:
            for descriptor in self._descriptors:
                os.close(descriptor)


def _split(plan: Sequence[Planned], shard_bytes: int) -> list[list[Planned]]:
    shards: list[list[Planned]] = [[]]
    filled = 0
    for planned in plan:
        if shards[-1] and filled + planned.num_bytes > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(planned)
        filled += planned.num_bytes
    return shards


def _write_header(descriptor: int, shard: Sequence[Planned]) -> int:
    """Writes a file's header and gives the offset of its first tensor."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for planned in shard:
        end = at + planned.num_bytes
        entries[planned.name] = {
            "dtype": ops.NAMES[planned.dtype],
            "shape": list(planned.shape),
            "data_offsets": [at, end],
        }
        at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    head = struct.pack("<Q", len(text)) + text
    os.pwrite(descriptor, head, 0)
    os.ftruncate(descriptor, len(head) + at)
    return len(head)


def _copy_texts(like: Path, work: Path, dtype: torch.dtype | None) -> None:
    for name in TEXT_FILES:
        if (like / name).is_file():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(like / name, work / name)
    if dtype is not None:
        config = checkpoint.read_json(work / "config.json")
        config.pop("torch_dtype", None)
        config["dtype"] = str(dtype).removeprefix("torch.")
        (work / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
