"""The member that is best on dev answers alone: the baseline every collaboration has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypedDict

from moco.access import Requires
from moco.methods.base import Level, Method, dev_best
from moco.pool import Dev, Pool
from moco.types import Prediction, Query


class State(TypedDict):
    """What dev told."""

    member: str
    scores: dict[str, float]


class BestSingle(Method[State]):
    """The member with the best mean dev score answers every question by itself."""

    level: ClassVar[Level] = "baseline"
    paper: ClassVar[str] = "none (baseline)"
    requires: ClassVar[Requires] = Requires(dev=True)
    idempotent: ClassVar[bool] = True

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Answer dev with every member; the first in pool order wins ties."""
        member, scores = dev_best(pool, dev)
        return {"member": member, "scores": scores}

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """The chosen member's plain answers."""
        member = state["member"] if state else pool.names[0]
        answers = pool.of([member]).ask_all(queries)[0]
        return [
            Prediction(q.id, g.text, by=(member,), stop=g.stop)
            for q, g in zip(queries, answers, strict=True)
        ]
