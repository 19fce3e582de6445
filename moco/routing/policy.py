"""Which members a cascade asks, in which order, and how sure each has to be: searched on dev.

The search of FrugalGPT (Chen et al. 2023, arXiv 2305.05176) over member lists and thresholds, made
exhaustive, with cross-validation and the one-standard-error rule against overfitting dev.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moco.errors import DataError
from moco.routing.policy_grid import DIGITS, Aim, Evidence, Grid, Policy, candidates

__all__ = [
    "Aim",
    "Evidence",
    "Found",
    "Policy",
    "Rated",
    "frontier",
    "random_line",
    "search",
    "sweep",
]

FOLDS = 5
CURVE = 50
"""Policies of the frontier that are kept at most."""
EXTRA: tuple[float, ...] = (0.0, *(float(w) for w in np.geomspace(0.002, 5, 30)))
"""Cost weights on top of the asked one, among which cross-validation chooses."""


@dataclass(frozen=True)
class Rated:
    """A policy with its dev means."""

    policy: Policy
    score: float
    cost: float


@dataclass(frozen=True)
class Found:
    """What a search gives."""

    best: Rated
    frontier: tuple[Rated, ...]
    """Policies that no other beats at its cost or less, cheapest first, at most `CURVE`."""
    extra: float
    """Cost weight that the one-standard-error rule added."""
    candidates: int
    """Policies that were compared."""
    regret: float
    """Mean dev score that the best member per question has over the policy."""


def search(evidence: Evidence, aim: Aim, deployed_QM: np.ndarray | None = None) -> Found:
    """The policy of the best mean score less weighted relative cost within the budget.

    Candidates are all lists of at most `max_levels` members (of more than 5 members, of those on
    the accuracy-cost front) with thresholds between the at most 20 quantiles of the confidences
    of the questions that reach a level. Among extra cost weights, the largest is taken whose
    policies, chosen without a fold, are on that fold within one standard error (of the paired
    difference) of the best. Ties go to the cheaper, then to fewer levels.

    `deployed_QM` holds the confidences that will be used where those of the evidence are held-out
    ones; the budget is kept under both. DataError where no policy keeps it.
    """
    folds_Q = _folds(len(evidence.scores_QM), aim.seed)
    grid = candidates(evidence, aim, folds_Q)
    counts_F = np.bincount(folds_Q)
    means = grid.means(counts_F)
    extra = _extra(evidence, aim, grid, folds_Q)
    best = _affordable(evidence, aim, grid, means, extra, deployed_QM)
    oracle = evidence.scores_QM.max(axis=1).mean() if len(evidence.scores_QM) else 0.0
    return Found(
        best,
        frontier(grid, means),
        extra,
        len(grid),
        float(oracle - best.score),
    )


def random_line(evidence: Evidence, levels: Sequence[int]) -> list[list[float]]:
    """Corners [mean cost, mean score] of what the levels reach if questions are passed on at
    random: never, always to the second, always to the third.
    """
    scores, costs = evidence.scores_QM.mean(axis=0), evidence.costs_QM.mean(axis=0)
    paid = np.cumsum([costs[m] for m in levels])
    return [[float(c), float(scores[m])] for c, m in zip(paid, levels, strict=True)]


def sweep(evidence: Evidence, levels: Sequence[int], points: int = CURVE) -> list[Rated]:
    """The same levels at so many thresholds: each passes on the same share of the questions that
    reach it, from none to all.
    """
    found = []
    for share in np.linspace(0, 1, points):
        open_Q = np.ones(len(evidence.scores_QM), dtype=bool)
        thresholds = []
        for member in levels[:-1]:
            own_Q = evidence.confidences_QM[open_Q, member]
            threshold = float(np.quantile(own_Q, share)) if len(own_Q) else 0.0
            thresholds.append(threshold if share < 1 else np.nextafter(threshold, 2.0))
            open_Q &= evidence.confidences_QM[:, member] < thresholds[-1]
        policy = Policy(tuple(levels), tuple(float(t) for t in thresholds))
        score_Q, cost_Q = evidence.outcome(policy)
        found.append(Rated(policy, float(score_Q.mean()), float(cost_Q.mean())))
    return found


def frontier(grid: Grid, means: np.ndarray) -> tuple[Rated, ...]:
    """Policies of strictly rising cost and score that no other beats, evenly thinned."""
    score_P, cost_P = np.round(means[0], DIGITS), means[1]
    order = np.lexsort((grid.depth_P, -score_P, cost_P))
    sorted_P = score_P[order]
    before = np.concatenate([[-np.inf], np.maximum.accumulate(sorted_P)[:-1]])
    kept = order[sorted_P > before]
    if len(kept) > CURVE:
        kept = kept[np.unique(np.linspace(0, len(kept) - 1, CURVE).round().astype(int))]
    return tuple(_rated(grid, means, int(p)) for p in kept)


def _folds(count: int, seed: int) -> np.ndarray:
    """A fold per question; sizes differ by one at most."""
    if count == 0:
        raise DataError("a cascade's policy is searched on dev, which has no question")
    order = np.random.default_rng(seed).permutation(count)
    found: np.ndarray = np.empty(count, dtype=int)
    found[order] = np.arange(count) % min(FOLDS, count)
    return found


def _place(
    grid: Grid, means: np.ndarray, weight: float, allowed_P: np.ndarray | None = None
) -> int:
    """The policy of the best mean score less weight · cost; ties: cheaper, then fewer levels."""
    net_P = np.round(means[0] - weight * means[1], DIGITS)
    if allowed_P is not None:
        net_P = np.where(allowed_P, net_P, -np.inf)
    tied = np.flatnonzero(net_P == net_P.max())
    order = np.lexsort((tied, grid.depth_P[tied], np.round(means[1, tied], DIGITS)))
    return int(tied[order[0]])


def _within(means: np.ndarray, budget: float | None) -> np.ndarray | None:
    """Which policies keep the budget; the cheapest where none does."""
    if budget is None:
        return None
    limit = max(budget, float(means[1].min()))
    found: np.ndarray = means[1] <= limit * (1 + 1e-12)
    return found


def _extra(evidence: Evidence, aim: Aim, grid: Grid, folds_Q: np.ndarray) -> float:
    """The largest extra cost weight whose held-out objective is within one standard error of the
    best.
    """
    counts_F = np.bincount(folds_Q)
    count, unit = len(folds_Q), evidence.top_cost
    if len(counts_F) < 2:
        return 0.0
    value_XQ = np.zeros((len(EXTRA), count))
    for fold in range(len(counts_F)):
        held = np.flatnonzero(folds_Q == fold)
        means = grid.means(counts_F, without=fold)
        allowed_P = _within(means, aim.budget)
        rest = Evidence(*(a[held] for a in _arrays(evidence)))
        seen: dict[int, np.ndarray] = {}
        for x, extra in enumerate(EXTRA):
            place = _place(grid, means, (aim.cost_weight + extra) / unit, allowed_P)
            if place not in seen:
                score_Q, cost_Q = rest.outcome(grid.policy(place))
                seen[place] = score_Q - aim.cost_weight * cost_Q / unit
            value_XQ[x, held] = seen[place]
    return EXTRA[one_standard_error(value_XQ)]


def one_standard_error(value_XQ: np.ndarray) -> int:
    """The last row whose mean is within one standard error of the best row's: the error is that of
    the mean of their paired difference.
    """
    means = np.round(value_XQ.mean(axis=1), DIGITS)
    lost_XQ = value_XQ[int(np.argmax(means))] - value_XQ
    error_X = lost_XQ.std(axis=1, ddof=1) / np.sqrt(value_XQ.shape[1])
    return int(np.flatnonzero(means.max() - means <= error_X + 10.0**-DIGITS)[-1])


def _arrays(evidence: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return evidence.scores_QM, evidence.confidences_QM, evidence.costs_QM


def _affordable(
    evidence: Evidence,
    aim: Aim,
    grid: Grid,
    means: np.ndarray,
    extra: float,
    deployed_QM: np.ndarray | None,
) -> Rated:
    """The best policy on all of dev; with a budget, the best that keeps it."""
    weight = (aim.cost_weight + extra) / evidence.top_cost
    if aim.budget is None:
        return _rated(grid, means, _place(grid, means, weight))
    lowest = float(means[1].min())
    if lowest > aim.budget:
        raise DataError(
            f"method.budget: {aim.budget:g} per question is less than any cascade costs on dev;"
            f" the cheapest member costs {lowest:.6g} (same unit): give at least that"
        )
    allowed_P = means[1] <= aim.budget
    used = evidence.confidences_QM if deployed_QM is None else deployed_QM
    real = Evidence(evidence.scores_QM, used, evidence.costs_QM)
    while True:  # ends at the latest at the cheapest member alone, whose cost hangs on no threshold
        place = _place(grid, means, weight, allowed_P)
        if real.outcome(grid.policy(place))[1].mean() <= aim.budget * (1 + 1e-12):
            return _rated(grid, means, place)
        allowed_P[place] = False


def _rated(grid: Grid, means: np.ndarray, place: int) -> Rated:
    return Rated(grid.policy(place), float(means[0, place]), float(means[1, place]))
