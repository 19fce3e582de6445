"""Matrix factorisation of scores: σ(v_m · W e + b_m), a few shared features of the question and
each member's taste for them.

This is the router of RouteLLM (Ong et al. 2024, arXiv 2406.18665) for any number of members: its
scale vector u is part of v_m, and soft scores take the place of preferences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moco.routing.decide import Estimates
from moco.routing.folds import folds
from moco.routing.residuals import (
    Arrays,
    careful,
    evidence,
    joined,
    losses,
    means_without,
    shared_shrinkage,
    simplest,
)

FEATURES = 8
PENALTIES = (3e-2, 2e-2, 1.4e-2, 1e-2, 7e-3, 5e-3, 3e-3, 1e-3)
"""Tried L2 penalties on W and v, per question; the simplest fit first."""
STEPS = 200
MOST_TRIED = 2000
"""Questions on which penalties are compared."""
EDGE = 1e-3
"""Scores are kept this far from 0 and 1 before their log-odds are taken."""


@dataclass(frozen=True)
class _Shape:
    """Sizes of a packed parameter vector."""

    width: int
    members: int

    def unpack(self, packed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(W [width, features], v [features, members], b [members])."""
        cut = self.width * FEATURES
        end = cut + FEATURES * self.members
        return (
            packed[:cut].reshape(self.width, FEATURES),
            packed[cut:end].reshape(FEATURES, self.members),
            packed[end:],
        )


def fit(vectors_QE: np.ndarray, scores_QM: np.ndarray, best: int, seed: int) -> Arrays:
    """The estimator; penalty, shrinkage and errors from seeded cross-validation."""
    low, high = min(0.0, np.nanmin(scores_QM)), max(1.0, np.nanmax(scores_QM))
    target_QM = (scores_QM - low) / (high - low)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(vectors_QE))[:MOST_TRIED])
    fold_R = folds(vectors_QE[rows], scores_QM[rows], seed)
    if len(rows) == MOST_TRIED:
        fold_R = np.where(fold_R == 0, 0, 1)  # one large held-out fifth is enough
    tried = [_left_out(vectors_QE[rows], target_QM[rows], fold_R, p, seed) for p in PENALTIES]
    asked = np.isfinite(tried[0]).any(axis=1)
    pick = 0  # nothing was left out: the simplest
    if asked.any():
        pick = simplest(np.stack([losses(left - target_QM[rows])[asked] for left in tried]))
    before_RM = np.stack([_before(target_R) for target_R in target_QM[rows].T], axis=1)
    rho = shared_shrinkage(tried[pick], target_QM[rows], before_RM)
    left_RM = rho * tried[pick] + (1 - rho) * before_RM
    maps_EK, tastes_KM, bias_M = _train(vectors_QE, target_QM, PENALTIES[pick], seed)
    return {
        "maps_EK": maps_EK, "tastes_KM": tastes_KM, "bias_M": bias_M,
        "rho_M": np.full(target_QM.shape[1], rho),
        "means_M": np.nanmean(target_QM, axis=0),
        "asked_M": np.isfinite(target_QM).sum(axis=0).astype(float),
        "range": np.asarray([low, high]), "penalty": np.asarray([PENALTIES[pick]]),
        **evidence(low + (high - low) * left_RM, scores_QM[rows], best),
    }  # fmt: skip


def estimate(arrays: Arrays, vectors_QE: np.ndarray) -> Estimates:
    """Scores, and standard errors of the difference to the best member; shapes [questions,
    members].
    """
    low, high = arrays["range"]
    logits_QM = vectors_QE @ arrays["maps_EK"] @ arrays["tastes_KM"] + arrays["bias_M"]
    rho_M = arrays["rho_M"]
    blended_QM = rho_M * _sigmoid(logits_QM) + (1 - rho_M) * arrays["means_M"]
    freedom = FEATURES + 1.0
    errors_M = arrays["gap_M"] * np.sqrt(np.minimum(1.0, freedom / arrays["asked_M"]))
    errors_QM = careful(np.broadcast_to(errors_M, blended_QM.shape), arrays["caution_M"])
    return Estimates(low + (high - low) * blended_QM, errors_QM)


