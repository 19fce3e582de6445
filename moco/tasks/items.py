"""Builds one sample from one item of the `modelco` package's format, by its task type.

Choice keys may be any strings: letters follow the options' order. Official rows are brought into
this form too, so that every data set has one builder.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from moco.answers.options import MISSING_OPTION
from moco.answers.parser import target
from moco.errors import DataError
from moco.prompts import LETTERS, format_line, option_lines
from moco.tasks.base import OPEN_ENDED, Split
from moco.tasks.guessing import Form, guess
from moco.tasks.official import Item
from moco.tasks.reading import need_text, type_name, well_formed
from moco.types import Json, Query, Sample

TaskType = Literal[
    "multiple_choice",
    "exact_match",
    "f1_match",
    "general_verifier",
    "coding",
    "ifeval",
    "noncompliance",
    "reward_model",
    "generation_diversity",
]
TASK_TYPES: tuple[TaskType, ...] = get_args(TaskType)
JUDGED: frozenset[TaskType] = frozenset(
    {"ifeval", "noncompliance", "reward_model", "generation_diversity"}
)
"""Types whose prompt is the bare input; something else than a comparison grades the whole text."""

Rule = Callable[[str, Mapping[str, Json]], Form]
"""(question, item) → how the item's answer is written; must not need members that only slices use.
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the items of one data set are read."""

    task_type: TaskType
    form: Form | Rule | None = None
    """None: an exact-match item's kind is told by its `answer_type`, else by its gold."""
    cut: str = ""
    """A regular expression; what it matches is taken out of the question."""
    cut_what: str = "instruction in the question that is at odds with the prompt"
    """What that is, for the notes."""
    line: str | None = None
    """The answer-format line where the usual one does not fit."""


def build(item: Json, split: Split, row: int, reading: Reading, repairs: Counter[str]) -> Sample:
    """One item as a sample; DataError says why it cannot be used."""
    if not isinstance(item, dict):
        raise DataError(f"the item is a {type_name(item)}, no object")
    name = f"{split}-{row}"
    listed = reading.task_type == "general_verifier" and "choices" in item
    if reading.task_type == "multiple_choice" or listed:
        query, golds = _choice(item, name, reading, repairs)
        used = {"question", "choices", "answer"}
    elif reading.task_type in JUDGED or reading.task_type == "coding":
        query, golds = _judged(item, name, reading, repairs)
        used = {"input", "output"}
    else:
        query, golds = _open(item, name, reading, repairs)
        used = {"input", "output"}
    if query.kind not in OPEN_ENDED and all(target(g, query).value is None for g in golds):
        raise DataError("the gold answer cannot be compared")
    meta = {str(key): value for key, value in item.items() if key not in used} | {"row": row}
    return Sample(query, tuple(golds), meta)


def _cut(question: str, reading: Reading, repairs: Counter[str]) -> str:
    if not reading.cut:
        return question
    shorter, count = re.subn(reading.cut, "", question)
    repairs[reading.cut_what] += bool(count)
    return shorter.strip() or question


def _query(name: str, bare: str, body: str, form: Form, line: str | None) -> Query:
    last = next((x for x in (line, form.line) if x is not None), None)
    last = format_line(form.kind, form.labels) if last is None else last
    prompt = f"{body}\n\n{last}" if last else body
    return Query(
        id=name,
        prompt=prompt,
        kind=form.kind,
        choices=form.choices,
        labels=form.labels,
        bare=bare,
        body=body,
        format_line=last,
        tolerance=form.tolerance,
    )


# multiple choice


def _choice(
    item: Item, name: str, reading: Reading, repairs: Counter[str]
) -> tuple[Query, list[str]]:
    question = _cut(need_text(item, "question", "input", "prompt"), reading, repairs)
    keys, texts = _options(item)
    if keys != list(LETTERS[: len(keys)]):
        repairs["choice keys other than A, B, C … (letters follow the order)"] += 1
    at = _gold_position(item, keys)
    if texts[at] is None:
        raise DataError("the gold option is null")
    if any(text is None or not text.strip() for text in texts):
        repairs["null or empty options"] += 1
    shown = [
        text.strip() if text is not None and text.strip() else MISSING_OPTION for text in texts
    ]
    bare_texts = [
        re.sub(rf"^\(?{LETTERS[i]}[).:]\s*(?=\S)", "", text) for i, text in enumerate(shown)
    ]
    if all(a != b for a, b in zip(shown, bare_texts, strict=True)):
        repairs["option texts that begin with their own letter"] += 1
        shown = bare_texts
    body = f"{question}\n{option_lines(shown)}"
    form = Form("choice", choices=tuple(shown))
    return _query(name, question, body, form, reading.line), [LETTERS[at]]


