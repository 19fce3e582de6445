"""Reads labels and booleans: answers that are one of a few known words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from moco.tasks.claims import claims
from moco.tasks.cleaning import Found, nothing, sentences, squash
from moco.tasks.values import DENIED, last_claim, missing

TRUTH: Mapping[str, str] = {"true": "true", "yes": "true", "false": "false", "no": "false"}
_DETERMINERS = frozenset(("no", "none", "uses", "may", "other"))
_EITHER = re.compile(r"[\s\"',)]*(?:or|and|/|,)\s*[\"'(]*", re.IGNORECASE)
_STOPS = re.compile(
    r"[\"')\]}>*]*\s*(?:$|[.,;:!()\[\]\"'\n|]|[-–—]\s|(?:because|since|as|which|due|for|and|but|or|is|given)\b)",
    re.IGNORECASE,
)


class Labels:
    """The words an answer may be, each with its canonical spelling."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self.words = words
        spelled = sorted(words, key=len, reverse=True)
        self._pattern = re.compile(
            "|".join(rf"(?P<w{i}>{_spaced(word)})" for i, word in enumerate(spelled)), re.IGNORECASE
        ) if words else re.compile(r"(?!)")  # fmt: skip
        self._spelled = spelled

    def at(self, text: str, at: int) -> tuple[str, int] | None:
        """The label that stands at a position and where it ends."""
        match = self._pattern.match(text, at)
        if match is None or text[match.end() : match.end() + 1].isalnum():
            return None
        word = next(
            self._spelled[int(name[1:])]
            for name, value in match.groupdict().items()
            if value is not None
        )
        return self.words[word], match.end()

    def inside(self, text: str) -> list[tuple[str, int, int]]:
        """Every free-standing label in a sentence with its stretch."""
        found = []
        for match in self._pattern.finditer(text):
            free = not text[max(0, match.start() - 1) : match.start()].isalnum()
            here = self.at(text, match.start()) if free else None
            if here is not None:
                found.append((here[0], match.start(), here[1]))
        return found

    def read(self, value: str) -> Found | None:
        """The label that a value starts with."""
        exact = {squash(word): name for word, name in self.words.items()}.get(squash(value))
        if exact is not None:
            return Found(exact, "parsed", value.strip())
        lead = re.match(
            r"[\s\"'(\[{<=:*]*(?:(?:clearly|definitely|probably|likely|most likely|simply|option"
            r"|label|class|category)\b[\s:]*)*",
            value,
            re.I,
        )
        start = lead.end() if lead else 0
        here = self.at(value, start)
        if here is None or not _STOPS.match(value, here[1]):
            return None
        joined = _EITHER.match(value, here[1])
        other = self.at(value, joined.end()) if joined else None
        if other is not None and other[0] != here[0] and _STOPS.match(value, other[1]):
            return nothing("several labels at once", "ambiguous", value.strip()[:200])
        return Found(here[0], "parsed", value[start : here[1]])


def _spaced(word: str) -> str:
    """A pattern for a label that lets `CompareOrContrast` be written in words."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\w\s]", word) or [word]
    return r"[\s_-]?".join(re.escape(part) for part in parts)


def extract_label(text: str, words: Mapping[str, str], complete: bool) -> Found:
    """The label a text gives: its last claim, a line of its own, else the only one of the last
    sentence.
    """
    labels = Labels(words)
    exact = {squash(word): name for word, name in words.items()}
    found = last_claim(claims(text, choice=True), labels.read, text)
    if found is not None:
        return found
    lines = [line for line in text.split("\n") if line.strip()]
    alone = [exact[squash(line)] for line in lines if squash(line) in exact]
    if alone:
        return Found(alone[-1], "parsed", alone[-1], "a line of its own")
    if not complete:
        return nothing("cut off before an answer", "truncated")
    every = sentences(text)
    if every:
        last = _from_sentence(every[-1].text, labels)
        if last is not None:
            return last
        opening = labels.at(every[0].text.lstrip("\"'(* "), 0)
        if opening is not None and re.match(
            r"[\"')]*\s*(?:[.,;:!]|$|[-–—]\s)", every[0].text.lstrip("\"'(* ")[opening[1] :]
        ):
            return Found(opening[0], "parsed", every[0].text[:200], "the text starts with it")
    return missing(text, "label", complete)


def _from_sentence(sentence: str, labels: Labels) -> Found | None:
    """The only label of a sentence, not negated; "no" counts only as an answer of its own."""
    named: dict[str, str] = {}
    for name, start, end in labels.inside(sentence):
        word = sentence[start:end].casefold()
        before = sentence[:start].casefold()
        if DENIED.search(before[-30:]):
            continue
        if word in _DETERMINERS and not (
            re.match(r"[\"')]*\s*(?:[.,;:!]|$)", sentence[end:])
            and re.search(r"(?:^|[\s\"'(]|\bis|:)$", before)
        ):
            continue
        named.setdefault(name, sentence[start:end])
    if len(named) == 1:
        name, raw = next(iter(named.items()))
        return Found(name, "parsed", raw, "the only label of the last sentence")
    return (
        nothing("several labels in the last sentence", "ambiguous", sentence[:200])
        if named
        else None
    )
