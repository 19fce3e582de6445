"""Average the weights of fine-tuned siblings, adding a model only if dev does not get worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, TypedDict

from pydantic import Field

from moco.access import ModelFacts, Problem, Requires
from moco.methods.base import Level, Method, dev_best
from moco.methods.merging import WEIGHTS, answers_of, mixed_kinds
from moco.pool import Dev, Model, Pool
from moco.types import Prediction, Query, Sampling


class Trial(TypedDict):
    """One candidate soup."""

    added: str
    score: float
    accepted: bool


class State(TypedDict):
    """The soup's ingredients and how they were found."""

    members: list[str]
    score: float
    singles: dict[str, float]
    trials: list[Trial]
    uniform: float


class GreedySoup(Method[State]):
    """Members join the average in the order of their dev scores, each only if the soup's dev score
    does not drop.

    Adapters of one base are averaged in delta space, which is exact for any ranks; full
    checkpoints tensor by tensor in float32, tied tensors once. Soups live in memory: nothing is
    written during the search.
    """

    level: ClassVar[Level] = "weight"
    paper: ClassVar[str] = "Wortsman et al. 2022, arXiv 2203.05482"
    requires: ClassVar[Requires] = replace(WEIGHTS, dev=True)
    idempotent: ClassVar[bool] = True

    margin: float = Field(default=0.0, ge=0, le=1)
    """How much better than the soup so far a candidate must be on dev; 0 accepts ties, as the
    paper does.
    """

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Adapters average with adapters of the same base, checkpoints with checkpoints."""
        return mixed_kinds(facts)

    def fit(self, pool: Pool, dev: Dev) -> State:
        """The greedy search on dev, in one pass over the members sorted by their own scores
        (stable).
        """
        best, singles = dev_best(pool, dev)
        order = sorted(pool.names, key=lambda name: -singles[name])
        members, score, trials = [best], singles[best], list[Trial]()
        for name in order[1:]:
            candidate = self._score(pool, dev, [*members, name])
            accepted = candidate >= score + self.margin
            trials.append({"added": name, "score": candidate, "accepted": accepted})
            if accepted:
                members, score = [*members, name], candidate
        uniform = self._score(pool, dev, order)
        return {
            "members": members,
            "score": score,
            "singles": singles,
            "trials": trials,
            "uniform": uniform,
        }

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """The soup's answers."""
        members = state["members"] if state else [pool.names[0]]
        return answers_of(self._soup(pool, members), queries, members)

    def _soup(self, pool: Pool, members: Sequence[str]) -> Model:
        if len(members) == 1:
            return pool.named(members[0])
        return pool.compose({name: 1 / len(members) for name in members}, name="soup")

    def _score(self, pool: Pool, dev: Dev, members: Sequence[str]) -> float:
        queries = dev.queries
        ids = [q.id for q in queries]
        texts = self._soup(pool, members).ask(
            [q.prompt for q in queries], stage="dev soup", query_ids=ids
        )
        return dev.mean([g.text for g in texts])
