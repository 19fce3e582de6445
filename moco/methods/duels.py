"""Duels between members: who meets whom, what the others think, and how ratings move."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from moco.analysis.ratings import bradley_terry
from moco.types import Query

START = 100.0
FLOOR = 10.0
SIGMA = 0.5


@dataclass(slots=True)
class Duel:
    """Two members' answers to one question."""

    query: Query
    players: tuple[int, int]
    texts: tuple[str, str] = ("", "")
    votes: dict[int, float] = field(default_factory=dict)
    """Judge → 1 if the first is better, 0 if the second, 0.5 for a tie; missing verdicts are not
    there.
    """

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
        others = [i for i in range(n) if i != player]
        if dice.random() >= random_share:
            others.sort(key=lambda i: (abs(ratings[i] - ratings[player]), i))
            others = others[:opponents]
        found.append(Duel(query, (player, dice.choice(others))))
    return found


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
    scaling: float = 20.0
    epsilon: float = 0.01
    window_size: int = 10
    min_deviation: float = 0.1
    updates: int = 0
    changes: list[list[float]] = field(default_factory=list)

    @classmethod
    def of(cls, players: int) -> SpartaRule:
        """Everybody starts equal."""
        return cls([START] * players, [SIGMA] * players, changes=[[] for _ in range(players)])

    def record(self, duel: Duel) -> None:
        """Move both players; a verdict counts as a difference of scores from 1 to 10."""
        delta = 9 * duel.balance(self.ratings)
        k = max(self.min_k, self.initial_k * self.decay_rate ** (self.updates / self.decay_steps))
        one, other = duel.players
        spread = math.hypot(self.sigmas[one], self.sigmas[other])
        z = (self.ratings[one] - self.ratings[other]) / spread
        gap = max(abs(math.erf(z / math.sqrt(2))), self.epsilon)  # |φ(z) − φ(−z)|
        for player, side in ((one, delta), (other, -delta)):
            move = k * side * math.tanh(self.sigmas[player]) * gap / self.scaling
            self.changes[player].append(move)
        for player in duel.players:
            self.ratings[player] = max(FLOOR, self.ratings[player] + self.changes[player][-1])
            recent = self.changes[player][-self.window_size :]
            if len(recent) > 1:
                self.sigmas[player] = max(float(np.std(recent)), self.min_deviation)
        self.updates += 1


def strengths(players: int, duels: Sequence[Duel]) -> list[float]:
    """Bradley-Terry ratings from all graded duels, as positive weights of mean about 100."""
    wins = np.zeros((players, players))
    for duel in duels:
        one, other = duel.players
        if duel.votes:
            share = (duel.balance([1.0] * players) + 1) / 2
            wins[one, other] += share
            wins[other, one] += 1 - share
    return [round(START * math.exp(float(x)), 6) for x in bradley_terry(wins)]
