"""The swarm: by hand, patience, restarts, no repeated evaluation, better than chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from moco.search.base import Space, maximise
from moco.search.pso import Pso


def sphere(rows: list[np.ndarray]) -> list[float]:
    return [-float(((row - 0.3) ** 2).sum()) for row in rows]


def coarse(rows: list[np.ndarray]) -> list[float]:
    return [round(value * 20) / 20 for value in sphere(rows)]


def start(seed: int, particles: int = 5, width: int = 3, **box: Any) -> Space:
    return Space(np.random.default_rng(seed).uniform(-1, 1, (particles, width)), **box)


def test_one_move_by_hand() -> None:
    seen: list[np.ndarray] = []

    def score(rows: list[np.ndarray]) -> list[float]:
        seen.extend(rows)
        return [float(row[0]) for row in rows]

    how = Pso(2, 0.2, 0.3, 0.4, 0.1, weight_randomness=False, start="rest")
    maximise(score, Space(np.asarray([[1.0], [0.0]])), how)
    # particle 1: own best 0, best of all 1, worst of all 0 (itself): v = 0.4 / 1.0, x = 0.5 v
    # particle 0: at the best, away from the worst at 0: v = 0.1 * 1 / 1.0
    assert [row[0] for row in seen] == pytest.approx([1.0, 0.0, 1.05, 0.2])


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_patience_counts_rounds_without_a_better_best(patience: int) -> None:
    rounds = []

    def score(rows: list[np.ndarray]) -> list[float]:
        rounds.append(len(rows))
        return [min(len(rounds), 4.0)] * len(rows)  # better for four rounds, then flat

    found = maximise(score, start(0), Pso(50, patience=patience))
    assert len(rounds) == 4 + patience
    assert found.best_by_round == [1, 2, 3, 4, *[4] * patience]


def test_the_last_round_is_evaluated_and_nothing_moves_after_it() -> None:
    rounds = []

    def score(rows: list[np.ndarray]) -> list[float]:
        rounds.append(len(rows))
        return sphere(rows)

    maximise(score, start(0), Pso(4, patience=9))
    assert rounds == [5, 5, 5, 5]


def test_no_point_is_evaluated_twice_and_keys_join_points() -> None:
    seen: list[bytes] = []

    def score(rows: list[np.ndarray]) -> list[float]:
        seen.extend(row.tobytes() for row in rows)
        return coarse(rows)

    maximise(score, start(1), Pso(30, patience=30))
    assert len(seen) == len(set(seen))
    found = maximise(coarse, start(1, key=lambda row: int(row[0] > 0)), Pso(30, patience=30))
    assert len(found.evaluated) <= 2


def test_a_box_is_kept_and_seeds_repeat() -> None:
    seen: list[np.ndarray] = []

    def score(rows: list[np.ndarray]) -> list[float]:
        seen.extend(rows)
        return [float(row.sum()) for row in rows]

    how, where = Pso(20, patience=20), start(2, low=0.0, high=1.0)
    one = maximise(score, where, how, seed=7)
    assert np.min(seen) >= 0 and np.max(seen) <= 1
    assert maximise(score, where, how, seed=7).best_by_round == one.best_by_round
    assert one.top(3)[0] == pytest.approx(one.point)


@pytest.mark.parametrize("objective", [sphere, coarse])
def test_it_beats_random_search_at_equal_budget(objective: Callable[..., list[float]]) -> None:
    wins = 0.0
    for seed in range(30):
        found = maximise(objective, start(seed, 10, 10), Pso(30, patience=30), seed=seed)
        rng = np.random.default_rng(seed)
        rows = list(rng.uniform(-1, 1, (len(found.evaluated), 10)))
        other = max(objective(rows))
        wins += 1.0 if found.score > other else 0.5 if found.score == other else 0.0
    assert wins >= 20
