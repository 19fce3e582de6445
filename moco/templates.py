"""Chat templates: untrusted Jinja programs, run in a sandbox and with bounded output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from moco.errors import InputError, ModelFormatError, clip
from moco.types import Json

MAX_CHARACTERS = 20_000_000
"""Longest text that a template may build."""

DATE = datetime(2024, 7, 26)
"""What templates get for today: prompts, and with them cache keys, must not change overnight."""

FAULTS = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
    MemoryError,
)


class ChatTemplate:
    """A compiled chat template."""

    def __init__(self, source: str, where: str) -> None:
        self.source, self.where = source, where
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateError as error:
            reason = clip(str(error), 300)
            raise ModelFormatError(f"{where}: the chat template is faulty: {reason}") from error

    def render(
        self, conversation: Sequence[Mapping[str, str]], opened: bool, variables: Mapping[str, Json]
    ) -> str:
        """The conversation as text; `opened` adds the start of an assistant turn.

        Raises `InputError` when the template refuses the conversation or misbehaves.
        """
        known: dict[str, Json] = {"messages": conversation, "tools": None, "documents": None}
        known["add_generation_prompt"] = opened
        try:
            return self._joined({**known, **variables})
        except FAULTS as error:
            roles = ", ".join(turn["role"] for turn in conversation)
            raise InputError(
                f"{self.where}: the chat template does not take this conversation ({clip(roles)}): "
                f"{clip(str(error) or type(error).__name__, 300)}"
            ) from error

    def _joined(self, variables: Mapping[str, Json]) -> str:
        pieces: list[str] = []
        size = 0
        for piece in self._template.generate(variables):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_CHARACTERS:
                raise ValueError(f"it writes more than {MAX_CHARACTERS} characters")
        return "".join(pieces)


def chat_template(folder: Path, settings: Mapping[str, Json]) -> ChatTemplate | None:
    """A model folder's template: `chat_template.jinja`, else that of `tokenizer_config.json`."""
    path = folder / "chat_template.jinja"
    if path.exists():
        return ChatTemplate(path.read_text(encoding="utf-8"), str(path))
    found = settings.get("chat_template")
    if isinstance(found, list):
        named = [entry for entry in found if isinstance(entry, dict)]
        found = next((e.get("template") for e in named if e.get("name") == "default"), None)
    if not found:
        return None
    where = str(folder / "tokenizer_config.json")
    if not isinstance(found, str):
        raise ModelFormatError(f"{where}: chat_template should be text, or a list of named texts")
    return ChatTemplate(found, where)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which repetition and powers cannot fill the memory."""

    intercepted_binops = frozenset(["*", "**"])

    def call_binop(
        self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any
    ) -> Any:
        if operator == "**" and not (abs(left) < 2**31 and abs(right) < 64):
            raise ValueError("it takes a power that is too large")
        if operator == "*":
            for thing, times in ((left, right), (right, left)):
                if hasattr(thing, "__len__") and len(thing) * times > MAX_CHARACTERS:
                    raise ValueError("it repeats something too often")
        return super().call_binop(context, operator, left, right)


class _GenerationTag(Extension):
    """Takes the training mark-up `{% generation %}` for its content."""

    tags = {"generation"}  # noqa: RUF012 - the name and type are Jinja's

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> _Sandbox:
    extensions = [_GenerationTag, loopcontrols]
    environment = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = DATE.strftime
    environment.globals.pop("lipsum", None)
    return environment


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _tojson(
    value: Json,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
