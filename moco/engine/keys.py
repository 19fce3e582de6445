"""What a call is: the key under which its result is cached, the seed of its random stream, and its
log line.

A key covers everything that can change the result and nothing else: no alias, query id, stage,
batch size or device.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moco.backends.base import ModelSpec, Pair, Row
from moco.engine.cache import digest
from moco.engine.jobs import Call, Embedding, JointRow
from moco.errors import PromptTooLongError
from moco.train.base import Lesson
from moco.types import Json, Prompt, Request, Sampling, messages

if TYPE_CHECKING:
    from moco.rendering import Renderer
    from moco.train.base import Recipe

KEY_VERSION = 1


@functools.lru_cache(maxsize=64)
def renderer_of(folder: Path, adapter: Path | None = None) -> Renderer:
    """The chat-template renderer of a model folder (an adapter may bring its own tokenizer), made
    once per process."""
    from moco.rendering import Renderer

    return Renderer(folder, over=adapter)


def folder_of(spec: ModelSpec) -> Path | None:
    """The folder whose tokenizer and template a model uses; None for hosted and scripted models."""
    return (
        spec.path if spec.path is not None else folder_of(spec.parents[0]) if spec.parents else None
    )


def prompt_json(prompt: Prompt) -> Json:
    """A prompt as JSON: [[role, content], …]."""
    return [[m.role, m.content] for m in messages(prompt)]


def rendered(spec: ModelSpec, prompt: Prompt, prefix: str = "") -> list[int] | None:
    """The prompt as token ids; None where the model is not rendered here, and for a team, whose
    members each render it.
    """
    folder = None if spec.derive == "team" else folder_of(spec)
    return None if folder is None else list(renderer_of(folder, spec.adapter).ids(prompt, prefix))


def spare_tokens(spec: ModelSpec, prompt: Prompt, max_tokens: int, prefix: str = "") -> int | None:
    """How many tokens of the context are left over after the prompt and the answer; None =
    unknown.
    """
    if spec.derive == "team":
        each = [spare_tokens(own, prompt, max_tokens, prefix) for own in spec.parents]
        return min((left for left in each if left is not None), default=None)
    if spec.facts is None or not spec.facts.context:
        return None
    ids = rendered(spec, prompt, prefix)
    return None if ids is None else spec.facts.context - len(ids) - max_tokens


def _identity(
    spec: ModelSpec, prompt: Prompt, prefix: str, ids: list[int] | None
) -> dict[str, Json]:
    shown = ids if ids is not None else prompt_json(prompt)
    return {"v": KEY_VERSION, "model": spec.fingerprint, "prompt": shown, "prefix": prefix}


def sampling_json(sampling: Sampling, random: Json) -> dict[str, Json]:
    """Sampling as it enters a key: greedy decoding has no top_p, seed or draw."""
    data: dict[str, Json] = {"max_tokens": sampling.max_tokens, "stop": list(sampling.stop)}
    if sampling.temperature > 0:
        data |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "random": random}
    return data


def _check_length(spec: ModelSpec, ids: list[int] | None, max_tokens: int, query_id: str) -> None:
    context = spec.facts.context if spec.facts else 0
    if ids is not None and context and len(ids) + max_tokens > context:
        raise PromptTooLongError(
            f"query '{query_id}', model '{spec.name}': the prompt has {len(ids)} tokens and the"
            f" answer may have {max_tokens}, but the context holds {context}; lower"
            " sampling.max_tokens, use a model with a longer context, or set on_too_long: skip"
        )


def generate_call(spec: ModelSpec, request: Request, seed: int, draw: int) -> Call:
    """A generation; `seed` is the run's, `draw` the pool context's sample index."""
    ids = rendered(spec, request.prompt, request.prefix)
    for own in spec.parents if spec.derive == "team" else (spec,):
        read = ids if own is spec else rendered(own, request.prompt)
        _check_length(own, read, request.sampling.max_tokens, request.query_id)
    random = [seed, draw, request.draw, spec.copy]
    identity = _identity(spec, request.prompt, request.prefix, ids)
    identity |= {"kind": "generate", "sampling": sampling_json(request.sampling, random)}
    key = digest(identity)
    shown = {
        "prompt": prompt_json(request.prompt),
        "prefix": request.prefix,
        "sampling": identity["sampling"],
    }
    return Call(
        key=key,
        payload=Row(request, spec, bytes.fromhex(key)),
        spec=spec,
        size=len(ids or ()),
        query_id=request.query_id,
        stage=request.stage,
        shown=shown,
    )


def pair_call(kind: str, pair: Pair, query_id: str, stage: str) -> Call:
    """The likelihood or the reward of a continuation."""
    ids = rendered(pair.spec, pair.prompt, pair.prefix)
    identity = _identity(pair.spec, pair.prompt, pair.prefix, ids) | {
        "kind": kind,
        "text": pair.text,
    }
    shown = {"prompt": prompt_json(pair.prompt), "prefix": pair.prefix, "text": pair.text}
    return Call(
        key=digest(identity),
        payload=pair,
        spec=pair.spec,
        size=len(ids or ()),
        query_id=query_id,
        stage=stage,
        shown=shown,
    )


def embedding_call(item: Embedding, query_id: str, stage: str) -> Call:
    """The vector of a text."""
    identity = {
        "v": KEY_VERSION,
        "kind": "embed",
        "at": item.at,
        "model": item.spec.fingerprint,
        "text": item.text,
    }
    return Call(
        key=digest(identity),
        payload=item,
        spec=item.spec,
        size=len(item.text),
        query_id=query_id,
        stage=stage,
        shown={"text": item.text, "at": item.at},
    )


def joint_call(
    specs: Sequence[ModelSpec],
    row: JointRow,
    identity: dict[str, Any],
    random: Json,
    stage: str,
    chance: bool = False,
) -> Call:
    """A joint generation; `identity` names the method, its version, hyperparameters and state
    digest. With `chance` the method draws numbers of its own, also at temperature 0.
    """
    ids = [rendered(spec, prompt) for spec, prompt in zip(specs, row.prompts, strict=True)]
    for spec, own in zip(specs, ids, strict=True):
        _check_length(spec, own, row.sampling.max_tokens, row.query_id)
    full = {
        "v": KEY_VERSION,
        "kind": "joint",
        "models": [s.fingerprint for s in specs],
        **identity,
        "prompts": [
            own if own is not None else prompt_json(p)
            for own, p in zip(ids, row.prompts, strict=True)
        ],
        "sampling": sampling_json(row.sampling, random) | ({"random": random} if chance else {}),
    }
    key = digest(full)
    shown = {
        "prompts": [prompt_json(p) for p in row.prompts],
        "sampling": full["sampling"],
        **identity,
    }
    return Call(
        key=key,
        payload=replace(row, seed=bytes.fromhex(key)),
        spec=specs[0],
        specs=tuple(specs),
        size=max((len(own) for own in ids if own), default=0),
        query_id=row.query_id,
        stage=stage,
        shown=shown,
    )


def train_call(
    spec: ModelSpec,
    data: Sequence[Mapping[str, Json]],
    recipe: Recipe,
    seed: int,
    reward: Mapping[str, Json] | None = None,
) -> Call:
    """A training: its key covers the model, the data, the recipe, the seed, and the identity of
    the reward, where there is one.
    """
    rewarded = {} if reward is None else {"reward": dict(reward)}
    identity = {
        "v": KEY_VERSION, "kind": "train", "model": spec.fingerprint, "data": digest(list(data)),
        "recipe": {**recipe.identity(), **rewarded}, "seed": seed,
    }  # fmt: skip
    key = digest(identity)
    shown = {"recipe": identity["recipe"], "rows": len(data)}
    return Call(key=key, payload=Lesson(key, tuple(data)), spec=spec, stage="train", shown=shown)
