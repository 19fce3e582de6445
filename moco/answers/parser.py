"""The one answer parser: which answer does a text give to a query, and when are two answers the
same.

Scorers and votes both go through it, so that an answer counts in a vote exactly when it could
score. A reasoning block is dropped first; an open one means that the answer never came. The last
commitment wins; hedges are `ambiguous`, refusals `abstained`; only a `parsed` answer has a value.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from moco.answers import algebra, cleaning, latex, numbers, units
from moco.answers.algebra import Verdict
from moco.answers.cleaning import Found, fold, nothing
from moco.answers.formulas import read_boxed
from moco.answers.kinds import read
from moco.answers.labels import Labels, labels_of, truth_of
from moco.answers.letters import read_letter
from moco.answers.lists import read_list
from moco.answers.options import Options, options_of
from moco.answers.values import read_number
from moco.prompts import LETTERS
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
    unit: str = ""
    """The known unit of a number, in one spelling; empty where none is given."""


def _answer(found: Found, query: Query) -> Answer:
    tolerance = query.tolerance if query.kind in ("number", "list") else 0.0
    raw, why = found.raw[:500], found.why
    return Answer(found.value, found.status, query.kind, raw, why, tolerance, found.unit)


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
    return _answer(read(source, query, complete=stop != "length"), query)


def _target_letter(text: str, options: Options) -> Found:
    letter = read_letter(text, options, alone=True)
    if letter is not None and letter[0] is not None:
        return Found(letter[0], "parsed", text)
    fits = options.equal(text)
    if len(fits) == 1:
        return Found(LETTERS[fits[0]], "parsed", text)
    return nothing("names no option", "invalid", text)


def _target_word(text: str, labels: Labels) -> Found:
    reading = labels.read(text)
    return (
        reading
        if reading is not None and reading.value
        else nothing("is none of the labels", "invalid", text)
    )


def target(text: str, query: Query) -> Answer:
    """A target in canonical form: the text is the answer and nothing else; `invalid` where it
    cannot be one.
    """
    return _answer(_target(text, query.kind, query.choices, query.labels), query)


@functools.lru_cache(maxsize=8192)
def _target(
    text: str, kind: AnswerKind, choices: tuple[str, ...], labels: tuple[str, ...]
) -> Found:
    plain = cleaning.characters(text)
    found: Found | None
    if kind == "choice":
        found = _target_letter(plain, options_of(choices))
    elif kind == "number":
        number = numbers.whole(plain)
        found = (
            Found(number.canonical, "parsed", text)
            if number
            else read_number(cleaning.undress(plain, keep_marks=True))
        )
    elif kind == "math":
        found = read_boxed(plain)
    elif kind == "boolean":
        found = _target_word(plain, truth_of(labels))
    elif kind == "label" and labels:
        found = _target_word(plain, labels_of(labels))
    elif kind == "list":
        found = read_list(plain)
    elif kind == "code":
        found = Found(text, "parsed", text) if text.strip() else None
    else:
        folded = fold(plain)
        found = Found(folded, "parsed", text) if folded else None
    if found is None or found.value is None:
        return nothing("the target is nothing that can be compared", "invalid", text)
    return found


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


def compare(a: Answer, b: Answer) -> Verdict:
    """Whether two answers to one query are the same, and what decided it; what has no value is the
    same as nothing. A unit that only one of them has is ignored.
    """
    if a.value is None or b.value is None or a.kind != b.kind:
        return Verdict(False, "no answer")
    if units.differ(a.unit, b.unit):
        return Verdict(False, "units differ")
    if a.value == b.value:
        return Verdict(True, "equal in normal form")
    tolerance = max(a.tolerance, b.tolerance)
    if a.kind == "number":
        return Verdict(numbers.equal(a.value, b.value, tolerance), "compared as numbers")
    if a.kind == "list":
        close = _close(json.loads(a.value), json.loads(b.value), tolerance)
        return Verdict(close, "compared item by item")
    if a.kind != "math":
        return Verdict(False, "normal forms differ")
    if _is_number(a.value) and _is_number(b.value):
        return Verdict(False, "different numbers")
    return algebra.compare(latex.trimmed(a.raw), latex.trimmed(b.raw))


def same(a: Answer, b: Answer) -> bool:
    """Whether two answers to one query are the same: the one equivalence of scorers and votes."""
    return compare(a, b).same


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
