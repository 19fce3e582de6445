"""What rollouts are rewarded by. A training waits for its rewards, which are made on the engine's
side, so that they may ask models themselves: from the cache where a call was made, and counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from moco import comparing
from moco.model import Model
from moco.scorers.base import Scorer
from moco.train.rows import written
from moco.types import Json, Prediction, Prompt, Query, Sample


class Reward(Protocol):
    """Scores rollouts."""

    def identity(self) -> Mapping[str, Json]:
        """Everything that can change a reward, besides the data rows."""
        ...

    def score(
        self, items: Sequence[Mapping[str, Json]], texts: Sequence[str]
    ) -> Sequence[float | None]:
        """One reward per text, an answer to the prompt of its data row; None = it could not be
        judged.
        """
        ...


@dataclass(frozen=True, slots=True)
class TaskReward:
    """The task's own score of an answer; data rows carry what `lesson_of` puts there."""

    scorer: Scorer
    roles: Mapping[str, Model] = field(default_factory=dict)
    """Models that the scorer asks."""

    def identity(self) -> Mapping[str, Json]:
        """The scorer, its version, and the models that it asks."""
        kind = type(self.scorer)
        name = f"{kind.__module__}.{kind.__qualname__}"
        asked = {role: model.spec.fingerprint for role, model in self.roles.items()}
        used = {"roles": asked} if asked else {}
        return {"name": "task", "scorer": name, "version": self.scorer.version, **used}

    def score(
        self, items: Sequence[Mapping[str, Json]], texts: Sequence[str]
    ) -> list[float | None]:
        """Scores from 0 to 1; None where an answer could not be graded."""
        samples = [_sample(item) for item in items]
        predictions = [
            Prediction(sample.query.id, text) for sample, text in zip(samples, texts, strict=True)
        ]
        return [found.value for found in self.scorer.score(samples, predictions, self.roles)]


@dataclass(frozen=True)
class JudgeReward:
    """Other members' marks of an answer, as one weighted mean from 0 to 1; data rows carry what
    `lesson_of` puts there, and the names of their `judges`.
    """

    judges: Mapping[str, Model]
    weights: Mapping[str, float]

    def identity(self) -> Mapping[str, Json]:
        """The judges and their weights."""
        known = {name: model.spec.fingerprint for name, model in self.judges.items()}
        return {"name": "judges", "judges": known, "weights": dict(self.weights)}

    def score(
        self, items: Sequence[Mapping[str, Json]], texts: Sequence[str]
    ) -> list[float | None]:
        """Means over the judges whose marks could be read; None where there is none."""
        marks: list[dict[str, float]] = [{} for _ in texts]
        for name, judge in self.judges.items():
            own = [i for i, item in enumerate(items) if name in item["judges"]]
            asked = [(_sample(items[i]).query, texts[i]) for i in own]
            for i, mark in zip(own, comparing.grade(judge, asked, stage="reward"), strict=True):
                if mark is not None:
                    marks[i][name] = mark
        return [self._mean(found) for found in marks]

    def _mean(self, marks: Mapping[str, float]) -> float | None:
        total = math.fsum(self.weights[name] for name in marks)
        if total <= 0:
            return None
        mean = math.fsum(self.weights[name] * mark for name, mark in marks.items()) / total
        return (mean - comparing.LOWEST) / (comparing.HIGHEST - comparing.LOWEST)


def lesson_of(sample: Sample, prompt: Prompt | None = None) -> dict[str, Json]:
    """A data row for `Grpo` with `TaskReward`: the prompt (the question's plain one by default),
    the question, its answers, and the data set's other members.
    """
    asked = sample.query.prompt if prompt is None else prompt
    own = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(sample.query).items()}
    question = {**own, "prompt": sample.query.text}
    return {
        "prompt": written(asked),
        "query": question,
        "target": list(sample.target),
        "meta": dict(sample.meta),
    }


def _sample(item: Mapping[str, Json]) -> Sample:
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in item["query"].items()
    }
    return Sample(Query(**given), tuple(item["target"]), dict(item.get("meta", {})))
