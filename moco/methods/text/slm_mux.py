"""The member that agrees with itself most answers."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, TypedDict

from pydantic import Field

from moco.access import ModelFacts, Problem, Requires
from moco.answers.parser import cluster
from moco.engine.cache import digest
from moco.methods import votes
from moco.methods.base import Level, Method
from moco.pool import Dev, Pool
from moco.types import Generation, Json, Prediction, Query, Request, Sampling

MOST_SEARCHED = 12
"""Members up to which every subset is tried."""


class State(TypedDict):
    """Who takes part, and how far each is to be trusted."""

    members: list[str]
    accuracy: dict[str, float]
    """Mean dev score of each member's most frequent answer."""
    trusted: dict[str, list[float]]
    """Per member the chance of a right answer by number of equal samples, 0 to k; empty where
    confidence is taken as it is.
    """


class SlmMux(Method[State]):
    """Every member answers k times; the most frequent answer of the member with the greatest share
    of equal samples is taken.

    The share is of all k samples, so samples without an answer count against their member. Ties go
    to the member whose most frequent answers are best on dev. On dev the set of members may be
    searched (those who together solve most, less those who are consistently wrong where another is
    right), and shares be turned into chances of being right.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "Wang et al. 2025, arXiv 2510.05077 (SLM-MUX)"
    requires: ClassVar[Requires] = Requires(min_models=2, dev=True)
    paper_preset: ClassVar[Mapping[str, Json]] = {"k": 3, "temperature": 0.3}

    k: int = Field(default=5, ge=2, le=1000)
    """Samples per member."""
    temperature: float = Field(default=0.7, gt=0, le=10)
    """Temperature of the samples."""
    tie: Literal["dev", "order", "random"] = "dev"
    """Who wins among equally confident members: the best on dev, the first in pool order, or a
    seeded draw.
    """
    calibrate: bool = False
    """Whether confidence is the chance of a right answer that dev shows for a member and a share,
    which sees through members that are sure of wrong answers.
    """
    search: bool = False
    """Whether the set of members is searched on dev, among all sets of at least two."""
    penalty: float = Field(default=1.0, ge=0, le=100)
    """Weight of contradictions in that search."""
    adaptive: bool = False
    """Whether a member is asked for no further sample once it cannot win any more, and a question
    ends once nothing can change its answer: the same answers from fewer calls, in more steps.
    """

    def needs(self) -> Requires:
        """Dev is not needed where nothing is learnt and ties go by order or draw."""
        return replace(self.requires, dev=self.tie == "dev" or self.calibrate or self.search)

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """A search over too many members would not end."""
        if self.search and len(facts) > MOST_SEARCHED:
            what = f"all subsets of {len(facts)} members are too many"
            return [Problem("method.search", what, f"use at most {MOST_SEARCHED} members")]
        return []

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Scores of the most frequent answers, trust by share, and the members that take part."""
        if not self.needs().dev:
            return {"members": pool.names, "accuracy": {}, "trusted": {}}
        queries, ids = dev.queries, [q.id for q in dev.queries]
        held = self._held(pool, queries)
        right: dict[str, list[float]] = {}
        counts: dict[str, list[int]] = {}
        for m, name in enumerate(pool.names):
            mine = [own[m] for own in held]
            right[name] = dev.score(ids, [text.text for text, _ in mine])
            counts[name] = [count for _, count in mine]
        accuracy = {name: sum(own) / max(len(own), 1) for name, own in right.items()}
        members = self._searched(right, counts) if self.search else pool.names
        trusted = {n: self._trust(right[n], counts[n]) for n in members} if self.calibrate else {}
        return {"members": list(members), "accuracy": accuracy, "trusted": trusted}

    def _trust(self, right: Sequence[float], counts: Sequence[int]) -> list[float]:
        """Mean score by number of equal samples, never falling with it (pool adjacent violators),
        with one pseudo-question at the member's mean in each group.
        """
        mean = sum(right) / max(len(right), 1)
        groups = [
            [s for s, c in zip(right, counts, strict=True) if c == n] for n in range(self.k + 1)
        ]
        blocks = [[(sum(own) + mean) / (len(own) + 1), len(own) + 1.0, 1.0] for own in groups]
        merged: list[list[float]] = []
        for value, weight, size in blocks:
            merged.append([value, weight, size])
            while len(merged) > 1 and merged[-2][0] > merged[-1][0]:
                v, w, s = merged.pop()
                before = merged[-1]
                total = before[1] + w
                merged[-1] = [(before[0] * before[1] + v * w) / total, total, before[2] + s]
        return [round(value, 6) for value, _, size in merged for _ in range(int(size))]

    def _searched(
        self, right: Mapping[str, Sequence[float]], counts: Mapping[str, Sequence[int]]
    ) -> list[str]:
        """The set of the best union of solved questions less weighted contradictions; of equal ones
        the smallest, then the first.
        """
        names, count = list(right), len(next(iter(right.values())))
        solved = {n: [score >= 0.5 for score in right[n]] for n in names}
        sure_wrong = {
            n: [c > self.k / 2 and not s for c, s in zip(counts[n], solved[n], strict=True)]
            for n in names
        }

        def value(group: Sequence[str]) -> float:
            union = [any(solved[n][i] for n in group) for i in range(count)]
            against = [u and any(sure_wrong[n][i] for n in group) for i, u in enumerate(union)]
            return round((sum(union) - self.penalty * sum(against)) / max(count, 1), 9)

        sizes = range(2, len(names) + 1)
        groups = [list(g) for size in sizes for g in itertools.combinations(names, size)]
        return max(groups, key=lambda g: (value(g), -len(g)))

    def _held(self, pool: Pool, queries: Sequence[Query]) -> list[list[tuple[Generation, int]]]:
        """For each question and member its most frequent answer (the earliest sample) and how many
        samples agree; 0 where none could be read.
        """
        sampling = replace(pool.context.sampling, temperature=self.temperature)
        draws = [
            pool.ask_all(queries, sampling=sampling, draw=d, stage="sample") for d in range(self.k)
        ]
        return [
            [_most(query, [draw[m][i] for draw in draws])[:2] for m in range(len(pool))]
            for i, query in enumerate(queries)
        ]

    def _adapted(
        self, pool: Pool, queries: Sequence[Query], state: State
    ) -> list[list[tuple[Generation, int]]]:
        """As `_held`, of samples that can matter: more than half of k from all, then one by one
        from those that can still win.
        """
        sampling = replace(pool.context.sampling, temperature=self.temperature)
        n = len(pool)
        samples: list[list[list[Generation]]] = [[[] for _ in range(n)] for _ in queries]
        racing = [(i, m) for i in range(len(queries)) for m in range(n)]
        start = self.k // 2 + 1
        for draws in (range(start), *([d] for d in range(start, self.k))):
            requests = [
                Request(
                    pool[m].name, queries[i].prompt, sampling, draw=draw, query_id=queries[i].id,
                    stage="sample",
                )
                for i, m in racing
                for draw in draws
            ]  # fmt: skip
            given = iter(pool.generate(requests))
            for i, m in racing:
                samples[i][m] += [next(given) for _ in draws]
            left = self.k - draws[-1] - 1
            racing = [
                (i, m)
                for i in sorted({i for i, _ in racing})
                for m in self._contenders(pool.names, queries[i], samples[i], left, state)
            ]
        return [
            [_most(query, own)[:2] for own in members]
            for query, members in zip(queries, samples, strict=True)
        ]

    def _contenders(
        self,
        names: Sequence[str],
        query: Query,
        samples: Sequence[Sequence[Generation]],
        left: int,
        state: State,
    ) -> list[int]:
        """Members whose further samples can change the answer; `left` samples are not drawn yet of
        those that drew all so far.
        """
        most = [_most(query, own) for own in samples]
        drawn = max(len(own) for own in samples)
        low = [self._sure(state, n, count) for n, (_, count, _) in zip(names, most, strict=True)]
        high = [
            self._sure(state, n, count + left) if len(own) == drawn else sure
            for n, own, (_, count, _), sure in zip(names, samples, most, low, strict=True)
        ]
        able = [m for m, own in enumerate(samples) if len(own) == drawn and high[m] >= max(low)]
        if len(able) == 1 and most[able[0]][2] > left:  # its answer cannot change either
            return []
        return able

    def _sure(self, state: State, name: str, count: int) -> float:
        """A member's confidence by its number of equal samples."""
        return state["trusted"][name][count] if state["trusted"] else count / self.k

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """The most confident member's most frequent answer."""
        known = state or {"members": pool.names, "accuracy": {}, "trusted": {}}
        members = pool.of(known["members"])
        held = (
            self._adapted(members, queries, known)
            if self.adaptive
            else self._held(members, queries)
        )
        return [
            self._pick(members, query, own, known) for query, own in zip(queries, held, strict=True)
        ]

    def _pick(
        self, pool: Pool, query: Query, held: Sequence[tuple[Generation, int]], state: State
    ) -> Prediction:
        names = pool.names
        sure = [
            self._sure(state, name, count) for name, (_, count) in zip(names, held, strict=True)
        ]
        tied = [m for m, value in enumerate(sure) if value == max(sure)]
        if self.tie == "dev":
            chosen = max(tied, key=lambda m: (state["accuracy"].get(names[m], 0.0), -m))
        elif self.tie == "random":
            seed = digest([pool.context.seed, query.text, "mux"])
            chosen = random.Random(seed).choice(tied)
        else:
            chosen = tied[0]
        text, count = held[chosen]
        notes: dict[str, Json] = {
            "confidence": dict(zip(names, sure, strict=True)), "votes": count, "tied": len(tied),
        }  # fmt: skip
        return Prediction(query.id, text.text, (names[chosen],), text.stop, notes)


def _most(query: Query, samples: Sequence[Generation]) -> tuple[Generation, int, int]:
    """(the earliest sample of the most frequent answer, how many agree, by how many it leads the
    next); the first sample and 0 where none could be read.
    """
    groups = cluster(votes.read(samples, query))
    if not groups:
        return samples[0], 0, 0
    group = max(groups, key=len)
    second = max((len(other) for other in groups if other is not group), default=0)
    return samples[group[0]], len(group), len(group) - second
