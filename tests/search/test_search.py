"""Strategies under one interface: budgets, seeds, boxes, no point twice, against each other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from moco.errors import MissingExtraError
from moco.search.base import BELOW, IDLE, How, Space, halving, maximise
from moco.search.cma import Cma
from moco.search.pso import Pso
from moco.search.random_search import RandomSearch

LONG = 10_000
STRATEGIES: dict[str, How] = {
    "pso": Pso(LONG, patience=LONG),
    "cma": Cma(10, LONG),
    "random": RandomSearch(10, LONG),
}
each = pytest.mark.parametrize("how", STRATEGIES.values(), ids=STRATEGIES)
Objective = Callable[[list[np.ndarray]], list[float]]


def sphere(rows: list[np.ndarray]) -> list[float]:
    return [-float(((row - 0.3) ** 2).sum()) for row in rows]


def coarse(rows: list[np.ndarray]) -> list[float]:
    """As an accuracy on 20 questions would show it."""
    return [round(value * 20) / 20 for value in sphere(rows)]


def start(seed: int, points: int = 10, width: int = 4, **options: object) -> Space:
    rows = np.random.default_rng(seed).uniform(-1, 1, (points, width))
    return Space(rows, **options)  # type: ignore[arg-type]


@each
@pytest.mark.parametrize("budget", [1, 7, 10, 43])
def test_the_budget_is_spent_to_the_last_point_and_no_point_is_scored_twice(
    how: How, budget: int
) -> None:
    seen: list[bytes] = []
    sizes: list[int] = []

    def score(rows: list[np.ndarray]) -> list[float]:
        seen.extend(row.tobytes() for row in rows)
        sizes.append(len(rows))
        return coarse(rows)

    found = maximise(score, start(0), how, budget)
    assert len(seen) == len(set(seen)) == len(found.evaluated) == budget
    assert sizes[0] == min(budget, 10) and len(sizes) <= -(-budget // 10) + 2
    assert found.score == max(found.evaluated.values()) == found.best_by_round[-1]


@each
def test_the_first_generation_is_given(how: How) -> None:
    space, seen = start(1), list[np.ndarray]()

    def score(rows: list[np.ndarray]) -> list[float]:
        seen.extend(rows)
        return sphere(rows)

    maximise(score, space, how, 10)
    assert np.array_equal(seen, space.start_ND)


@each
def test_seeds_repeat_and_differ(how: How) -> None:
    one, same, other = (maximise(sphere, start(2), how, 60, seed=s) for s in (2**40, 2**40, 8))
    assert list(one.evaluated.items()) == list(same.evaluated.items())
    assert list(one.evaluated)[:10] == list(other.evaluated)[:10]
    assert list(one.evaluated)[10:] != list(other.evaluated)[10:]


@each
def test_a_box_is_kept(how: How) -> None:
    seen: list[np.ndarray] = []

    def score(rows: list[np.ndarray]) -> list[float]:
        seen.extend(rows)
        return [float(row.sum()) for row in rows]

    found = maximise(score, start(3, low=-0.5, high=0.5), how, 200)
    assert np.min(seen) >= -0.5 and np.max(seen) <= 0.5
    assert found.score > 1.2


@each
def test_one_dimension_is_enough(how: How) -> None:
    assert maximise(sphere, start(4, 3, 1), how, 40).score > -0.01


@each
def test_a_search_among_few_points_ends(how: How) -> None:
    rounds = []

    def score(rows: list[np.ndarray]) -> list[float]:
        rounds.append(len(rows))
        return sphere(rows)

    found = maximise(score, start(5, key=lambda row: bool(row[0] > 0)), how, 1000)
    assert len(found.evaluated) == 2 and sum(rounds) == 2


def test_without_a_budget_the_strategy_ends() -> None:
    found = maximise(sphere, start(6), RandomSearch(10, IDLE + 5))
    assert len(found.evaluated) == 10 * (IDLE + 5)
    assert len(maximise(sphere, start(6), Cma(6, 4)).evaluated) == 10 + 3 * 6


def mean_best(objective: Objective, how: How, budget: int, width: int) -> float:
    runs = [maximise(objective, start(s, 10, width), how, budget, s).score for s in range(30)]
    return float(np.mean(runs))


@pytest.mark.parametrize("objective", [sphere, coarse])
@pytest.mark.parametrize("width", [3, 5])
def test_searches_beat_chance_at_equal_budget(objective: Objective, width: int) -> None:
    chance = mean_best(objective, STRATEGIES["random"], 100, width)
    swarm = mean_best(objective, Pso(LONG, patience=LONG, start="differences"), 100, width)
    cma = mean_best(objective, STRATEGIES["cma"], 100, width)
    assert cma > swarm > chance


def published(objective: Objective, x_ND: np.ndarray, budget: int, seed: int) -> float:
    """The swarm as the peer's package flies it: a restarted particle stays where it was best, and
    whoever has not moved is scored again; the search goes on until the budget of scores is spent.
    """
    rng, x, count = np.random.default_rng(seed), x_ND.copy(), len(x_ND)
    v = rng.uniform(-1, 1, x.shape)
    own, own_x, best, best_x = np.full(count, -np.inf), x.copy(), -np.inf, x[0].copy()
    worst, worst_x, step = np.inf, x[0].copy(), 0.5
    history: list[list[float]] = [[] for _ in range(count)]
    for _ in range(budget // count):
        for i, value in enumerate(objective(list(x))):
            history[i].append(value)
            if value > own[i]:
                own[i], own_x[i] = value, x[i]
        latest = np.asarray([past[-1] for past in history])
        if latest.max() > best:
            best, best_x = float(latest.max()), x[latest.argmax()].copy()
        if latest.min() < worst:
            worst, worst_x = float(latest.min()), x[latest.argmin()].copy()
        for i, past in enumerate(history):
            if len(past) > 3 and past[-1] <= max(past[-3:-1]):
                x[i], v[i] = own_x[i], rng.uniform(-1, 1, len(x[i]))
                continue
            a, b, c, d = rng.random(4) * (0.2, 0.3, 0.4, 0.05)
            pull = b * (own_x[i] - x[i]) + c * (best_x - x[i]) + d * (x[i] - worst_x)
            v[i] = (a * v[i] + pull) / (a + b + c + d)
            x[i] = x[i] + step * v[i]
        step = max(step * 0.95, 0.1)
    return best


@pytest.mark.parametrize("objective", [sphere, coarse])
def test_the_swarm_beats_the_published_one_at_equal_budget(objective: Objective) -> None:
    how, ours, theirs = Pso(LONG, patience=LONG), [], []
    for seed in range(60):
        space = start(seed, 5, 3)
        ours.append(maximise(objective, space, how, 75, seed).score)
        theirs.append(published(objective, space.start_ND, 75, seed))
    assert np.mean(ours) > np.mean(theirs)


def test_halving_by_hand() -> None:
    asked: list[tuple[float, list[int]]] = []
    table = {  # (on a quarter, on a half, on all) of the questions
        0: (0.9, 0.2, 0.3), 1: (0.8, 0.9, 0.5), 2: (0.1, 0.0, 0.0), 3: (0.2, 0.0, 0.0),
        4: (0.7, 0.8, 0.6),
    }  # fmt: skip

    def score_on(points: list[np.ndarray], share: float) -> Sequence[float]:
        own = [int(point[0]) for point in points]
        asked.append((share, own))
        return [table[i][(0.25, 0.5, 1.0).index(share)] for i in own]

    found = halving(score_on)([np.asarray([i]) for i in range(5)])
    assert asked == [(0.25, [0, 1, 2, 3, 4]), (0.5, [0, 1, 4]), (1.0, [1, 4])]
    # 1 and 4 were scored on all; 0 dropped out at 0.2, 2 and 3 before it
    assert found == pytest.approx([0.2 - BELOW, 0.5, 0.1 - BELOW, 0.2 - 2 * BELOW, 0.6])
    asked.clear()
    assert halving(score_on)([np.asarray([2])]) == [0.0]
    assert asked == [(1.0, [2])]


def test_what_dropped_out_lies_below_what_went_on() -> None:
    def score_on(points: list[np.ndarray], share: float) -> Sequence[float]:
        return [0.9 if share < 1 else 0.1] * len(points)

    values = halving(score_on)([np.asarray([i]) for i in range(6)])
    assert max(values) == values[0] == values[1] == 0.1
    assert all(value < 0.1 for value in values[2:]) and max(values[3:]) < values[2]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(MissingExtraError, match=r"moco-collab\[search\]"):
        maximise(sphere, start(0), Cma(), 20)
