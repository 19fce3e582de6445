"""Accuracy against cost: what a method spent, the curve of its other settings, and what the same
money would have bought otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moco.analysis import stats
from moco.analysis.oracle import oracle
from moco.analysis.stats import Value
from moco.types import Json, OperatingPoint, Score

Point = tuple[float, float]
"""(mean cost, mean score)."""
Difference = tuple[float, float, float]
"""A mean with its 95% interval."""


@dataclass(frozen=True)
class MemberTable:
    """The members' own answers to the test questions."""

    scores: Mapping[str, Sequence[Score]]
    """One score per question."""
    costs: Mapping[str, Sequence[float]]
    """One cost per question, in the pool's unit."""
    values: Callable[[Sequence[Score]], list[Value]]
    """From the scores of all questions to the values that a report averages."""
    compare: Callable[[Sequence[Value], Sequence[Value]], Difference | None]
    """The paired difference of two methods' values."""

    def mean_costs(self) -> dict[str, float]:
        """Mean cost per member."""
        return {name: float(np.mean(own)) for name, own in self.costs.items()}

    def single_points(self) -> dict[str, Point]:
        """Each member alone."""
        costs = self.mean_costs()
        found = {name: stats.mean(self.values(own)) for name, own in self.scores.items()}
        return {name: (costs[name], s) for name, s in found.items() if s is not None}

    def point(self, plan: OperatingPoint) -> Point | None:
        """What a plan would have cost and scored, read off the members' answers."""
        scores = [self.scores[name][i] for i, name in enumerate(plan.by)]
        score = stats.mean(self.values(scores))
        paid = [sum(self.costs[name][i] for name in names) for i, names in enumerate(plan.asked)]
        return None if score is None else (float(np.mean(paid)), score)


@dataclass(frozen=True)
class Spent:
    """What a method paid for its answers."""

    values: Sequence[Value]
    """Its values, as reports average them."""
    costs: Sequence[float]
    """Cost per question, routing included."""
    steps: Sequence[int]
    """Calls in a row per question."""


def spending(spent: Spent) -> dict[str, Json]:
    """Mean cost, and calls in a row at the median and the 95th percentile."""
    p50, p95 = (int(np.percentile(spent.steps, q, method="higher")) for q in (50, 95))
    return {"mean": float(np.mean(spent.costs)), "depth_p50": p50, "depth_p95": p95}


def against_members(spent: Spent, table: MemberTable, best: str | None) -> dict[str, Json]:
    """Regret to the oracle, and paired gains over what the members offer, overall and at equal
    cost.

    `random` is the mean over members per question; `cheapest` the member of the lowest mean cost;
    `mixture` the best random mixture of members of the same mean cost (a point on the members'
    non-decreasing convex hull, the zero router of RouterBench, arXiv 2403.12031).
    """
    values = {name: table.values(own) for name, own in table.scores.items()}
    singles, mine = table.single_points(), float(np.mean(spent.costs))
    cheapest = min(singles, key=lambda name: singles[name][0])
    equal = _blend(values, mixture(singles, mine))
    others: dict[str, Sequence[Value]] = {
        "random": _blend(values, dict.fromkeys(values, 1 / len(values))),
        "cheapest": values[cheapest],
        "mixture_at_equal_cost": equal,
    }
    if best is not None:
        others = {"best_single": values[best], **others}
    gains = {name: _listed(table.compare(spent.values, own)) for name, own in others.items()}
    regret = table.compare(oracle(values), spent.values)
    return {
        "singles": table.mean_costs(),
        "cheapest": cheapest,
        "gains": gains,
        "regret": regret[0] if regret else None,
    }


def curve(table: MemberTable, plans: Sequence[OperatingPoint]) -> dict[str, Json]:
    """The accuracy-cost curve of a method's settings, [[knob, cost, score], …], and its area."""
    points = [(plan.knob, table.point(plan)) for plan in plans]
    known = [(knob, point) for knob, point in points if point is not None]
    costs = [cost for cost, _ in table.single_points().values()]
    low, high = (min(costs), max(costs)) if costs else (0.0, 0.0)
    return {
        "curve": [[knob, *point] for knob, point in known],
        "aiq": aiq([point for _, point in known], low, high),
    }


def frontier(points: Sequence[Point]) -> list[Point]:
    """The non-decreasing convex hull from above, cheapest point first: what random mixtures of the
    points reach at each cost.
    """
    hull: list[Point] = []
    for cost, score in sorted(points, key=lambda p: (p[0], -p[1])):
        if hull and (score <= hull[-1][1] or cost == hull[-1][0]):
            continue
        while len(hull) > 1 and _below(hull[-2], hull[-1], (cost, score)):
            hull.pop()
        hull.append((cost, score))
    return hull


def _below(a: Point, b: Point, c: Point) -> bool:
    """Whether b lies on or below the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def aiq(points: Sequence[Point], low: float, high: float) -> float | None:
    """Average score over the costs from `low` to `high` along the non-decreasing convex hull of
    the points and of asking nobody, (0, 0) (AIQ of RouterBench, arXiv 2403.12031); None where the
    range is empty.
    """
    if not points or high - low <= 1e-12 * max(high, 1.0):
        return None
    hull = frontier([(0.0, 0.0), *points])
    costs, scores = (np.asarray(column) for column in zip(*hull, strict=True))
    grid = np.unique(np.clip([low, *costs, high], low, high))
    area = np.trapezoid(np.interp(grid, costs, scores), grid)
    return float(area / (high - low))


def mixture(points: Mapping[str, Point], cost: float) -> dict[str, float]:
    """Shares of members whose random mixture has this mean cost at most, and the best score."""
    hull = frontier(list(points.values()))
    names = [next(name for name, point in points.items() if point == corner) for corner in hull]
    costs = [point[0] for point in hull]
    if cost <= costs[0]:
        return {names[0]: 1.0}
    right = int(np.searchsorted(costs, cost))
    if right >= len(costs):
        return {names[-1]: 1.0}
    share = (cost - costs[right - 1]) / (costs[right] - costs[right - 1])
    return {names[right - 1]: 1.0 - share, names[right]: share}


def _blend(values: Mapping[str, Sequence[Value]], shares: Mapping[str, float]) -> list[Value]:
    """Expected value per item of a random mixture; None where one of its members has none."""
    columns = zip(*(values[name] for name in shares), strict=True)
    weights = list(shares.values())
    return [
        None
        if any(v is None for v in column)
        else sum(w * v for w, v in zip(weights, column, strict=True) if v is not None)
        for column in columns
    ]


def _listed(value: Difference | None) -> list[float] | None:
    return None if value is None else list(value)
