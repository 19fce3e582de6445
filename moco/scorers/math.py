"""Mathematical equivalence: the normal form first, then `math-verify` where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from moco.answers.parser import Answer, compare
from moco.scorers.base import ItemScorer
from moco.types import AnswerKind, Score


class Math(ItemScorer):
    """1 when the answer is mathematically the target; `why` names the comparison that decided.

    A comparison that had to be stopped makes the item `invalid`: nobody knows what it is worth.
    """

    version: ClassVar[int] = 2
    kinds: ClassVar[frozenset[AnswerKind]] = frozenset({"math", "number"})

    def grade(self, answer: Answer, golds: Sequence[Answer]) -> Score:
        """1 or 0: by normal form, else by algebra."""
        if answer.value is None:
            return Score(0.0, None, answer.status, answer.why)
        verdicts = []
        for gold in golds:
            verdict = compare(answer, gold)
            if verdict.same:
                return Score(1.0, answer.value, answer.status, f"{verdict.rule} ({answer.why})")
            verdicts.append(verdict)
        stopped = next((verdict for verdict in verdicts if verdict.failed), None)
        if stopped is not None:
            return Score(0.0, answer.value, "invalid", stopped.rule)
        return Score(0.0, answer.value, answer.status, f"{verdicts[-1].rule} ({answer.why})")
