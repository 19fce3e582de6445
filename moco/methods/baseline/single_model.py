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
        return member_problems(self.member, facts)

    def predict(self, pool: Pool, queries: Sequence[Query], state: None) -> list[Prediction]:
        """The member's plain answers."""
        model = pool.named(self.member or pool.names[0])
        answers = pool.of([model.name]).ask_all(queries)[0]
        return [
            Prediction(q.id, g.text, by=(model.name,), stop=g.stop, notes=g.notes)
            for q, g in zip(queries, answers, strict=True)
        ]


def member_problems(
    member: str, facts: Mapping[str, ModelFacts | None], where: str = "method.member"
) -> list[Problem]:
    """What is wrong with a field that names a member: no such member, or none where there are
    several.
    """
    if member and member not in facts:
        what = f"no pool member is called '{member[:80]}'"
        return [Problem(where, what, "members: " + ", ".join(facts))]
    if not member and len(facts) > 1:
        what = f"the pool has {len(facts)} members"
        return [Problem(where, what, "say which one answers")]
    return []
