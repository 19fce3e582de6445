"""Vocabularies lined up by token, never by index: which row of each model's embeddings is which row
of the result's. Files are read, no tensor is.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from moco import checkpoint
from moco.checkpoint import Slot
from moco.errors import ModelFormatError, clip
from moco.facts import SHAPING
from moco.types import Json
from moco.weights.settings import kind_of

STALE = (
    "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model",
    "sentencepiece.bpe.model", "added_tokens.json",
)  # fmt: skip
"""Files beside `tokenizer.json` that would still tell of the old vocabulary."""
FEW = 0.5
"""Share of common tokens below which vocabularies are of different kinds."""


@dataclass(frozen=True, slots=True)
class Words:
    """A model's tokens and the rows that its embeddings have for them."""

    folder: Path
    ids: Mapping[str, int]
    rows: int
    """Rows of the embeddings; more than tokens where they are padded."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Every model's embeddings seen with the rows of one vocabulary."""

    rows: int
    """Rows of the result."""
    sources: Mapping[Path, np.ndarray]
    """Model folder → for every row of the result the model's own row, −1 where it has none."""
    files: Mapping[str, Json] = field(default_factory=dict)
    """JSON files of a new tokenizer and configuration; empty = those of a model."""
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether any model's rows are not already those of the result."""
        plain = np.arange(self.rows)
        return any(not np.array_equal(rows, plain) for rows in self.sources.values())


def is_vocabulary(slot: Slot, rows: int) -> bool:
    """Whether a tensor has a row (or, as a bias, a number) for every token."""
    name = slot.name.removesuffix(".bias") + ".weight" if slot.name.endswith(".bias") else slot.name
    own = kind_of(name, slot.shape) in ("embedding", "output")
    return own and bool(slot.shape) and slot.shape[0] == rows


def num_rows(slots: Mapping[str, Slot], folder: Path) -> int:
    """Rows of a checkpoint's input embeddings."""
    for name in sorted(slots):
        if kind_of(name, slots[name].shape) == "embedding" and len(slots[name].shape) == 2:
            return slots[name].shape[0]
    raise ModelFormatError(f"{folder} has no tensor of input embeddings that is known by its name")


def words_of(folder: Path) -> Words:
    """A model folder's vocabulary. Raises `ModelFormatError` where its tokens cannot be read."""
    file = folder / "tokenizer.json"
    stat = file.stat() if file.is_file() else None
    ids = _tokens(file, (stat.st_size, stat.st_mtime_ns) if stat else (0, 0))
    return Words(folder, ids, num_rows(checkpoint.unique(folder), folder))


@lru_cache(maxsize=16)
def _tokens(file: Path, key: tuple[int, int]) -> Mapping[str, int]:
    data = checkpoint.read_json(file)
    model = data.get("model")
    if not isinstance(model, dict):
        raise ModelFormatError(
            f"{file.parent} has no tokenizer.json, so its tokens cannot be aligned; save its fast"
            " tokenizer"
        )
    vocab, added = model.get("vocab"), data.get("added_tokens") or []
    if isinstance(vocab, list):  # Unigram: [token, score] in id order
        vocab = {pair[0]: i for i, pair in enumerate(vocab)}
    try:
        return {**(vocab or {}), **{str(entry["content"]): int(entry["id"]) for entry in added}}
    except (TypeError, KeyError, ValueError) as error:
        raise ModelFormatError(f"{file} describes no vocabulary: {clip(str(error))}") from error


def align(target: Words, models: Sequence[Words]) -> Alignment:
    """The rows of models for a vocabulary that is one of theirs or another model's."""
    return _aligned(target.ids, target.rows, models)


def union(first: Words, others: Sequence[Words]) -> Alignment:
    """The rows of models for the first one's vocabulary with the other ones' tokens behind it.

    Rows that pad the first one's embeddings are used up before rows are added. A token that was
    added to a tokenizer stays an added token; others join the vocabulary, with the merges that make
    them. Raises `ModelFormatError` for a tokenizer that cannot take them.
    """
    data = checkpoint.read_json(first.folder / "tokenizer.json")
    made = copy.deepcopy(data)
    ids = dict(first.ids)
    for other in others:
        _extend(made, ids, checkpoint.read_json(other.folder / "tokenizer.json"), first.folder)
    rows = max(first.rows, max(ids.values()) + 1)
    files: dict[str, Json] = {}
    if len(ids) > len(first.ids):
        if max(ids.values()) >= len(ids):
            _number(made, ids)
        files = {"tokenizer.json": made, "config.json": _resized(first.folder, rows)}
    found = _aligned(ids, rows, [first, *others])
    added = len(ids) - len(first.ids)
    notes = (*found.notes, f"the union has {added:,} more tokens than {first.folder.name}")
    return Alignment(rows, found.sources, files, notes)


def _aligned(ids: Mapping[str, int], rows: int, models: Sequence[Words]) -> Alignment:
    sources = {own.folder: source_rows(ids, rows, own) for own in models}
    places = np.array(sorted(ids.values()))
    notes = []
    for own in models:
        found = float((sources[own.folder][places[places < rows]] >= 0).mean())
        if found < FEW:
            notes.append(
                f"{own.folder.name} has only {found:.0%} of the tokens: its vocabulary is of"
                " another kind"
            )
    nobody = int((np.max(list(sources.values()), axis=0)[places[places < rows]] < 0).sum())
    if nobody:
        notes.append(f"{nobody:,} tokens are in no model; they get the mean of all rows")
    return Alignment(rows, sources, {}, tuple(notes))


