"""From the scores of items to the values that a report averages: one per item, or one per group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moco.analysis import stats
from moco.tasks.base import Reducer
from moco.tasks.groups import group_rows, reduce
from moco.types import Json, Sample, Score


@dataclass(frozen=True, slots=True)
class Counting:
    """What counts as one result of a task."""

    group: str = ""
    """The `Sample.meta` key of items that belong together: their results are not independent."""
    size: int = 0
    """Items of a complete group, 0 = any number."""
    reducer: Reducer | None = None
    """How a group becomes one result; None = every item is one."""
    slices: tuple[str, ...] = ()
    """The `Sample.meta` keys by which results are also averaged apart."""

    def values(
        self, samples: Sequence[Sample], draws: Sequence[Sequence[Score]]
    ) -> list[stats.Value]:
        """One value per result: the mean over the draws that could be graded."""
        columns = zip(*(self._reduced(samples, scores) for scores in draws), strict=True)
        return [
            stats.mean([None if s.status == "invalid" else s.value for s in column])
            for column in columns
        ]

    def clusters(self, samples: Sequence[Sample]) -> list[int] | None:
        """The number of the cluster that each result belongs to, for `stats.interval`; None where
        results are independent: they have no group, or each is one.
        """
        if not self.group or self.reducer is not None:
            return None
        rows = group_rows(samples, self.group).values()
        number = {row: k for k, members in enumerate(rows) for row in members}
        return [number[row] for row in range(len(samples))]

    def spread(self, samples: Sequence[Sample], scores: Sequence[Score]) -> list[Score]:
        """One score per item: that of its group, so that means over items rank like reports do."""
        if self.reducer is None:
            return list(scores)
        found = reduce(samples, scores, self.group, self.reducer, self.size)
        own = list(scores)
        for score, rows in zip(found.scores, found.rows, strict=True):
            for row in rows:
                own[row] = score
        return own

    def by_slice(
        self, samples: Sequence[Sample], values: Sequence[stats.Value]
    ) -> dict[str, dict[str, Json]]:
        """Key → value → {n, score}, for keys with at least two values."""
        firsts = self._firsts(samples)
        tables: dict[str, dict[str, Json]] = {}
        for key in self.slices:
            parts: dict[str, list[stats.Value]] = {}
            for row, value in zip(firsts, values, strict=True):
                name = samples[row].meta.get(key)
                if isinstance(name, str | int):
                    parts.setdefault(str(name), []).append(value)
            if len(parts) > 1:
                tables[key] = {
                    name: {"n": len(stats.known(own)), "score": stats.mean(own)}
                    for name, own in sorted(parts.items())
                }
        return tables

    def _reduced(self, samples: Sequence[Sample], scores: Sequence[Score]) -> Sequence[Score]:
        if self.reducer is None:
            return scores
        return reduce(samples, scores, self.group, self.reducer, self.size).scores

    def _firsts(self, samples: Sequence[Sample]) -> list[int]:
        """The first item of each result."""
        if self.reducer is None:
            return list(range(len(samples)))
        blank = [Score(0.0)] * len(samples)
        found = reduce(samples, blank, self.group, self.reducer, self.size)
        return [rows[0] for rows in found.rows]


EVERY_ITEM = Counting()
"""Each item is a result."""


def macro(tables: Mapping[str, Mapping[str, Json]]) -> dict[str, float]:
    """Key → the mean of its slices' scores, every slice weighing the same."""
    means = {key: stats.mean([s["score"] for s in t.values()]) for key, t in tables.items()}
    return {key: value for key, value in means.items() if value is not None}
