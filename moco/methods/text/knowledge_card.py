"""Members write what they know about a question; one member answers with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, TypedDict

import numpy as np
from pydantic import Field

from moco import prompts
from moco.access import Access, Requires, RoleNeed
from moco.choosing import Ballot
from moco.methods import votes
from moco.methods.base import Level, Method, dev_best
from moco.methods.discussion import ask_members, with_room
from moco.pool import Dev, Model, Pool
from moco.routing.asking import lines_of
from moco.routing.table import EMBEDDER, observe, unit
from moco.types import Generation, Json, Prediction, Query

ROLE = "answerer"
YES_NO = ("Yes", "No")


class State(TypedDict):
    """Who answers, and how members are described to it."""

    best: str
    lines: list[str]
    """One description per member, for the choice of a card; empty where none is chosen."""


class KnowledgeCard(Method[State]):
    """Members write knowledge about the bare question (no options, no answer); the answerer reads
    the notes and answers.

    Bottom-up every member writes, and the notes most like the question are kept where an embedder
    is given. Top-down the answerer is first asked whether it needs knowledge and, if so, of which
    member. The answerer is the model in that role, else the best member on dev, by its own answers
    or (`chosen: informed`) by its answers with the notes.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = (
        "Feng et al. 2023, arXiv 2305.09955 (Knowledge Card); Liu et al. 2021, arXiv 2110.08387"
    )
    requires: ClassVar[Requires] = Requires(
        optional=Access.LOGPROBS,
        min_models=2,
        roles={
            ROLE: RoleNeed(Access.TEXT, default="dev-best"),
            EMBEDDER: RoleNeed(Access.EMBED),
        },
    )
    paper_preset: ClassVar[Mapping[str, Json]] = {"top_k": 0}

    mode: Literal["bottom_up", "top_down"] = "bottom_up"
    """Everybody writes, or the answerer says whether and whom it wants to ask."""
    exclude_self: bool = False
    """Whether the answerer writes no note for itself."""
    top_k: int = Field(default=3, ge=0, le=1000)
    """Notes that are kept where the role embedder is given, by likeness to the question; 0 = all.
    """
    integration: Literal["concat", "per_card_vote"] = "concat"
    """One answer with all notes, or one answer per note and a vote over them and the answer without
    any.
    """
    chosen: Literal["alone", "informed"] = "alone"
    """How the answerer is chosen on dev."""
    note_tokens: int | None = Field(default=None, ge=8, le=100_000)
    """Room for a note; unset = the run's sampling.max_tokens."""

    def needs(self) -> Requires:
        """Dev describes members where one of them is asked for."""
        return replace(self.requires, dev=self.mode == "top_down" or self.chosen == "informed")

    def fit(self, pool: Pool, dev: Dev) -> State:
        """The answerer, and descriptions of the members."""
        best, _ = dev_best(pool, dev)
        lines: list[str] = []
        if self.mode == "top_down":
            lines = lines_of(pool, observe(pool, dev), scores=False)
        if self.chosen == "informed" and ROLE not in pool.roles:
            best = self._informed_best(pool, dev, lines)
        return {"best": best, "lines": lines}

    def _informed_best(self, pool: Pool, dev: Dev, lines: list[str]) -> str:
        scores = {}
        ids = [q.id for q in dev.queries]
        for name in pool.names:
            found = self.predict(pool, dev.queries, {"best": name, "lines": lines})
            scores[name] = sum(dev.score(ids, [p.text for p in found]))
        return max(scores, key=lambda name: round(scores[name], 9))

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """Notes, then answers."""
        known = state or {"best": pool.names[0], "lines": []}
        answerer: Model = pool.roles.get(ROLE) or pool.named(known["best"])
        if self.mode == "bottom_up":
            writers = [m for m, name in enumerate(pool.names) if self._writes(name, answerer)]
            asked = [writers] * len(queries)
        else:
            asked = self._wanted(pool, answerer, queries, known["lines"])
        notes = self._notes(pool, queries, asked)
        if self.integration == "per_card_vote":
            return self._voted(pool, answerer, queries, asked, notes)
        spare = pool.spare([answerer])
        shown = [
            prompts.informed(q, own, spare=spare) for q, own in zip(queries, notes, strict=True)
        ]
        given = answerer.ask(shown, stage="informed", query_ids=[q.id for q in queries])
        return [
            Prediction(q.id, g.text, _by(pool, who, answerer), g.stop, {"notes": len(own)})
            for q, g, who, own in zip(queries, given, asked, notes, strict=True)
        ]

    def _writes(self, name: str, answerer: Model) -> bool:
        return not (self.exclude_self and name == answerer.name)

    def _wanted(
        self, pool: Pool, answerer: Model, queries: Sequence[Query], lines: Sequence[str]
    ) -> list[list[int]]:
        """Top-down: for each question the one member that the answerer wants to ask, or nobody."""
        spare = pool.spare([answerer])
        needed = answerer.choose(
            [prompts.need_note(q) for q in queries], YES_NO, stage="need", query_ids=_ids(queries)
        )
        open_ = [i for i, pick in enumerate(needed) if pick.index == 0]
        others = [m for m, name in enumerate(pool.names) if self._writes(name, answerer)]
        texts = [lines[m] for m in others]
        ballots = [
            Ballot(
                tuple(texts),
                show=lambda order, q=queries[i]: prompts.which_note(  # type: ignore[misc]
                    q, [texts[place] for place in order], spare=spare
                ),
                query_id=queries[i].id,
            )
            for i in open_
        ]
        picks = answerer.choose_among(ballots, stage="which")
        found: list[list[int]] = [[] for _ in queries]
        for i, pick in zip(open_, picks, strict=True):
            if pick.index is not None:
                found[i] = [others[pick.index]]
        return found

    def _notes(
        self, pool: Pool, queries: Sequence[Query], asked: Sequence[Sequence[int]]
    ) -> list[list[str]]:
        """What the asked members write, in pool order, less what is not like the question."""
        rows = [
            (m, q.id, prompts.know(q)) for q, who in zip(queries, asked, strict=True) for m in who
        ]
        given = iter(ask_members(with_room(pool, self.note_tokens), rows, "knowledge"))
        notes = [[next(given).text for _ in who] for who in asked]
        if EMBEDDER not in pool.roles or not self.top_k or self.mode == "top_down":
            return notes
        return [self._likest(pool, q, own) for q, own in zip(queries, notes, strict=True)]

    def _likest(self, pool: Pool, query: Query, notes: list[str]) -> list[str]:
        if len(notes) <= self.top_k:
            return notes
        texts = [query.bare or query.text, *notes]
        found = pool.roles[EMBEDDER].embed(texts, stage="embed", query_ids=[query.id] * len(texts))
        rows = unit(np.asarray(found, dtype=float))
        likeness = np.round(rows[1:] @ rows[0], 6)
        kept = sorted(np.argsort(-likeness, kind="stable")[: self.top_k].tolist())
        return [notes[i] for i in kept]

    def _voted(
        self,
        pool: Pool,
        answerer: Model,
        queries: Sequence[Query],
        asked: Sequence[Sequence[int]],
        notes: Sequence[Sequence[str]],
    ) -> list[Prediction]:
        """One answer without notes and one per note; the most frequent answer."""
        spare = pool.spare([answerer])
        rows = [
            (q, own) for q, texts in zip(queries, notes, strict=True)
            for own in ([], *([text] for text in texts))
        ]  # fmt: skip
        shown = [prompts.informed(q, own, spare=spare) if own else q.prompt for q, own in rows]
        given = iter(answerer.ask(shown, stage="informed", query_ids=[q.id for q, _ in rows]))
        found = []
        for query, who, texts in zip(queries, asked, notes, strict=True):
            own: list[Generation] = [next(given) for _ in range(len(texts) + 1)]
            pick, support = votes.plurality(own, query)
            told: dict[str, Json] = {"notes": len(texts), "votes": support}
            by = _by(pool, who, answerer)
            found.append(Prediction(query.id, own[pick].text, by, own[pick].stop, told))
        return found


def _by(pool: Pool, who: Sequence[int], answerer: Model) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(pool.names[m] for m in who), answerer.name]))


def _ids(queries: Sequence[Query]) -> list[str]:
    return [query.id for query in queries]
