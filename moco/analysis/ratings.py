"""Ratings from comparisons of pairs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

PRIOR = 0.1
"""Games that everybody has won and lost against an average player, so that ratings stay finite."""
STEPS = 1000


def bradley_terry(wins_NN: np.ndarray) -> np.ndarray:
    """Log-strengths (nats, mean 0) under P(i beats j) = s_i / (s_i + s_j); `wins_NN[i, j]` counts
    i's wins over j, a tie as half a win for each.

    The minorisation-maximisation of Hunter 2004 (doi 10.1214/aos/1079120141), with a weak prior.
    """
    games_NN = wins_NN + wins_NN.T
    won_N = wins_NN.sum(axis=1) + PRIOR
    strength_N = np.ones(len(wins_NN))
    for _ in range(STEPS):
        sums_NN = games_NN / (strength_N[:, None] + strength_N[None, :])
        np.fill_diagonal(sums_NN, 0.0)
        new_N = won_N / (sums_NN.sum(axis=1) + 2 * PRIOR / (strength_N + 1))
        new_N /= np.exp(np.log(new_N).mean())
        done = np.abs(np.log(new_N / strength_N)).max() < 1e-10
        strength_N = new_N
        if done:
            break
    found: np.ndarray = np.log(strength_N)
    return found


def elo(
    count: int, games: Iterable[tuple[int, int, float]], k: float = 32.0, start: float = 1000.0
) -> list[float]:
    """Elo ratings after games (player, opponent, the player's score from 0 to 1), in order; both
    players move by k · (score − expected) from their ratings before the game.
    """
    ratings = [start] * count
    for one, other, score in games:
        expected = 1 / (1 + 10 ** ((ratings[other] - ratings[one]) / 400))
        ratings[one] += k * (score - expected)
        ratings[other] -= k * (score - expected)
    return ratings
