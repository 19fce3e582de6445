"""Clusters of dev questions, and each member's score on each cluster (Avengers, Zhang et al. 2025,
arXiv 2505.19797).
"""

from __future__ import annotations

import numpy as np

from moco.routing.decide import Estimates
from moco.routing.folds import folds
from moco.routing.kmeans import kmeans
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
"""Runs of the final k-means, of which the tightest is kept; one where there are many questions."""


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
    restarts = RESTARTS if len(vectors_QE) <= MOST_TRIED else 1
    built = _build(vectors_QE, scores_QM, sizes[pick], seed, restarts)
    return {**built, **evidence(left[pick], known_RM, best)}


def estimate(arrays: Arrays, vectors_QE: np.ndarray, nearest: int = 1) -> Estimates:
    """Mean over the `nearest` clusters; shapes [questions, members]."""
    cosine_QC = np.round(vectors_QE @ arrays["centres_CE"].T, 9)
    places_QN = np.argsort(-cosine_QC, axis=1, kind="stable")[:, :nearest]
    scores_QM = arrays["scores_CM"][places_QN].mean(axis=1)
    counts_QM = arrays["counts_CM"][places_QN].sum(axis=1) + COUNT
    errors_QM = careful(arrays["gap_M"] / np.sqrt(counts_QM), arrays["caution_M"])
    return Estimates(scores_QM, errors_QM)


def _build(
    vectors_QE: np.ndarray, scores_QM: np.ndarray, size: int, seed: int, restarts: int = 1
) -> Arrays:
    """Spherical k-means, then smoothed mean scores per cluster."""
    label_Q = _labels(vectors_QE, size, seed, restarts)
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


def _labels(vectors_QE: np.ndarray, size: int, seed: int, restarts: int) -> np.ndarray:
    """The cluster of each question: the best of some seeded runs by within-cluster distance."""
    runs = []
    for restart in range(restarts):
        rng = np.random.default_rng([seed, size, restart])
        labels = kmeans(vectors_QE, size, rng)
        runs.append((_looseness(vectors_QE, labels), restart, labels))
    found: np.ndarray = min(runs, key=lambda run: run[:2])[2]
    return found


def _looseness(vectors_QE: np.ndarray, label_Q: np.ndarray) -> float:
    """Sum of squared distances to the clusters' means."""
    parts = (vectors_QE[label_Q == label] for label in np.unique(label_Q))
    return round(sum(float(((part - part.mean(axis=0)) ** 2).sum()) for part in parts), 9)


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
