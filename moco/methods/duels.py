"""Duels between members: who meets whom, what the others think, how ratings move, and how far a
judge is believed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from moco.analysis.ratings import bradley_terry
from moco.types import Query

START = 100.0
FLOOR = 10.0
SIGMA = 0.5
LEAST_WEIGHT = 0.05
"""Of a judge that agrees with the others no more than chance would."""
LAST_HANDICAP = 8
"""Iteration from which handicaps stay as they are."""
Selection = Literal["lowest_diff", "highest_diff", "schedule_decreasing", "schedule_increasing"]
ScoreType = Literal["normal", "dynamic", "static"]


@dataclass(slots=True)
class Duel:
    """Two members' answers to one question."""

    query: Query
    players: tuple[int, int]
    texts: tuple[str, str] = ("", "")
    votes: dict[int, float] = field(default_factory=dict)
    """Judge → 1 if the first is better, 0 if the second, 0.5 for a tie, or how clearly from 0 to 1;
    missing verdicts are not there. Judge -1 = dev's own answers.
    """
    marks: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Judge → marks of both answers from 1 to 10, where they are judged one by one."""

    def mark(self, judge: int, marks: tuple[float, float], factors: Sequence[float]) -> None:
        """Note a judge's marks; the verdict is their difference, each mark times the factor of its
        player.
        """
        self.marks[judge] = marks
        one, other = (m * factors[p] for m, p in zip(marks, self.players, strict=True))
        self.votes[judge] = min(max(0.5 + (one - other) / 18, 0.0), 1.0)

    def means(self, weights: Sequence[float]) -> tuple[float, float] | None:
        """Weighted mean marks of both answers; None where nobody marked them."""
        total = math.fsum(weights[judge] for judge in self.marks)
        if total <= 0:
            return None
        first, second = (
            math.fsum(weights[j] * own[side] for j, own in self.marks.items()) / total
            for side in (0, 1)
        )
        return first, second

    def balance(self, weights: Sequence[float]) -> float:
        """Weighted mean verdict from -1 (the second is better) to 1; 0 without any."""
        total = math.fsum(weights[judge] for judge in self.votes)
        if total <= 0:
            return 0.0
        sides = (weights[j] * (2 * share - 1) for j, share in self.votes.items())
        return round(math.fsum(sides) / total, 9)


def matched(
    queries: Sequence[Query],
    ratings: Sequence[float],
    dice: random.Random,
    *,
    random_share: float,
    opponents: int,
) -> list[Duel]:
    """One duel per question: members take turns in shuffled rounds; the opponent is any other with
    probability `random_share`, else one of so many of the nearest ratings.
    """
    n = len(ratings)
    turns: list[int] = []
    while len(turns) < len(queries):
        block = list(range(n))
        dice.shuffle(block)
        turns += block
    found = []
    for query, player in zip(queries, turns, strict=False):
        rival = opponent(player, ratings, dice, random_share=random_share, opponents=opponents)
        found.append(Duel(query, (player, rival)))
    return found


def opponent(
    player: int,
    ratings: Sequence[float],
    dice: random.Random,
    *,
    random_share: float,
    opponents: int,
    selection: Selection = "lowest_diff",
    progress: float = 0.0,
    sigma: float = 0.15,
) -> int:
    """Who meets a player: any other with probability `random_share`, else one of so many of the
    nearest (or farthest) ratings; or, on a schedule, drawn by how near the gap of the ratings, as
    a share of the widest, comes to a target that falls (or rises) with the `progress` from 0 to 1,
    in a bell of width `sigma`.
    """
    others = [i for i in range(len(ratings)) if i != player]
    if dice.random() < random_share:
        return dice.choice(others)
    gaps = {i: abs(ratings[i] - ratings[player]) for i in others}
    if selection in ("lowest_diff", "highest_diff"):
        sign = 1 if selection == "lowest_diff" else -1
        others.sort(key=lambda i: (sign * gaps[i], i))
        return dice.choice(others[:opponents])
    target = progress if selection == "schedule_increasing" else 1 - progress
    widest = max(gaps.values()) or 1.0
    weights = [math.exp(-((gaps[i] / widest - target) ** 2) / (2 * sigma**2)) for i in others]
    return dice.choices(others, weights)[0]


def agreement(players: int, duels: Sequence[Duel]) -> list[float]:
    """How far each judge is to be believed: how often its verdicts are those of the other judges of
    the same duels, 1 = always, nearly 0 = as chance; 1 for all where no duel has two judges.
    """
    shares: list[list[float]] = [[] for _ in range(players)]
    for duel in duels:
        for judge, share in duel.votes.items():
            others = [own for other, own in duel.votes.items() if other != judge]
            if judge >= 0 and others:
                shares[judge].append(1 - abs(share - math.fsum(others) / len(others)))
    return [
        round(max(2 * math.fsum(own) / len(own) - 1, LEAST_WEIGHT), 6) if own else 1.0
        for own in shares
    ]


def handicaps(kind: ScoreType, players: int, history: Sequence[Sequence[float]]) -> list[float]:
    """Factors of the players' marks, from the ratings after each iteration before this one.

    `dynamic`: the lowest-rated of the last iteration, one more each iteration, get 0, 0.1, 0.2, …;
    `static`: each iteration one more, the lowest of those left, and factors stay. From the eighth
    iteration on nothing changes any more.
    """
    known = history[: LAST_HANDICAP - 1]
    factors = [1.0] * players
    if kind == "dynamic" and known:
        order = sorted(range(players), key=lambda i: (known[-1][i], i))
        for place, player in enumerate(order[: len(known)]):
            factors[player] = min(place / 10, 1.0)
    elif kind == "static":
        left = list(range(players))
        for place, ratings in enumerate(known[:players]):
            lowest = min(left, key=lambda i: (ratings[i], i))
            left.remove(lowest)
            factors[lowest] = min(place / 10, 1.0)
    return factors


@dataclass(slots=True)
class SpartaRule:
    """The ratings of Sparta (Jiang et al. 2025, arXiv 2506.04721), which move by the verdict, the
    player's uncertainty and the gap of the ratings; both players' moves are taken from the ratings
    before the duel.
    """

    ratings: list[float]
    sigmas: list[float]
    initial_k: float = 10.0
    min_k: float = 5.0
    decay_rate: float = 0.9
    decay_steps: int = 10
    scaling_factor: float = 20.0
    epsilon: float = 0.01
    window_size: int = 10
    min_deviation: float = 0.1
    updates: int = 0
    changes: list[list[float]] = field(default_factory=list)

    @classmethod
    def of(cls, players: int, **constants: Any) -> SpartaRule:
        """Everybody starts equal."""
        changes: list[list[float]] = [[] for _ in range(players)]
        return cls([START] * players, [SIGMA] * players, changes=changes, **constants)

    def record(self, duel: Duel, weights: Sequence[float] = ()) -> None:
        """Move both players; a verdict counts as a difference of marks from 1 to 10. Judges weigh
        as much as their own ratings where no weights are given.
        """
        delta = 9 * duel.balance(weights or self.ratings)
        k = max(self.min_k, self.initial_k * self.decay_rate ** (self.updates / self.decay_steps))
        one, other = duel.players
        spread = math.hypot(self.sigmas[one], self.sigmas[other])
        z = (self.ratings[one] - self.ratings[other]) / spread
        gap = max(abs(math.erf(z / math.sqrt(2))), self.epsilon)  # |φ(z) − φ(−z)|
        for player, side in ((one, delta), (other, -delta)):
            move = k * side * math.tanh(self.sigmas[player]) * gap / self.scaling_factor
            self.changes[player].append(move)
        for player in duel.players:
            self.ratings[player] = max(FLOOR, self.ratings[player] + self.changes[player][-1])
            recent = self.changes[player][-self.window_size :]
            if len(recent) > 1:
                self.sigmas[player] = max(float(np.std(recent)), self.min_deviation)
        self.updates += 1


def strengths(players: int, duels: Sequence[Duel], weights: Sequence[float] = ()) -> list[float]:
    """Bradley-Terry ratings from all graded duels, as positive weights of mean about 100; judges
    weigh alike where no weights are given.
    """
    believed = weights or [1.0] * (players + 1)
    wins = np.zeros((players, players))
    for duel in duels:
        one, other = duel.players
        if duel.votes:
            share = (duel.balance(believed) + 1) / 2
            wins[one, other] += share
            wins[other, one] += 1 - share
    return [round(START * math.exp(float(x)), 6) for x in bradley_terry(wins)]
