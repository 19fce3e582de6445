"""Vectors and scores of whole texts: sentence encoders, hidden states, reward models."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from moco.backends.base import ModelSpec, Pair, Vector
from moco.errors import ModelFormatError, PromptTooLongError, clip
from moco.rendering import read_json
from moco.types import Usage

if TYPE_CHECKING:
    from moco.backends.hf import HfBackend

PASS_TOKENS = 4096
"""Padded tokens that one forward pass reads at most."""


POOLING_KEYS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}


@dataclass(frozen=True, slots=True)
class Pooling:
    """How a sentence encoder makes one vector of its token states."""

    mode: Literal["mean", "cls"]
    normalize: bool
    limit: int
    """Longest sequence in tokens; a longer text is cut there, as the encoder's makers do."""


def pooling_of(folder: Path) -> Pooling:
    """From `sentence_embedding.json`, or the `modules.json` of sentence-transformers, else mean."""
    limit = int(read_json(folder / "sentence_bert_config.json").get("max_seq_length") or 512)
    own = folder / "sentence_embedding.json"
    if own.exists():
        found = read_json(own)
        mode, normalize = str(found.get("pooling", "mean")), bool(found.get("normalize", True))
        return _pooling(folder, mode, normalize, limit)
    mode, normalize = "mean", True
    modules = folder / "modules.json"
    if modules.exists():
        names = modules.read_text(encoding="utf-8")
        normalize = "Normalize" in names
        settings = read_json(folder / "1_Pooling" / "config.json")
        on = [key for key, value in settings.items() if key in POOLING_KEYS and value is True]
        mode = POOLING_KEYS[on[0]] if len(on) == 1 else "another one"
    return _pooling(folder, mode, normalize, limit)


def _pooling(folder: Path, mode: str, normalize: bool, limit: int) -> Pooling:
    if mode == "mean":
        return Pooling("mean", normalize, limit)
    if mode == "cls":
        return Pooling("cls", normalize, limit)
    raise ModelFormatError(f"{folder}: pooling '{mode}' is not supported, only mean and cls")


def encode_texts(backend: HfBackend, texts: Sequence[str]) -> list[Vector]:
    """Sentence embeddings in order."""
    pooling = pooling_of(backend.folder)
    renderer = backend.renderer(backend.spec)
    limit = min(pooling.limit, renderer.context or pooling.limit)
    sequences = [renderer.framed(text, limit=limit) for text in texts]
    found: dict[int, Vector] = {}
    for indices in _batches(sequences):
        start = time.perf_counter()
        batch = [sequences[i] for i in indices]
        ids_BT, mask_BT = padded(batch, backend.device)
        with torch.inference_mode():
            states_BTW = backend.model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
            vectors_BW = _pool(states_BTW.float(), mask_BT, pooling)
        share = (time.perf_counter() - start) / sum(map(len, batch))
        for index, ids, values in zip(indices, batch, vectors_BW.cpu().numpy(), strict=True):
            found[index] = Vector(values, _usage(backend, len(ids), share))
    return [found[index] for index in range(len(texts))]


def mean_states(
    backend: HfBackend,
    spec: ModelSpec,
    texts: Sequence[str],
    at: Literal["last", "mean"],
    normalize: bool,
) -> list[Vector]:
    """Final hidden states of a causal model over each text: the last token's, or the mean.

    A BOS that the tokenizer sets is read, but is no part of the mean.
    """
    renderer = backend.renderer(spec)
    sequences = [renderer.framed(text) for text in texts]
    for text, ids in zip(texts, sequences, strict=True):
        if 0 < renderer.context < len(ids):
            raise PromptTooLongError(
                f"model '{spec.name}': a text of {len(ids)} tokens does not fit its context of "
                f"{renderer.context}: {clip(text)}"
            )
    mixture = backend.mixture(spec)
    session = backend.session()
    found: dict[int, Vector] = {}
    for indices in _batches(sequences):
        start = time.perf_counter()
        batch = [sequences[i] for i in indices]
        rows = session.add(len(batch), mixture)
        states = session.states(rows, batch)
        share = (time.perf_counter() - start) / sum(map(len, batch))
        for index, ids, row, states_TW in zip(indices, batch, rows, states, strict=True):
            skip = int(len(ids) > 1 and ids[0] == renderer.bos_id)
            state_W = states_TW[-1].float() if at == "last" else states_TW[skip:].float().mean(0)
            if normalize:
                state_W = torch.nn.functional.normalize(state_W, dim=-1)
            found[index] = Vector(state_W.cpu().numpy(), _usage(backend, len(ids), share))
            session.free(row)
    session.close()
    return [found[index] for index in range(len(texts))]


