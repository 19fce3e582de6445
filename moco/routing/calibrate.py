"""How probable it is that an answer is right, from its own tokens' log-probabilities.

Gupta et al. 2024 (arXiv 2404.10136) use the mean and the quantiles of the emitted tokens'
log-probabilities, FrugalGPT (Chen et al. 2023, arXiv 2305.05176) learns a scorer of answers per
model; here a logistic regression per member does both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moco.answers import parser
from moco.types import Generation, Json, Query

FEATURES = ("mean", "min", "q10", "q25", "q50", "log length", "parsed")
"""Of an answer: mean, minimum and quantiles of its log-probabilities (nats), log of its number of
tokens, and 1 where an answer could be read from it.
"""
DIGITS = 4
"""Confidences are rounded before they are compared, so that decisions do not hang on batches."""
PENALTIES: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
"""L2 penalties that are tried; of the sum of losses, on standardised features."""
FOLDS = 5
LEAST = 20
"""Answers below which nothing is learnt."""
LEAST_SCALE = 0.01
"""Standard deviation below which a feature counts as constant: it would only amplify rounding."""
FLOOR = -50.0
"""Log-probabilities below this count as this."""


@dataclass(frozen=True)
class Calibration:
    """A logistic regression on the features of one member's answers."""

    bias: float
    weights: tuple[float, ...]
    """One per feature, of the standardised features; 0 for a constant one."""
    means: tuple[float, ...]
    scales: tuple[float, ...]
    penalty: float
    """The L2 penalty that cross-validation chose."""

    def probabilities(self, features_QF: np.ndarray) -> np.ndarray:
        """Estimated probability of a right answer, shape [answers]; each from its own row only."""
        scaled_QF = (features_QF - np.asarray(self.means)) / np.asarray(self.scales)
        found: np.ndarray = _sigmoid((scaled_QF * np.asarray(self.weights)).sum(axis=1) + self.bias)
        return found

    def to_json(self) -> dict[str, Json]:
        """As a state holds it."""
        return {
            "bias": self.bias,
            "weights": list(self.weights),
            "means": list(self.means),
            "scales": list(self.scales),
            "penalty": self.penalty,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Calibration:
        """From a state."""
        lists = {name: tuple(data[name]) for name in ("weights", "means", "scales")}
        return cls(bias=data["bias"], penalty=data["penalty"], **lists)


@dataclass(frozen=True)
class Fitted:
    """What was learnt of one member, and how sure it is of its dev answers."""

    calibration: Calibration | None
    """None = the plain confidence stands in."""
    held_out_Q: np.ndarray
    """Confidence of each dev answer by a fit without it, rounded."""
    note: str = ""
    """Why nothing was learnt."""

    def to_json(self) -> dict[str, Json]:
        """As a state holds it."""
        return self.calibration.to_json() if self.calibration else {"note": self.note}


def confidence(generation: Generation) -> float:
    """The plain confidence: exp of the mean log-probability of the emitted tokens, rounded to 4
    decimals; 0 for an answer without tokens.
    """
    if not generation.logprobs:
        return 0.0
    mean = math.fsum(generation.logprobs) / len(generation.logprobs)
    return round(math.exp(min(mean, 0.0)), DIGITS)


def features(queries: Sequence[Query], answers: Sequence[Generation]) -> np.ndarray:
    """`FEATURES` of each answer, shape [answers, 7]; a row of NaN without log-probabilities."""
    rows_QF = np.full((len(answers), len(FEATURES)), np.nan)
    for i, (query, given) in enumerate(zip(queries, answers, strict=True)):
        if not given.logprobs:
            continue
        own = np.maximum(np.asarray(given.logprobs, dtype=float), FLOOR)
        parsed = parser.extract(given.text, query, given.stop).status == "parsed"
        mean = math.fsum(own) / len(own)
        low = np.quantile(own, (0.1, 0.25, 0.5))
        rows_QF[i] = (mean, own.min(), *low, math.log(len(own)), float(parsed))
    return rows_QF


def confidences(
    queries: Sequence[Query], answers: Sequence[Generation], learnt: Mapping[str, Json] | None
) -> np.ndarray:
    """How sure a member is of each of its answers, in [0, 1], rounded to 4 decimals, shape
    [answers].

    `learnt` is what the state holds of the member: a calibration; the plain confidence without.
    """
    if not learnt or "weights" not in learnt:
        return np.asarray([confidence(g) for g in answers], dtype=float)
    features_QF = features(queries, answers)
    return _rounded(Calibration.from_json(learnt).probabilities(features_QF))


def calibrate(
    queries: Sequence[Query], answers: Sequence[Generation], labels_Q: np.ndarray, seed: int
) -> Fitted:
    """The calibration of one member on dev; labels are scores in [0, 1].

    With fewer than 20 answers, or with hardly any right or hardly any wrong ones, the plain
    confidence stands in and the note says so.
    """
    features_QF = features(queries, answers)
    known = np.isfinite(features_QF).all(axis=1) & np.isfinite(labels_Q)
    right = float(labels_Q[known].sum())
    note = ""
    if known.sum() < LEAST:
        note = f"plain confidence: {known.sum()} dev answers, {LEAST} are needed to calibrate"
    elif not 1 <= right <= known.sum() - 1:
        kind = "right" if right < 1 else "wrong"
        note = f"plain confidence: hardly any dev answer is {kind}"
    if note:
        plain_Q = np.asarray([confidence(g) for g in answers], dtype=float)
        return Fitted(None, plain_Q, note)
    found, held_out = fit(features_QF[known], np.clip(labels_Q[known], 0, 1), seed)
    whole_Q = np.zeros(len(answers))
    whole_Q[known] = _rounded(held_out)
    return Fitted(found, whole_Q)


def fit(features_QF: np.ndarray, labels_Q: np.ndarray, seed: int) -> tuple[Calibration, np.ndarray]:
    """A logistic regression with an L2 penalty chosen by seeded 5-fold cross-validation of the
    log loss (ties: the stronger), and its held-out probabilities, shape [answers].
    """
    rows = np.random.default_rng(seed).permutation(len(labels_Q))
    held_PQ = np.zeros((len(PENALTIES), len(labels_Q)))
    for fold in range(FOLDS):
        held, rest = rows[fold::FOLDS], np.delete(rows, np.s_[fold::FOLDS])
        for place, penalty in enumerate(PENALTIES):
            own = _regression(features_QF[rest], labels_Q[rest], penalty)
            held_PQ[place, held] = own.probabilities(features_QF[held])
    losses = np.round(_loss(np.clip(held_PQ, 1e-9, 1 - 1e-9), labels_Q), 9)
    best = int(np.flatnonzero(losses == losses.min())[-1])
    return _regression(features_QF, labels_Q, PENALTIES[best]), held_PQ[best]


def _loss(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean log loss over the last axis."""
    loss = labels * np.log(probabilities) + (1 - labels) * np.log1p(-probabilities)
    found: np.ndarray = -loss.mean(axis=-1)
    return found


def _regression(features_QF: np.ndarray, labels_Q: np.ndarray, penalty: float) -> Calibration:
    means, scales = features_QF.mean(axis=0), features_QF.std(axis=0)
    varies = scales >= LEAST_SCALE
    scaled_QF = (features_QF[:, varies] - means[varies]) / scales[varies]
    beta = _newton(np.column_stack([np.ones(len(labels_Q)), scaled_QF]), labels_Q, penalty)
    weights = np.zeros(len(means))
    weights[varies] = beta[1:]
    return Calibration(
        bias=float(beta[0]),
        weights=tuple(float(w) for w in weights),
        means=tuple(float(m) for m in means),
        scales=tuple(float(s) for s in np.where(varies, scales, 1.0)),
        penalty=penalty,
    )


def _newton(design_QB: np.ndarray, labels_Q: np.ndarray, penalty: float) -> np.ndarray:
    """Newton's method (iteratively reweighted least squares); the step is halved while it does not
    lower the loss. The intercept (column 0) is hardly penalised, enough to stay finite.
    """
    ridge_B = np.full(design_QB.shape[1], penalty)
    ridge_B[0] = 1e-4

    def loss(beta: np.ndarray) -> float:
        linear = design_QB @ beta
        own = np.logaddexp(0, linear) - labels_Q * linear
        return float(own.sum() + 0.5 * (ridge_B * beta**2).sum())

    beta = np.zeros(design_QB.shape[1])
    now = loss(beta)
    for _ in range(50):
        p_Q = _sigmoid(design_QB @ beta)
        slope = design_QB.T @ (p_Q - labels_Q) + ridge_B * beta
        curve = (design_QB * (p_Q * (1 - p_Q))[:, None]).T @ design_QB + np.diag(ridge_B)
        step = np.linalg.solve(curve, slope)
        while (new := loss(beta - step)) > now and np.abs(step).max() > 1e-10:
            step = step / 2
        if now - new <= 1e-12 * max(now, 1.0):
            break
        beta, now = beta - step, new
    return beta


def _sigmoid(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = 0.5 * (1 + np.tanh(0.5 * x))
    return found


def _rounded(probabilities_Q: np.ndarray) -> np.ndarray:
    """To `DIGITS` decimals; 0 where there is nothing to go by."""
    found: np.ndarray = np.round(np.nan_to_num(probabilities_Q, nan=0.0), DIGITS)
    return found
