"""A member's score as the weighted mean of its scores on like questions, with pseudo-counts at its
mean.

The nearest profiled question weighs 1, another exp((cosine − nearest cosine) / τ); κ counts as many
questions at the member's mean. τ and κ are chosen by leave-one-out error over all members.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

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
    found = _sums(known, vectors_QE[rows], WIDTHS, without=rows)
    settings = list(itertools.product(WIDTHS, COUNTS))
    order = sorted(settings, key=lambda s: round(_variance(found[s[0]], s[1]), 12))
    left = [_blend(found[width], means_M, count) for width, count in order]
    pick = simplest(np.stack([losses(left_RM - scores_QM[rows]) for left_RM in left]))
    return {
        **known, "means_M": means_M, "setting": np.asarray(order[pick]),
        **evidence(left[pick], scores_QM[rows], best),
    }  # fmt: skip


def _variance(sums: Sums, count: float) -> float:
    """Mean variance of an estimate in units of one score's: the less, the simpler the setting."""
    return float((sums[2] / (sums[1] + count) ** 2).mean())


def estimate(arrays: Arrays, vectors_QE: np.ndarray) -> Estimates:
    """Scores, and standard errors of the difference to the best member; shapes [questions,
    members].
    """
    width, count = arrays["setting"]
    sums = _sums(arrays, vectors_QE, (width,))[width]
    spread_QM = np.sqrt(sums[2]) / (sums[1] + count)
    errors_QM = careful(spread_QM * arrays["gap_M"], arrays["caution_M"])
    return Estimates(_blend(sums, arrays["means_M"], count), errors_QM)


Sums = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(weighted scores, weights, squared weights) per question and member."""


def _sums(
    arrays: Arrays,
    vectors_QE: np.ndarray,
    widths: Sequence[float],
    without: np.ndarray | None = None,
) -> dict[float, Sums]:
    """For each width the sums over the profiled questions of each member; `without` gives for each
    row the dev question that it may not see.

    Members that were asked the same questions share the work; nothing else passes between members.
    """
    known_DE, scores_DM = arrays["vectors_QE"], arrays["scores_QM"]
    shape = (3, len(vectors_QE), scores_DM.shape[1])
    found = {width: np.zeros(shape) for width in widths}
    for rows, columns in _patterns(scores_DM):
        own_DE, own_DM = known_DE[rows], scores_DM[rows][:, columns]
        for start in range(0, len(vectors_QE), CHUNK):
            block = slice(start, start + CHUNK)
            cosine_QD = vectors_QE[block] @ own_DE.T
            if without is not None:
                numbers = np.arange(len(known_DE))[rows]
                cosine_QD[without[block, None] == numbers] = -np.inf
            nearest_Q1 = cosine_QD.max(axis=1, keepdims=True)
            nearest_Q1[~np.isfinite(nearest_Q1)] = 0.0
            cosine_QD -= nearest_Q1
            for width, sums in found.items():
                weight_QD = np.exp(cosine_QD / width)
                sums[0, block, columns] = (weight_QD @ own_DM).T
                sums[1, block, columns] = weight_QD.sum(axis=1)
                sums[2, block, columns] = np.einsum("qd,qd->q", weight_QD, weight_QD)
    return {width: (sums[0], sums[1], sums[2]) for width, sums in found.items()}


def _patterns(scores_DM: np.ndarray) -> list[tuple[slice | np.ndarray, np.ndarray]]:
    """(dev questions, the members that were asked just these)."""
    asked_DM = np.isfinite(scores_DM)
    if asked_DM.all():
        return [(slice(None), np.arange(scores_DM.shape[1]))]
    patterns, which_M = np.unique(asked_DM, axis=1, return_inverse=True)
    return [
        (np.flatnonzero(patterns[:, i]), np.flatnonzero(which_M.ravel() == i))
        for i in range(patterns.shape[1])
    ]


def _blend(sums: Sums, means_M: np.ndarray, count: float) -> np.ndarray:
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
