"""The one answer parser: which answer does a text give to a query, and when are two answers the
same.

Scorers and votes both go through it, so that an answer counts in a vote exactly when it could
score. A reasoning block is dropped first; an open one means that the answer never came. The last
commitment wins; hedges are `ambiguous`, refusals `abstained`; only a `parsed` answer has a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from moco.prompts import LETTERS
from moco.tasks import cleaning, labels, numbers, spans, values
from moco.tasks.cleaning import Found, fold, nothing
from moco.tasks.letters import extract_choice, read_letter
from moco.tasks.options import options_of
from moco.types import AnswerKind, Query, Status, Stop


@dataclass(frozen=True, slots=True)
class Answer:
    """What a text answers."""

    value: str | None
    """The canonical form; None never votes and never scores."""
    status: Status
    kind: AnswerKind
    raw: str = ""
    """The stretch of text it was read from, as written."""
    why: str = ""
    """How it was found, or why it was not."""
    tolerance: float = 0.0
    """Relative tolerance of numbers, as the query declares it."""


def truth_words(words: Sequence[str]) -> Mapping[str, str]:
    """The words of a boolean answer: yes and true are one, no and false the other."""
    known = dict(labels.TRUTH)
    return known | {label: known[label.casefold()] for label in words if label.casefold() in known}


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


def _label_words(query: Query) -> Mapping[str, str]:
    return {label: label for label in query.labels}


_Extract = Callable[[str, str, str, Query, bool], Found]
"""(undressed, with mathematics kept, as written, query, complete) → reading."""

_EXTRACT: Mapping[AnswerKind, _Extract] = {
    "choice": lambda plain, math, raw, query, complete: extract_choice(
        plain, query.choices, complete=complete
    ),
    "number": lambda plain, math, raw, query, complete: values.extract_number(plain, raw, complete),
    "math": lambda plain, math, raw, query, complete: spans.extract_math(math, complete),
    "span": lambda plain, math, raw, query, complete: spans.extract_span(plain, complete),
    "boolean": lambda plain, math, raw, query, complete: labels.extract_label(
        plain, truth_words(query.labels), complete
    ),
    "label": lambda plain, math, raw, query, complete: (
        labels.extract_label(plain, _label_words(query), complete)
        if query.labels
        else spans.extract_span(plain, complete)
    ),
    "list": lambda plain, math, raw, query, complete: spans.extract_list(math, complete),
    "code": lambda plain, math, raw, query, complete: _code(raw),
    "free": lambda plain, math, raw, query, complete: _free(raw),
}


def _answer(found: Found, query: Query) -> Answer:
    tolerance = query.tolerance if query.kind in ("number", "list") else 0.0
    return Answer(found.value, found.status, query.kind, found.raw[:500], found.why, tolerance)


def extract(text: str, query: Query, stop: Stop = "eos") -> Answer:
    """The answer that a text gives to a query; never raises, whatever the text is.

    `stop` is how the generation ended: of a text cut off at the token limit only a commitment is
    believed.
    """
    kept, unclosed = cleaning.drop_reasoning(text)
    if unclosed:
        return _answer(nothing("the reasoning was not closed", "truncated"), query)
    raw = cleaning.characters(kept[-cleaning.MAX_CHARACTERS :])
    if not raw.strip():
        if stop == "length":
            return _answer(nothing("cut off before an answer", "truncated"), query)
        return _answer(nothing("the call failed" if stop == "error" else "empty output"), query)
    source = kept if query.kind in ("code", "free") else raw
    math = cleaning.undress(raw, keep_math=True)
    found = _EXTRACT[query.kind](cleaning.undress(raw), math, source, query, stop != "length")
    return _answer(found, query)


def _target_letter(text: str, query: Query) -> Found:
    read = read_letter(text, options_of(query.choices), alone=True)
    if read is not None and read[0] is not None:
        return Found(read[0], "parsed", text)
    fits = options_of(query.choices).equal(text)
    if len(fits) == 1:
        return Found(LETTERS[fits[0]], "parsed", text)
    return nothing("names no option", "invalid", text)


def _target_words(text: str, words: Mapping[str, str]) -> Found:
    reading = labels.Labels(words).read(text)
    return (
        reading
        if reading is not None and reading.value
        else nothing("is none of the labels", "invalid", text)
    )


def target(text: str, query: Query) -> Answer:
    """A target in canonical form: the text is the answer and nothing else; `invalid` where it
    cannot be one.
    """
    plain = cleaning.characters(text)
    found: Found | None
    if query.kind == "choice":
        found = _target_letter(plain, query)
    elif query.kind == "number":
        number = numbers.whole(plain)
        found = (
            Found(number.canonical, "parsed", text)
            if number
            else values.read_number(cleaning.undress(plain))
        )
    elif query.kind == "math":
        found = spans.read_boxed(plain)
    elif query.kind == "boolean":
        found = _target_words(plain, truth_words(query.labels))
    elif query.kind == "label" and query.labels:
        found = _target_words(plain, _label_words(query))
    elif query.kind == "list":
        found = spans.read_list(plain)
    elif query.kind == "code":
        found = Found(text, "parsed", text) if text.strip() else None
    else:
        folded = fold(plain)
        found = Found(folded, "parsed", text) if folded else None
    if found is None or found.value is None:
        found = nothing("the target is nothing that can be compared", "invalid", text)
    return _answer(found, query)


def _close(a: object, b: object, tolerance: float) -> bool:
    """Lists item by item: numbers within the tolerance, all else equal."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_close(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if a == b:
        return True
    if not (isinstance(a, str) and isinstance(b, str)) or not (_is_number(a) and _is_number(b)):
        return False
    return numbers.equal(a, b, tolerance)


_CANONICAL_NUMBER = re.compile(r"-?\d+(?:\.\d+|/\d+)?%?")


def _is_number(text: str) -> bool:
    return bool(_CANONICAL_NUMBER.fullmatch(text))


def same(a: Answer, b: Answer) -> bool:
    """Whether two answers to one query are the same; what has no value is the same as nothing."""
    if a.value is None or b.value is None or a.kind != b.kind:
        return False
    if a.value == b.value:
        return True
    tolerance = max(a.tolerance, b.tolerance)
    if a.kind == "number":
        return numbers.equal(a.value, b.value, tolerance)
    if a.kind == "list":
        return _close(json.loads(a.value), json.loads(b.value), tolerance)
    return False


def cluster(answers: Sequence[Answer]) -> list[list[int]]:
    """Indices grouped by answer, groups in the order of their leaders (first members).

    Where answers are the same only within a tolerance, each joins the earliest leader it equals.
    None is in no group.
    """
    groups: list[list[int]] = []
    for i, answer in enumerate(answers):
        group = next((g for g in groups if same(answers[g[0]], answer)), None)
        if group is not None:
            group.append(i)
        elif answer.value is not None:
            groups.append([i])
    return groups


def as_fraction(answer: Answer) -> Fraction | None:
    """The exact value of a number answer."""
    return (
        None
        if answer.value is None or answer.kind != "number"
        else Fraction(answer.value.rstrip("%"))
    )
