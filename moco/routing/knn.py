"""A member's score as the weighted mean of its scores on like questions, with pseudo-counts at its
mean.

The nearest profiled question weighs 1, another exp((cosine − nearest cosine) / τ); κ counts as many
questions at the member's mean. τ and κ are chosen by leave-one-out error over all members.
"""

from __future__ import annotations

import itertools

import numpy as np

from moco.routing.decide import Estimates
from moco.routing.residuals import Arrays, careful, evidence, joined, losses, simplest

WIDTHS = (0.01, 0.02, 0.05, 0.1, 0.2)
COUNTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 32.0)
MOST_LEFT_OUT = 1000
"""Questions, evenly spread, on which the leave-one-out error is measured."""
CHUNK = 512
"""Questions that are compared with all dev questions at a time."""


def fit(vectors_QE: np.ndarray, scores_QM: np.ndarray, best: int, seed: int) -> Arrays:
    """The estimator: the dev questions themselves; deterministic, so `seed` is not used."""
    known = {"vectors_QE": vectors_QE, "scores_QM": scores_QM}
    means_M = np.nanmean(scores_QM, axis=0)
    rows = np.unique(np.linspace(0, len(vectors_QE) - 1, MOST_LEFT_OUT).astype(int))
    found = {width: _sums(known, vectors_QE[rows], width, without=rows) for width in WIDTHS}
    settings = list(itertools.product(WIDTHS, COUNTS))
    order = sorted(settings, key=lambda s: round(_variance(found[s[0]], s[1]), 12))
    left = [_blend(found[width], means_M, count) for width, count in order]
    pick = simplest(np.stack([losses(left_RM - scores_QM[rows]) for left_RM in left]))
    return {
        **known, "means_M": means_M, "setting": np.asarray(order[pick]),
        **evidence(left[pick], scores_QM[rows], best),
    }  # fmt: skip


def _variance(sums: tuple[np.ndarray, np.ndarray, np.ndarray], count: float) -> float:
    """Mean variance of an estimate in units of one score's: the less, the simpler the setting."""
    return float((sums[2] / (sums[1] + count) ** 2).mean())


def estimate(arrays: Arrays, vectors_QE: np.ndarray) -> Estimates:
    """Scores, and standard errors of the difference to the best member; shapes [questions,
    members].
    """
    width, count = arrays["setting"]
    sums = _sums(arrays, vectors_QE, width)
    spread_QM = np.sqrt(sums[2]) / (sums[1] + count)
    errors_QM = careful(spread_QM * arrays["gap_M"], arrays["caution_M"])
    return Estimates(_blend(sums, arrays["means_M"], count), errors_QM)


def _sums(
    arrays: Arrays, vectors_QE: np.ndarray, width: float, without: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(weighted scores, weights, squared weights), summed over the profiled questions of each
    member; `without` gives for each row the dev question that it may not see.

    Members that were asked the same questions share the work; nothing else passes between members.
    """
    scores_DM = arrays["scores_QM"]
    patterns, which_M = np.unique(np.isfinite(scores_DM), axis=1, return_inverse=True)
    found = np.zeros((3, len(vectors_QE), scores_DM.shape[1]))
    for pattern in range(patterns.shape[1]):
        columns = np.flatnonzero(which_M.ravel() == pattern)
        rows = np.flatnonzero(patterns[:, pattern])
        known_DM = scores_DM[np.ix_(rows, columns)]
        for start in range(0, len(vectors_QE), CHUNK):
            block = slice(start, start + CHUNK)
            cosine_QD = vectors_QE[block] @ arrays["vectors_QE"][rows].T
            if without is not None:
                cosine_QD[without[block, None] == rows] = -np.inf
            nearest_Q1 = cosine_QD.max(axis=1, keepdims=True)
            nearest_Q1[~np.isfinite(nearest_Q1)] = 0.0
            weight_QD = np.exp((cosine_QD - nearest_Q1) / width)
            found[0, block, columns] = (weight_QD @ known_DM).T
            found[1, block, columns] = weight_QD.sum(axis=1)
            found[2, block, columns] = (weight_QD**2).sum(axis=1)
    return found[0], found[1], found[2]


def _blend(
    sums: tuple[np.ndarray, np.ndarray, np.ndarray], means_M: np.ndarray, count: float
) -> np.ndarray:
    blended: np.ndarray = (sums[0] + count * means_M) / (sums[1] + count)
    return blended


def admit(arrays: Arrays, vectors_KE: np.ndarray, scores_K: np.ndarray, best: int) -> Arrays:
    """The estimator with one more member, known by K questions of its own."""
    members = arrays["scores_QM"].shape[1]
    column_DM = np.full((len(arrays["vectors_QE"]), 1), np.nan)
    grown = joined(
        arrays,
        {
            "scores_QM": column_DM,
            "means_M": np.asarray([scores_K.mean()]),
            "own_M": np.asarray([((scores_K - scores_K.mean()) ** 2).mean()]),
            "gap_M": np.asarray([np.sqrt(scores_K.var() + arrays["own_M"][best])]),
            "caution_M": np.ones(1),
        },
    )
    rows_KM = np.full((len(scores_K), members + 1), np.nan)
    rows_KM[:, -1] = scores_K
    return {
        **grown,
        "vectors_QE": np.concatenate([grown["vectors_QE"], vectors_KE]),
        "scores_QM": np.concatenate([grown["scores_QM"], rows_KM]),
    }
