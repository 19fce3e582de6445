"""Mathematical equivalence: our own normal form first, then `math-verify` where it is installed."""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Sequence
from typing import ClassVar

from moco.scorers.base import ItemScorer
from moco.tasks.answers import Answer, same
from moco.types import AnswerKind, Score

MAX_CHARACTERS = 200
MAX_POWER = 1_000
MAX_GROUP_POWERS = 12
"""Of the exponents of brackets the product: such powers are multiplied out."""
MAX_VARIABLE_POWER = 100
MAX_FACTORIAL = 20
MAX_DEPTH = 5
"""Of brackets. Nothing beyond these bounds goes to a computer algebra system."""

_POWER = re.compile(r"(?P<base>.?)\s*(?:\^|\*\*)\s*[{(]*\s*[-+]?\s*(?P<exponent>\d+)")
_NESTED_POWER = re.compile(
    r"(?:\^|\*\*)\s*(?:\{[^{}]*(?:\^|\*\*)|\(?\w+\)?\s*(?:\^|\*\*)|\{[^{}]*\}\s*\^)"
)
_FACTORIAL = re.compile(r"(\d+|[)}\]])\s*!")
_HEAVY = re.compile(r"\\[dt]?binom|\\choose|\\(?:int|sum|prod|lim)(?![a-z])")
_MATRIX = re.compile(r"\\(?:begin|end)\{[bpvBV]?matrix\}")


class Math(ItemScorer):
    """1 when the answer is mathematically the target; `why` names the comparison that decided."""

    kinds: ClassVar[frozenset[AnswerKind]] = frozenset({"math", "number"})

    def grade(self, answer: Answer, golds: Sequence[Answer]) -> Score:
        """1 or 0: by normal form, else by algebra."""
        if answer.value is None:
            return Score(0.0, None, answer.status, answer.why)
        if any(same(answer, gold) for gold in golds):
            return Score(1.0, answer.value, answer.status, f"equal in normal form ({answer.why})")
        right, rule = _by_algebra(answer, golds)
        return Score(float(right), answer.value, answer.status, f"{rule} ({answer.why})")


def _by_algebra(answer: Answer, golds: Sequence[Answer]) -> tuple[bool, str]:
    """Asks math-verify about what the normal form left different."""
    if importlib.util.find_spec("math_verify") is None:
        return False, "normal forms differ; math-verify is not installed"
    fit = [gold for gold in golds if safe(gold.raw)]
    if not safe(answer.raw) or not fit:
        return False, "normal forms differ; too large or only words, so not given to math-verify"
    return any(_verify(gold.raw, answer.raw) for gold in fit), "math-verify"


def safe(text: str) -> bool:
    """Whether a text is mathematics small enough for a computer algebra system: no words, no towers
    of powers.
    """
    if not text or len(text) > MAX_CHARACTERS or re.search(r"\d{40}|\d[eE][+-]?\d{3}", text):
        return False
    if _NESTED_POWER.search(text) or _HEAVY.search(text) or _depth(text) > MAX_DEPTH:
        return False
    multiplied = 1
    for match in _POWER.finditer(text):
        exponent = int(match["exponent"])
        if match["base"] in ")]}":
            multiplied *= max(exponent, 1)
        if exponent > (MAX_POWER if match["base"].isdigit() else MAX_VARIABLE_POWER):
            return False
    factorials = [m[1] for m in _FACTORIAL.finditer(text)]
    if any(not m.isdigit() or int(m) > MAX_FACTORIAL for m in factorials):
        return False
    words = re.sub(r"\\[a-zA-Z]+", "", _MATRIX.sub("", text))
    return multiplied <= MAX_GROUP_POWERS and not re.search(r"[a-zA-Z]{4,}", words)


def _depth(text: str) -> int:
    """How deep brackets nest."""
    depth = deepest = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _verify(gold: str, given: str) -> bool:
    """One comparison without math-verify's own timers, which need the main thread; `safe` bounds it
    instead.
    """
    from math_verify import parse, verify  # an optional extra: imported only where it is installed

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of its missing timers
    both = [parse(f"${text.strip().strip('$')}$", parsing_timeout=None) for text in (gold, given)]
    return bool(both[0]) and bool(both[1]) and bool(verify(*both, timeout_seconds=None))
