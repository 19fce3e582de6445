"""The cheapest member answers every question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict

from moco.access import Requires
from moco.methods.base import Level, Route, Router
from moco.pool import Dev, Pool
from moco.types import Query


class State(TypedDict):
    """The cheapest member."""

    member: str


class Cheapest(Router[State]):
    """The member of the lowest mean cost on dev answers everything (prices where all members have
    one, else parameters times tokens); the first in pool order on ties.
    """

    level: ClassVar[Level] = "baseline"
    paper: ClassVar[str] = "none (a baseline)"
    requires: ClassVar[Requires] = Requires(min_models=2, dev=True)

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Mean cost of each member's dev answers."""
        answers = zip(pool.names, pool.ask_all(dev.queries), strict=True)
        costs = {name: sum(pool.cost_of(name, g) for g in own) for name, own in answers}
        return {"member": min(costs, key=lambda name: costs[name])}

    def choose(self, pool: Pool, queries: Sequence[Query], state: Any) -> list[Route]:
        """Always the same member."""
        return [Route(state["member"]) for _ in queries]
