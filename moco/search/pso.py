"""Particle swarm search, a generation at a time (Model Swarms, Feng et al. 2024, arXiv 2410.11163,
with patience and restarts that do what their names say).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

TOLERANCE = 1e-9
"""A score has to be better by more than this."""


@dataclass(frozen=True, slots=True)
class Pso:
    """How particles move."""

    max_iterations: int = 10
    inertia: float = 0.2
    cognitive: float = 0.3
    social: float = 0.4
    repel: float = 0.05
    """Pull of the particle's own best, of the best and push of the worst of all."""
    weight_randomness: bool = True
    """Whether each pull is multiplied by a number drawn from [0, 1) per particle and round."""
    step_length: float = 0.5
    step_length_factor: float = 0.95
    minimum_step_length: float = 0.1
    patience: int = 5
    """Rounds in a row without a better best after which the search ends."""
    restart_patience: int = 3
    """Rounds in a row without a better own best after which a particle goes back to it, at rest."""
    start: Literal["random", "rest", "differences"] = "random"
    """Velocities at the start: from [-1, 1), none, or towards another particle."""
    low: float = -np.inf
    high: float = np.inf
    """Box that positions are clipped to."""

    def velocities(
        self,
        x_ND: np.ndarray,
        v_ND: np.ndarray,
        places: tuple[np.ndarray, np.ndarray, np.ndarray],
        rng: np.random.Generator,
    ) -> np.ndarray:
        """The particles' next velocities from their positions and velocities, each one's own best
        place, the best of all and the worst of all.
        """
        own_ND, best_D, worst_D = places
        pulls_4N = np.asarray([self.inertia, self.cognitive, self.social, self.repel])[:, None]
        shape = (4, len(x_ND))
        drawn_4N = rng.random(shape) if self.weight_randomness else np.ones(shape)
        a, b, c, d = (pulls_4N * drawn_4N)[:, :, None]
        steps = b * (own_ND - x_ND) + c * (best_D - x_ND) + d * (x_ND - worst_D)
        found: np.ndarray = (a * v_ND + steps) / np.maximum(a + b + c + d, 1e-12)
        return found


@dataclass(slots=True)
class Found:
    """What a search found."""

    point: np.ndarray
    score: float
    evaluated: dict[Hashable, float] = field(default_factory=dict)
    """Score by key of every distinct point."""
    points: dict[Hashable, np.ndarray] = field(default_factory=dict)
    """The first point of each key."""
    best_by_round: list[float] = field(default_factory=list)

    def top(self, count: int) -> list[np.ndarray]:
        """The best distinct points, best first, the earlier on ties."""
        keys = sorted(self.evaluated, key=lambda key: -self.evaluated[key])
        return [self.points[key] for key in keys[:count]]


def maximise(
    score: Callable[[list[np.ndarray]], Sequence[float]],
    start_ND: np.ndarray,
    how: Pso,
    seed: int,
    key: Callable[[np.ndarray], Hashable] | None = None,
) -> Found:
    """The best point that a swarm starting from these rows finds.

    `score` gets the new points of a round at once; points of equal `key` (their bytes if None) are
    scored once. Nothing moves after the last round.
    """
    key = key or (lambda row: np.round(row, 12).tobytes())
    rng = np.random.default_rng(seed)
    x_ND = np.clip(np.asarray(start_ND, dtype=float), how.low, how.high)
    v_ND = _started(x_ND, how.start, rng)
    own_N, own_ND = np.full(len(x_ND), -np.inf), x_ND.copy()
    flat_N = np.zeros(len(x_ND), dtype=int)
    found = Found(x_ND[0].copy(), -np.inf)
    worst_D, worst, flat, step = x_ND[0].copy(), np.inf, 0, how.step_length
    for number in range(how.max_iterations):
        scores_N = _scored(score, x_ND, key, found)
        better_N = scores_N > own_N + TOLERANCE
        own_N = np.where(better_N, scores_N, own_N)
        own_ND[better_N] = x_ND[better_N]
        flat_N = np.where(better_N, 0, flat_N + 1)
        flat += 1
        if scores_N.max() > found.score + TOLERANCE:
            found.point, found.score = x_ND[int(scores_N.argmax())].copy(), float(scores_N.max())
            flat = 0
        if scores_N.min() < worst - TOLERANCE:
            worst_D, worst = x_ND[int(scores_N.argmin())].copy(), float(scores_N.min())
        found.best_by_round.append(found.score)
        if flat >= how.patience or number + 1 == how.max_iterations:
            break
        tired_N = flat_N >= how.restart_patience
        x_ND[tired_N], v_ND[tired_N], flat_N[tired_N] = own_ND[tired_N], 0.0, 0
        v_ND = how.velocities(x_ND, v_ND, (own_ND, found.point, worst_D), rng)
        x_ND = np.clip(x_ND + step * v_ND, how.low, how.high)
        step = max(step * how.step_length_factor, how.minimum_step_length)
    return found


def _started(x_ND: np.ndarray, start: str, rng: np.random.Generator) -> np.ndarray:
    if start == "random":
        return rng.uniform(-1, 1, x_ND.shape)
    if start == "rest" or len(x_ND) < 2:
        return np.zeros_like(x_ND)
    others = (np.arange(len(x_ND)) + rng.integers(1, len(x_ND), len(x_ND))) % len(x_ND)
    found: np.ndarray = x_ND[others] - x_ND
    return found


def _scored(
    score: Callable[[list[np.ndarray]], Sequence[float]],
    x_ND: np.ndarray,
    key: Callable[[np.ndarray], Hashable],
    found: Found,
) -> np.ndarray:
    """Scores of all particles; only points of new keys are evaluated."""
    keys = [key(row) for row in x_ND]
    new: dict[Hashable, np.ndarray] = {}
    for k, row in zip(keys, x_ND, strict=True):
        if k not in found.evaluated:
            new.setdefault(k, row.copy())
    if new:
        values = [float(value) for value in score(list(new.values()))]
        found.evaluated |= dict(zip(new, values, strict=True))
        found.points |= new
    return np.asarray([found.evaluated[k] for k in keys])