def source_rows(ids: Mapping[str, int], rows: int, own: Words) -> np.ndarray:
    """For every row of a vocabulary the model's row of the same token, −1 where it has none. A row
    without a token is the model's row of the same index, if that has no token either.
    """
    taken = np.zeros(max(rows, own.rows), bool)
    taken[[i for i in own.ids.values() if i < len(taken)]] = True
    found = np.where(~taken[:rows] & (np.arange(rows) < own.rows), np.arange(rows), -1)
    for token, place in ids.items():
        if place < rows:
            mine = own.ids.get(token, -1)
            found[place] = mine if mine < own.rows else -1
    return found


def _extend(made: Any, ids: dict[str, int], other: Any, folder: Path) -> None:
    """Adds another tokenizer's tokens to one that is being made."""
    added = {str(entry["content"]): entry for entry in other.get("added_tokens") or []}
    vocab = other["model"]["vocab"]
    if isinstance(vocab, list):
        vocab = {pair[0]: i for i, pair in enumerate(vocab)}
    listed = sorted(vocab, key=lambda token: int(vocab[token]))
    # merges need every token that they make in the vocabulary, also one that was added besides
    apart = () if _merging(made) and _merging(other) else added
    plain = [t for t in listed if t not in ids and t not in apart]
    numbers = itertools.count(max(ids.values()) + 1)
    new = [t for t in added if t not in ids]
    if plain:
        ids.update(zip(plain, numbers, strict=False))
        _extend_model(made, ids, other, folder)
    for token in new:
        if token not in ids:
            ids[token] = next(numbers)
        made.setdefault("added_tokens", []).append({**added[token], "id": ids[token]})


def _merging(data: Any) -> bool:
    """Whether a tokenizer makes its tokens by merges."""
    return bool(data["model"].get("type") == "BPE")


def _extend_model(made: Any, ids: Mapping[str, int], other: Any, folder: Path) -> None:
    """Makes all tokens ordinary ones, with the merges of another tokenizer."""
    model = made["model"]
    if not (_merging(made) and _merging(other)):
        raise ModelFormatError(
            f"{folder}: a {clip(str(model.get('type')))} tokenizer cannot take ordinary tokens of"
            " another one; align to one model's tokens instead of the union"
        )
    _number(made, ids)
    pairs = [_pair(merge) for merge in model["merges"]]
    known = set(pairs)
    pairs += [p for p in map(_pair, other["model"]["merges"]) if p not in known]
    model["merges"] = [list(pair) for pair in pairs]


def _number(made: Any, ids: Mapping[str, int]) -> None:
    """Lists all tokens in the vocabulary, where others would be numbered anew behind it."""
    vocab = made["model"]["vocab"]
    if isinstance(vocab, dict):
        vocab.update({t: i for t, i in ids.items() if t not in vocab})


def _pair(merge: Any) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _resized(folder: Path, rows: int) -> dict[str, Json]:
    """A configuration for so many rows."""
    config = checkpoint.read_json(folder / "config.json", required=True)
    inner = config.get("text_config")
    for part in (config, inner if isinstance(inner, dict) else {}):
        if "vocab_size" in part:
            part["vocab_size"] = rows
    return config


def why_not_equal(one: Path, two: Path, *, rows_may_differ: bool) -> str:
    """What makes the weights of two checkpoints no match, in words; empty where they match."""
    configs = [checkpoint.read_json(folder / "config.json") for folder in (one, two)]
    names = [str((config.get("architectures") or [""])[0]) for config in configs]
    if names[0] != names[1]:
        return f"it is a {clip(names[1])}, not a {clip(names[0])}"
    first, second = (
        {
            name: slot
            for name, slot in checkpoint.unique(folder).items()
            if checkpoint.is_learnt(slot)
        }
        for folder in (one, two)
    )
    rows = [num_rows(first, one), num_rows(second, two)] if rows_may_differ else [0, 0]
    for name in sorted({*first, *second}):
        if name not in first or name not in second:
            return f"only {'it' if name in second else 'the other'} has '{clip(name)}'"
        a, b = first[name].shape, second[name].shape
        if rows_may_differ and is_vocabulary(first[name], rows[0]):
            a, b = a[1:], b[1:]
        if a != b:
            return f"'{clip(name)}' is {second[name].shape}, not {first[name].shape}"
    for key in SHAPING:
        mine, its = (_inner(config).get(key) for config in configs)
        if mine != its:
            return f"{key} is {clip(its)}, not {clip(mine)}"
    return ""


def _inner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, dict) else config


def why_not_the_same_words(one: Path, two: Path) -> str:
    """What makes two vocabularies differ, in words."""
    first, second = words_of(one).ids, words_of(two).ids
    apart = [t for t in {**first, **second} if first.get(t) != second.get(t)]
    if not apart:
        return "the same tokens with other merge rules or other special tokens"
    token = json.dumps(min(apart, key=lambda t: (first.get(t, 1 << 40), t)))
    return f"{len(apart):,} tokens differ, such as {clip(token)}"
