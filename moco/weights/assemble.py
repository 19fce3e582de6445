"""Writes what a merge's plan says into a folder: a checkpoint, or adapters' composition."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from moco import checkpoint, vocabulary
from moco.backends.base import ModelSpec
from moco.config import memory_bytes
from moco.errors import ConfigError
from moco.facts import TEXT_FILES
from moco.merging import alignment
from moco.merging.alignment import STALE
from moco.merging.plan import template_of
from moco.types import Json
from moco.weights import export, writer
from moco.weights.merge import Merge, Part, Put, Recipe
from moco.weights.reader import Reader
from moco.weights.settings import TensorInfo, depths, kind_of
from moco.weights.shares import shares, spans
from moco.weights.vocabulary_align import readers
from moco.weights.writer import Planned

if TYPE_CHECKING:
    from moco.merging.plan import MergePlan

CHAT = "chat_template.jinja"


@dataclass(slots=True)
class Meter:
    """How many bytes of weights were read and written; `told` hears of (written, in all)."""

    told: Callable[[int, int], None] | None = None
    read: int = 0
    written: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add_read(self, tensor: Tensor) -> Tensor:
        """Counts a block that was read, and gives it back."""
        with self.lock:
            self.read += tensor.numel() * tensor.element_size()
        return tensor

    def add_written(self, count: int, total: int) -> None:
        """Counts bytes that were written."""
        with self.lock:
            self.written += count
            if self.told is not None:
                self.told(self.written, total)


def folder_of(own: ModelSpec) -> Path:
    """The folder of a model's (or an adapter's base's) checkpoint."""
    assert own.path is not None
    return own.path


def recipe(planned: MergePlan) -> Recipe:
    """The merge that a plan describes."""
    parts = tuple(
        Part(own.name, own.fingerprint, folder_of(own), own.adapter) for own in planned.parts
    )
    base = None if planned.base is None else folder_of(planned.base)
    return Recipe(planned.method, parts, base, planned.config.seed)


def write_checkpoint(
    planned: MergePlan, work: Path, device: str, meter: Meter, shard_bytes: int | None = None
) -> None:
    """Merges into an empty folder: weights, configuration, tokenizer and template."""
    engine, donor = planned.config.engine, folder_of(planned.donor)
    dtype = None if engine.dtype == "auto" else getattr(torch, engine.dtype)
    merge = Merge(
        recipe(planned),
        device=device,
        max_memory=memory_bytes(engine.memory),
        reader=_opener(planned, meter),
    )
    tensors = _tensors(planned, donor, dtype)
    sizes = {own.name: own.dtype.itemsize for own in tensors}
    total = sum(own.num_bytes for own in tensors)

    def fill(put: Put) -> None:
        def counted(name: str, start: int, block: Tensor) -> None:
            put(name, start, block)
            meter.add_written(block.numel() * sizes[name], total)

        merge.run(counted)

    made = work / "model"
    try:
        writer.write(
            made, fill, donor, dtype=dtype, plan=tensors,
            shard_bytes=shard_bytes or writer.SHARD_BYTES,
        )  # fmt: skip
    except OverflowError as error:
        raise ConfigError(
            "engine.dtype: a number of the result is too large for float16; use bfloat16"
        ) from error
    for file in made.iterdir():
        file.rename(work / file.name)
    made.rmdir()
    _write_texts(planned, work)


def _opener(planned: MergePlan, meter: Meter) -> Callable[[Path], Reader]:
    """Opens checkpoints: counted, and with the rows of the result."""

    class Counted(Reader):
        """A reader that counts what it reads."""

        def block(self, name: str, start: int, stop: int) -> Tensor:
            return meter.add_read(super().block(name, start, stop))

    if planned.alignment is None:
        return Counted
    base = None if planned.base is None else folder_of(planned.base)
    folders = [folder_of(part) for part in planned.parts]
    return readers(planned.alignment, folders, base, Counted).__getitem__


def _tensors(planned: MergePlan, donor: Path, dtype: torch.dtype | None) -> list[Planned]:
    """The tensors of the result: the donor's, with the rows of the result."""
    like = recipe(planned).folder
    named = {own.name: own for own in writer.plan_like(donor, dtype)}
    known = checkpoint.unique(like)
    found = [
        named[own.name] if checkpoint.is_learnt(known[own.name]) else own
        for own in writer.plan_like(like, dtype)
    ]
    if planned.alignment is None:
        return found
    rows, count = alignment.num_rows(known, like), planned.alignment.rows
    return [
        Planned(own.name, (count, *own.shape[1:]), own.dtype)
        if alignment.is_vocabulary(known[own.name], rows)
        else own
        for own in found
    ]


def _write_texts(planned: MergePlan, work: Path) -> None:
    """The files of a new tokenizer, and the template that was asked for."""
    found, lender = planned.alignment, planned.donor.adapter
    if found is not None and found.files:
        for name, data in found.files.items():
            _write_json(work / name, _typed(data, work) if name == "config.json" else data)
        for name in STALE:
            (work / name).unlink(missing_ok=True)
    elif (
        lender is not None  # an adapter may come with a template or special tokens of its own
        and (lender / "tokenizer.json").is_file()
        and vocabulary.read(lender).digest == vocabulary.read(work).digest
    ):
        copy_texts(lender, work)
    if template := template_of(planned):
        (work / CHAT).write_text(template, encoding="utf-8")


def copy_texts(folder: Path, work: Path) -> None:
    """Copies the files of a tokenizer and what else changes answers, but no configuration."""
    for name in TEXT_FILES:
        if name != "config.json" and (folder / name).is_file():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, work / name)


def _typed(data: Json, work: Path) -> Json:
    """A configuration with the type of numbers of the one that was written."""
    keys = ("dtype", "torch_dtype")
    written = checkpoint.read_json(work / "config.json")
    kept = {key: written[key] for key in keys if key in written}
    return {**{key: value for key, value in data.items() if key not in keys}, **kept}


def _write_json(file: Path, data: Json) -> None:
    file.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_adapter(planned: MergePlan, work: Path, rank: int | None, meter: Meter) -> list[str]:
    """Writes the members' composition as one adapter; gives its rank and error in words."""
    base = folder_of(planned.parts[0])
    deep = depths(checkpoint.unique(base))
    names = tuple(part.name for part in planned.parts)

    def weights(name: str) -> Sequence[float]:
        info = TensorInfo(name, (), kind_of(name, ()), deep.get(name, 1.0), names, names)
        found = shares(planned.method, info)
        assert found is not None
        return found

    adapters = [part.adapter for part in planned.parts if part.adapter is not None]
    made = export.write(work, base, adapters, weights, rank)
    meter.read, meter.written = made.num_read, made.num_bytes
    if planned.donor.adapter is not None:
        copy_texts(planned.donor.adapter, work)
    if template := template_of(planned):
        (work / CHAT).write_text(template, encoding="utf-8")
    return [str(made)]


def weights_in_words(planned: MergePlan) -> Mapping[str, str]:
    """Member → what it counts for."""
    names = [part.name for part in planned.parts]
    found: Any = spans(planned.method, checkpoint.unique(folder_of(planned.parts[0])), names)
    if found is None:
        return dict.fromkeys(names, "set by the weights themselves")
    return {name: str(span) for name, span in found.items()}
