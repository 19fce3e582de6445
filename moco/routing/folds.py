"""Folds for cross-validation that keep questions alike together."""

from __future__ import annotations

import numpy as np

from moco.routing.kmeans import kmeans

FOLDS = 5
ALIKE = 3
"""Questions of a group, on average."""
MOST_GROUPS = 300


def folds(
    vectors_QE: np.ndarray, scores_QM: np.ndarray, seed: int, count: int = FOLDS
) -> np.ndarray:
    """A fold per question (fewer folds for fewer questions), shape [questions].

    Groups of nearest questions stay together, so that a question is not predicted from its twin:
    dev questions are often written after one pattern, those to come after others (blocked
    cross-validation; Roberts et al. 2017, doi 10.1111/ecog.02881). Group by group, the largest
    first, the fold is chosen that keeps sizes and members' scores most alike over the folds.
    """
    groups = _groups(vectors_QE, seed)
    known_QM = np.nan_to_num(scores_QM)
    spread_M = known_QM.std(axis=0)
    traits_QT = np.column_stack(
        [np.ones(len(known_QM)), known_QM / np.where(spread_M > 0, spread_M, 1.0)]
    )
    count = max(1, min(count, len(groups)))
    sums_FT = np.zeros((count, traits_QT.shape[1]))
    fold_Q = np.zeros(len(vectors_QE), dtype=int)
    for group in sorted(groups, key=len, reverse=True):
        own_T = traits_QT[group].sum(axis=0)
        # the growth of the folds' sums of squares, which is least where the group is missed most
        growth_F = np.round((2 * sums_FT @ own_T) / traits_QT.shape[1], 9)
        size_F = sums_FT[:, 0]
        fold = int(np.lexsort((growth_F, size_F > size_F.min() + len(group)))[0])
        fold_Q[group] = fold
        sums_FT[fold] += own_T
    return fold_Q


def _groups(vectors_QE: np.ndarray, seed: int) -> list[np.ndarray]:
    """Rows of the questions of each k-means group, in random order; every question alone where
    there are too few to group. Equal embeddings are never parted.
    """
    rng = np.random.default_rng([seed, 11])
    distinct_UE, which_Q = np.unique(vectors_QE, axis=0, return_inverse=True)
    size = min(len(vectors_QE) // ALIKE, MOST_GROUPS)
    label_U = np.arange(len(distinct_UE))
    if 2 * FOLDS <= size < len(distinct_UE):
        label_U = kmeans(distinct_UE, size, rng)
    label_Q = label_U[which_Q.ravel()]
    shuffled = rng.permutation(np.unique(label_Q))
    return [np.flatnonzero(label_Q == label) for label in shuffled]
