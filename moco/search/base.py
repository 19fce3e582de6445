"""Searching for the best point, a generation at a time.

A strategy (`Pso`, `Cma`, `RandomSearch`) says which points come next; `maximise` scores each
generation at once, equal points once, and keeps to the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

TOLERANCE = 1e-9
"""A score has to be better by more than this."""
IDLE = 10
"""Generations in a row without a new point after which a search with a budget ends."""
RUNGS = (0.25, 0.5, 1.0)
"""Shares of the questions on which successive halving scores a generation."""
BELOW = 1e-6
"""How far below those that were scored further a point lies at least that dropped out."""

Score = Callable[[list[np.ndarray]], Sequence[float]]
"""Gives the scores of a generation's new points, all at once; higher is better."""


def _as_it_is(row: np.ndarray) -> Hashable:
    return np.round(row, 12).tobytes()


@dataclass(frozen=True, slots=True)
class Space:
    """Where a search starts, and where it may go."""

    start_ND: np.ndarray
    """Points of the first generation."""
    low: float = -np.inf
    high: float = np.inf
    """Box that all points are clipped to."""
    spread: float = 0.5
    """How far, in one dimension, good points may lie from the first ones, where the box is open."""
    key: Callable[[np.ndarray], Hashable] = _as_it_is
    """Points of equal keys are the same point."""

    @property
    def boxed(self) -> bool:
        """Whether the box is closed on all sides."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    def clip(self, x_ND: np.ndarray) -> np.ndarray:
        """The points, moved into the box."""
        return np.asarray(np.clip(x_ND, self.low, self.high))

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Random points: uniform in a closed box, else normal about the mean of the first ones."""
        shape = (count, self.start_ND.shape[1])
        if self.boxed:
            return rng.uniform(self.low, self.high, shape)
        return self.clip(self.start_ND.mean(axis=0) + self.spread * rng.standard_normal(shape))


class Strategy(Protocol):
    """A search under way."""

    def ask(self) -> np.ndarray:
        """The next generation, [points, dimensions]; without points = the search is over."""
        ...

    def tell(self, scores_N: np.ndarray) -> None:
        """The scores of the generation that was asked for."""
        ...


class How(Protocol):
    """The settings of a strategy."""

    def begin(self, space: Space, seed: int) -> Strategy:
        """Start a search."""
        ...


@dataclass(slots=True)
class Found:
    """What a search found."""

    point: np.ndarray
    score: float
    evaluated: dict[Hashable, float] = field(default_factory=dict)
    """Score by key of every distinct point."""
    points: dict[Hashable, np.ndarray] = field(default_factory=dict)
    """The first point of each key."""
    best_by_round: list[float] = field(default_factory=list)

    def top(self, count: int) -> list[np.ndarray]:
        """The best distinct points, best first, the earlier on ties."""
        keys = sorted(self.evaluated, key=lambda key: -self.evaluated[key])
        return [self.points[key] for key in keys[:count]]


def maximise(
    score: Score, space: Space, how: How, budget: int | None = None, seed: int = 0
) -> Found:
    """The best point that a strategy finds.

    `score` gets the new points of a generation at once. `budget` is the number of distinct points
    that may be scored; without one the strategy alone says when the search is over. A generation
    that does not fit the budget is scored as far as it goes and ends the search.
    """
    strategy = how.begin(space, seed)
    found = Found(np.array(space.start_ND[0], dtype=float), -np.inf)
    idle = 0
    while len(x_ND := strategy.ask()):
        before = len(found.evaluated)
        keys = [space.key(row) for row in x_ND]
        whole = _evaluate(score, x_ND, keys, found, budget)
        _note(x_ND, keys, found)
        idle = idle + 1 if len(found.evaluated) == before else 0
        if not whole or (budget is not None and idle >= IDLE):
            break
        strategy.tell(np.asarray([found.evaluated[key] for key in keys]))
    return found


def _evaluate(
    score: Score, x_ND: np.ndarray, keys: Sequence[Hashable], found: Found, budget: int | None
) -> bool:
    """Score the points of new keys; whether the budget allowed all of them."""
    new: dict[Hashable, np.ndarray] = {}
    for key, row in zip(keys, x_ND, strict=True):
        if key not in found.evaluated:
            new.setdefault(key, row.copy())
    allowed = len(new) if budget is None else max(budget - len(found.evaluated), 0)
    within = dict(list(new.items())[:allowed])
    if within:
        values = [float(value) for value in score(list(within.values()))]
        found.evaluated |= dict(zip(within, values, strict=True))
        found.points |= within
    return len(within) == len(new)


def _note(x_ND: np.ndarray, keys: Sequence[Hashable], found: Found) -> None:
    """The best of a generation, the first on ties, where it is better than all before."""
    known = [(found.evaluated[k], i) for i, k in enumerate(keys) if k in found.evaluated]
    best, place = max(known, key=lambda pair: (pair[0], -pair[1]), default=(-np.inf, 0))
    if best > found.score + TOLERANCE:
        found.point, found.score = x_ND[place].copy(), best
    if known:
        found.best_by_round.append(found.score)


def halving(
    score_on: Callable[[list[np.ndarray], float], Sequence[float]], rungs: Sequence[float] = RUNGS
) -> Score:
    """A score that asks little about most points: `score_on(points, share)` scores all of a
    generation on the first share of the questions, the better half of them on the next, and so on
    up to the last.

    A point that drops out has the score that it had then, but always less than those that went on.
    """

    def score(points: list[np.ndarray]) -> list[float]:
        open_ = list(range(len(points)))
        values = [0.0] * len(points)
        dropped: list[list[int]] = []
        for rung in rungs[:-1] if len(points) > 1 else ():
            for i, value in zip(open_, score_on([points[i] for i in open_], rung), strict=True):
                values[i] = float(value)
            ranked = sorted(open_, key=lambda i: (-values[i], i))
            half = (len(open_) + 1) // 2
            dropped.append(ranked[half:])
            open_ = sorted(ranked[:half])
        for i, value in zip(open_, score_on([points[i] for i in open_], rungs[-1]), strict=True):
            values[i] = float(value)
        worst = min(values[i] for i in open_)
        for group in reversed(dropped):
            for i in group:
                values[i] = min(values[i], worst) - BELOW
            worst = min((values[i] for i in group), default=worst)
        return values

    return score