def reward_pairs(backend: HfBackend, pairs: Sequence[Pair]) -> list[tuple[float, Usage]]:
    """The single label's logit of each (prompt, answer) conversation."""
    if backend.model.config.num_labels != 1:
        raise ModelFormatError(
            f"{backend.folder}: a reward model has one label, this one "
            f"{backend.model.config.num_labels}"
        )
    sequences = []
    for pair in pairs:
        renderer = backend.renderer(pair.spec)
        ids = renderer.exchange(pair.prompt, pair.prefix + pair.text)
        if 0 < renderer.context < len(ids):
            raise PromptTooLongError(
                f"reward model '{pair.spec.name}': a conversation of {len(ids)} tokens does not "
                f"fit its context of {renderer.context}: {clip(str(pair.prompt))}"
            )
        sequences.append(ids)
    found: dict[int, tuple[float, Usage]] = {}
    for indices in _batches(sequences):
        start = time.perf_counter()
        batch = [sequences[i] for i in indices]
        pad = _unused(batch)
        backend.model.config.pad_token_id = pad
        ids_BT, mask_BT = padded(batch, backend.device, pad)
        with torch.inference_mode():
            logits_B1 = backend.model(input_ids=ids_BT, attention_mask=mask_BT).logits
        share = (time.perf_counter() - start) / sum(map(len, batch))
        for index, ids, value in zip(indices, batch, logits_B1[:, 0].tolist(), strict=True):
            found[index] = (value, _usage(backend, len(ids), share))
    return [found[index] for index in range(len(pairs))]


def padded(sequences: Sequence[Sequence[int]], device: str, pad: int = 0) -> tuple[Tensor, Tensor]:
    """(ids, mask), each [sequence, token], padded on the right."""
    length = max(map(len, sequences))
    ids = [[*ids, *[pad] * (length - len(ids))] for ids in sequences]
    mask = [[1] * len(ids) + [0] * (length - len(ids)) for ids in sequences]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _pool(states_BTW: Tensor, mask_BT: Tensor, pooling: Pooling) -> Tensor:
    if pooling.mode == "cls":
        vectors_BW = states_BTW[:, 0]
    else:
        weights_BT1 = mask_BT[:, :, None].to(states_BTW.dtype)
        vectors_BW = (states_BTW * weights_BT1).sum(1) / weights_BT1.sum(1)
    return torch.nn.functional.normalize(vectors_BW, dim=-1) if pooling.normalize else vectors_BW


def _batches(sequences: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices of sequences of like length, at most `PASS_TOKENS` padded tokens at a time."""
    batch: list[int] = []
    for index in sorted(range(len(sequences)), key=lambda i: -len(sequences[i])):
        if batch and len(sequences[batch[0]]) * (len(batch) + 1) > PASS_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _unused(batch: Sequence[Sequence[int]]) -> int:
    """The lowest id that occurs in none of the sequences: padding that cannot be mistaken."""
    used = {i for ids in batch for i in ids}
    return next(i for i in range(len(used) + 1) if i not in used)


def _usage(backend: HfBackend, tokens: int, share: float) -> Usage:
    return Usage(
        prompt_tokens=tokens, positions=tokens, flops=backend.flops(tokens), seconds=share * tokens
    )
