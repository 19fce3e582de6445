"""What left-out predictions tell: how far to shrink an estimate, and how sure a difference is."""

from __future__ import annotations

import numpy as np

Arrays = dict[str, np.ndarray]
"""A fitted estimator: named arrays, one entry or column per member where they end in `_M`."""


def shrinkage(predicted_Q: np.ndarray, target_Q: np.ndarray, mean_Q: np.ndarray) -> float:
    """ρ in [0, 1] for which ρ · predicted + (1 − ρ) · mean has the least squared error, all three
    made without the question itself; 0 where the prediction is the mean.
    """
    step_Q, gap_Q = predicted_Q - mean_Q, target_Q - mean_Q
    power = float(step_Q @ step_Q)
    return float(np.clip(step_Q @ gap_Q / power, 0.0, 1.0)) if power > 1e-12 else 0.0


def means_without(values_Q: np.ndarray) -> np.ndarray:
    """For each entry the mean of the others; of a single entry its own value."""
    n = len(values_Q)
    left: np.ndarray = (values_Q.sum() - values_Q) / (n - 1) if n > 1 else values_Q.copy()
    return left


def spreads(residuals_QM: np.ndarray, best: int) -> tuple[np.ndarray, np.ndarray]:
    """(standard deviation of each member's left-out residual less the best member's, variance of
    each member's own), from the questions that both were asked; shapes [members].
    """
    gaps_QM = residuals_QM - residuals_QM[:, [best]]
    with np.errstate(invalid="ignore"):
        known_M = np.isfinite(gaps_QM).sum(axis=0)
        gap_M = np.sqrt(np.nanmean(gaps_QM**2, axis=0, where=np.isfinite(gaps_QM)))
        own_M = np.nanmean(residuals_QM**2, axis=0)
    gap_M = np.where(known_M > 0, gap_M, np.sqrt(own_M + own_M[best]))
    return gap_M, own_M


def joined(arrays: Arrays, column: Arrays) -> Arrays:
    """An estimator with one more member; what it knew of the others stays as it is."""
    return {
        name: np.concatenate([value, column[name]], axis=-1) if name in column else value
        for name, value in arrays.items()
    }
