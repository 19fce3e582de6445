"""How an item's answer is written where no data set declares it: told by its `answer_type`, else by
its gold.

Only a user's own exact-match file without a declared kind comes here; the catalogue declares its
kinds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from moco.answers import numbers
from moco.prompts import LETTERS, format_line
from moco.types import AnswerKind, Json


@dataclass(frozen=True, slots=True)
class Form:
    """How one item's answer is written."""

    kind: AnswerKind
    labels: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    line: str | None = None
    """The answer-format line where the kind's own does not fit."""
    tolerance: float = 0.0
    options_at: int = 0
    """Where the options start within the question, 0 where it holds none."""


NUMBER_LIST = "End with one line: Answer: <[number, number, …]>"
BRACKETS = "End with one line: Answer: <the closing brackets>"
WORD_LIST = "End with one line: Answer: <the words in order>"
TYPED_TOLERANCE = 0.01
"""Relative tolerance of answers that a data set types as `float`; everything else compares exactly.
"""

TYPED: Mapping[str, Form] = {
    "float": Form("number", tolerance=TYPED_TOLERANCE),
    "integer": Form("number"),
    "bool": Form("boolean", ("True", "False")),
    "list of integer": Form("list", line=NUMBER_LIST),
    "list of float": Form("list", line=NUMBER_LIST, tolerance=TYPED_TOLERANCE),
}

_OPTION_LINE = re.compile(r"^[ \t]*\(([A-Z])\)[ \t]*(.*)$", re.MULTILINE)
_OPTION_INLINE = re.compile(r"\(([a-z])\):?\s+(.*?)(?=[;,.]?\s*\([a-z]\):?\s|$)", re.DOTALL)
_BULLETS = re.compile(r"^Options:[ \t]*\n((?:[ \t]*-[ \t]*[^\n]+\n?)+)", re.MULTILINE)


def lettered_options(question: str) -> Form | None:
    """Options that the question itself lists as `(A) …` on lines of their own."""
    marks = list(_OPTION_LINE.finditer(question))
    texts = [mark[2].strip() for mark in marks]
    if len(marks) < 2 or "".join(mark[1] for mark in marks) != LETTERS[: len(marks)]:
        return None
    at = question.rfind("Options:", 0, marks[0].start())
    return Form("choice", choices=tuple(texts), options_at=at if at > 0 else marks[0].start())


def inline_options(question: str) -> Form:
    """Options that the question lists as `(a) … (b) …` in running text; without them any of four
    letters.
    """
    marks = list(_OPTION_INLINE.finditer(question))
    names = "".join(mark[1] for mark in marks).upper()
    line = format_line("choice")
    start = names.rfind("A") if "A" in names else -1
    if start >= 0 and names[start:] == LETTERS[: len(names) - start] and len(names) - start > 1:
        texts = tuple(
            re.sub(r"\.?\s*Which .{0,40}$", "", m[2]).strip(" .;,") for m in marks[start:]
        )
        return Form("choice", choices=texts, line=line, options_at=marks[start].start())
    return Form("choice", choices=("", "", "", ""), line=line)


def bulleted_options(question: str) -> tuple[str, ...]:
    """Words that the question lists under `Options:` with dashes."""
    block = _BULLETS.search(question)
    return tuple(line.strip(" \t-") for line in block[1].strip().split("\n")) if block else ()


def labelled(words: tuple[str, ...]) -> Form:
    """A boolean where the words are yes and no or true and false, else a label."""
    truth = {word.casefold() for word in words} <= {"yes", "no", "true", "false"}
    return Form("boolean" if truth else "label", words)


def typed(question: str, item: Mapping[str, Json]) -> Form | None:
    """The form that the item's `answer_type` names."""
    name = item.get("answer_type")
    if name == "option":
        return inline_options(question)
    return TYPED.get(name) if isinstance(name, str) else None


_TRUTH_LABELS = {
    "true": ("True", "False"),
    "false": ("True", "False"),
    "yes": ("yes", "no"),
    "no": ("yes", "no"),
}


def guess(question: str, item: Mapping[str, Json], gold: str) -> Form:
    """The form that an item's type or gold suggests."""
    declared = typed(question, item)
    if declared is not None:
        return declared
    plain = gold.strip()
    if re.fullmatch(r"\(?[A-Z]\)?", plain):
        listed = lettered_options(question)
        return listed if listed is not None else Form("choice")
    if plain.casefold() in _TRUTH_LABELS:
        labels = bulleted_options(question) or _TRUTH_LABELS[plain.casefold()]
        return labelled(labels) if len(labels) == 2 else Form("label", labels)
    if plain in bulleted_options(question):
        return Form("label", bulleted_options(question))
    if numbers.whole(plain) is not None:
        return Form("number")
    if plain and all(c in "()[]{}<> " for c in plain):
        return Form("list", line=BRACKETS)
    if re.fullmatch(r"\[.*\]", plain, re.DOTALL):
        return Form("list")
    if re.search(r"[\\^=√π]|\d\s*[-+*/,]\s*[\dA-Za-z]|^[(\[].*[)\]]$", plain):
        return Form("math")
    return Form("span")
