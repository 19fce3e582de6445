"""Reads labels and booleans: answers that are one of a few known words."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from moco.answers.claims import claims
from moco.answers.cleaning import Found, nothing, squash
from moco.answers.hedging import abstains
from moco.answers.sentences import last_sentence, sentences
from moco.answers.values import DENIED, last_claim, missing

TRUTH: Mapping[str, str] = {"true": "true", "yes": "true", "false": "false", "no": "false"}
_ABROAD: Mapping[str, str] = dict.fromkeys((
    "sí", "sim", "oui", "ja", "да", "так", "tak", "evet", "ya", "是", "是的", "对", "はい", "예",
    "네", "نعم", "ndiyo", "ใช่",
), "true") | dict.fromkeys((
    "não", "non", "nein", "nee", "нет", "ні", "nie", "hayır", "tidak", "否", "不是", "不", "いいえ",
    "아니요", "아니오", "لا", "hapana", "ไม่ใช่", "không",
), "false")  # fmt: skip
"""Other words for yes and no; they count only as the whole of an answer."""
_COMMON = frozenset(("yes", "no", "true", "false", "maybe", "may", "none", "other", "uses", "use"))
"""Words that an ordinary sentence holds too: inside one they count only as what it says."""
_EITHER = re.compile(r"[\s\"',)]*(?:or|and|nor|/|,)\s*[\"'(]*", re.IGNORECASE)
_STOPS = re.compile(
    r"[\"')\]}>*]*\s*(?:$|[.,;:!()\[\]\"'\n|]|[-–—]\s|(?:because|since|as|which|due|for|and|but|or|is|given)\b)",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"[\s\"'(\[{<=:*]*(?:(?:clearly|definitely|probably|likely|most likely|simply|option|label"
    r"|class|category)\b[\s:]*)*",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"(?:^|'s|[\s\"'(]*\b(?:is|be|are|was|answer|say|as|think|believe|guess|get|gives|makes|therefore|thus|so|hence|deductively|logically|indeed|both|or|nor|and"
    r"|either|a|an)|[:,;\"'(—–-])[\s\"'(*]*$"
)
"""Before a label that a sentence gives as its answer."""
_CLOSED = re.compile(
    r"[\"')*]*\s*(?:[.,;:!)]|$|[-–—]\s|(?:because|since|as|and|or|but|given|nor)\b)"
)
_PARTLY = re.compile(
    r"\b(?:partly|partially|half|somewhat|neither|nor|sometimes|might|may|could|can|whether|if|almost|hardly"
    r"|some|premise|assumption|wording|not\s+\w+)\b[^,.;]*$"
)


class Labels:
    """The words an answer may be, each with its canonical spelling."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self.words = words
        self.exact = {squash(word): name for word, name in words.items()}
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
        return self.words[self._spelled[int((match.lastgroup or "w0")[1:])]], match.end()

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
        exact = self.exact.get(squash(value[:200]))
        if exact is not None:
            return Found(exact, "parsed", value.strip())
        lead = _LEAD.match(value)
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


@functools.lru_cache(maxsize=256)
def labels_of(words: tuple[str, ...]) -> Labels:
    """The labels of a query; where yes and no are among them, true and false stand for them, and
    the other way round.
    """
    known = {word: word for word in words}
    lowered = {word.casefold(): word for word in words}
    for word, meaning in TRUTH.items():
        twin = next((lowered[w] for w, m in TRUTH.items() if m == meaning and w in lowered), None)
        if twin is not None and word not in lowered:
            known[word] = twin
    made = Labels(known)
    twins = {m: name for word, m in TRUTH.items() if (name := known.get(word))}
    for word, meaning in _ABROAD.items():
        if meaning in twins:
            made.exact.setdefault(squash(word), twins[meaning])
    return made


@functools.lru_cache(maxsize=256)
def truth_of(words: tuple[str, ...]) -> Labels:
    """The words of a boolean answer: yes and true are one, no and false the other."""
    known = dict(TRUTH)
    made = Labels(known | {w: known[w.casefold()] for w in words if w.casefold() in known})
    for word, meaning in _ABROAD.items():
        made.exact.setdefault(squash(word), meaning)
    return made


def committed_label(text: str, labels: Labels, skip: int = 0) -> Found | None:
    """The label that a text presents as its answer, or the last one on a line of its own."""
    found = [claim for claim in claims(text, choice=True) if claim.label >= skip]
    return last_claim(found, labels.read, text)


def suggested_label(text: str, labels: Labels) -> Found:
    """The label of a text that announces none: on a line of its own, else the only one that its
    last sentence says.
    """
    lines = [line for line in text.split("\n") if 0 < len(line) < 200 and line.strip()]
    alone = [labels.exact[key] for line in lines if (key := squash(line)) in labels.exact]
    if alone:
        return Found(alone[-1], "parsed", alone[-1], "a line of its own")
    tail = last_sentence(text)
    if tail is None or abstains(tail.text):
        return missing(text, "label")
    last = _from_sentence(tail.text[-1_000:], labels)
    if last is not None:
        return last
    first = sentences(text[:500])[0].text.lstrip("\"'(* ") if sentences(text[:500]) else ""
    opening = labels.at(first, 0)
    if opening is not None and re.match(r"[\"')]*\s*(?:[.,;:!]|$|[-–—]\s)", first[opening[1] :]):
        return Found(opening[0], "parsed", first[:200], "the text starts with it")
    return missing(text, "label")


def _from_sentence(sentence: str, labels: Labels) -> Found | None:
    """The only label that a sentence says and does not deny."""
    named: dict[str, str] = {}
    for name, start, end in labels.inside(sentence):
        word, before = sentence[start:end], sentence[:start].casefold()
        if DENIED.search(before[-30:]) or _PARTLY.search(before[-60:]):
            continue
        stated = bool(_SAID.search(before[-40:])) and bool(_CLOSED.match(sentence, end))
        spelled = word in labels.words and start > 0 and word.casefold() not in _COMMON
        if stated or (spelled and not word.islower()) or _of_a_kind(sentence, start, end):
            named.setdefault(name, word)
    if len(named) == 1:
        name, raw = next(iter(named.items()))
        return Found(name, "parsed", raw, "the only label of the last sentence")
    if named:
        return nothing("several labels in the last sentence", "ambiguous", sentence[:200])
    return None


_KIND = re.compile(r"[\"')]*\s+(?:citation|intent|label|class|category|type|answer|relation)\b")


def _of_a_kind(sentence: str, start: int, end: int) -> bool:
    """Whether a label names the kind of what is judged: "a background citation"."""
    return bool(_KIND.match(sentence, end)) and bool(
        re.search(r"\b(?:is|as|be|an?|the)\s+[\"'(]*$", sentence[:start].casefold())
    )