def admit(arrays: Arrays, vectors_KE: np.ndarray, scores_K: np.ndarray, best: int) -> Arrays:
    """The estimator with one more member, known by K questions: only its taste and bias are fitted,
    starting from the other members' mean taste.
    """
    low, high = arrays["range"]
    target_K = (scores_K - low) / (high - low)
    features_KF = vectors_KE @ arrays["maps_EK"]
    prior_F = arrays["tastes_KM"].mean(axis=1)
    taste_F, bias = _taste(features_KF, target_K, prior_F, arrays["penalty"][0])
    fitted_K = _sigmoid(features_KF @ taste_F + bias)
    mean = float(target_K.mean())
    known = len(target_K)
    rho = known / (known + FEATURES + 1.0)
    own = float(((rho * fitted_K + (1 - rho) * mean - target_K) ** 2).mean()) * (high - low) ** 2
    own *= 1 + (FEATURES + 1.0) / known
    column = {
        "tastes_KM": taste_F[:, None], "bias_M": np.asarray([bias]), "rho_M": np.asarray([rho]),
        "means_M": np.asarray([mean]), "asked_M": np.asarray([float(known)]),
        "gap_M": np.asarray([np.sqrt(own + arrays["own_M"][best])]), "own_M": np.asarray([own]),
        "caution_M": np.ones(1),
    }  # fmt: skip
    return joined(arrays, column)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    positive: np.ndarray = 0.5 * (1 + np.tanh(0.5 * logits))
    return positive


def _odds(share: np.ndarray) -> np.ndarray:
    clipped = np.clip(share, EDGE, 1 - EDGE)
    odds: np.ndarray = np.log(clipped / (1 - clipped))
    return odds


def _train(
    vectors_QE: np.ndarray, target_QM: np.ndarray, penalty: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L-BFGS on the mean cross-entropy of the known entries; seeded start."""
    from scipy.optimize import minimize

    shape = _Shape(vectors_QE.shape[1], target_QM.shape[1])
    known_QM = np.isfinite(target_QM)
    filled_QM, count = np.nan_to_num(target_QM), known_QM.sum()
    rng = np.random.default_rng(seed)
    start = np.concatenate(
        [
            rng.normal(0, 0.3, shape.width * FEATURES),
            rng.normal(0, 0.3, FEATURES * shape.members),
            _odds(np.nanmean(target_QM, axis=0)),
        ]
    )

    def loss(packed: np.ndarray) -> tuple[float, np.ndarray]:
        maps_EK, tastes_KM, bias_M = shape.unpack(packed)
        features_QK = vectors_QE @ maps_EK
        logits_QM = features_QK @ tastes_KM + bias_M
        cross_QM = np.logaddexp(0, logits_QM) - filled_QM * logits_QM
        slope_QM = known_QM * (_sigmoid(logits_QM) - filled_QM) / count
        value = float((known_QM * cross_QM).sum() / count)
        value += 0.5 * penalty * float((maps_EK**2).sum() + (tastes_KM**2).sum())
        maps_slope = vectors_QE.T @ (slope_QM @ tastes_KM.T) + penalty * maps_EK
        tastes_slope = features_QK.T @ slope_QM + penalty * tastes_KM
        return value, np.concatenate(
            [maps_slope.ravel(), tastes_slope.ravel(), slope_QM.sum(axis=0)]
        )

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return shape.unpack(found.x)


def _left_out(
    vectors_QE: np.ndarray, target_QM: np.ndarray, fold_Q: np.ndarray, penalty: float, seed: int
) -> np.ndarray:
    """Predictions of each held-out fold by a fit on the others; NaN where a fold is never held."""
    left_QM = np.full(target_QM.shape, np.nan)
    count = int(fold_Q.max(initial=0)) + 1
    for fold in range(count if count > 2 else 1):
        held_Q = fold_Q == fold
        known_QM = np.isfinite(target_QM[~held_Q])
        if not known_QM.any(axis=0).all():
            continue
        maps, tastes, bias = _train(vectors_QE[~held_Q], target_QM[~held_Q], penalty, seed)
        left_QM[held_Q] = _sigmoid(vectors_QE[held_Q] @ maps @ tastes + bias)
    return left_QM


def _before(target_R: np.ndarray) -> np.ndarray:
    """The member's mean over the other questions it was asked."""
    asked_R = np.isfinite(target_R)
    found = np.full(len(target_R), np.nan)
    found[asked_R] = means_without(target_R[asked_R])
    return found


def _taste(
    features_KF: np.ndarray, target_K: np.ndarray, prior_F: np.ndarray, penalty: float
) -> tuple[np.ndarray, float]:
    from scipy.optimize import minimize

    def loss(packed: np.ndarray) -> tuple[float, np.ndarray]:
        taste_F, bias = packed[:-1], packed[-1]
        logits_K = features_KF @ taste_F + bias
        slope_K = (_sigmoid(logits_K) - target_K) / len(target_K)
        gap_F = taste_F - prior_F
        value = float((np.logaddexp(0, logits_K) - target_K * logits_K).mean())
        value += 0.5 * penalty * float(gap_F @ gap_F)
        return value, np.append(features_KF.T @ slope_K + penalty * gap_F, slope_K.sum())

    start = np.append(prior_F, _odds(np.asarray(target_K.mean())))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return found.x[:-1], float(found.x[-1])
