"""Which members a cascade asks, in which order, and how sure each has to be: searched on dev.

The search of FrugalGPT (Chen et al. 2023, arXiv 2305.05176) over member lists and thresholds, made
exhaustive, with cross-validation and the one-standard-error rule against overfitting dev.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from moco.errors import DataError

DIGITS = 9
"""Objectives are rounded before they are compared."""
FOLDS = 5
CUTS = 20
"""Thresholds per level at most."""
ALL_ORDERS = 5
"""Members up to which every list is tried; of more, only those of the accuracy-cost front."""
CURVE = 50
"""Policies of the frontier that are kept at most."""
EXTRA: tuple[float, ...] = (0.0, *(float(w) for w in np.geomspace(0.002, 5, 30)))
"""Cost weights on top of the asked one, among which cross-validation chooses."""


@dataclass(frozen=True)
class Policy:
    """Members asked in order; level i answers if its confidence is at least its threshold."""

    levels: tuple[int, ...]
    """Member indices."""
    thresholds: tuple[float, ...]
    """In [0, 1], one per level but the last, whose answers are always taken."""

    def answering(self, confidences_QM: np.ndarray) -> np.ndarray:
        """The level that answers each question, shape [questions]."""
        level_Q = np.zeros(len(confidences_QM), dtype=int)
        open_Q = np.ones(len(confidences_QM), dtype=bool)
        for member, threshold in zip(self.levels, self.thresholds, strict=False):
            open_Q &= confidences_QM[:, member] < threshold
            level_Q += open_Q
        return level_Q


@dataclass(frozen=True)
class Evidence:
    """What dev says of every member, questions by members."""

    scores_QM: np.ndarray
    confidences_QM: np.ndarray
    costs_QM: np.ndarray
    """In any one unit."""

    @property
    def top_cost(self) -> float:
        """Mean cost of the costliest member: the unit of relative costs; 1 if all are free."""
        top = float(self.costs_QM.mean(axis=0).max())
        return top if top > 0 else 1.0

    def outcome(self, policy: Policy) -> tuple[np.ndarray, np.ndarray]:
        """(score, cost) per question under a policy; every level that is asked is paid."""
        rows, levels = np.arange(len(self.scores_QM)), np.asarray(policy.levels)
        level_Q = policy.answering(self.confidences_QM)
        paid_QL = self.costs_QM[:, levels].cumsum(axis=1)
        return self.scores_QM[rows, levels[level_Q]], paid_QL[rows, level_Q]


@dataclass(frozen=True)
class Aim:
    """What a policy should reach, and what it may be made of."""

    cost_weight: float = 0.0
    """Score that may be lost to save the costliest member's whole mean cost."""
    budget: float | None = None
    """Mean cost per question at most, in the unit of the costs."""
    max_levels: int = 3
    order: tuple[int, ...] = ()
    """Lists must keep this order and have these members only; empty = any order."""
    seed: int = 0
    """Of the folds."""


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


@dataclass
class Grid:
    """All candidate policies with their sums per fold."""

    levels_PL: np.ndarray
    """Member indices; -1 beyond a policy's last level."""
    thresholds_PL: np.ndarray
    scores_PF: np.ndarray
    """Sum of scores over the questions of each fold."""
    costs_PF: np.ndarray
    depth_P: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.depth_P = (self.levels_PL >= 0).sum(axis=1)

    def __len__(self) -> int:
        return len(self.levels_PL)

    def policy(self, place: int) -> Policy:
        """The candidate at this place."""
        depth = int(self.depth_P[place])
        levels = tuple(int(m) for m in self.levels_PL[place, :depth])
        return Policy(levels, tuple(float(t) for t in self.thresholds_PL[place, : depth - 1]))

    def means(self, counts_F: np.ndarray, without: int | None = None) -> np.ndarray:
        """Mean (score, cost) per policy over all folds, or all but one; shape [2, policies]."""
        kept = np.arange(len(counts_F)) != (-1 if without is None else without)
        sums = np.stack([self.scores_PF[:, kept].sum(axis=1), self.costs_PF[:, kept].sum(axis=1)])
        found: np.ndarray = sums / counts_F[kept].sum()
        return found


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


def members(evidence: Evidence, aim: Aim) -> tuple[int, ...]:
    """Whom lists are made of: the order's members, else everybody, or of more than 5 those that no
    other member matches in score at its cost or less.
    """
    if aim.order:
        return aim.order
    count = evidence.scores_QM.shape[1]
    if count <= ALL_ORDERS:
        return tuple(range(count))
    scores = np.round(evidence.scores_QM.mean(axis=0), DIGITS)
    costs = evidence.costs_QM.mean(axis=0)
    kept, top = [], -np.inf
    for member in np.lexsort((np.arange(count), -scores, costs)):
        if scores[member] > top:
            kept.append(int(member))
            top = scores[member]
    return tuple(sorted(kept))


