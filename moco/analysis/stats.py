"""Means with intervals, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000


def mean(values: Sequence[float]) -> float | None:
    """Arithmetic mean; None of nothing."""
    return float(np.mean(values)) if len(values) else None


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95% interval of a mean: Wilson's for scores that are all 0 or 1, percentile bootstrap
    (seeded) otherwise.
    """
    if not len(values):
        return None
    data = np.asarray(values, dtype=float)
    if np.isin(data, (0.0, 1.0)).all():
        from scipy.stats import binomtest

        found = binomtest(int(data.sum()), len(data)).proportion_ci(LEVEL, method="wilson")
        return float(found.low), float(found.high)
    return _bootstrap(data)


def paired_difference(
    ours: Sequence[float], theirs: Sequence[float]
) -> tuple[float, float, float] | None:
    """Mean of ours − theirs on the same items, with its 95% bootstrap interval (seeded)."""
    if not len(ours):
        return None
    difference = np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float)
    low, high = _bootstrap(difference)
    return float(difference.mean()), low, high


def _bootstrap(data: np.ndarray) -> tuple[float, float]:
    """Percentile interval of the mean from seeded resamples."""
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(data), size=(RESAMPLES, len(data)))
    means = data[picks].mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
