"""The bandit: golden updates, exploration, regret, entropy."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moco.search.exp3 import Exp3, best_rate


def test_rewards_are_divided_by_the_chance_of_the_arm() -> None:
    bandit = Exp3(4, 0.25, mix=0.2)
    assert bandit.probabilities.tolist() == [0.25] * 4
    bandit.learn([1, 1, 3], [0.5, 1.0, 0.25])
    grown = np.exp([0.0, 0.25 * 1.5 / 0.25, 0.0, 0.25 * 0.25 / 0.25])
    assert bandit.probabilities == pytest.approx(0.8 * grown / grown.sum() + 0.05)


def test_with_implicit_exploration_losses_are_and_a_rare_arm_cannot_jump() -> None:
    bandit = Exp3(2, 0.1, implicit=0.05)
    bandit.learn([0], [0.25])
    shares = np.exp([-0.1 * 0.75 / 0.55, 0.0])
    assert bandit.probabilities == pytest.approx(shares / shares.sum())
    rare = Exp3(2, 0.1, implicit=0.05)
    rare.logs = np.asarray([0.0, -20.0])
    before = rare.probabilities[1]
    rare.learn([1], [1.0])  # bare EXP3 would multiply its weight by exp(0.1 / 2e-9)
    assert rare.probabilities[1] == pytest.approx(before)


@pytest.mark.parametrize("implicit", [0.0, 0.05])
def test_it_finds_the_better_arms(implicit: float) -> None:
    dice, worth = random.Random(0), [0.2, 0.9, 0.3, 0.1, 0.2]
    bandit = Exp3(5, 0.05 if implicit else 0.02, mix=0.1, implicit=implicit)
    for _ in range(60):
        arms = bandit.draw(20, dice)
        bandit.learn(arms, [worth[arm] for arm in arms])
    assert int(bandit.probabilities.argmax()) == 1
    assert bandit.probabilities[1] > 0.6


@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=20),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_draws_are_a_distribution_and_keep_their_entropy(
    logs: list[float], mix: float, floor: float
) -> None:
    bandit = Exp3(len(logs), 0.1, mix=mix, floor=floor)
    bandit.logs = np.asarray(logs)
    found = bandit.probabilities
    assert found.sum() == pytest.approx(1)
    assert (found >= mix / len(logs) - 1e-12).all()
    assert bandit.entropy >= floor - 1e-6


def test_the_rate_is_the_bounds() -> None:
    assert best_rate(100, 400) == pytest.approx(math.sqrt(2 * math.log(100) / 40_000))
    assert best_rate(1, 5) == 0.0
