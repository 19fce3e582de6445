"""Vectors and scores of whole texts: sentence encoders, hidden states, reward models."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from moco.backends.base import ModelSpec, Pair, Vector
from moco.errors import ModelFormatError, PromptTooLongError, clip
from moco.rendering import read_json
from moco.types import Json, Usage

if TYPE_CHECKING:
    from moco.backends.hf import HfBackend

PASS_TOKENS = 4096
"""Padded tokens that one forward pass reads at most."""


POOLING_KEYS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
"""Older sentence-transformers write one switch per mode, newer ones `pooling_mode`."""
MODULES = ("Transformer", "Pooling", "Normalize")
"""The parts that a sentence-transformers model may have here."""
NO_LIMIT = 10**9
"""Tokenizers without a longest sequence name a number above this one."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """How a sentence encoder makes one vector of its token states."""

    mode: Literal["mean", "cls"]
    normalize: bool
    limit: int
    """Longest sequence in tokens; a longer text is cut there, as the encoder's makers do."""
    prefix: str = ""
    """What the makers set before every text."""
    lower: bool = False
    """Whether texts are put into lower case first."""


def pooling_of(folder: Path) -> Pooling:
    """From `sentence_embedding.json`, or the `modules.json` of sentence-transformers, else mean."""
    bert = read_json(folder / "sentence_bert_config.json")
    limit = int(bert.get("max_seq_length") or _longest(folder))
    own = folder / "sentence_embedding.json"
    if own.exists():
        found = read_json(own)
        mode = _mode(folder, str(found.get("pooling", "mean")))
        return Pooling(mode, bool(found.get("normalize", True)), limit)
    if not (folder / "modules.json").exists():
        return Pooling("mean", True, limit)
    names = _modules(folder)
    settings = read_json(folder / "1_Pooling" / "config.json")
    prefix = _prefix(folder)
    if prefix and settings.get("include_prompt") is False:
        raise ModelFormatError(f"{folder}: pooling without the prompt is not supported")
    mode = _mode(folder, _named_mode(settings))
    return Pooling(mode, "Normalize" in names, limit, prefix, bool(bert.get("do_lower_case")))


def _longest(folder: Path) -> int:
    limit = read_json(folder / "tokenizer_config.json").get("model_max_length")
    return int(limit) if isinstance(limit, int | float) and 0 < limit < NO_LIMIT else 512


def _modules(folder: Path) -> list[str]:
    """Class names of the model's parts; one that would be left out is an error."""
    file = folder / "modules.json"
    try:
        parts = json.loads(file.read_text(encoding="utf-8"))
        names = [str(part["type"]).rpartition(".")[2] for part in parts]
    except (ValueError, TypeError, KeyError):
        raise ModelFormatError(f"{file} is no list of parts with a type each") from None
    unknown = [name for name in names if name not in MODULES]
    if unknown:
        raise ModelFormatError(
            f"{folder}: its part '{clip(unknown[0])}' (modules.json) is not supported, only"
            f" {', '.join(MODULES)}; use another embedder"
        )
    return names


def _named_mode(settings: Mapping[str, Json]) -> str:
    """The pooling of a `1_Pooling/config.json`; several at once are joined with a plus."""
    given = settings.get("pooling_mode")
    if given is not None:
        return "+".join(given) if isinstance(given, list) else str(given)
    on = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value]
    return "+".join(POOLING_KEYS.get(key, key) for key in on)


def _mode(folder: Path, name: str) -> Literal["mean", "cls"]:
    if name == "mean":
        return "mean"
    if name == "cls":
        return "cls"
    raise ModelFormatError(
        f"{folder}: pooling '{clip(name)}' is not supported, only mean and cls; use another"
        " embedder"
    )


def _prefix(folder: Path) -> str:
    """The default prompt, where the makers set one."""
    config = read_json(folder / "config_sentence_transformers.json")
    name = config.get("default_prompt_name")
    return "" if name is None else str((config.get("prompts") or {}).get(name, ""))


def encode_texts(backend: HfBackend, texts: Sequence[str]) -> list[Vector]:
    """Sentence embeddings in order."""
    pooling = pooling_of(backend.folder)
    renderer = backend.renderer(backend.spec)
    limit = min(pooling.limit, renderer.context or pooling.limit)
    read = [pooling.prefix + (text.lower() if pooling.lower else text) for text in texts]
    sequences = [renderer.framed(text, limit=limit) for text in read]
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
