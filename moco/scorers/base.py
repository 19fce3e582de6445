"""What a scorer is: from predictions and targets to scores, a pure function of the two."""

from __future__ import annotations

import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from moco.access import RoleNeed
from moco.answers.parser import Answer, extract, same, target
from moco.types import AnswerKind, Prediction, Sample, Score


class Scorer(ABC):
    """Grades predictions. A score does not depend on the other items, on their order or on the
    process.
    """

    version: ClassVar[int] = 1
    """Raised whenever a score can change."""
    roles: ClassVar[Mapping[str, RoleNeed]] = {}
    """The models it asks (a reward model, a judge …), by role."""
    bounded: ClassVar[bool] = True
    """Whether values stay within [0, 1]."""
    runs_code: ClassVar[bool] = False
    """Whether it runs what models wrote; a run has to allow that."""
    kinds: ClassVar[frozenset[AnswerKind]] = frozenset()
    """The answer kinds it can grade."""

    def ready(self) -> None:
        """Raises where this machine cannot grade; asked before anything is loaded."""
        return

    def metric(self, roles: Mapping[str, object]) -> str:
        """What the mean of the scores is, for reports."""
        return type(self).__name__.lower()

    def metrics(self, draws: Sequence[Sequence[Score]]) -> dict[str, float]:
        """Further figures of a run from its scores, one sequence of items per draw."""
        return {}

    @abstractmethod
    def score(
        self,
        samples: Sequence[Sample],
        predictions: Sequence[Prediction],
        roles: Mapping[str, object],
    ) -> list[Score]:
        """One score per prediction, in order; `invalid` where the sample has no usable target."""


class ItemScorer(Scorer):
    """Grades each item by itself: what the one answer parser read, against the usable targets."""

    def score(
        self,
        samples: Sequence[Sample],
        predictions: Sequence[Prediction],
        roles: Mapping[str, object],
    ) -> list[Score]:
        """One score per prediction, in order; `invalid` where the sample has no usable target."""
        return [self._score(s, p) for s, p in zip(samples, predictions, strict=True)]

    def _score(self, sample: Sample, prediction: Prediction) -> Score:
        golds = targets(sample)
        if not golds:
            return invalid(sample)
        return self.grade(extract(prediction.text, sample.query, prediction.stop), golds)

    def grade(self, answer: Answer, golds: Sequence[Answer]) -> Score:
        """1 where the answer is the same as a target, in the sense in which votes are counted; what
        was not parsed scores 0 and says why.
        """
        right = any(same(answer, gold) for gold in golds)
        return Score(float(right), answer.value, answer.status, answer.why)


def targets(sample: Sample) -> list[Answer]:
    """The sample's targets that can be compared; empty makes the item invalid."""
    read = [target(text, sample.query) for text in sample.target]
    return [answer for answer in read if answer.value is not None]


def invalid(sample: Sample) -> Score:
    """The score of an item that cannot be graded: left out of every mean."""
    why = "no target" if not sample.target else "the target cannot be compared"
    return Score(0.0, None, "invalid", why)


def mean(scores: Sequence[Score]) -> float | None:
    """The mean over the valid items, None where there is none."""
    valid = [score.value for score in scores if score.status != "invalid"]
    return statistics.fmean(valid) if valid else None
