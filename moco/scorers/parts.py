"""Answers of several parts, such as "name, number", compared part by part."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass

from moco.answers import numbers
from moco.answers.parser import Answer, extract, target
from moco.types import Query, Stop

_SEVERAL = re.compile(r"\S\s*[,;]\s*\S|\S\s+and\s+\S")
_NUMBER = re.compile(r"-?\d+(?:\.\d+|/\d+)?%?")
"""A number in the spelling of `moco.answers.numbers`."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What rules make of an answer and a reference."""

    equal: bool | None
    """None: rules cannot tell."""
    why: str


def compare(text: str, gold: str, query: Query, stop: Stop = "eos") -> Ruling | None:
    """The parts that a text answers with against those of the gold; None where the gold has only
    one part.

    Equal: the same numbers in order and the same names in order, whichever come first. Not equal:
    as many numbers, but another value among them. Other words, or more or fewer parts, are for
    somebody else to judge.
    """
    listed = dataclasses.replace(query, kind="list", choices=(), labels=())
    if not _SEVERAL.search(gold):
        return None
    theirs = _items(target(gold, listed))
    if theirs is None or len(theirs) < 2:
        return None
    ours = _items(extract(text, listed, stop))
    if ours is None:
        return Ruling(None, "no parts were read")
    return _compare(ours, theirs, query.tolerance)


def _compare(ours: list[str], theirs: list[str], tolerance: float) -> Ruling:
    our_numbers, our_names = _split(ours)
    their_numbers, their_names = _split(theirs)
    same_names = our_names == their_names
    if len(our_numbers) != len(their_numbers):
        return Ruling(None, f"{len(ours)} parts for {len(theirs)}")
    pairs = zip(our_numbers, their_numbers, strict=True)
    right = sum(numbers.equal(a, b, tolerance) for a, b in pairs)
    if right < len(their_numbers):
        return Ruling(False, f"{right} of {len(their_numbers)} numbers are right")
    if same_names:
        return Ruling(True, f"{len(theirs)} of {len(theirs)} parts are right")
    return Ruling(None, "the numbers are right, the names are written differently")


def _items(answer: Answer) -> list[str] | None:
    """The parts of a list answer; None where there is none or it is nested."""
    items = json.loads(answer.value) if answer.value is not None else None
    flat = isinstance(items, list) and all(isinstance(item, str) for item in items)
    return items if flat else None


def _split(items: list[str]) -> tuple[list[str], list[str]]:
    """(numbers, names), each in order."""
    found = [item for item in items if _NUMBER.fullmatch(item)]
    return found, [item for item in items if not _NUMBER.fullmatch(item)]
