"""Writing checkpoint folders as a stream: one tensor in memory at a time, the folder appears when
it is whole.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from moco import checkpoint, paths
from moco.errors import InputError
from moco.facts import TEXT_FILES
from moco.weights import ops

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
        Planned(name, slot.shape, dtype if dtype and slot.is_float else ops.DTYPES[slot.dtype])
        for name, slot in sorted(slots.items())
    ]


def write(
    final: Path,
    tensors: Iterable[tuple[str, Tensor]],
    like: Path,
    *,
    dtype: torch.dtype | None = None,
    files: Mapping[str, str] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Writes a checkpoint folder with the tensors, names and shapes of the checkpoint `like`.

    `tensors` come in name order (`linear_state`, `merged_state`); configuration and tokenizer are
    copied from `like`, `files` (name → text, a model card for example) are added. Raises
    `InputError` where `final` exists already, `EnvironmentProblem` for a full disk.
    """
    if final.exists():
        raise InputError(f"{final} exists already; choose another folder or remove it")
    plan = plan_like(like, dtype)
    total = sum(p.num_bytes for p in plan)
    paths.need_space(final.parent, total, str(final))
    with paths.disk_errors(f"cannot write {final}"), paths.atomic_dir(final) as work:
        _write_weights(work, iter(tensors), _shards(plan, shard_bytes), total)
        _copy_texts(like, work, dtype)
        for name, text in (files or {}).items():
            (work / name).write_text(text, encoding="utf-8")
    return final


def _shards(plan: Sequence[Planned], shard_bytes: int) -> list[list[Planned]]:
    shards: list[list[Planned]] = [[]]
    filled = 0
    for planned in plan:
        if shards[-1] and filled + planned.num_bytes > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(planned)
        filled += planned.num_bytes
    return shards


def _write_weights(
    work: Path,
    tensors: Iterator[tuple[str, Tensor]],
    shards: Sequence[Sequence[Planned]],
    total: int,
) -> None:
    places: dict[str, str] = {}
    for index, shard in enumerate(shards, 1):
        name = (
            checkpoint.WEIGHTS
            if len(shards) == 1
            else f"model-{index:05d}-of-{len(shards):05d}.safetensors"
        )
        with (work / name).open("xb") as handle:
            _write_header(handle, shard)
            for planned in shard:
                _write_tensor(handle, planned, *next(tensors))
                places[planned.name] = name
    if len(shards) > 1:
        index_text = json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2)
        (work / checkpoint.INDEX).write_text(index_text + "\n", encoding="utf-8")


def _write_header(handle: IO[bytes], shard: Sequence[Planned]) -> None:
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
    handle.write(struct.pack("<Q", len(text)) + text)


def _write_tensor(handle: IO[bytes], planned: Planned, name: str, tensor: Tensor) -> None:
    if name != planned.name or tuple(tensor.shape) != planned.shape:
        raise ValueError(
            f"expected {planned.name} {planned.shape}, got {name} {tuple(tensor.shape)}"
        )
    flat = tensor.detach().to("cpu", planned.dtype).contiguous().reshape(-1)
    if flat.numel():
        handle.write(flat.view(torch.uint8).numpy().data)


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
