"""A bandit that draws among many arms and keeps exploring (EXP3, Auer et al. 2002, doi
10.1137/S0097539701398375; with implicit exploration, EXP3-IX, Neu 2015, arXiv 1506.03271).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np


class Exp3:
    """Weights of arms whose rewards, from 0 to 1, are seen only where an arm was drawn."""

    def __init__(
        self, arms: int, rate: float, *, mix: float = 0.0, implicit: float = 0.0, floor: float = 0.0
    ) -> None:
        """`rate` is the step of log-weights; `mix` the share that is drawn uniformly; `implicit` is
        added to a probability before a loss is divided by it, so that a rare arm cannot jump (0 =
        rewards are divided by the bare probability, as in EXP3); the entropy of the draws is kept
        above `floor` of its maximum by mixing in more of the uniform.
        """
        self.rate, self.mix, self.implicit, self.floor = rate, mix, implicit, floor
        self.logs = np.zeros(arms)

    @property
    def probabilities(self) -> np.ndarray:
        """With which each arm is drawn; they sum to 1."""
        shares = np.exp(self.logs - self.logs.max())
        shares /= shares.sum()
        if _entropy(_mixed(shares, self.mix)) >= self.floor:
            return _mixed(shares, self.mix)
        low, high = self.mix, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            enough = _entropy(_mixed(shares, middle)) >= self.floor
            low, high = (low, middle) if enough else (middle, high)
        return _mixed(shares, high)

    @property
    def entropy(self) -> float:
        """Of the draws, as a share of its maximum; 1 = uniform."""
        return _entropy(self.probabilities)

    def draw(self, count: int, dice: random.Random) -> list[int]:
        """So many arms, each drawn anew."""
        return dice.choices(range(len(self.logs)), weights=self.probabilities.tolist(), k=count)

    def learn(self, arms: Sequence[int], rewards: Sequence[float]) -> None:
        """Move the weights by the rewards of arms that were drawn since the last time."""
        chances = self.probabilities
        for arm, reward in zip(arms, rewards, strict=True):
            if self.implicit > 0:
                self.logs[arm] -= self.rate * (1 - reward) / (chances[arm] + self.implicit)
            else:
                self.logs[arm] += self.rate * reward / chances[arm]
        self.logs -= self.logs.max()


def best_rate(arms: int, draws: int) -> float:
    """The step that bounds the regret over so many draws, √(2 ln K / (K · draws))."""
    return math.sqrt(2 * math.log(arms) / (arms * max(draws, 1)))


def _mixed(shares: np.ndarray, mix: float) -> np.ndarray:
    found: np.ndarray = (1 - mix) * shares + mix / len(shares)
    return found


def _entropy(shares: np.ndarray) -> float:
    if len(shares) == 1:
        return 1.0
    seen = shares[shares > 0]
    return float(-(seen * np.log(seen)).sum() / math.log(len(shares)))
