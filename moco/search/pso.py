"""Particle swarm search (Model Swarms, Feng et al. 2024, arXiv 2410.11163, with patience and
restarts that do what their names say).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from moco.search.base import TOLERANCE, Space


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

    def begin(self, space: Space, seed: int) -> Swarm:
        """One particle at each of the first points."""
        return Swarm(self, space, seed)

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


class Swarm:
    """A swarm under way. Nothing moves after the last round."""

    def __init__(self, how: Pso, space: Space, seed: int) -> None:
        self.how, self.space = how, space
        self.rng = np.random.default_rng(seed)
        self.x_ND = space.clip(np.array(space.start_ND, dtype=float))
        self.v_ND = _started(self.x_ND, how.start, self.rng)
        self.own_N, self.own_ND = np.full(len(self.x_ND), -np.inf), self.x_ND.copy()
        self.flat_N = np.zeros(len(self.x_ND), dtype=int)
        self.best_D, self.best = self.x_ND[0].copy(), -np.inf
        self.worst_D, self.worst = self.x_ND[0].copy(), np.inf
        self.flat, self.rounds, self.step = 0, 0, how.step_length

    def ask(self) -> np.ndarray:
        """Where the particles are."""
        over = self.rounds >= self.how.max_iterations or self.flat >= self.how.patience
        return self.x_ND[:0] if over else self.x_ND

    def tell(self, scores_N: np.ndarray) -> None:
        """Remember the best places and move on, unless this was the last round."""
        better_N = scores_N > self.own_N + TOLERANCE
        self.own_N = np.where(better_N, scores_N, self.own_N)
        self.own_ND[better_N] = self.x_ND[better_N]
        self.flat_N = np.where(better_N, 0, self.flat_N + 1)
        self.flat, self.rounds = self.flat + 1, self.rounds + 1
        if scores_N.max() > self.best + TOLERANCE:
            self.best_D, self.best = self.x_ND[int(scores_N.argmax())].copy(), scores_N.max()
            self.flat = 0
        if scores_N.min() < self.worst - TOLERANCE:
            self.worst_D, self.worst = self.x_ND[int(scores_N.argmin())].copy(), scores_N.min()
        if len(self.ask()):
            self._move()

    def _move(self) -> None:
        how, tired_N = self.how, self.flat_N >= self.how.restart_patience
        self.x_ND[tired_N], self.v_ND[tired_N] = self.own_ND[tired_N], 0.0
        self.flat_N[tired_N] = 0
        places = (self.own_ND, self.best_D, self.worst_D)
        self.v_ND = how.velocities(self.x_ND, self.v_ND, places, self.rng)
        self.x_ND = self.space.clip(self.x_ND + self.step * self.v_ND)
        self.step = max(self.step * how.step_length_factor, how.minimum_step_length)


def _started(x_ND: np.ndarray, start: str, rng: np.random.Generator) -> np.ndarray:
    if start == "random":
        return rng.uniform(-1, 1, x_ND.shape)
    if start == "rest" or len(x_ND) < 2:
        return np.zeros_like(x_ND)
    others = (np.arange(len(x_ND)) + rng.integers(1, len(x_ND), len(x_ND))) % len(x_ND)
    found: np.ndarray = x_ND[others] - x_ND
    return found
