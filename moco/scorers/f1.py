"""Token F1 of short answers: the best alias counts, every alias whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from moco.answers.parser import Answer, same
from moco.scorers.base import ItemScorer
from moco.types import AnswerKind, Score

_TOKEN = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+(?:\.\d+)?|\S")
_NEGATIONS = frozenset((
    "not", "never", "no", "neither", "nor", "isnt", "wasnt", "arent", "cannot", "dont",
    "doesnt", "didnt",
))  # fmt: skip


class F1(ItemScorer):
    """The best F1 between the folded tokens of the answer and of a target; `why` adds equality and
    containment.
    """

    version: ClassVar[int] = 2
    kinds: ClassVar[frozenset[AnswerKind]] = frozenset({"span", "free"})

    def grade(self, answer: Answer, golds: Sequence[Answer]) -> Score:
        """A value from 0 to 1: the best alias counts."""
        if answer.value is None:
            return Score(0.0, None, answer.status, answer.why)
        given = answer.value
        best = max(token_f1(given, gold.value or "") for gold in golds)
        exact = any(same(answer, gold) for gold in golds)
        contains = any(_contains(given, gold.value or "") for gold in golds)
        why = f"f1={best:.4f} exact={int(exact)} contains={int(contains)} ({answer.why})"
        return Score(best, given, answer.status, why)


def tokens(folded: str) -> list[str]:
    """The tokens of a folded text; scripts without spaces are taken character by character."""
    return _TOKEN.findall(folded)


def token_f1(answer: str, gold: str) -> float:
    """F1 of the token multisets of two folded texts; 0 where one of them denies what the other
    says.
    """
    ours, theirs = Counter(tokens(answer)), Counter(tokens(gold))
    if bool(_NEGATIONS & set(ours)) != bool(_NEGATIONS & set(theirs)):
        return 0.0
    common = (ours & theirs).total()
    return 2 * common / (ours.total() + theirs.total()) if common else 0.0


def _contains(answer: str, gold: str) -> bool:
    return f" {gold} " in f" {answer} "
