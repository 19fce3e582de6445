"""Clusters of dev questions, and each member's score on each cluster (Avengers, Zhang et al. 2025,
arXiv 2505.19797).
"""

from __future__ import annotations

import numpy as np

from moco.routing.decide import Estimates
from moco.routing.folds import folds
from moco.routing.residuals import Arrays, careful, evidence, losses, simplest
from moco.routing.table import unit

SIZES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Tried numbers of clusters."""
LEAST_PER_CLUSTER = 8
"""Dev questions per cluster at least, on average."""
COUNT = 2.0
"""Pseudo-questions at a member's mean score in each cluster."""
MOST_TRIED = 2000
"""Questions on which numbers of clusters are compared."""
RESTARTS = 4


def fit(
    vectors_QE: np.ndarray, scores_QM: np.ndarray, best: int, seed: int, size: int = 0
) -> Arrays:
    """Centres and scores per cluster; `size` clusters, or with 0 as few as predict left-out scores
    almost as well as the best number (seeded five-fold cross-validation).
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(vectors_QE))[:MOST_TRIED])
    fold_R = folds(vectors_QE[rows], scores_QM[rows], seed)
    known_RE, known_RM = vectors_QE[rows], scores_QM[rows]
    sizes = (
        [size] if size else [s for s in SIZES if s * LEAST_PER_CLUSTER <= len(vectors_QE)] or [1]
    )
    left = [_left_out(known_RE, known_RM, fold_R, s, seed) for s in sizes]
    pick = simplest(np.stack([losses(own - known_RM) for own in left]))
    built = _build(vectors_QE, scores_QM, sizes[pick], seed)
    return {**built, **evidence(left[pick], known_RM, best)}


def estimate(arrays: Arrays, vectors_QE: np.ndarray, nearest: int = 1) -> Estimates:
    """Mean over the `nearest` clusters; shapes [questions, members]."""
    cosine_QC = np.round(vectors_QE @ arrays["centres_CE"].T, 9)
    places_QN = np.argsort(-cosine_QC, axis=1, kind="stable")[:, :nearest]
    scores_QM = arrays["scores_CM"][places_QN].mean(axis=1)
    counts_QM = arrays["counts_CM"][places_QN].sum(axis=1) + COUNT
    errors_QM = careful(arrays["gap_M"] / np.sqrt(counts_QM), arrays["caution_M"])
    return Estimates(scores_QM, errors_QM)


def _build(vectors_QE: np.ndarray, scores_QM: np.ndarray, size: int, seed: int) -> Arrays:
    """Spherical k-means, then smoothed mean scores per cluster."""
    label_Q = _labels(vectors_QE, size, seed)
    used = np.unique(label_Q)
    means_M = np.nanmean(scores_QM, axis=0)
    centres, scores, counts = [], [], []
    for cluster in used:
        own_NM = scores_QM[label_Q == cluster]
        known_M = np.isfinite(own_NM).sum(axis=0)
        scores.append((np.nansum(own_NM, axis=0) + COUNT * means_M) / (known_M + COUNT))
        counts.append(known_M.astype(float))
        centres.append(vectors_QE[label_Q == cluster].mean(axis=0))
    return {
        "centres_CE": unit(np.asarray(centres)),
        "scores_CM": np.asarray(scores),
        "counts_CM": np.asarray(counts),
    }


def _labels(vectors_QE: np.ndarray, size: int, seed: int) -> np.ndarray:
    """The cluster of each question: the best of some seeded runs by within-cluster distance."""
    from scipy.cluster.vq import kmeans2

    if size <= 1:
        return np.zeros(len(vectors_QE), dtype=int)
    runs = []
    for restart in range(RESTARTS if len(vectors_QE) <= MOST_TRIED else 1):
        rng = np.random.default_rng([seed, size, restart])
        centres, labels = kmeans2(vectors_QE, size, minit="++", seed=rng, missing="warn")
        inertia = float(((vectors_QE - centres[labels]) ** 2).sum())
        runs.append((round(inertia, 9), restart, labels))
    found: np.ndarray = min(runs, key=lambda run: run[:2])[2]
    return found


def _left_out(
    vectors_QE: np.ndarray, scores_QM: np.ndarray, fold_Q: np.ndarray, size: int, seed: int
) -> np.ndarray:
    left_QM = np.full(scores_QM.shape, np.nan)
    for fold in range(int(fold_Q.max()) + 1):
        held_Q = fold_Q == fold
        if not np.isfinite(scores_QM[~held_Q]).any(axis=0).all():
            continue
        arrays = _build(vectors_QE[~held_Q], scores_QM[~held_Q], size, seed)
        arrays |= {name: np.zeros(scores_QM.shape[1]) for name in ("gap_M", "caution_M")}
        left_QM[held_Q] = estimate(arrays, vectors_QE[held_Q]).scores_QM
    return left_QM
