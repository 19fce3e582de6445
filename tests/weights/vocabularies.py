"""Tiny checkpoints with vocabularies of their own, for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from tests.tiny import byte_tokenizer, tiny_model

TABLES = ("model.embed_tokens.weight", "lm_head.weight")


def words(folder: Path) -> dict[str, int]:
    """Token → id, as the tokenizer itself says."""
    found: dict[str, int] = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    return found


def state(folder: Path) -> dict[str, Tensor]:
    """All tensors."""
    return load_file(folder / "model.safetensors")


def row(folder: Path, token: str, name: str = TABLES[0]) -> Tensor:
    """A token's row."""
    return state(folder)[name][words(folder)[token]]


def save(
    folder: Path, tokens: int = 320, rows: int = 320, kind: str = "llama", seed: int = 0
) -> Path:
    """A model with so many tokens and so many rows of embeddings."""
    model = tiny_model(kind, vocab_size=rows, seed=seed)
    model.save_pretrained(folder)
    _write(folder, json.loads(byte_tokenizer(tokens).to_str()))
    return folder


def _write(folder: Path, tokenizer: Mapping[str, Any], **settings: str) -> None:
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))


def renumbered(folder: Path, source: Path, seed: int = 0) -> Path:
    """The same model with its tokens numbered in another order, and its rows with them."""
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    data = json.loads((source / "tokenizer.json").read_text())
    old = words(source)
    order = torch.randperm(len(old), generator=torch.Generator().manual_seed(seed)).tolist()
    new = {token: order[i] for token, i in old.items()}
    data["model"]["vocab"] = dict(sorted(new.items(), key=lambda pair: pair[1]))
    for entry in data["added_tokens"]:
        entry["id"] = new[entry["content"]]
    data["added_tokens"].sort(key=lambda entry: entry["id"])
    _write(folder, data)
    tensors = state(source)
    for name in TABLES:
        if name in tensors:
            table = tensors[name].clone()
            table[order] = tensors[name][: len(order)]
            tensors[name] = table
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert words(folder) == new
    return folder


def with_added(folder: Path, source: Path, tokens: Sequence[str], seed: int = 9) -> Path:
    """The same model with special tokens added, whose rows are random, without padding."""
    tensors, count = state(source), len(words(source))
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    made = Tokenizer.from_file(str(source / "tokenizer.json"))
    made.add_special_tokens(list(tokens))
    _write(folder, json.loads(made.to_str()))
    torch.manual_seed(seed)
    for name in TABLES:
        if name in tensors:
            table = tensors[name][:count]
            tensors[name] = torch.cat([table, torch.randn(len(tokens), table.shape[1])])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["vocab_size"] = count + len(tokens)
    (folder / "config.json").write_text(json.dumps(config))
    return folder
