"""What left-out predictions tell: how far to shrink an estimate, and how sure a difference is."""

from __future__ import annotations

import numpy as np

from moco.routing.decide import DIGITS

Arrays = dict[str, np.ndarray]
"""A fitted estimator: named arrays, one entry or column per member where they end in `_M`."""


def shrinkage(predicted_Q: np.ndarray, target_Q: np.ndarray, mean_Q: np.ndarray) -> float:
    """ρ in [0, 1] for which ρ · predicted + (1 − ρ) · mean has the least squared error, all three
    made without the question itself; 0 where the prediction is the mean.
    """
    step_Q, gap_Q = predicted_Q - mean_Q, target_Q - mean_Q
    power = float(step_Q @ step_Q)
    return float(np.clip(step_Q @ gap_Q / power, 0.0, 1.0)) if power > 1e-12 else 0.0


def shared_shrinkage(left_QM: np.ndarray, scores_QM: np.ndarray, before_QM: np.ndarray) -> float:
    """One ρ for all members: of the contrasts between them, where they were asked; `before_QM` are
    the means without the question.
    """
    known_QM = np.isfinite(left_QM + scores_QM + before_QM)
    parts = [
        contrasts(np.where(known_QM, values_QM, np.nan))[known_QM]
        for values_QM in (left_QM, scores_QM, before_QM)
    ]
    return shrinkage(*parts)


def means_without(values_Q: np.ndarray) -> np.ndarray:
    """For each entry the mean of the others; of a single entry its own value."""
    n = len(values_Q)
    left: np.ndarray = (values_Q.sum() - values_Q) / (n - 1) if n > 1 else values_Q.copy()
    return left


def simplest(errors_SQ: np.ndarray) -> int:
    """The first setting whose mean error is within one standard error of the least mean; settings,
    of shape [settings, questions], go from the simplest to the most flexible.

    Dev questions are often more alike than those to come, so the least error alone is of a setting
    that is too flexible (one-standard-error rule, Breiman et al. 1984).
    """
    means_S = np.round(errors_SQ.mean(axis=1), 12)
    least = int(np.argmin(means_S))
    error = (
        errors_SQ[least].std(ddof=1) / np.sqrt(errors_SQ.shape[1]) if errors_SQ[0].size > 1 else 0
    )
    return int(np.flatnonzero(means_S <= means_S[least] + error)[0])


def contrasts(values_QM: np.ndarray) -> np.ndarray:
    """Values less their mean over a question's members: what tells members apart, without what
    makes a question hard for all. NaN stays.
    """
    known_QM = np.isfinite(values_QM)
    count_Q1 = np.maximum(known_QM.sum(axis=1, keepdims=True), 1)
    found: np.ndarray = values_QM - np.nansum(values_QM, axis=1, keepdims=True) / count_Q1
    return found


def losses(residuals_QM: np.ndarray) -> np.ndarray:
    """Mean squared contrast of each question's left-out residuals, shape [questions]; 0 where no
    member is known.
    """
    known_QM = np.isfinite(residuals_QM)
    squares_QM = np.where(known_QM, contrasts(residuals_QM) ** 2, 0.0)
    found: np.ndarray = squares_QM.sum(axis=1) / np.maximum(known_QM.sum(axis=1), 1)
    return found


def evidence(left_QM: np.ndarray, scores_QM: np.ndarray, best: int) -> Arrays:
    """What left-out predictions tell of an estimator.

    `gap_M`: standard deviation of a member's residual less the best member's, from the questions
    that both were asked; `own_M`: variance of its own; `caution_M`: standard errors that its gain
    over the best member has to exceed for a question to go to it (see `careful`); `checked`: how
    many questions were left out, and the mean scores on them of the member that is named, of the
    best member, and of the best member per question.
    """
    residuals_QM = left_QM - scores_QM
    known_QM = np.isfinite(residuals_QM)
    gaps_QM = residuals_QM - residuals_QM[:, [best]]
    both_QM = known_QM & known_QM[:, [best]]
    own_M = np.where(known_QM, residuals_QM, 0.0) ** 2
    own_M = own_M.sum(axis=0) / np.maximum(known_QM.sum(axis=0), 1)
    gap_M = (np.where(both_QM, gaps_QM, 0.0) ** 2).sum(axis=0) / np.maximum(both_QM.sum(axis=0), 1)
    gap_M = np.where(both_QM.any(axis=0), gap_M, own_M + own_M[best])
    told, single, oracle = _outcomes(left_QM, scores_QM, best)
    return {
        "gap_M": np.sqrt(gap_M),
        "own_M": own_M,
        "caution_M": np.full(len(own_M), caution(left_QM, scores_QM, best)),
        "checked": np.asarray([len(told), *(_mean(x) for x in (told, single, oracle))]),
    }


def _outcomes(
    left_QM: np.ndarray, scores_QM: np.ndarray, best: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores on the questions with a left-out prediction: of the member it names, of the best
    member, of the best member per question.
    """
    rows = np.flatnonzero(np.isfinite(left_QM[:, best]))
    known_RM = np.where(np.isfinite(left_QM[rows]), np.round(left_QM[rows], DIGITS), -np.inf)
    named = scores_QM[rows, np.argmax(known_RM, axis=1)] if len(rows) else np.zeros(0)
    top = np.nanmax(scores_QM[rows], axis=1) if len(rows) else np.zeros(0)
    return named, scores_QM[rows, best], top


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


CLEAR = 2.0
"""Standard errors of the left-out gain beyond which estimates are followed as they are."""


def caution(left_QM: np.ndarray, scores_QM: np.ndarray, best: int) -> float:
    """Standard errors by which a question's estimated gain has to be positive, from the mean gain
    over the best member that left-out predictions would have brought (NaN where a member was not
    asked): none if that is clear, no gain is enough if there is none, else one.
    """
    named, single, _ = _outcomes(left_QM, scores_QM, best)
    if len(named) < 2:
        return 1.0
    gains = named - single
    mean, error = float(gains.mean()), float(gains.std(ddof=1)) / np.sqrt(len(gains))
    if mean <= 0:
        return np.inf
    return 0.0 if mean > CLEAR * error else 1.0


def careful(errors_QM: np.ndarray, caution_M: np.ndarray) -> np.ndarray:
    """Standard errors as the decision uses them: 0 where dev has confirmed the router clearly,
    infinite where it has not confirmed it at all, as they are in between and for newcomers.
    """
    finite_M = np.where(np.isfinite(caution_M), caution_M, 0.0)
    found: np.ndarray = np.where(np.isfinite(caution_M), errors_QM * finite_M, np.inf)
    return found


def joined(arrays: Arrays, column: Arrays) -> Arrays:
    """An estimator with one more member; what it knew of the others stays as it is."""
    return {
        name: np.concatenate([value, column[name]], axis=-1) if name in column else value
        for name, value in arrays.items()
    }
