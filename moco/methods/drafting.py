"""What methods that draft tokens ahead have in common: a pair of members, and the notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires
from moco.methods.base import JointMethod
from moco.methods.parts import unknown_members
from moco.pool import Dev, Pool
from moco.types import Json, Prediction, Query, Sampling

LOCK_STEP = Requires(
    access=Access.TEXT | Access.LOGITS, min_models=2, same=frozenset({"tokenizer"})
)
"""Members of one vocabulary that give their logits."""
DRAFTER, TARGET = 0, 1
"""Order of the two members of a pair in the joint session."""


class PairState(TypedDict):
    """Who takes which part."""

    drafter: str
    target: str


class DraftingMethod(JointMethod[PairState]):
    """A drafter writes tokens ahead, which the target reads in one pass."""

    drafter: str = ""
    """Alias of the member that drafts; empty = the smallest by parameters, the first of equals (in
    a team: the first).
    """
    target: str = ""
    """Alias of the member that reads the drafts; empty = the largest of the others, the last of
    equals (in a team: the last).
    """
    draft_tokens: int = Field(default=4, ge=1, le=64)
    """Tokens that are drafted before the target reads them."""

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Both must be members, and two of them."""
        found = unknown_members(facts, drafter=self.drafter, target=self.target)
        if self.target and self.target == self.drafter:
            found.append(Problem("method.target", "is the drafter itself", "name another member"))
        return found

    def fit(self, pool: Pool, dev: Dev) -> PairState:
        """The two by their sizes, where they are not named; nothing is asked."""
        return self._sized(pool)

    def _sized(self, pool: Pool) -> PairState:
        return self._pair({model.name: model.facts.num_parameters for model in pool})

    def _pair(self, sizes: Mapping[str, int]) -> PairState:
        """Sizes by member, in pool order."""
        drafter = self.drafter or min((n for n in sizes if n != self.target), key=sizes.__getitem__)
        others = [name for name in sizes if name != drafter]
        target = self.target or max(reversed(others), key=sizes.__getitem__)
        return {"drafter": drafter, "target": target}

    def seats(self, names: Sequence[str], state: PairState | None) -> tuple[list[str], Json]:
        """The drafter, then the target."""
        chosen = state or self._pair(dict.fromkeys(names, 0))
        return [chosen["drafter"], chosen["target"]], None

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: PairState | None
    ) -> list[Prediction]:
        """The two members write each answer together."""
        return rated(super().predict(pool, queries, state or self._sized(pool)))

    def turns(self) -> list[tuple[int, int]]:
        """The drafter's tokens, and the one that follows from the target's reading anyway."""
        return [(DRAFTER, self.draft_tokens), (TARGET, 1)]


def rated(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Predictions whose notes tell the share of drafted tokens that were accepted (None where none
    were drafted) and, where tokens have single writers, each one's share.
    """
    return [replace(p, notes={**p.notes, **_rates(p.notes)}) for p in predictions]


def _rates(notes: Mapping[str, Json]) -> dict[str, Json]:
    drafted, accepted = notes.get("drafted", 0), notes.get("accepted", 0)
    rate = round(accepted / drafted, 4) if drafted else None
    found: dict[str, Json] = {"drafted": drafted, "accepted": accepted, "acceptance_rate": rate}
    if tokens := notes.get("tokens_by_writer"):
        total = sum(tokens.values())
        found["share_by_writer"] = {name: round(n / total, 4) for name, n in tokens.items()}
    return found
