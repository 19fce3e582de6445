"""Nearest questions by the cosine of their embeddings, exact and in blocks."""

from __future__ import annotations

import numpy as np

BLOCK = 1024
"""Questions that are compared with all known rows in one go."""


def nearest(
    rows_QE: np.ndarray, known_DE: np.ndarray, count: int, *, same: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(rows of `known`, distances 1 − cosine), shape [questions, N], nearest first, ties to the
    lower row. With `same` the questions are the known rows, which do not see themselves.
    """
    total = len(known_DE)
    count = max(min(count, total - same), 0)
    near_QN = np.zeros((len(rows_QE), count), dtype=np.int64)
    cosine_QN = np.zeros((len(rows_QE), count))
    known = known_DE.astype(float).T
    for start in range(0, len(rows_QE) if count else 0, BLOCK):
        block = slice(start, start + BLOCK)
        cosine_QD = np.rint(rows_QE[block].astype(float) @ known * 1e6)
        if same:
            own = np.arange(len(cosine_QD))
            cosine_QD[own, start + own] = -1e9
        key_QD = np.arange(total) - cosine_QD.astype(np.int64) * total  # no two are equal
        picked = np.argpartition(key_QD, count - 1, axis=1)[:, :count]
        keys_QN = np.take_along_axis(key_QD, picked, axis=1)
        near_QN[block] = np.take_along_axis(picked, np.argsort(keys_QN, axis=1), axis=1)
        cosine_QN[block] = np.take_along_axis(cosine_QD, near_QN[block], axis=1) / 1e6
    return near_QN, np.maximum(1 - cosine_QN, 0)
