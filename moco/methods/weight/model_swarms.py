"""A swarm of models flies through weight space towards what scores best on dev."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from moco.access import ModelFacts, Problem, Requires
from moco.methods.base import Level, Method
from moco.methods.merging import WEIGHTS, mixed_kinds
from moco.methods.searching import (
    DECIMALS,
    Ground,
    Searching,
    SearchState,
    Weights,
    answered,
    composed,
)
from moco.pool import Dev, Pool
from moco.search.base import Space
from moco.types import Json, Prediction, Query, Sampling

SPREAD = 0.5
"""How far, in each direction, random candidates lie from the mean of the members."""


class ModelSwarms(Searching, Method[SearchState]):
    """Particle swarm search over combinations of the members' weights whose coefficients add up to
    1, started at the members and at random crosses of two of them.

    All moves of the published search are differences of models, so each of its positions is such a
    combination: it is searched as its coefficients, and no model is written. Adapters of one base
    are combined exactly, in delta space, a whole generation in one batch; full checkpoints in
    memory, in float32, one after another.
    """

    level: ClassVar[Level] = "weight"
    paper: ClassVar[str] = "Feng et al. 2024, arXiv 2410.11163 (Model Swarms)"
    requires: ClassVar[Requires] = replace(WEIGHTS, dev=True)
    idempotent: ClassVar[bool] = True
    paper_preset: ClassVar[Mapping[str, Json]] = {
        "population": 20, "max_iterations": 200, "budget": 0, "guard": False, "inertia": 0.4,
        "cognitive_coeff": 0.3, "social_coeff": 0.3, "repel_coeff": 0.3, "step_length": 1.0,
        "patience": 10, "restart_patience": 5,
    }  # fmt: skip

    population: int = Field(default=10, ge=2, le=1000)
    """Particles: all members, and crosses of two, u · one + (1 − u) · other with u from [0, 2], up
    to so many.
    """
    start: Literal["random", "rest", "differences"] = "differences"
    """Velocities at the start: random, none, or towards another particle (this, pulls and steps:
    pso).
    """

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Adapters combine with adapters of the same base, checkpoints with checkpoints."""
        return mixed_kinds(facts)

    def fit(self, pool: Pool, dev: Dev) -> SearchState:
        """The search."""
        plane = Plane(len(pool))
        start_ND = self._start(len(pool), np.random.default_rng([pool.context.seed, 1]))
        ground = Ground(
            pool=pool,
            dev=dev,
            space=Space(plane.places(start_ND), spread=SPREAD),
            weights_of=lambda row: exact(pool.names, plane.point(row)),
            model_of=lambda weights: composed(pool, weights),
        )
        return self.searched(ground)

    def _start(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Coefficients of the first particles."""
        rows = list(np.eye(n))
        while len(rows) < self.population:
            one, other = rng.choice(n, 2, replace=False)
            u = rng.uniform(0, 2)
            rows.append(u * np.eye(n)[one] + (1 - u) * np.eye(n)[other])
        return np.asarray(rows)

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: SearchState | None
    ) -> list[Prediction]:
        """The best model's answers."""
        n = len(pool)
        weights = state["weights"] if state else exact(pool.names, np.full(n, 1 / n))
        return answered(pool, composed(pool, weights), weights, queries)


class Plane:
    """Coefficients that add up to 1, as places on a plane of one dimension less: distances and
    directions stay as they are.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        ones = np.full((n, 1), n**-0.5)
        full = np.linalg.qr(np.hstack([ones, np.eye(n)[:, : n - 1]]))[0]
        self._basis = full[:, 1:]

    def places(self, points_NM: np.ndarray) -> np.ndarray:
        """Points, one per row, as places."""
        found: np.ndarray = (points_NM - 1 / self.n) @ self._basis
        return found

    def point(self, place: np.ndarray) -> np.ndarray:
        """The coefficients at a place."""
        found: np.ndarray = 1 / self.n + self._basis @ place
        return found


def exact(names: Sequence[str], point: np.ndarray) -> Weights:
    """Coefficients, rounded so that they still add up to 1."""
    values = [round(float(x), DECIMALS) + 0.0 for x in point]
    values[-1] = round(1 - sum(values[:-1]), DECIMALS) + 0.0
    return dict(zip(names, values, strict=True))
