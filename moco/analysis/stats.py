"""Means with intervals, and paired differences.

None stands for a question that could not be graded, and is left out. Values of one cluster belong
together (one question asked in several ways) and are resampled together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000


Value = float | None
"""What one question scored."""


def known(values: Sequence[Value]) -> np.ndarray:
    """The values that are not None."""
    return np.asarray([v for v in values if v is not None], dtype=float)


def mean(values: Sequence[Value]) -> float | None:
    """Arithmetic mean; None of nothing."""
    data = known(values)
    return float(data.mean()) if len(data) else None


def interval(
    values: Sequence[Value], clusters: Sequence[int] | None = None
) -> tuple[float, float] | None:
    """95% interval of a mean: Wilson's for independent scores that are all 0 or 1, percentile
    bootstrap (seeded) otherwise.

    With `clusters`, one number per value, whole clusters are resampled. Where their values are all
    0, or all 1, that would claim certainty: Wilson's interval then counts each cluster once. None
    of nothing, and of one cluster of several values, which tells nothing about others.
    """
    data, places = _kept(values, clusters)
    count = len(set(places))
    if not len(data) or count == 1 < len(data):
        return None
    alike = count < len(data) and data.min() == data.max()
    if np.isin(data, (0.0, 1.0)).all() and (count == len(data) or alike):
        return _wilson(round(data.mean() * count), count)
    return _bootstrap(data, places)


def paired_difference(
    ours: Sequence[Value], theirs: Sequence[Value], clusters: Sequence[int] | None = None
) -> tuple[float, float, float] | None:
    """Mean of ours − theirs on the same items, with its 95% bootstrap interval (seeded); `clusters`
    and None as with `interval`.
    """
    pairs = zip(ours, theirs, strict=True)
    difference = [None if a is None or b is None else a - b for a, b in pairs]
    data, places = _kept(difference, clusters)
    if not len(data) or len(set(places)) == 1 < len(data):
        return None
    low, high = _bootstrap(data, places)
    return float(data.mean()), low, high


def _kept(values: Sequence[Value], clusters: Sequence[int] | None) -> tuple[np.ndarray, list[int]]:
    """The values that are not None, and the place of each one's cluster in order of appearance;
    without `clusters` every value is one.
    """
    own = range(len(values)) if clusters is None else clusters
    kept = [(v, c) for v, c in zip(values, own, strict=True) if v is not None]
    order = {c: i for i, c in enumerate(dict.fromkeys(c for _, c in kept))}
    return np.asarray([v for v, _ in kept], dtype=float), [order[c] for _, c in kept]


def _wilson(successes: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    found = binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def _bootstrap(data: np.ndarray, places: Sequence[int]) -> tuple[float, float]:
    """Percentile interval of the mean from seeded resamples of whole clusters."""
    sums, sizes = np.bincount(places, data), np.bincount(places)
    picks = np.random.default_rng(0).integers(0, len(sums), size=(RESAMPLES, len(sums)))
    means = sums[picks].sum(axis=1) / sizes[picks].sum(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
