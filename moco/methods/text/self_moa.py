"""One member answers several times, and one answer is made of its samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, TypedDict

from pydantic import Field

from moco import prompts
from moco.access import Access, ModelFacts, Problem, Requires, RoleNeed
from moco.methods.base import Level, Method, dev_best
from moco.methods.baseline.self_consistency import DEV_BEST, sampling_problems
from moco.pool import Dev, Model, Pool
from moco.types import Generation, Prediction, Query, Sampling

ROLE = "aggregator"


class State(TypedDict):
    """Who is sampled."""

    member: str


class SelfMoa(Method[State]):
    """The best member on dev is sampled k times, then an aggregator reads all samples and writes
    the final answer.

    A mixture of agents of one model: of agents that differ, the weaker ones lower the quality of
    what is aggregated. The aggregator is the model in that role, else the sampled member itself.
    With a window it reads a few samples at a time, each time with the answer it has so far.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "Li et al. 2025, arXiv 2502.00674 (Self-MoA, Self-MoA-Seq)"
    requires: ClassVar[Requires] = Requires(
        dev=True, roles={ROLE: RoleNeed(Access.TEXT, default="dev-best")}
    )

    member: str = DEV_BEST
    """Alias of the member that is sampled; dev-best = the one with the best dev score."""
    k: int = Field(default=6, ge=2, le=1000)
    """Samples per question."""
    temperature: float = Field(default=0.7, ge=0, le=10)
    """Temperature of the samples, whatever the run's sampling says; the aggregator goes by that."""
    window: int | None = Field(default=None, ge=2, le=1000)
    """Answers that the aggregator reads at once; unset = all samples."""

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
        """Sample, then aggregate."""
        name = state["member"] if state else pool.names[0]
        sampling = replace(pool.context.sampling, temperature=self.temperature)
        alone = pool.of([name])
        draws = [
            [g.text for g in alone.ask_all(queries, sampling=sampling, draw=d, stage="sample")[0]]
            for d in range(self.k)
        ]
        writer: Model = pool.roles.get(ROLE) or pool.named(name)
        written = self._aggregate(pool, writer, queries, draws)
        by = tuple(dict.fromkeys((name, writer.name)))
        return [
            Prediction(query.id, g.text, by, g.stop, {"samples": self.k})
            for query, g in zip(queries, written, strict=True)
        ]

    def _aggregate(
        self, pool: Pool, writer: Model, queries: Sequence[Query], draws: Sequence[Sequence[str]]
    ) -> list[Generation]:
        """The aggregator's last answer to each query; `draws` holds one text per query each."""
        spare, ids = pool.spare([writer]), [query.id for query in queries]
        read = self.window or self.k
        shown, rest = list(draws[:read]), list(draws[read:])
        while True:
            asked = [
                prompts.aggregate(query, [texts[i] for texts in shown], spare=spare)
                for i, query in enumerate(queries)
            ]
            written = writer.ask(asked, stage="aggregate", query_ids=ids)
            if not rest:
                return written
            shown = [[g.text for g in written], *rest[: read - 1]]
            rest = rest[read - 1 :]
