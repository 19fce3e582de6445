"""Splits a text into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_SENTENCE_END = re.compile(r"[.!?][\"')\]]*\s+|\n+|[。！？]")
_ABBREVIATION = re.compile(
    r"(?:\b[A-Za-z]|\b(?:st|dr|mr|mrs|ms|jr|sr|vs|no|inc|ltd|co|mt|ft|prof|gen|col|capt|etc|approx|fig|eq"
    r"|subsp|ssp|spp|var)|\be\.g|\bi\.e|\ba\.k\.a)$",
    re.IGNORECASE,
)


class Sentence(NamedTuple):
    """A stretch of text and where it starts."""

    start: int
    text: str


def _ends(text: str) -> Iterator[tuple[int, int]]:
    """Where sentences start and end; line ends separate, abbreviations and initials do not."""
    start = 0
    for mark in _SENTENCE_END.finditer(text):
        dotted = text[mark.start()] == "." and "\n" not in mark[0]
        if dotted and _ABBREVIATION.search(text[max(start, mark.start() - 8) : mark.start()]):
            continue
        yield start, mark.end()
        start = mark.end()
    yield start, len(text)


def _has_word(text: str) -> bool:
    return any(map(str.isalnum, text))


def sentences(text: str) -> list[Sentence]:
    """The sentences in order."""
    parts = [Sentence(start, text[start:end].rstrip()) for start, end in _ends(text)]
    return [sentence for sentence in parts if _has_word(sentence.text)]


def last_sentence(text: str) -> Sentence | None:
    """The last sentence, None where there is no word."""
    end = len(text)
    while end:
        line = text.rfind("\n", 0, end) + 1
        found = sentences(text[line:end])
        if found:
            return Sentence(line + found[-1].start, found[-1].text)
        end = max(line - 1, 0)
    return None
