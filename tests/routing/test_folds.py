"""Folds: whole groups, even in size and scores; what left-out predictions allow."""

from __future__ import annotations

import numpy as np
import pytest

from moco.routing.decide import Estimates, Standing, decide
from moco.routing.folds import FOLDS, folds
from moco.routing.residuals import careful, caution, contrasts, evidence, losses, simplest
from moco.routing.table import unit


def twins(pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Questions in pairs of almost equal embeddings and equal scores."""
    random = np.random.default_rng(seed)
    rows = np.repeat(random.normal(size=(pairs, 16)), 2, axis=0)
    scores = np.repeat(random.integers(2, size=(pairs, 3)), 2, axis=0).astype(float)
    return unit(rows + 0.001 * random.normal(size=rows.shape)), scores


@pytest.mark.parametrize("seed", range(5))
def test_twins_share_a_fold_and_folds_are_even(seed: int) -> None:
    rows, scores = twins(60, seed)
    found = folds(rows, scores, seed)
    assert (found[0::2] == found[1::2]).mean() > 0.95
    assert np.ptp(np.bincount(found, minlength=FOLDS)) <= 4
    shares = np.stack([scores[found == fold].mean(axis=0) for fold in range(FOLDS)])
    assert np.abs(shares - scores.mean(axis=0)).max() < 0.25
    assert (found == folds(rows, scores, seed)).all()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_questions_have_few_folds(count: int) -> None:
    rows, scores = unit(np.eye(8))[:count], np.ones((count, 2))
    found = folds(rows, scores, 0)
    assert len(found) == count
    assert len(np.unique(found)) == min(count, FOLDS)


def test_equal_questions_are_one_group() -> None:
    assert set(folds(np.ones((40, 4)), np.ones((40, 2)), 0)) == {0}


def test_the_simplest_setting_within_one_standard_error() -> None:
    noise = np.asarray([-0.2, 0.2] * 50)  # standard error 0.0201
    errors = np.stack([0.60 + noise, 0.519 + noise, 0.51 + noise, 0.50 + noise, 0.53 + noise])
    assert simplest(errors) == 1
    assert simplest(errors[:, :1]) == 3


def test_contrasts_leave_out_what_is_hard_for_all() -> None:
    values = np.asarray([[1.0, 0.0], [0.5, np.nan], [np.nan, np.nan]])
    assert np.nan_to_num(contrasts(values), nan=9).tolist() == [[0.5, -0.5], [0.0, 9], [9, 9]]
    assert losses(values).tolist() == [0.25, 0.0, 0.0]


@pytest.mark.parametrize(
    ("gains", "allowed"),
    [
        ([1.0, 1.0, 1.0, 1.0, 0.0, 0.0], 0.0),
        ([1.0, -1.0, 1.0, 0.0, 0.0, 0.0], 1.0),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], np.inf),
        ([-1.0, 1.0, -1.0, 0.0, 0.0, 0.0], np.inf),
    ],
)
def test_caution_by_the_left_out_gain(gains: list[float], allowed: float) -> None:
    scores = np.stack([np.zeros(6), np.asarray(gains)], axis=1)
    left = np.tile([0.4, 0.6], (6, 1))  # always the second member; the first is the best
    assert caution(left, scores, 0) == allowed
    assert (evidence(left, scores, 0)["caution_M"] == allowed).all()


def test_too_little_to_judge_keeps_the_guard_per_question() -> None:
    assert caution(np.asarray([[0.4, 0.6]]), np.asarray([[0.0, 1.0]]), 0) == 1.0


def test_a_router_that_dev_does_not_confirm_never_leaves_the_best_member() -> None:
    found = np.asarray([[0.1, 0.9], [0.45, 0.5]])
    standing = Standing(np.asarray([0.6, 0.5]), np.zeros(2))
    picks = [
        decide(Estimates(found, careful(np.full((2, 2), 0.1), np.full(2, z))), standing).tolist()
        for z in (0.0, 1.0, np.inf)
    ]
    assert picks == [[1, 1], [1, 0], [0, 0]]
