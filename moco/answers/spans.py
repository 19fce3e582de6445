"""Reads short spans of words."""

from __future__ import annotations

import re

from moco.answers.claims import claims
from moco.answers.cleaning import Found, fold, nothing
from moco.answers.hedging import abstains, is_title
from moco.answers.sentences import last_sentence, sentences
from moco.answers.values import last_claim

_REASON = re.compile(r",?\s(?:because|since|which)\s|\s\((?=[a-z]{2})")
_WRAPPED = re.compile(
    r"\s*\n(?:[ \t]{8,}|\s*\n[ \t]{8,})(?=\S)|(?<=\b[A-Z]\.)\n(?=[A-Z]\S)|(?<=\bMr\.)\n(?=\S)"
)
"""A line that goes on: deep in the next one, or after an initial."""
_COPULA = re.compile(
    r"^(?:it|this|that|he|she|they)(?:'s|\s+(?:is|was|are|were))\s+(?=\S)", re.IGNORECASE
)
MAX_ALONE = 8
"""Words of a text that may be the answer as a whole."""


def unwrapped(text: str) -> str:
    """The text with lines joined that were only broken."""
    return _WRAPPED.sub(" ", text) if "\n" in text else text


def read_span(value: str) -> Found | None:
    """The words that a value is: its first sentence, without a reason that follows. A title may go
    on behind a mark, and so may an abbreviation: "Baby! 1", "avg. cost".
    """
    reason = _REASON.search(value, 1)
    value = value[: reason.start()] if reason else value
    parts = sentences(value)
    rest = value[parts[1].start :].split() if len(parts) > 1 else []
    goes_on = (len(rest) in (1, 2) and rest[0].islower()) or is_title(value.strip().rstrip(".\"')"))
    return read_words(value if goes_on or not parts else parts[0].text)


def read_words(value: str) -> Found | None:
    """All of a value as words."""
    raw = value.strip().strip("\"'`*<>").rstrip(".,;:!").strip("\"'").strip()
    if abstains(raw) and not is_title(raw):
        return nothing("no answer is given", "abstained", raw)
    folded = fold(raw)
    return Found(folded, "parsed", raw) if folded else None


def committed_span(text: str, skip: int = 0, *, strong: bool = False) -> Found | None:
    """The words that a text presents as its answer: its last strong claim, else its last "the
    answer is".
    """
    every = [claim for claim in claims(text) if claim.label >= skip]
    found = last_claim([c for c in every if c.strong], read_span, text, closed=read_words)
    return found if found is not None or strong else last_claim(every, read_span, text)


def suggested_span(text: str) -> Found:
    """A short text as a whole, else its last sentence."""
    whole = text.strip()
    if whole.endswith(".") or not is_title(whole):
        whole = _COPULA.sub("", whole)
    if len(whole.split()) <= MAX_ALONE and "\n" not in whole:
        reading = read_words(whole)
        return reading._replace(why="the whole text") if reading else nothing("no answer found")
    line = whole.rsplit("\n", 1)[-1]
    last = last_sentence(whole)
    short = len(line.split()) <= MAX_ALONE
    reading = read_words(line) if short else read_span(last.text) if last else None
    return reading._replace(why="the last sentence") if reading else nothing("no answer found")
