"""How score and deferral go with the threshold above which one model asks another for a token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np

NEAR = 0.15
"""Points of a curve whose deferral differs by less count for each other, the nearer the more."""


class Point(TypedDict):
    """One threshold on dev."""

    threshold: float
    deferral: float
    """Share of tokens that the assistant was asked for."""
    score: float


class Trial(NamedTuple):
    """What a threshold gave on some dev questions."""

    threshold: float
    asked: int
    """Tokens that the assistant was asked for, of all `tokens`."""
    tokens: int
    score: float
    """A sum over the questions."""
    questions: int


def pooled(trials: Sequence[Trial]) -> Point:
    """One point of a curve from trials of one share on different questions."""
    deferral = sum(t.asked for t in trials) / max(sum(t.tokens for t in trials), 1)
    score = sum(t.score for t in trials) / max(sum(t.questions for t in trials), 1)
    threshold = trials[0].threshold
    return {"threshold": threshold, "deferral": round(deferral, 6), "score": round(score, 9)}


def smoothed(curve: Sequence[Point]) -> list[float]:
    """Each point's score, averaged with those of nearly its deferral."""
    shares, scores = (np.array([p[key] for p in curve]) for key in ("deferral", "score"))
    near = np.maximum(1 - np.abs(shares[:, None] - shares) / NEAR, 0)
    return [round(mean, 9) for mean in (near @ scores / near.sum(1)).tolist()]


def moved(curve: Sequence[Point], tried: Sequence[Trial]) -> list[Point]:
    """The curve, rising in deferral, with thresholds at which another model, which was tried by
    itself, defers as much.
    """
    inner = [pooled([t]) for t in tried if 0 < t.threshold < 1]
    inner.sort(key=lambda point: -point["threshold"])
    outputs = [log_odds(p["threshold"]) for p in inner]
    # answers that go astray may defer more at a higher threshold
    deferrals = np.maximum.accumulate([p["deferral"] for p in inner])

    def placed(point: Point) -> Point:
        if point["threshold"] in (0, 1) or not inner:
            return point
        return {**point, "threshold": chance(np.interp(point["deferral"], deferrals, outputs))}

    return [placed(point) for point in sorted(curve, key=lambda point: point["deferral"])]


def chance(log_odds: float) -> float:
    """σ of log-odds, which are rounded to 4 decimals first."""
    return 1 / (1 + math.exp(-round(log_odds, 4)))


def log_odds(chance: float) -> float:
    """The inverse of `chance`, rounded likewise; infinite at 0 and 1."""
    if chance in (0, 1):
        return math.inf if chance else -math.inf
    return round(math.log(chance / (1 - chance)), 4)
