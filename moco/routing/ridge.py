"""Ridge regression of each member's score on a question's embedding, closed form throughout.

A member is fitted on the questions it was asked. Penalty and shrinkage towards the means are
shared, so that members stay comparable, and chosen by leave-one-out error, for which no refit is
needed: with the hat matrix's diagonal h, the left-out residual is (y − ŷ) / (1 − h).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moco.routing.decide import Estimates
from moco.routing.residuals import (
    Arrays,
    careful,
    evidence,
    joined,
    losses,
    means_without,
    shared_shrinkage,
    shrinkage,
    simplest,
)

PENALTIES = np.geomspace(10.0, 1e-5, 25)
"""Tried penalties, times the number of questions; the simplest fit first."""


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

    def left_out(self, values_QM: np.ndarray, penalty: float) -> np.ndarray:
        """Predictions for each question by the fits without it, a column per column of values."""
        places_QE, squares_QE = self.places_QE, self.squares
        n = len(values_QM)
        mean_M = values_QM.mean(axis=0)
        weights_EM = (places_QE.T @ (values_QM - mean_M)) / (self.power_E + penalty)[:, None]
        fitted_QM = mean_M + places_QE @ weights_EM
        hat_Q = 1 / n + squares_QE @ (1 / (self.power_E + penalty))
        rest_Q = np.clip(1 - hat_Q, 1e-9, None)
        left: np.ndarray = values_QM - (values_QM - fitted_QM) / rest_Q[:, None]
        return left

    @functools.cached_property
    def squares(self) -> np.ndarray:
        """The squares of the places."""
        found: np.ndarray = np.square(self.places_QE)
        return found


def fit(vectors_QE: np.ndarray, scores_QM: np.ndarray, best: int, seed: int) -> Arrays:
    """The estimator from unit vectors and scores (NaN = not asked); deterministic, so `seed` is
    not used.
    """
    whole = Spectrum.of(vectors_QE)
    members = [_Member.of(vectors_QE, scores_Q, whole) for scores_Q in scores_QM.T]
    tried = [_left_out(members, whole, scores_QM, float(penalty)) for penalty in PENALTIES]
    pick = simplest(np.stack([losses(left_QM - scores_QM) for left_QM in tried]))
    before_QM = np.stack([m.before() for m in members], axis=1)
    rho = shared_shrinkage(tried[pick], scores_QM, before_QM)
    columns = [m.column(float(PENALTIES[pick]), rho) for m in members]
    arrays = {name: np.concatenate([c[name] for c in columns], axis=-1) for name in columns[0]}
    return {
        "centre_E": whole.centre_E, "axes_EE": whole.axes_EE, "power_E": whole.power_E,
        "total": np.asarray([len(vectors_QE)]),
        **arrays,
        **evidence(rho * tried[pick] + (1 - rho) * before_QM, scores_QM, best),
    }  # fmt: skip


@dataclass(frozen=True)
class _Member:
    """The questions that a member was asked, and its scores on them."""

    asked_Q: np.ndarray
    values_K: np.ndarray
    spectrum: Spectrum

    @classmethod
    def of(cls, vectors_QE: np.ndarray, scores_Q: np.ndarray, whole: Spectrum | None) -> _Member:
        """`whole` is the spectrum of all questions."""
        asked_Q = np.isfinite(scores_Q)
        all_ = whole is not None and asked_Q.all()
        own = whole if whole is not None and all_ else Spectrum.of(vectors_QE[asked_Q])
        return cls(asked_Q, scores_Q[asked_Q], own)

    def left_out(self, penalty: float) -> np.ndarray:
        """Predictions of each question by the fit without it, at a penalty per question; NaN where
        the member was not asked.
        """
        left_Q = np.full(len(self.asked_Q), np.nan)
        found = self.spectrum.left_out(self.values_K[:, None], penalty * len(self.values_K))
        left_Q[self.asked_Q] = found[:, 0]
        return left_Q

    def before(self) -> np.ndarray:
        """The mean of the other questions for each question; NaN where the member was not asked."""
        left_Q = np.full(len(self.asked_Q), np.nan)
        left_Q[self.asked_Q] = means_without(self.values_K)
        return left_Q

    def column(self, penalty: float, rho: float) -> Arrays:
        """This member's part of the estimator."""
        own, n, mean = self.spectrum, len(self.values_K), self.values_K.mean()
        along_E = (own.places_QE.T @ (self.values_K - mean)) / (own.power_E + penalty * n)
        weights_E = rho * (own.axes_EE @ along_E)
        return {
            "weights_EM": weights_E[:, None],
            "intercept_M": np.asarray([mean - own.centre_E @ weights_E]),
            "penalty_M": np.asarray([penalty * n]),
            "rho_M": np.asarray([rho]),
            "asked_M": np.asarray([float(n)]),
        }


def _left_out(
    members: Sequence[_Member], whole: Spectrum, scores_QM: np.ndarray, penalty: float
) -> np.ndarray:
    """Left-out predictions of all members; those that were asked everything share the work."""
    left_QM = np.full(scores_QM.shape, np.nan)
    shared = [i for i, member in enumerate(members) if member.spectrum is whole]
    left_QM[:, shared] = whole.left_out(scores_QM[:, shared], penalty * len(scores_QM))
    for i in set(range(len(members))) - set(shared):
        left_QM[:, i] = members[i].left_out(penalty)
    return left_QM


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
    return Estimates(scores_QM, careful(spread_QM * arrays["gap_M"], arrays["caution_M"]))


def admit(arrays: Arrays, vectors_KE: np.ndarray, scores_K: np.ndarray, best: int) -> Arrays:
    """The estimator with one more member, known by K questions; its own shrinkage is found on
    them.
    """
    member = _Member.of(vectors_KE, scores_K, None)
    penalty = float(arrays["penalty_M"][0] / arrays["asked_M"][0])
    left_K, before_K = member.left_out(penalty), member.before()
    rho = shrinkage(left_K, scores_K, before_K)
    own = float(((rho * left_K + (1 - rho) * before_K - scores_K) ** 2).mean())
    column = member.column(penalty, rho)
    column["gap_M"] = np.asarray([np.sqrt(own + arrays["own_M"][best])])
    column["own_M"], column["caution_M"] = np.asarray([own]), np.ones(1)
    return joined(arrays, column)
