"""The policy search of cascades, against brute force and by hand."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from moco.errors import DataError
from moco.routing import policy, policy_grid
from moco.routing.policy import Aim, Evidence, Policy


def evidence(questions: int, count: int, seed: int, digits: int = 4) -> Evidence:
    """Members that are better the costlier they are, and know a little of when they are right."""
    random = np.random.default_rng(seed)
    sure = np.round(random.random((questions, count)), digits)
    chance = np.clip(0.7 * sure + np.linspace(0, 0.4, count), 0, 1)
    right = (random.random((questions, count)) < chance).astype(float)
    costs = np.arange(1, count + 1) * (1 + random.random((questions, count)))
    return Evidence(right, sure, costs)


def walked(given: Evidence, levels: tuple[int, ...], thresholds: tuple[float, ...], i: int) -> int:
    """The level that answers question i, one step at a time."""
    for level, threshold in enumerate(thresholds):
        if given.confidences_QM[i, levels[level]] >= threshold:
            return level
    return len(levels) - 1


def paid(given: Evidence, own: Policy) -> tuple[float, float]:
    """(mean score, mean cost), question by question."""
    score = cost = 0.0
    for i in range(len(given.scores_QM)):
        level = walked(given, own.levels, own.thresholds, i)
        score += given.scores_QM[i, own.levels[level]]
        cost += sum(given.costs_QM[i, m] for m in own.levels[: level + 1])
    return score / len(given.scores_QM), cost / len(given.scores_QM)


def everything(given: Evidence) -> list[Policy]:
    """Every list of at most three members with every threshold that splits those who reach it."""
    found = []
    count = given.scores_QM.shape[1]
    for length in (1, 2, 3):
        for levels in itertools.permutations(range(count), length):
            partial: list[tuple[tuple[float, ...], list[int]]] = [
                ((), list(range(len(given.scores_QM))))
            ]
            for member in levels[:-1]:
                grown = []
                for thresholds, rows in partial:
                    values = sorted({float(given.confidences_QM[i, member]) for i in rows})
                    for low, high in itertools.pairwise(values):
                        cut = (low + high) / 2
                        left = [i for i in rows if given.confidences_QM[i, member] < cut]
                        grown.append(((*thresholds, cut), left))
                partial = grown
            found += [Policy(levels, thresholds) for thresholds, _ in partial]
    return found


@pytest.mark.parametrize("seed", range(6))
def test_the_grid_is_brute_force(seed: int) -> None:
    given = evidence(9, 3, seed)
    folds = np.arange(9) % 3
    grid = policy_grid.candidates(given, Aim(), folds)
    means = grid.means(np.bincount(folds))
    ours = {grid.policy(p): tuple(means[:, p]) for p in range(len(grid))}
    brute = {own: paid(given, own) for own in everything(given)}
    assert ours.keys() == brute.keys()
    for own, expected in brute.items():
        assert ours[own] == pytest.approx(expected)
    for fold in range(3):
        rest = Evidence(*(a[folds != fold] for a in vars(given).values()))
        part = grid.means(np.bincount(folds), without=fold)
        for p in range(0, len(grid), 17):
            assert tuple(part[:, p]) == pytest.approx(paid(rest, grid.policy(p)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weight", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("budget", [None, 2.5])
def test_the_best_is_brute_forces_best(
    seed: int, weight: float, budget: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "EXTRA", (0.0,))
    given = evidence(10, 3, seed)
    found = policy.search(given, Aim(cost_weight=weight, budget=budget))
    rated = [paid(given, own) for own in everything(given)]
    unit = given.costs_QM.mean(axis=0).max()
    values = [s - weight * c / unit for s, c in rated if budget is None or c <= budget]
    assert found.best.score - weight * found.best.cost / unit == pytest.approx(max(values))
    assert paid(given, found.best.policy) == pytest.approx((found.best.score, found.best.cost))
    assert found.candidates == len(rated)


def test_by_hand() -> None:
    """The cheap one is right where it is sure, the dear one where it is not."""
    given = Evidence(
        np.array([[1, 0], [1, 1], [0, 1], [0, 1]] * 10, dtype=float),
        np.array([[0.9, 0.5], [0.8, 0.5], [0.3, 0.5], [0.2, 0.5]] * 10),
        np.array([[1.0, 4.0]] * 40),
    )
    found = policy.search(given, Aim())
    assert found.best.policy.levels == (0, 1)
    assert found.best.policy.thresholds == pytest.approx((0.55,))
    assert (found.best.score, found.best.cost) == (1.0, 3.0)
    assert found.regret == 0
    assert policy.random_line(given, (0, 1)) == [[1.0, 0.5], [5.0, 0.75]]
    points = [(rated.cost, rated.score) for rated in found.frontier]
    assert points == [(1.0, 0.5), (2.0, 0.75), (3.0, 1.0)]


@pytest.mark.parametrize("seed", range(3))
def test_the_frontier_rises_and_is_not_beaten(seed: int) -> None:
    given = evidence(60, 4, seed)
    found = policy.search(given, Aim())
    costs = [rated.cost for rated in found.frontier]
    scores = [rated.score for rated in found.frontier]
    assert costs == sorted(set(costs)) and scores == sorted(set(scores))
    assert 1 < len(costs) <= policy.CURVE
    assert found.frontier[0].policy.levels == (0,)
    for rated in found.frontier:
        score, cost = given.outcome(rated.policy)
        assert (score.mean(), cost.mean()) == pytest.approx((rated.score, rated.cost))
    line = policy.random_line(given, (0, 3))
    best = max(s for s, c in zip(scores, costs, strict=True) if c <= line[1][0])
    assert best > line[1][1]


@pytest.mark.parametrize("budget", [1.6, 2.0, 3.0, 5.0, 50.0])
def test_the_budget_is_kept_under_both_confidences(budget: float) -> None:
    given = evidence(80, 4, 1)
    noise = np.random.default_rng(5).normal(size=given.confidences_QM.shape)
    used = np.round(np.clip(given.confidences_QM + 0.1 * noise, 0, 1), 4)
    found = policy.search(given, Aim(budget=budget), used)
    assert found.best.cost <= budget
    real = Evidence(given.scores_QM, used, given.costs_QM)
    assert real.outcome(found.best.policy)[1].mean() <= budget * (1 + 1e-9)


def test_a_budget_that_nobody_keeps_is_refused() -> None:
    with pytest.raises(DataError, match=r"method\.budget: 0\.1 .*cheapest member costs 1\.\d+"):
        policy.search(evidence(30, 3, 0), Aim(budget=0.1))
    with pytest.raises(DataError, match="no question"):
        policy.search(evidence(0, 3, 0), Aim())


def test_a_large_cost_weight_leaves_the_cheapest_alone() -> None:
    found = policy.search(evidence(60, 4, 2), Aim(cost_weight=100))
    assert found.best.policy == Policy((0,), ())


def test_a_perfect_first_model_is_never_passed_over() -> None:
    given = evidence(50, 3, 3)
    given.scores_QM[:, 0] = 1
    assert policy.search(given, Aim()).best.policy == Policy((0,), ())
    kept = policy.search(given, Aim(order=(0, 1, 2))).best.policy
    assert kept == Policy((0,), ())


def test_ties_go_to_the_cheaper_then_to_fewer_levels() -> None:
    same = Evidence(np.ones((20, 3)), np.tile([[0.2], [0.8]], (10, 3)), np.ones((20, 3)))
    assert policy.search(same, Aim()).best.policy == Policy((0,), ())
    free = Evidence(same.scores_QM, same.confidences_QM, np.zeros((20, 3)))
    assert policy.search(free, Aim()).best.policy == Policy((0,), ())


def test_one_standard_error() -> None:
    base = np.tile([1.0, 0.0], 50)
    little, much = base.copy(), base.copy()
    little[[0, 2]] = 0  # 0.02 less, error of the difference 0.014: not within one
    much[0] = 0  # 0.01 less, error 0.01: just within
    assert policy.one_standard_error(np.stack([base, little])) == 0
    assert policy.one_standard_error(np.stack([base, much])) == 1
    assert policy.one_standard_error(np.stack([much, base, base, little])) == 2
    assert policy.one_standard_error(np.stack([base, base])) == 1


def test_a_gain_within_the_error_is_not_worth_its_cost() -> None:
    """The dear member is right once more in 40."""
    random = np.random.default_rng(0)
    cheap = (random.random(40) < 0.6).astype(float)
    dear = cheap.copy()
    dear[np.flatnonzero(cheap == 0)[0]] = 1
    sure = np.round(random.random((40, 2)), 4)
    given = Evidence(np.stack([cheap, dear], 1), sure, np.array([[1.0, 10.0]] * 40))
    found = policy.search(given, Aim())
    assert found.best.policy == Policy((0,), ()) and found.extra > 0
    better = Evidence(np.stack([cheap, np.ones(40)], 1), sure, given.costs_QM)
    assert policy.search(better, Aim()).best.policy.levels[-1] == 1


def test_dominated_members_are_dropped_of_many() -> None:
    given = evidence(200, 7, 0)
    given.scores_QM[:, 3] = 0.1
    given.costs_QM[:, 3] = 3
    assert 3 not in policy_grid.members(given, Aim())
    assert policy_grid.members(given, Aim(order=(3, 1))) == (3, 1)
    few = Evidence(given.scores_QM[:, :5], given.confidences_QM[:, :5], given.costs_QM[:, :5])
    assert policy_grid.members(few, Aim()) == (0, 1, 2, 3, 4)


def test_an_order_and_a_depth_restrict_the_lists() -> None:
    given = evidence(30, 4, 0)
    folds = np.arange(30) % 5
    grid = policy_grid.candidates(given, Aim(order=(2, 0, 3)), folds)
    lists = {grid.policy(p).levels for p in range(len(grid))}
    assert lists == {(2,), (0,), (3,), (2, 0), (2, 3), (0, 3), (2, 0, 3)}
    grid = policy_grid.candidates(given, Aim(max_levels=1), folds)
    assert {grid.policy(p).levels for p in range(len(grid))} == {(0,), (1,), (2,), (3,)}


def test_a_threshold_of_exactly_zero_takes_every_answer() -> None:
    sure = np.array([[0.0, 0.5], [0.7, 0.5]])
    assert Policy((0, 1), (0.0,)).answering(sure).tolist() == [0, 0]
    assert Policy((0, 1), (0.7,)).answering(sure).tolist() == [1, 0]
    assert Policy((0, 1), (1.0,)).answering(sure).tolist() == [1, 1]


def test_cuts_lie_between_neighbours() -> None:
    assert policy_grid.cuts(np.array([0.5, 0.5])).tolist() == []
    assert policy_grid.cuts(np.array([])).tolist() == []
    assert policy_grid.cuts(np.array([0.4, 0.2, 0.2, 0.8])) == pytest.approx([0.3, 0.6])
    sure = np.random.default_rng(0).random(1000)
    found = policy_grid.cuts(sure)
    assert len(found) == policy_grid.CUTS
    shares = (sure[:, None] < found).mean(axis=0)
    assert shares == pytest.approx(np.arange(1, 21) / 21, abs=0.002)
    heavy = np.concatenate([np.zeros(900), sure[:100]])
    assert 0 < len(policy_grid.cuts(heavy)) <= policy_grid.CUTS


def test_tiny_dev_sets_work() -> None:
    for count in (1, 2, 3, 7):
        found = policy.search(evidence(count, 3, count), Aim())
        assert len(found.frontier) >= 1


def test_many_questions_take_seconds_and_a_sweep_less() -> None:
    given = evidence(10_000, 8, 0)
    start = time.perf_counter()
    found = policy.search(given, Aim(), given.confidences_QM)
    assert time.perf_counter() - start < 10
    assert found.candidates > 50_000  # everybody is on the front
    start = time.perf_counter()
    points = policy.sweep(given, (0, 3, 7), 50)
    assert time.perf_counter() - start < 2
    costs = [rated.cost for rated in points]
    assert len(points) == 50 and costs == sorted(costs)
    means = given.costs_QM.mean(axis=0)
    assert (costs[0], costs[-1]) == pytest.approx((means[0], means[[0, 3, 7]].sum()))
