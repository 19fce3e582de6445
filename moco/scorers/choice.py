"""Multiple choice: is the chosen letter the right one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from moco.scorers.base import Scorer, invalid, targets
from moco.tasks.answers import extract, same
from moco.types import AnswerKind, Prediction, Sample, Score


class Choice(Scorer):
    """1 when the one option that the text commits itself to is the target."""

    kinds: ClassVar[frozenset[AnswerKind]] = frozenset({"choice"})

    def score(
        self,
        samples: Sequence[Sample],
        predictions: Sequence[Prediction],
        roles: Mapping[str, object],
    ) -> list[Score]:
        """1 or 0 per item; hedges and texts without an answer score 0 and say so."""
        return [_grade(s, p) for s, p in zip(samples, predictions, strict=True)]


def _grade(sample: Sample, prediction: Prediction) -> Score:
    golds = targets(sample)
    if not golds:
        return invalid(sample)
    answer = extract(prediction.text, sample.query, prediction.stop)
    right = any(same(answer, gold) for gold in golds)
    return Score(float(right), answer.value, answer.status, answer.why)