def cuts(confidences_Q: np.ndarray) -> np.ndarray:
    """At most 20 thresholds, each halfway between neighbouring confidences, at quantiles; none
    that would pass nothing on.
    """
    values, counts = np.unique(confidences_Q, return_counts=True)
    upper = np.arange(1, len(values))
    if len(upper) > CUTS:
        ranks = np.ceil(np.arange(1, CUTS + 1) / (CUTS + 1) * (len(confidences_Q) - 1))
        upper = np.unique(np.searchsorted(counts.cumsum(), ranks, side="right"))
        upper = upper[upper > 0]
    found: np.ndarray = (values[upper - 1] + values[upper]) / 2
    return found


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


def candidates(evidence: Evidence, aim: Aim, folds_Q: np.ndarray) -> Grid:
    """Every candidate policy, with sums of score and cost per fold."""
    maker = _Maker(evidence, aim, folds_Q)
    blocks = list(maker.blocks())
    columns = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return Grid(*columns)


Block = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Levels, thresholds, score sums and cost sums of some policies."""


@dataclass(frozen=True)
class _Node:
    """The questions that come to the next level."""

    levels: tuple[int, ...]
    thresholds: tuple[float, ...]
    rows: np.ndarray
    scores_F: np.ndarray
    """Of the questions answered before."""
    costs_F: np.ndarray
    """Paid before."""


class _Maker:
    """Walks the tree of lists and thresholds; the last two levels are done as arrays."""

    def __init__(self, evidence: Evidence, aim: Aim, folds_Q: np.ndarray) -> None:
        self.evidence, self.aim, self.folds_Q = evidence, aim, folds_Q
        self.members = members(evidence, aim)
        self.num_folds = int(folds_Q.max()) + 1
        self.depth = min(aim.max_levels, len(self.members))
        self.columns = np.ascontiguousarray(
            np.concatenate([evidence.scores_QM.T, evidence.costs_QM.T])
        )

    def blocks(self) -> Iterator[Block]:
        """All policies: single members, then lists by their first member."""
        zero = np.zeros(self.num_folds)
        root = _Node((), (), np.arange(len(self.folds_Q)), zero, zero)
        for member in self.members:
            sums = self._sums(root.rows, np.zeros(len(root.rows), dtype=int), 1, (member,))
            yield self._block(root, (member,), np.zeros(0), sums[0][:, 0], sums[1][:, 0])
            if self.depth > 1:
                yield from self._lists(root, member)

    def _lists(self, node: _Node, member: int) -> Iterator[Block]:
        """Policies that ask this member next, and others after it."""
        nexts = self._nexts((*node.levels, member))
        own_Q = self.evidence.confidences_QM[node.rows, member]
        cuts_C = cuts(own_Q)
        if not len(cuts_C) or not nexts:
            return
        bucket_Q = np.searchsorted(cuts_C, own_Q, side="right")
        scores, costs = self._sums(node.rows, bucket_Q, len(cuts_C) + 1, (member, *nexts))
        passed, paid = scores[:, :-1].cumsum(axis=1), costs[:, :-1].cumsum(axis=1)
        done_CF = node.scores_F + scores[0].sum(axis=0) - passed[0]
        spent_F = node.costs_F + costs[0].sum(axis=0)
        for place, after in enumerate(nexts, start=1):
            ends = (member, after)
            yield self._block(node, ends, cuts_C, done_CF + passed[place], spent_F + paid[place])
        if len(node.levels) + 2 >= self.depth:
            return
        for c, cut in enumerate(cuts_C):
            levels, thresholds = (*node.levels, member), (*node.thresholds, float(cut))
            rows = node.rows[bucket_Q <= c]
            child = _Node(levels, thresholds, rows, done_CF[c], spent_F)
            for after in nexts:
                yield from self._lists(child, after)

    def _nexts(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        if self.aim.order:
            return self.members[self.members.index(levels[-1]) + 1 :]
        return tuple(m for m in self.members if m not in levels)

    def _sums(
        self, rows: np.ndarray, bucket_Q: np.ndarray, buckets: int, asked: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sums of the asked members' scores and costs, each of shape [asked, buckets, folds]."""
        key_Q = bucket_Q * self.num_folds + self.folds_Q[rows]
        size, count = buckets * self.num_folds, self.evidence.scores_QM.shape[1]
        found = [
            np.bincount(key_Q, self.columns[column, rows], size).reshape(buckets, self.num_folds)
            for column in (*asked, *(count + m for m in asked))
        ]
        return np.stack(found[: len(asked)]), np.stack(found[len(asked) :])

    def _block(
        self,
        node: _Node,
        ends: tuple[int, ...],
        cuts_C: np.ndarray,
        scores_CF: np.ndarray,
        costs_CF: np.ndarray,
    ) -> Block:
        """One policy per cut (one alone without), padded to the depth of all."""
        levels = (*node.levels, *ends)
        rows = len(scores_CF)
        levels_PL = np.full((rows, self.depth), -1)
        levels_PL[:, : len(levels)] = levels
        thresholds_PL = np.full((rows, self.depth), np.nan)
        thresholds_PL[:, : len(node.thresholds)] = node.thresholds
        if len(cuts_C):
            thresholds_PL[:, len(node.thresholds)] = cuts_C
        return levels_PL, thresholds_PL, scores_CF, costs_CF


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
