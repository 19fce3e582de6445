"""Ridge regression of each member's score on a question's embedding, closed form throughout.

A member is fitted on the questions it was asked; its penalty and its shrinkage towards its mean are
those of least leave-one-out error, for which no refit is needed: with the hat matrix's diagonal h,
the left-out residual is (y − ŷ) / (1 − h).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moco.routing.decide import Estimates
from moco.routing.residuals import Arrays, joined, means_without, shrinkage, spreads

PENALTIES = np.geomspace(1e-5, 10.0, 13)
"""Tried penalties, times the number of questions."""


@dataclass(frozen=True)
class Spectrum:
    """The centred embeddings of some questions in their principal axes."""

    centre_E: np.ndarray
    axes_EE: np.ndarray
    power_E: np.ndarray
    """Sum of squares along each axis."""
    places_QE: np.ndarray
    """The questions along the axes."""

    @classmethod
    def of(cls, vectors_QE: np.ndarray) -> Spectrum:
        """From unit-length rows."""
        centre_E = vectors_QE.mean(axis=0)
        centred_QE = vectors_QE - centre_E
        power_E, axes_EE = np.linalg.eigh(centred_QE.T @ centred_QE)
        return cls(centre_E, axes_EE, np.clip(power_E, 0.0, None), centred_QE @ axes_EE)

    def left_out(self, values_Q: np.ndarray, penalty: float) -> np.ndarray:
        """Predictions for each question by the fit without it."""
        n = len(values_Q)
        mean = values_Q.mean()
        weights_E = (self.places_QE.T @ (values_Q - mean)) / (self.power_E + penalty)
        fitted_Q = mean + self.places_QE @ weights_E
        hat_Q = 1 / n + (self.places_QE**2 / (self.power_E + penalty)).sum(axis=1)
        left: np.ndarray = values_Q - (values_Q - fitted_Q) / np.clip(1 - hat_Q, 1e-9, None)
        return left


def fit(vectors_QE: np.ndarray, scores_QM: np.ndarray, best: int, seed: int) -> Arrays:
    """The estimator from unit vectors and scores (NaN = not asked); deterministic, so `seed` is
    not used.
    """
    whole = Spectrum.of(vectors_QE)
    columns, residuals = [], []
    for scores_Q in scores_QM.T:
        column, left_Q = _column(vectors_QE, scores_Q, whole)
        columns.append(column)
        residuals.append(left_Q - scores_Q)
    gap_M, own_M = spreads(np.asarray(residuals).T, best)
    arrays = {name: np.concatenate([c[name] for c in columns], axis=-1) for name in columns[0]}
    shared = {"centre_E": whole.centre_E, "axes_EE": whole.axes_EE, "power_E": whole.power_E}
    return {
        **shared,
        "total": np.asarray([len(vectors_QE)]),
        **arrays,
        "gap_M": gap_M,
        "own_M": own_M,
    }


def _column(
    vectors_QE: np.ndarray, scores_Q: np.ndarray, whole: Spectrum | None
) -> tuple[Arrays, np.ndarray]:
    """One member's part, and its left-out predictions (NaN where it was not asked)."""
    asked_Q = np.isfinite(scores_Q)
    values_K = scores_Q[asked_Q]
    own = whole if whole is not None and asked_Q.all() else Spectrum.of(vectors_QE[asked_Q])
    n = len(values_K)
    tried = [own.left_out(values_K, p) for p in PENALTIES * n]
    errors = [round(float(((left_K - values_K) ** 2).mean()), 12) for left_K in tried]
    pick = len(errors) - 1 - int(np.argmin(errors[::-1]))  # of equal errors the larger penalty
    mean, left_K = values_K.mean(), tried[pick]
    before_K = means_without(values_K)
    rho = shrinkage(left_K, values_K, before_K)
    penalty = PENALTIES[pick] * n
    along_E = (own.places_QE.T @ (values_K - mean)) / (own.power_E + penalty)
    weights_E = rho * (own.axes_EE @ along_E)
    left_Q = np.full(len(scores_Q), np.nan)
    left_Q[asked_Q] = rho * left_K + (1 - rho) * before_K
    column = {
        "weights_EM": weights_E[:, None],
        "intercept_M": np.asarray([mean - own.centre_E @ weights_E]),
        "penalty_M": np.asarray([penalty]),
        "rho_M": np.asarray([rho]),
        "asked_M": np.asarray([float(n)]),
    }
    return column, left_Q


def estimate(arrays: Arrays, vectors_QE: np.ndarray) -> Estimates:
    """Scores, and standard errors of the difference to the best member; shapes [questions,
    members].
    """
    scores_QM = vectors_QE @ arrays["weights_EM"] + arrays["intercept_M"]
    places_QE = (vectors_QE - arrays["centre_E"]) @ arrays["axes_EE"]
    share_M = arrays["asked_M"] / arrays["total"][0]
    power_EM = arrays["power_E"][:, None] * share_M
    gain_EM = power_EM / (power_EM + arrays["penalty_M"]) ** 2
    spread_QM = np.sqrt(1 / arrays["asked_M"] + arrays["rho_M"] ** 2 * (places_QE**2 @ gain_EM))
    return Estimates(scores_QM, spread_QM * arrays["gap_M"])


def admit(arrays: Arrays, vectors_KE: np.ndarray, scores_K: np.ndarray, best: int) -> Arrays:
    """The estimator with one more member, known by K questions."""
    column, left_K = _column(vectors_KE, scores_K, None)
    own = float(((left_K - scores_K) ** 2).mean())
    column["gap_M"] = np.asarray([np.sqrt(own + arrays["own_M"][best])])
    column["own_M"] = np.asarray([own])
    return joined(arrays, column)
