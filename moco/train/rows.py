"""Training rows as token ids: the prompt just as inference renders it, then what is learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from moco.backends.base import ModelSpec
from moco.engine.keys import folder_of, renderer_of
from moco.errors import DataError, ModelFormatError, PromptTooLongError, clip
from moco.rendering import Renderer
from moco.types import Json, Message, Prompt


class Trainable(Protocol):
    """What every row says."""

    @property
    def held(self) -> bool:
        """Whether it is for validation only."""
        ...

    @property
    def length(self) -> int:
        """Tokens that one pass reads of it."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt with its completion."""

    ids: tuple[int, ...]
    start: int
    """Where the completion starts; only it, and the token that closes the turn, are learnt."""
    held: bool = False
    """Whether it is for validation only."""

    @property
    def length(self) -> int:
        """Tokens that one pass reads of it."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Preferred:
    """A prompt with a better and a worse answer."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    held: bool = False
    """Whether it is for validation only."""

    @property
    def length(self) -> int:
        """Tokens that one pass reads of it: both answers, each behind the prompt."""
        return 2 * (len(self.prompt) + max(len(self.chosen), len(self.rejected)))


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt to be answered in training."""

    prompt: tuple[int, ...]
    place: int
    """Of its data row, which the reward reads."""
    held: bool = False
    """Whether it is for validation only."""

    @property
    def length(self) -> int:
        """Tokens that one pass reads of it, without the answer."""
        return len(self.prompt)


def prompt_of(value: Json) -> Prompt:
    """A prompt from JSON: a string, or [[role, content], …]."""
    return value if isinstance(value, str) else tuple(Message(role, text) for role, text in value)


def written(prompt: Prompt) -> Json:
    """A prompt as JSON, from which `prompt_of` makes it again."""
    return prompt if isinstance(prompt, str) else [[m.role, m.content] for m in prompt]


def rows_of(spec: ModelSpec, data: Sequence[Mapping[str, Json]], max_length: int) -> list[Row]:
    """The rows of `{"prompt": …, "completion": …}`, at most `max_length` tokens each (0 = the
    model's context); `"held": true` keeps one for validation.

    PromptTooLongError names a row that does not fit: none is ever cut.
    """
    renderer, end = _renderer(spec)
    found = []
    for i, item in enumerate(data):
        _has(item, ("prompt", "completion"), i)
        prompt, answer = _ids(renderer, item, "completion", end)
        _fits(spec, len(prompt) + len(answer), max_length, item, i)
        found.append(Row((*prompt, *answer), len(prompt), bool(item.get("held"))))
    return found


def preferred_of(
    spec: ModelSpec, data: Sequence[Mapping[str, Json]], max_length: int
) -> list[Preferred]:
    """The rows of `{"prompt": …, "chosen": …, "rejected": …}`, as `rows_of`; answers that are the
    same tokens are left out, as they teach nothing. DataError where nothing is left.
    """
    renderer, end = _renderer(spec)
    found = []
    for i, item in enumerate(data):
        _has(item, ("prompt", "chosen", "rejected"), i)
        prompt, chosen = _ids(renderer, item, "chosen", end)
        _, rejected = _ids(renderer, item, "rejected", end)
        if chosen == rejected:
            continue
        _fits(spec, len(prompt) + max(len(chosen), len(rejected)), max_length, item, i)
        found.append(Preferred(prompt, chosen, rejected, bool(item.get("held"))))
    if data and not found:
        raise DataError(
            f"none of {len(data)} pairs is usable: chosen and rejected answers are the same; more"
            " varied answers are needed, as from a higher temperature"
        )
    return found


def asked_of(
    spec: ModelSpec, data: Sequence[Mapping[str, Json]], room: int, max_length: int
) -> list[Asked]:
    """The prompts of `{"prompt": …}`, each with its place; with `room` tokens for an answer they
    have to fit the context.
    """
    renderer, _ = _renderer(spec)
    found = []
    for i, item in enumerate(data):
        if "prompt" not in item:
            raise DataError(f"training row {i}: needs a prompt, has {list(item)}")
        prompt = tuple(renderer.ids(prompt_of(item["prompt"])))
        _fits(spec, len(prompt) + room, max_length, item, i)
        found.append(Asked(prompt, i, bool(item.get("held"))))
    return found


def _renderer(spec: ModelSpec) -> tuple[Renderer, int]:
    """How the model's prompts are rendered, and the token that closes a turn."""
    folder = folder_of(spec)
    if folder is None:
        raise ModelFormatError(f"model '{spec.name}' has no files here, so it cannot be trained")
    renderer = renderer_of(folder, spec.adapter)
    end = renderer.eos_id if renderer.closer is None else renderer.closer
    if end is None:
        raise ModelFormatError(f"{folder} names no token that ends a turn, so none can be learnt")
    return renderer, end


def _has(item: Mapping[str, Json], keys: Sequence[str], place: int) -> None:
    if not set(keys) <= item.keys():
        *first, last = keys
        wanted = f"{', '.join(first)} and {last}"
        raise DataError(f"training row {place}: needs {wanted}, has {list(item)}")


def _ids(
    renderer: Renderer, item: Mapping[str, Json], key: str, end: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(the prompt as inference renders it, the answer with the token that closes its turn)."""
    prompt = renderer.ids(prompt_of(item["prompt"]))
    _, answer = renderer.continuation("", item[key])
    return tuple(prompt), (*answer, end)


def _fits(
    spec: ModelSpec, length: int, max_length: int, item: Mapping[str, Json], place: int
) -> None:
    limit = max_length or (spec.facts.context if spec.facts else 0)
    if limit and length > limit:
        raise PromptTooLongError(
            f"training row {place} has {length} tokens, model '{spec.name}' takes {limit};"
            f" shorten it, or leave it out: {clip(str(item['prompt']))}"
        )
