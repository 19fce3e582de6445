"""Equality of canonical forms: numbers, booleans, labels, lists, letters, whole spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from moco.scorers.base import Scorer, invalid, targets
from moco.tasks.answers import extract, same
from moco.types import AnswerKind, Prediction, Sample, Score


class Exact(Scorer):
    """1 when the answer is the same as a target, in the sense in which votes are counted."""

    kinds: ClassVar[frozenset[AnswerKind]] = frozenset(
        {"choice", "number", "boolean", "label", "list", "span", "math"}
    )

    def score(
        self,
        samples: Sequence[Sample],
        predictions: Sequence[Prediction],
        roles: Mapping[str, object],
    ) -> list[Score]:
        """1 or 0 per item; what is not parsed scores 0."""
        return [_grade(s, p) for s, p in zip(samples, predictions, strict=True)]


def _grade(sample: Sample, prediction: Prediction) -> Score:
    golds = targets(sample)
    if not golds:
        return invalid(sample)
    answer = extract(prediction.text, sample.query, prediction.stop)
    right = any(same(answer, gold) for gold in golds)
    return Score(float(right), answer.value, answer.status, answer.why)
