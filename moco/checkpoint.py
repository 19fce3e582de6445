"""What a checkpoint folder holds, read from file headers alone: no tensor is loaded, no pickle
opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from moco.errors import ModelFormatError, clip

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
ITEM_BYTES: Mapping[str, int] = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "BOOL": 1, "U16": 2, "U32": 4, "U64": 8, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
DTYPES: Mapping[str, str] = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
}  # fmt: skip
EXPONENTS: Mapping[str, tuple[np.dtype[Any], int]] = {
    "F64": (np.dtype("<u8"), 0x7FF0000000000000),
    "F32": (np.dtype("<u4"), 0x7F800000),
    "F16": (np.dtype("<u2"), 0x7C00),
    "BF16": (np.dtype("<u2"), 0x7F80),
}
"""The unsigned type of equal width and the bits of the exponent."""
MAX_HEADER = 100 << 20
MAX_JSON = 256 << 20
OUTPUT_NAMES = ("lm_head.weight", "embed_out.weight", "language_model.lm_head.weight")
"""Output projections that a model may share with its input embeddings."""
EMBEDDINGS = ("embed_tokens", "embed_in", "wte", "word_embeddings", "tok_embeddings")
"""Parts of the names of input embeddings."""
TIED = frozenset({
    "bloom", "cohere", "cohere2", "falcon", "falcon_mamba", "gemma", "gemma2", "gemma3",
    "gemma3_text", "gemma3n", "gemma3n_text", "gpt2", "gpt_bigcode", "gpt_neo", "lfm2", "mamba",
    "mpt", "openai-gpt", "opt", "recurrent_gemma", "smollm3", "starcoder2", "xglm", "zamba",
    "zamba2",
})  # fmt: skip
"""Kinds of model whose output projection repeats the input embeddings unless the configuration
denies it; files written before version 5 of transformers do not say so.
"""
BUFFERS = ("inv_freq", "masked_bias")
"""Ends of the names of constants that only some versions of transformers store."""
SAMPLE = 256
"""Bytes of each tensor's start, middle and end that go into `digest`."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one tensor lies."""

    name: str
    dtype: str
    """As safetensors writes it: F32, BF16 …"""
    shape: tuple[int, ...]
    file: Path
    start: int
    """Absolute offset of its first byte."""
    end: int

    @property
    def num_items(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether it holds floating-point numbers of a type that can be computed with."""
        return self.dtype in DTYPES


def read_json(file: Path, *, required: bool = False) -> dict[str, Any]:
    """A JSON object from a file, empty where the file is missing and not `required`.

    Raises `ModelFormatError` where it is something else.
    """
    try:
        if file.stat().st_size > MAX_JSON:
            raise ModelFormatError(f"{file} is over {MAX_JSON >> 20} MiB")
        value = json.loads(file.read_bytes())
    except FileNotFoundError:
        if required:
            raise ModelFormatError(f"{file.parent} has no {file.name}") from None
        return {}
    except OSError as error:
        raise ModelFormatError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{file} is not valid JSON: {clip(str(error), 200)}") from error
    if not isinstance(value, dict):
        raise ModelFormatError(f"{file} holds no JSON object")
    return value


def header(file: Path) -> dict[str, Slot]:
    """The tensors of a safetensors file by name, each claim of the header checked against the file.

    Raises `ModelFormatError` for a header that is longer than the file, for offsets that overlap or
    leave gaps, and for sizes that do not fit type and shape.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as handle:
            first = handle.read(8)
            length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
            if not 2 <= length <= min(size - 8, MAX_HEADER):
                raise ModelFormatError(
                    f"{file} is no safetensors file: its header claims {length} bytes, "
                    f"the file has {size}"
                )
            raw = handle.read(length)
    except OSError as error:
        raise ModelFormatError(f"{file} cannot be read: {error.strerror}") from error
    try:
        entries = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{file} has an unreadable header") from error
    if not isinstance(entries, dict):
        raise ModelFormatError(f"{file} has an unreadable header")
    entries.pop("__metadata__", None)
    slots = [_slot(file, name, entry, 8 + length) for name, entry in entries.items()]
    _check_layout(file, slots, 8 + length, size)
    return {slot.name: slot for slot in slots}


def _slot(file: Path, name: str, entry: Any, data: int) -> Slot:
    def broken(why: str) -> ModelFormatError:
        return ModelFormatError(f"{file}: tensor '{clip(name)}' {why}")

    if not isinstance(entry, dict):
        raise broken("has no description")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise broken(f"has the unknown type {clip(dtype)}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise broken(f"has the shape {clip(shape)}")
    if (
        not isinstance(offsets, list)
        or len(offsets) != 2
        or not all(type(n) is int for n in offsets)
    ):
        raise broken(f"has the offsets {clip(offsets)}")
    start, end = offsets
    if end - start != math.prod(shape) * ITEM_BYTES[dtype]:
        raise broken(f"takes {end - start} bytes, which does not fit {dtype} {clip(shape)}")
    return Slot(name, dtype, tuple(shape), file, data + start, data + end)


def _check_layout(file: Path, slots: list[Slot], data: int, size: int) -> None:
    expected = data
    for slot in sorted(slots, key=lambda s: (s.start, s.end)):
        if slot.start != expected:
            what = "overlaps its neighbour" if slot.start < expected else "leaves a gap before it"
            raise ModelFormatError(f"{file}: tensor '{clip(slot.name)}' {what}")
        expected = slot.end
    if expected != size:
        raise ModelFormatError(
            f"{file} has {size} bytes, its header describes {expected}; it is cut short or damaged"
        )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder, in name order.

    Raises `ModelFormatError` where there are none, saying so if there are only pickles.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        return [folder / name for name in sorted(set(_weight_map(folder).values()))]
    pickles = sorted(p.name for pattern in PICKLES for p in folder.glob(pattern))
    if pickles:
        raise ModelFormatError(
            f"{folder} has pickled weights only ({clip(', '.join(pickles), 200)}), and pickles can "
            "run code; save the model as safetensors"
        )
    raise ModelFormatError(f"{folder} has no weights: neither {WEIGHTS} nor {INDEX} is there")


def _weight_map(folder: Path) -> dict[str, str]:
    index = read_json(folder / INDEX)
    names = index.get("weight_map")
    if not isinstance(names, dict) or not names:
        raise ModelFormatError(f"{folder / INDEX} has no weight_map")
    for name, file in names.items():
        if (
            not isinstance(file, str)
            or Path(file).name != file
            or not file.endswith(".safetensors")
        ):
            raise ModelFormatError(
                f"{folder / INDEX}: '{clip(name)}' is mapped to {clip(file)}, "
                "no safetensors file here"
            )
        if not (folder / file).is_file():
            raise ModelFormatError(f"{folder / INDEX} names {clip(file)}, which is not there")
    return names


def tensors(folder: Path) -> dict[str, Slot]:
    """All tensors of a checkpoint folder by name, from one file or from shards."""
    files = weight_files(folder)
    found: dict[str, Slot] = {}
    for file in files:
        for name, slot in header(file).items():
            if name in found:
                raise ModelFormatError(f"{folder}: tensor '{clip(name)}' is in two files")
            found[name] = slot
    if files[0].name != WEIGHTS:
        for name, file_name in _weight_map(folder).items():
            if name not in found or found[name].file.name != file_name:
                raise ModelFormatError(
                    f"{folder / INDEX} puts '{clip(name)}' into {clip(file_name)}, "
                    "which does not have it"
                )
    return found


def is_learnt(slot: Slot) -> bool:
    """Whether a tensor holds weights, and no positions or other constants."""
    return slot.is_float and not slot.name.endswith(BUFFERS)


def tied_name(config: Mapping[str, Any], names: Mapping[str, Slot]) -> str | None:
    """The stored output projection that repeats the input embeddings, if there is one."""
    if not any(part in name for name in names for part in EMBEDDINGS):
        return None  # `safetensors.torch.save_model` keeps only the output projection
    inner = config.get("text_config")
    tied = config.get("tie_word_embeddings")
    if tied is None and isinstance(inner, Mapping):
        tied = inner.get("tie_word_embeddings")
    if tied is None:
        tied = config.get("model_type") in TIED
    return next((name for name in OUTPUT_NAMES if name in names), None) if tied else None


def unique(folder: Path, config: Mapping[str, Any] | None = None) -> dict[str, Slot]:
    """`tensors`, with a tied output projection left out."""
    found = tensors(folder)
    config = read_json(folder / "config.json") if config is None else config
    tied = tied_name(config, found)
    return {name: slot for name, slot in found.items() if name != tied}


def digest(slots: Mapping[str, Slot]) -> str:
    """SHA-256 over every tensor's name, type, shape and a sample of its bytes.

    Milliseconds for any size, and equal for equal weights however they are split into files.
    Weights that training has touched differ; weights made to differ outside the samples on purpose
    do not.
    """
    total = hashlib.sha256()
    with contextlib.ExitStack() as stack:
        files = sorted({slot.file for slot in slots.values()})
        handles = {file: stack.enter_context(file.open("rb", buffering=0)) for file in files}
        for name in sorted(slots):
            slot = slots[name]
            if slot.dtype == "I64":
                continue  # position ids and the like, which only some versions store
            total.update(f"{name}\0{slot.dtype}\0{slot.shape}\0".encode())
            last = max(slot.end - SAMPLE, slot.start)
            for at in sorted({slot.start, (slot.start + last) // 2, last}):
                handles[slot.file].seek(at)
                total.update(handles[slot.file].read(min(SAMPLE, slot.end - at)))
    return total.hexdigest()


def check_weights_finite(folder: Path) -> None:
    """Raises `ModelFormatError` naming the first tensor with a NaN or an infinity; reads every byte
    once.
    """
    for file in weight_files(folder):
        check_file_finite(file)


def check_file_finite(file: Path) -> None:
    """`check_weights_finite` for one safetensors file, an adapter's for example."""
    slots = header(file).values()
    with file.open("rb", buffering=0) as handle:
        for slot in slots:
            if slot.is_float and not _finite(handle, slot):
                raise ModelFormatError(
                    f"{file}: tensor '{clip(slot.name)}' holds NaN or infinity; the model is broken"
                )


def _finite(handle: FileIO, slot: Slot, size: int = 1 << 20) -> bool:
    """Whether no number's exponent is all ones, read in blocks that fit the processor's cache."""
    kind, mask = EXPONENTS[slot.dtype]
    read = np.empty(size // kind.itemsize, kind)
    masked = np.empty_like(read)
    limit = kind.type(mask)
    handle.seek(slot.start)
    left = (slot.end - slot.start) // kind.itemsize
    while left > 0:
        count = min(left, len(read))
        handle.readinto(read[:count].view(np.uint8).data)
        if np.bitwise_and(read[:count], limit, out=masked[:count]).max() == limit:
            return False
        left -= count
    return True
