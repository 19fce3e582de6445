"""How a text is read for each kind of answer: first what it commits itself to, then what it
suggests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from moco.answers.choices import committed_choice, suggested_choice
from moco.answers.cleaning import Found, Text, fold, nothing
from moco.answers.formulas import committed_math, suggested_math
from moco.answers.labels import committed_label, labels_of, suggested_label, truth_of
from moco.answers.lists import committed_list, suggested_list
from moco.answers.options import options_of
from moco.answers.spans import committed_span, suggested_span, unwrapped
from moco.answers.values import committed_number, suggested_number
from moco.types import AnswerKind, Query


def _code(text: str) -> Found:
    """The last fenced block, an open fence included, else the whole text."""
    parts = re.split(r"^[ \t]*```[\w+#-]*[ \t]*\n?", text, flags=re.MULTILINE)
    blocks = [part for part in parts[1::2] if part.strip()]
    code = (blocks[-1] if blocks else text).strip("\n").rstrip()
    return (
        Found(code, "parsed", code, "fenced block" if blocks else "whole text")
        if code.strip()
        else nothing("no code")
    )


def _free(text: str) -> Found:
    plain = text.strip()
    return Found(fold(plain) or plain, "parsed", plain) if plain else nothing("empty output")


_Kind = tuple[Callable[[Text, Query, int], Found | None], Callable[[Text, Query], Found]]
"""What a text commits itself to (what starts before a position is not looked at), and what it
suggests where it commits itself to nothing.
"""
_NUMBER: _Kind = (
    lambda text, _, skip: committed_number(text, skip),
    lambda text, _: suggested_number(text),
)
_MATH: _Kind = (
    lambda text, _, skip: committed_math(text, skip, strong=skip > 0),
    lambda text, _: suggested_math(text),
)
_SPAN: _Kind = (
    lambda text, _, skip: committed_span(text.plain, skip, strong=skip > 0),
    lambda text, _: suggested_span(text.plain),
)
_KINDS: Mapping[AnswerKind, _Kind] = {
    "choice": (
        lambda text, query, skip: committed_choice(text.plain, options_of(query.choices), skip),
        lambda text, query: suggested_choice(text.plain, options_of(query.choices)),
    ),
    "number": _NUMBER,
    "math": _MATH,
    "span": _SPAN,
    "boolean": (
        lambda text, query, skip: committed_label(text.plain, truth_of(query.labels), skip),
        lambda text, query: suggested_label(text.plain, truth_of(query.labels)),
    ),
    "label": (
        lambda text, query, skip: committed_label(text.plain, labels_of(query.labels), skip),
        lambda text, query: suggested_label(text.plain, labels_of(query.labels)),
    ),
    "list": (
        lambda text, _, skip: committed_list(text, skip),
        lambda text, _: suggested_list(text),
    ),
}
TAIL = 400
"""Characters of a text's end that are read first: answers stand there, and the last one wins."""
MARGIN = 80
"""What starts in the first so many of them may have begun before, and is not believed."""


def read(raw: str, query: Query, *, complete: bool = True) -> Found:
    """What a text answers to a query; without `complete` (cut off) only a commitment counts."""
    if query.kind in ("code", "free"):
        return _code(raw) if query.kind == "code" else _free(raw)
    kind = "span" if query.kind == "label" and not query.labels else query.kind
    committed, suggested = _KINDS[kind]
    raw = unwrapped(raw) if kind == "span" else raw
    if len(raw) > 2 * TAIL:
        found = committed(Text(raw[-TAIL:]), query, MARGIN)
        if found is not None:
            return found
    text = Text(raw)
    found = committed(text, query, 0)
    if found is not None:
        return found
    return suggested(text, query) if complete else nothing("cut off before an answer", "truncated")
