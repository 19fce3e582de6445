"""One model answers several times and its most frequent answer counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, TypedDict

from pydantic import Field

from moco.access import ModelFacts, Problem, Requires
from moco.methods import votes
from moco.methods.base import Level, Method, dev_best
from moco.methods.parts import unknown_members
from moco.pool import Dev, Pool
from moco.types import Generation, Prediction, Query, Sampling

DEV_BEST = "dev-best"


class State(TypedDict):
    """Who answers."""

    member: str


class SelfConsistency(Method[State]):
    """One member is sampled k times and the most frequent answer wins; ties go to the earliest
    draw.

    The baseline at equal cost for every method that calls several models. Open answers, which do
    not repeat, are decided by the text most like the others.
    """

    level: ClassVar[Level] = "baseline"
    paper: ClassVar[str] = "Wang et al. 2022, arXiv 2203.11171"
    version: ClassVar[int] = 2
    requires: ClassVar[Requires] = Requires(dev=True)

    member: str = DEV_BEST
    """Alias of the member that is sampled; dev-best = the one with the best dev score."""
    k: int = Field(default=5, ge=1, le=1000)
    """Samples per question."""
    temperature: float = Field(default=0.7, ge=0, le=10)
    """Sampling temperature, whatever the run's sampling says."""

    def needs(self) -> Requires:
        """Dev is only needed to find the best member."""
        return replace(self.requires, dev=self.member == DEV_BEST)

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Sampling at temperature 0 gives k equal texts."""
        return sampling_problems(self.member, self.temperature, facts)

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Find the member, on dev if need be."""
        return {"member": dev_best(pool, dev)[0] if self.member == DEV_BEST else self.member}

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """Sample and vote."""
        name = state["member"] if state else pool.names[0]
        sampling = replace(pool.context.sampling, temperature=self.temperature)
        alone = pool.of([name])
        draws = [
            alone.ask_all(queries, sampling=sampling, draw=d, stage="sample")[0]
            for d in range(self.k)
        ]
        return [
            self._vote(query, [own[i] for own in draws], name) for i, query in enumerate(queries)
        ]

    def _vote(self, query: Query, samples: Sequence[Generation], name: str) -> Prediction:
        chosen, support = votes.plurality(samples, query)
        notes = {"votes": support, "samples": len(samples)}
        return Prediction(
            query.id, samples[chosen].text, by=(name,), stop=samples[chosen].stop, notes=notes
        )


def sampling_problems(
    member: str, temperature: float, facts: Mapping[str, ModelFacts | None]
) -> list[Problem]:
    """What is wrong with sampling a member several times: it does not exist, or its samples are
    equal.
    """
    found = []
    if temperature == 0:
        what = "0 makes all samples equal"
        found.append(Problem("method.temperature", what, "set it above 0, such as 0.7"))
    if member != DEV_BEST:
        found += unknown_members(facts, member=[member])
    return found
