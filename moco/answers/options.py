"""The options of a question, ready to be looked for in a text."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from moco.answers.cleaning import bare, characters, undress
from moco.answers.hedging import doubts
from moco.prompts import LETTERS

_SPACE = re.compile(r"\s+")
TRIM = " \t\n.,;:!?\"'()[]{}*_`"


MISSING_OPTION = "[no text]"
"""Shown for an option without a text; matches nothing but its letter."""


def loose(text: str) -> str:
    """An option's text for comparison: case, accents, spacing and outer punctuation folded."""
    folded = _flat(text).strip()
    return folded.strip(TRIM) or folded


def _flat(text: str) -> str:
    return " ".join(bare(text).replace("−", "-").split())


class Options:
    """The options of one question, ready to be looked for in a text."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.letters = LETTERS[: len(texts)] if texts else LETTERS
        dressless = [undress(characters(text), keep_marks=True) for text in texts]
        self.spelled = [_SPACE.sub(" ", text).strip().strip(TRIM) for text in dressless]
        self.texts = ["" if text == MISSING_OPTION else loose(text) for text in dressless]
        named = {text for text in self.texts if text and not (len(text) == 1 and text.isalpha())}
        self._by_length = sorted(named, key=lambda text: (-len(text), text))

    def has(self, letter: str) -> bool:
        """Whether a letter names one of the options."""
        return letter.upper() in self.letters

    def own(self, letter: str) -> str:
        """The option text of a letter, empty where it is not known."""
        at = self.letters.find(letter)
        return self.texts[at] if 0 <= at < len(self.texts) else ""

    def equal(self, text: str) -> list[int]:
        """The options whose whole text this is."""
        plain = loose(text)
        return self._narrow([i for i, own in enumerate(self.texts) if own and own == plain], text)

    def starting(self, text: str) -> list[int]:
        """The longest options that a value starts with; punctuation or a reason ends them."""
        plain = loose(text)
        fits = [
            i
            for i, own in enumerate(self.texts)
            if own and plain.startswith(own) and _ENDED.match(plain, len(own))
        ]
        return self._narrow(self._longest(fits), text)

    def ending(self, text: str) -> list[int]:
        """The options that a sentence ends with, the longest only, where nothing denies them."""
        plain = loose(text)
        fits = [
            i
            for i, own in enumerate(self.texts)
            if len(own) > 2
            and own not in _COMMON
            and plain.endswith(own)
            and not plain[: -len(own)][-1:].isalnum()
            and _stands(plain, len(plain) - len(own), len(plain))
        ]
        return self._narrow(self._longest(fits), text)

    def inside(self, text: str) -> list[int]:
        """The options that a sentence names, in a clause that neither denies nor doubts them; a
        part of a longer one is not another.
        """
        plain = _flat(text)
        found: set[int] = set()
        for own in self._by_length:
            if own not in plain:
                continue
            pattern = _option_pattern(own)
            if any(_stands(plain, *match.span()) for match in pattern.finditer(plain)):
                found.update(i for i, other in enumerate(self.texts) if other == own)
            plain = pattern.sub(lambda m: "\0" * len(m[0]), plain)
        return self._narrow(sorted(found), text)

    def _longest(self, fits: list[int]) -> list[int]:
        longest = max((len(self.texts[i]) for i in fits), default=0)
        return [i for i in fits if len(self.texts[i]) == longest]

    def _narrow(self, fits: list[int], text: str) -> list[int]:
        """Of options that differ in case or accents only, those spelled as in the text."""
        if len({self.texts[i] for i in fits}) != 1 or len(fits) < 2:
            return fits
        return [i for i in fits if self.spelled[i] in _SPACE.sub(" ", text)] or fits


@functools.lru_cache(maxsize=1024)
def options_of(choices: tuple[str, ...]) -> Options:
    """The options of a query, prepared once."""
    return Options(choices)


NEGATED = re.compile(
    r"(?:\b(?:not|n't|no|never|neither|nor|without|than|instead of|except|unlike|excludes?"
    r"|excluding|eliminates?|reject(?:s|ed)?|rules? out|ruled out|incorrect|wrong"
    r"|cannot be|can't be)"
    r"\s*(?:\w+\s+){0,2}|n't\s+(?:\w+\s+){0,2})"
    r"[\"'(]*$"
)
REJECTED = re.compile(
    r"\s*(?:(?:is|are|was|would\s+be|would|seems?|looks?|appears?|must\s+be|can|could|could\s+be|also)\s+"
    r"(?:(?:also|clearly|definitely|likely|probably|obviously|simply|therefore|then|too|be|to\s+be|an?|the)\s+)*"
    r"(?:not\b|wrong|incorrect|false|invalid|ruled\s+out|eliminated|excluded|rejected|out\b|impossible|implausible"
    r"|unlikely|distractor|mistake)"
    r"|(?:isn't|aren't|can't|cannot|doesn't|does\s+not|won't|wouldn't|couldn't|could\s+not|fails)\b"
    r"|(?:neither|nothing|none|nobody|no\s+one|no)\b)",
    re.IGNORECASE,
)
"""What follows an option that is turned down."""
_CLAUSE_END = re.compile(r"[,;:()—–]\s|\s-\s|\b(?:but|so|therefore|because|since|although|while)\b")


def _stands(plain: str, start: int, end: int) -> bool:
    """Whether an option is named in a clause that neither denies nor doubts it."""
    before, after = plain[max(0, start - 100) : start], plain[end : end + 100]
    if NEGATED.search(before[-40:]) or REJECTED.match(after):
        return False
    opening = max((mark.end() for mark in _CLAUSE_END.finditer(before)), default=0)
    closing = _CLAUSE_END.search(after)
    rest = after[: closing.start()] if closing else after
    return not doubts(f"{before[opening:]} … {rest}")


_COMMON = frozenset(
    ["yes", "no", "true", "false", "none", "all", "both", "neither", "other", "same"]
)


@functools.lru_cache(maxsize=4096)
def _option_pattern(own: str) -> re.Pattern[str]:
    """Where an option's text stands free: not in a word or number, common words only as an answer
    of their own.
    """
    text = re.escape(own)
    if own in _COMMON:
        return re.compile(
            rf"(?:^|(?<=\bis )|(?<=\bbe )|(?<=:\s))[\"'(]*{text}(?=[\"')]*(?:[.,;:!]|\s*$))"
        )
    before = r"(?<![\w])(?<!\d[.,])(?<![-])" if own[0].isdigit() else r"(?<!\w)"
    after = r"(?![\w%])(?![.,]\d)" if own[-1].isdigit() else r"(?!\w)"
    return re.compile(before + text + after)


_ENDED = re.compile(
    r"[\"')\]]*\s*(?:$|[.,;:!?()\[\]\"'\n]|[-–—]\s|(?:because|since|as|which|due|for|and|but|or)\b)"
)
