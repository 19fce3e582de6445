"""k-means with the k-means++ start (Arthur and Vassilvitskii 2007), by SciPy."""

from __future__ import annotations

import warnings

import numpy as np


def kmeans(rows_NE: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """The group of each row, from 0 to size - 1; a group may stay empty."""
    from scipy.cluster.vq import kmeans2

    if size <= 1 or not len(rows_NE):
        return np.zeros(len(rows_NE), dtype=int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of empty groups
        start = spread_out(rows_NE, size, rng)
        labels: np.ndarray = kmeans2(rows_NE, start, minit="matrix", missing="warn")[1]
    return labels


def spread_out(rows_NE: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """`size` rows, each drawn with a probability proportional to its squared distance to the
    nearest one drawn before.
    """
    squares_N = np.einsum("ne,ne->n", rows_NE, rows_NE)
    chosen = [int(rng.integers(len(rows_NE)))]
    gap_N = np.full(len(rows_NE), np.inf)
    while len(chosen) < size:
        last = chosen[-1]
        own_N = squares_N + squares_N[last] - 2 * (rows_NE @ rows_NE[last])
        gap_N = np.minimum(gap_N, np.clip(own_N, 0.0, None))
        total = gap_N.sum()
        # where only copies of drawn rows are left, any row is as good
        share_N = gap_N / total if total > 0 else np.full(len(gap_N), 1 / len(gap_N))
        chosen.append(int(rng.choice(len(rows_NE), p=share_N)))
    return rows_NE[chosen]
