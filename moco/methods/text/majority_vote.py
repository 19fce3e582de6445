"""Every member answers; the most frequent answer wins."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, TypedDict

from pydantic import Field

from moco.access import ModelFacts, Problem, Requires
from moco.engine.cache import digest
from moco.methods import votes
from moco.methods.base import Level, Method, dev_best
from moco.pool import Dev, Pool
from moco.types import Generation, Prediction, Query, Sampling


class State(TypedDict):
    """Members' mean dev scores; empty without dev."""

    scores: dict[str, float]


class MajorityVote(Method[State]):
    """Plurality vote over the members' answers, clustered by the scorer's own equivalence.

    Who gave no answer has no vote. The text returned is a full answer of the winning cluster, from
    its best member on dev. Open answers are decided by the text most like the others.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = (
        "Wang et al. 2022, arXiv 2203.11171 (self-consistency, here across models)"
    )
    version: ClassVar[int] = 2
    requires: ClassVar[Requires] = Requires(min_models=2)
    idempotent: ClassVar[bool] = True

    tie: Literal["dev", "order", "random"] = "dev"
    """Who wins a tie: the cluster with the best member on dev, the first member in pool order, or
    a seeded draw.
    """
    weights: Literal["uniform", "dev"] = "uniform"
    """Equal votes, or log-odds of each member's smoothed dev accuracy (members at chance have no
    weight).
    """
    k: int = Field(default=1, ge=1, le=1000)
    """Samples per member."""
    temperature: float = Field(default=0.7, ge=0, le=10)
    """Sampling temperature when k > 1; with k = 1 the run's sampling holds."""

    def needs(self) -> Requires:
        """Weighted votes need dev; a tie rule can do without."""
        return replace(self.requires, dev=self.weights == "dev")

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """k samples at temperature 0 are equal."""
        if self.k > 1 and self.temperature == 0:
            return [
                Problem(
                    "method.temperature", "0 makes a member's k samples equal", "set it above 0"
                )
            ]
        return []

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Score members on dev where ties or weights go by it."""
        if self.weights == "dev" or self.tie == "dev":
            return {"scores": dev_best(pool, dev)[1]}
        return {"scores": {}}

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """Ask everybody, then vote."""
        scores = state["scores"] if state else {}
        voters: list[str] = []
        ballots: list[list[Generation]] = []
        for draw in range(self.k):
            answers = pool.ask_all(queries, sampling=self._sampling(pool), draw=draw)
            voters += pool.names
            ballots += answers
        return [
            self._vote(query, voters, [own[i] for own in ballots], scores, pool.context.seed)
            for i, query in enumerate(queries)
        ]

    def _sampling(self, pool: Pool) -> Sampling | None:
        return replace(pool.context.sampling, temperature=self.temperature) if self.k > 1 else None

    def _vote(
        self,
        query: Query,
        voters: Sequence[str],
        texts: Sequence[Generation],
        scores: Mapping[str, float],
        seed: int,
    ) -> Prediction:
        answers = votes.read(texts, query)
        options = len(query.choices) or 2
        weights = [self._weight(scores.get(name), options) for name in voters]
        groups = votes.winners(query, answers, weights)
        if not groups:
            chosen = votes.medoid([g.text for g in texts])
            notes = {"votes": 0, "voters": len(voters)}
            return Prediction(
                query.id, texts[chosen].text, (voters[chosen],), texts[chosen].stop, notes
            )
        own = [scores.get(name, 0.0) for name in voters]
        group = self._break_tie(query, groups, own, seed)
        chosen = votes.speaker(group, own)
        notes = {"votes": len(group), "voters": len(voters), "tied": len(groups)}
        by = tuple(dict.fromkeys(voters[i] for i in group))
        return Prediction(query.id, texts[chosen].text, by, texts[chosen].stop, notes)

    def _weight(self, score: float | None, options: int) -> float:
        """log(a (m − 1) / (1 − a)) of the smoothed dev accuracy a with m options, at least 0; 1
        for equal votes.
        """
        if self.weights == "uniform" or score is None:
            return 1.0
        a = min(max(score, 0.02), 0.98)
        return max(math.log(a * (options - 1) / (1 - a)), 0.0)

    def _break_tie(
        self, query: Query, groups: Sequence[list[int]], scores: Sequence[float], seed: int
    ) -> list[int]:
        if self.tie == "random":
            return random.Random(digest([seed, query.text, "tie"])).choice(list(groups))
        if self.tie == "order":
            return min(groups)
        return votes.strongest(groups, scores)
