"""Layers of proposers, then one aggregator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from moco import prompts
from moco.access import ModelFacts, Problem
from moco.methods.base import Level
from moco.methods.discussion import (
    AGGREGATOR,
    Discussion,
    Standing,
    Talk,
    ask_members,
    summaries,
)
from moco.pool import Dev, Pool
from moco.types import Json, Sampling


class Moa(Discussion):
    """Every member answers; in each further layer every member writes a new answer from all answers
    of the layer before; one member aggregates the last layer.

    All proposers of a layer read the same prompt, with the question first, so that its long common
    part is read once; the authors put the answers into the system turn, which many small models do
    not have. The aggregator is the model in that role, else the best member on dev, alone or
    (`aggregator: aggregating`) at this very task.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "Wang et al. 2024, arXiv 2406.04692 (Mixture of Agents)"
    paper_preset: ClassVar[Mapping[str, Json]] = {"round": 2, "stop_on_consensus": False}

    round: int = Field(default=1, ge=1, le=20)
    """Layers of proposers; the aggregator comes after them."""
    final: Literal["summarizer"] = "summarizer"
    """The last layer is always aggregated by one member."""
    aggregator: Literal["answering", "aggregating"] = "answering"
    """How the aggregator is chosen on dev where the role is not given: by its own answers, or by
    what it makes of the first layer's (as many calls as members times dev questions).
    """
    stop_on_consensus: bool = True
    """Whether a question on which all members agree is not discussed any more; its answer then is
    the best member's.
    """

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """One layer is the rule here."""
        return []

    def fit(self, pool: Pool, dev: Dev) -> Standing:
        """The aggregator."""
        standing = super().fit(pool, dev)
        if self.aggregator == "answering" or not len(dev) or AGGREGATOR in pool.roles:
            return standing
        queries = dev.queries
        answers = pool.ask_all(queries)
        talks = [Talk(query, [[own[i] for own in answers]]) for i, query in enumerate(queries)]
        scores = {}
        for name in pool.names:
            written = summaries(pool, talks, {**standing, "best": name})
            scores[name] = dev.mean([p.text for p in written])
        best = max(scores, key=lambda name: (scores[name], standing["scores"][name]))
        return {"best": best, "scores": standing["scores"]}

    def step(self, pool: Pool, talks: Sequence[Talk], number: int) -> None:
        """One layer: every member reads the same prompt."""
        n, spare = len(pool), pool.spare()
        asked = []
        for talk in talks:
            order = pool.shuffled(talk.query, n, f"layer {number}")
            texts = [talk.texts[i] for i in order]
            prompt = prompts.aggregate(talk.query, texts, spare=spare)
            asked += [(i, talk.query.id, prompt) for i in range(n)]
        given = ask_members(pool, asked, f"layer {number + 1}")
        for t, talk in enumerate(talks):
            talk.rounds.append(given[t * n : (t + 1) * n])
