"""One model answers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from moco.access import ModelFacts, Problem
from moco.methods.base import Level, Method
from moco.pool import Pool
from moco.types import Prediction, Query, Sampling


class SingleModel(Method[None]):
    """One member answers every question by itself."""

    level: ClassVar[Level] = "baseline"
    paper: ClassVar[str] = "none (baseline)"
    idempotent: ClassVar[bool] = True

    member: str = ""
    """Alias of the member that answers; empty = the only one."""

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """The member must exist, or the pool must leave no choice."""
        if self.member and self.member not in facts:
            return [
                Problem(
                    "method.member",
                    f"no pool member is called '{self.member[:80]}'",
                    "members: " + ", ".join(facts),
                )
            ]
        if not self.member and len(facts) > 1:
            return [
                Problem(
                    "method.member", f"the pool has {len(facts)} members", "say which one answers"
                )
            ]
        return []

    def predict(self, pool: Pool, queries: Sequence[Query], state: None) -> list[Prediction]:
        """The member's plain answers."""
        model = pool.named(self.member or pool.names[0])
        answers = pool.of([model.name]).ask_all(queries)[0]
        return [
            Prediction(q.id, g.text, by=(model.name,), stop=g.stop)
            for q, g in zip(queries, answers, strict=True)
        ]
