"""The soft router: members' scores are estimated from a question's embedding, then weighed against
their costs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict

import numpy as np
from pydantic import Field

from moco.access import Access, Requires, RoleNeed
from moco.methods.base import Route, Router
from moco.pool import Dev, Pool
from moco.routing.decide import SWEEP, Estimates, Standing, decide
from moco.routing.table import EMBEDDER, DevTable, observe, vectors
from moco.types import Json, OperatingPoint, Query

NEEDS_EMBEDDER = {EMBEDDER: RoleNeed(Access.EMBED, required=True, default="embedder")}


class SoftState(TypedDict):
    """What a soft router knows."""

    members: list[str]
    """Aliases, in the order of the columns below."""
    means: list[float]
    """Mean dev scores."""
    costs: list[float]
    """Mean dev costs, in the pool's unit."""
    learnt: dict[str, Json]
    """The estimator: numbers, and `{"tensors": …}` references to its arrays."""


class SoftRouter(Router[SoftState]):
    """Base of routers that estimate every member's score for a question."""

    requires: ClassVar[Requires] = Requires(min_models=2, dev=True, roles=NEEDS_EMBEDDER)

    cost_weight: float = Field(default=0.0, ge=0)
    """Score that may be lost to save the whole cost of the costliest member."""
    guard: bool = True
    """Whether the best dev member answers where another's expected gain is below its standard
    error.
    """
    runs: int = Field(default=1, ge=1, le=100)
    """Dev answers per member and question; above 1 they are drawn at `temperature`."""
    temperature: float = Field(default=0.7, gt=0, le=10)
    """Temperature of several dev answers."""

    @abstractmethod
    def learn(self, pool: Pool, table: DevTable, vectors_QE: np.ndarray) -> dict[str, Json]:
        """The estimator from dev scores and embeddings: JSON, arrays kept by `pool.keep`."""

    @abstractmethod
    def estimate(
        self, pool: Pool, learnt: dict[str, Json], queries: Sequence[Query], vectors_QE: np.ndarray
    ) -> Estimates:
        """Every member's score for each question; a row depends on its own question only."""

    def fit(self, pool: Pool, dev: Dev) -> SoftState:
        """Every member answers dev; the estimator is learnt from the scores."""
        return self.fit_table(pool, self.observe(pool, dev))

    def observe(self, pool: Pool, dev: Dev) -> DevTable:
        """The members' dev scores and costs."""
        return observe(pool, dev, runs=self.runs, temperature=self.temperature)

    def embed(self, pool: Pool, queries: Sequence[Query]) -> np.ndarray:
        """Unit-length embeddings of the questions, shape [queries, width]."""
        return vectors(pool, queries)

    def fit_table(self, pool: Pool, table: DevTable) -> SoftState:
        """The same from a table of dev scores."""
        return {
            "members": list(table.names),
            "means": [float(x) for x in table.means],
            "costs": [float(x) for x in table.mean_costs],
            "learnt": self.learn(pool, table, self.embed(pool, table.queries)),
        }

    def choose(self, pool: Pool, queries: Sequence[Query], state: Any) -> list[Route]:
        """The member of the highest estimated score less weighted cost."""
        found, standing = self._found(pool, queries, state), _standing(state)
        picks = decide(found, standing, cost_weight=self.cost_weight, guard=self.guard)
        names = state["members"]
        return [
            Route(names[pick], {"estimates": _noted(names, row)})
            for pick, row in zip(picks, found.scores_QM, strict=True)
        ]

    def points(self, pool: Pool, queries: Sequence[Query], state: Any) -> list[OperatingPoint]:
        """The same estimates under other cost weights."""
        found, standing = self._found(pool, queries, state), _standing(state)
        names = state["members"]
        plans = []
        for weight in SWEEP:
            picks = decide(found, standing, cost_weight=weight, guard=self.guard)
            by = tuple(names[pick] for pick in picks)
            plans.append(OperatingPoint(weight, by, tuple((name,) for name in by)))
        return plans

    def _found(self, pool: Pool, queries: Sequence[Query], state: SoftState) -> Estimates:
        return self.estimate(pool, state["learnt"], queries, self.embed(pool, queries))


def _standing(state: SoftState) -> Standing:
    return Standing(np.asarray(state["means"]), np.asarray(state["costs"]))


def _noted(names: Sequence[str], row: np.ndarray) -> dict[str, Json]:
    return {name: round(float(x), 4) for name, x in zip(names, row, strict=True)}