def _options(item: Item) -> tuple[list[str], list[str | None]]:
    """Keys and texts in display order; a list of texts is keyed by letters."""
    choices = item.get("choices")
    if isinstance(choices, list):
        choices = {
            LETTERS[i] if i < len(LETTERS) else str(i): text for i, text in enumerate(choices)
        }
    if not isinstance(choices, dict) or not choices:
        raise DataError("no 'choices'")
    if len(choices) > len(LETTERS):
        raise DataError(f"{len(choices)} choices, at most {len(LETTERS)} can have letters")
    texts: list[str | None] = []
    for text in choices.values():
        if isinstance(text, dict | list):
            raise DataError("a choice is no text")
        texts.append(
            None if text is None else well_formed(text if isinstance(text, str) else str(text))
        )
    return [str(key) for key in choices], texts


def _gold_position(item: Item, keys: list[str]) -> int:
    answer = item.get("answer")
    if answer is None:
        raise DataError("no gold answer")
    answer = str(answer)
    if answer in keys:
        return keys.index(answer)
    plain = answer.strip()
    stripped = [key.strip() for key in keys]
    if plain in stripped:
        return stripped.index(plain)
    if len(plain) == 1 and plain.upper() in LETTERS[: len(keys)]:
        return LETTERS.index(plain.upper())
    raise DataError("the gold answer is no key of 'choices'")


# judged texts and code


def _judged(
    item: Item, name: str, reading: Reading, repairs: Counter[str]
) -> tuple[Query, list[str]]:
    """The input as it is; an answer that the item brings is a reference, no gold."""
    question = _cut(need_text(item, "input", "question", "prompt"), reading, repairs)
    form = Form("code") if reading.task_type == "coding" else Form("free", line="")
    output = item.get("output")
    references = [well_formed(output)] if isinstance(output, str) and output.strip() else []
    return _query(name, question, question, form, reading.line), references


# exact match, F1 and what a verifier may confirm


def _open(
    item: Item, name: str, reading: Reading, repairs: Counter[str]
) -> tuple[Query, list[str]]:
    question = need_text(item, "input", "question", "prompt")
    golds = _golds(item, reading, repairs)
    if callable(reading.form):
        form = reading.form(question, item)
    elif reading.form is not None:
        form = reading.form
    elif reading.task_type == "f1_match":
        form = Form("span")
    else:
        form = guess(question, item, golds[0])
    body = _cut(question.rstrip(), reading, repairs)
    bare = (
        body[: form.options_at].rstrip() if form.options_at and body == question.rstrip() else body
    )
    query = _query(name, bare or body, body, form, reading.line)
    if form.kind == "choice":
        golds = [target(gold, query).value or gold for gold in golds]
    return query, golds


def _golds(item: Item, reading: Reading, repairs: Counter[str]) -> list[str]:
    output = item["output"] if "output" in item else item.get("answer")
    if output is None:
        raise DataError("no gold answer")
    if (
        isinstance(output, str)
        and reading.task_type == "f1_match"
        and output.lstrip().startswith("[")
    ):
        output = _aliases(output)
        repairs["aliases written as one text"] += isinstance(output, list)
    if isinstance(output, list):
        if reading.task_type == "exact_match":
            output = [json.dumps(output, ensure_ascii=False)]
        elif reading.task_type == "general_verifier":
            output = [", ".join(_plain(part) for part in output)]
        golds = [well_formed(_plain(alias)) for alias in output]
    else:
        golds = [well_formed(_plain(output))]
    kept = [gold for gold in golds if gold.strip()]
    if not kept:
        raise DataError("the gold answer is empty")
    return kept


def _aliases(text: str) -> list[Json] | str:
    """A JSON list of aliases written as text; the text itself where it is none."""
    try:
        aliases = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return (
        [a for a in aliases if isinstance(a, str | int | float)]
        if isinstance(aliases, list)
        else text
    )


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
