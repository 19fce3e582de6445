"""Training rows as token ids: the prompt just as inference renders it, then what is learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moco.backends.base import ModelSpec
from moco.engine.keys import folder_of, renderer_of
from moco.errors import DataError, ModelFormatError, PromptTooLongError, clip
from moco.types import Json, Message, Prompt


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt with its completion."""

    ids: tuple[int, ...]
    start: int
    """Where the completion starts; only it, and the token that closes the turn, are learnt."""
    held: bool = False
    """Whether it is for validation only."""


def prompt_of(value: Json) -> Prompt:
    """A prompt from JSON: a string, or [[role, content], …]."""
    return value if isinstance(value, str) else tuple(Message(role, text) for role, text in value)


def rows_of(spec: ModelSpec, data: Sequence[Mapping[str, Json]], max_length: int) -> list[Row]:
    """The rows of `{"prompt": …, "completion": …}`, at most `max_length` tokens each (0 = the
    model's context); `"held": true` keeps one for validation.

    PromptTooLongError names a row that does not fit: none is ever cut.
    """
    folder = folder_of(spec)
    if folder is None:
        raise ModelFormatError(f"model '{spec.name}' has no files here, so it cannot be trained")
    renderer = renderer_of(folder, spec.adapter)
    end = renderer.eos_id if renderer.closer is None else renderer.closer
    if end is None:
        raise ModelFormatError(f"{folder} names no token that ends a turn, so none can be learnt")
    limit = max_length or (spec.facts.context if spec.facts else 0)
    found = []
    for i, item in enumerate(data):
        if not {"prompt", "completion"} <= item.keys():
            raise DataError(f"training row {i}: needs a prompt and a completion, has {list(item)}")
        prompt = renderer.ids(prompt_of(item["prompt"]))
        _, answer = renderer.continuation("", item["completion"])
        row = Row((*prompt, *answer, end), len(prompt), bool(item.get("held")))
        if limit and len(row.ids) > limit:
            raise PromptTooLongError(
                f"training row {i} has {len(row.ids)} tokens, model '{spec.name}' takes {limit};"
                f" shorten it, or leave it out: {clip(str(item['prompt']))}"
            )
        found.append(row)
    return found
