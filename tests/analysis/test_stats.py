"""Means, intervals and paired differences, also of values that belong together."""

from __future__ import annotations

import random

import numpy as np
import pytest

from moco.analysis import stats


def fractions(count: int, seed: int = 0) -> list[stats.Value]:
    rng = random.Random(seed)
    return [rng.random() for _ in range(count)]


def width(bounds: tuple[float, float] | None) -> float:
    assert bounds is not None
    return bounds[1] - bounds[0]


def test_clusters_of_one_change_nothing() -> None:
    ours, theirs = fractions(80), fractions(80, 1)
    names = random.Random(2).sample(range(1000), 80)
    assert stats.interval(ours, names) == stats.interval(ours)
    assert stats.paired_difference(ours, theirs, names) == stats.paired_difference(ours, theirs)
    bits: list[stats.Value] = [1.0, 0.0, 1.0, 1.0]
    assert stats.interval(bits, [7, 3, 5, 1]) == stats.interval(bits)  # Wilson's


def test_a_bootstrap_by_hand() -> None:
    values = fractions(30)
    picks = np.random.default_rng(0).integers(0, 30, size=(stats.RESAMPLES, 30))
    means = np.asarray(values, dtype=float)[picks].mean(axis=1)
    assert stats.interval(values) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


@pytest.mark.parametrize("size", [4, 9])
def test_values_that_repeat_widen_the_interval_by_the_root_of_how_often(size: int) -> None:
    rng = random.Random(3)
    once: list[stats.Value] = [float(rng.random() < 0.6) for _ in range(150)]
    copies = [value for value in once for _ in range(size)]
    clusters = [i for i in range(len(once)) for _ in range(size)]
    ratio = width(stats.interval(copies, clusters)) / width(stats.interval(copies))
    assert ratio == pytest.approx(size**0.5, rel=0.08)
    zeros: list[stats.Value] = [0.5] * len(copies)
    pairs = [stats.paired_difference(copies, zeros, c) for c in (clusters, None)]
    wide, narrow = (width(pair[1:]) for pair in pairs if pair is not None)
    assert wide / narrow == pytest.approx(size**0.5, rel=0.08)


def test_unequal_clusters_by_hand() -> None:
    # One value of 0 and four of 1: a resample of two clusters has mean 0, 4/5 or 1.
    found = stats.interval([0.0, 1.0, 1.0, 1.0, 1.0], [0, 1, 1, 1, 1])
    assert found == (0.0, 1.0)
    assert stats.paired_difference([1, 3, 3], [0, 0, 0], [0, 1, 1]) == (7 / 3, 1.0, 3.0)


def test_the_order_and_the_names_of_clusters_do_not_matter() -> None:
    values, clusters = fractions(40), [i // 4 for i in range(40)]
    assert stats.interval(values, [100 - c for c in clusters]) == stats.interval(values, clusters)


def test_what_could_not_be_graded_leaves_its_cluster() -> None:
    values: list[stats.Value] = [0.2, None, 0.4, 0.9, None]
    assert stats.interval(values, [0, 0, 0, 1, 2]) == stats.interval([0.2, 0.4, 0.9], [0, 0, 1])
    assert stats.interval([None, None], [0, 0]) is None


def test_clusters_that_all_agree_are_not_certain() -> None:
    right: list[stats.Value] = [1.0] * 12
    assert stats.interval(right, [i // 4 for i in range(12)]) == stats.interval([1.0] * 3)
    wrong: list[stats.Value] = [0.0] * 12
    assert stats.interval(wrong, [i // 4 for i in range(12)]) == stats.interval([0.0] * 3)


def test_one_cluster_tells_nothing_about_others() -> None:
    assert stats.interval([0.0, 1.0], [0, 0]) is None
    assert stats.paired_difference([0.0, 1.0], [1.0, 1.0], [0, 0]) is None
    assert stats.interval([1.0], [0]) == stats.interval([1.0])


def test_every_value_needs_a_cluster() -> None:
    with pytest.raises(ValueError, match="zip"):
        stats.interval([1.0, 0.0], [0])
