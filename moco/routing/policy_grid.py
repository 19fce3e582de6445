"""All candidate policies of a cascade with what each would have scored and paid on dev."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

DIGITS = 9
"""Objectives are rounded before they are compared."""
CUTS = 20
"""Thresholds per level at most."""
ALL_ORDERS = 5
"""Members up to which every list is tried; of more, only those of the accuracy-cost front."""


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
