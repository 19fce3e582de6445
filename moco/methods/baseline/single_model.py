"""One model answers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from moco.access import ModelFacts, Problem
from moco.methods.base import Level, Method
from moco.methods.parts import unknown_members
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
        return member_problems(self.member, facts)

    def predict(self, pool: Pool, queries: Sequence[Query], state: None) -> list[Prediction]:
        """The member's plain answers."""
        model = pool.named(self.member or pool.names[0])
        answers = pool.of([model.name]).ask_all(queries)[0]
        return [
            Prediction(q.id, g.text, by=(model.name,), stop=g.stop, notes=g.notes)
            for q, g in zip(queries, answers, strict=True)
        ]


def member_problems(member: str, facts: Mapping[str, ModelFacts | None]) -> list[Problem]:
    """What is wrong with a `member` field: no such member, or none where there are several."""
    if not member and len(facts) > 1:
        what = f"the pool has {len(facts)} members"
        return [Problem("method.member", what, "say which one answers")]
    return unknown_members(facts, member=member)
