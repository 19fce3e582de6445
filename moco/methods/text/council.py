"""Members answer, rank each other's answers without names, and a chairman decides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from moco import prompts
from moco.access import Access, Requires, RoleNeed
from moco.methods import votes
from moco.methods.base import Level, Method
from moco.methods.discussion import Standing, ask_members, standing, unknown, with_room
from moco.pool import Dev, Model, Pool
from moco.types import Generation, Json, Prediction, Query

ROLE = "chairman"
RANKING = re.compile(r"^\W*ranking\W*(.*)$", re.I | re.M)
"""The line that rankers are asked for; the last one counts."""


class Council(Method[Standing]):
    """Every member answers; every member ranks all answers, which are anonymous and stand in an
    order of its own; the chairman reads the answers with their mean ranks and writes the final one.

    A ranking counts only if it names every answer once; others are missing data, and counted. The
    chairman is the model in that role, else the best member on dev.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "none (Karpathy's llm-council, 2025, github.com/karpathy/llm-council)"
    requires: ClassVar[Requires] = Requires(
        min_models=2, max_models=26, roles={ROLE: RoleNeed(Access.TEXT, default="dev-best")}
    )
    paper_preset: ClassVar[Mapping[str, Json]] = {"stop_on_consensus": False}

    final: Literal["chairman", "top"] = "chairman"
    """Who has the last word: the chairman, or the answer of the best mean rank as it is (ties: the
    better member on dev).
    """
    own_votes: bool = True
    """Whether a member's rank of its own answer counts; it does not know which one that is."""
    stop_on_consensus: bool = True
    """Whether answers that all agree are taken without ranking."""
    rank_tokens: int | None = Field(default=None, ge=8, le=100_000)
    """Room for a ranking with its reasons; unset = the run's sampling.max_tokens."""

    def fit(self, pool: Pool, dev: Dev) -> Standing:
        """The chairman, and who wins ties."""
        return standing(pool, dev)

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: Standing | None
    ) -> list[Prediction]:
        """Answers, rankings, the chairman's word."""
        known = state or unknown(pool)
        first = pool.ask_all(queries)
        answers = [[own[i] for own in first] for i in range(len(queries))]
        found: dict[int, Prediction] = {}
        for i, query in enumerate(queries):
            if self.stop_on_consensus and votes.agree(votes.read(answers[i], query)):
                found[i] = self._taken(pool, query, answers[i], known, {"decided": "consensus"})
        open_ = [i for i in range(len(queries)) if i not in found]
        ranked = self._ranked(pool, [queries[i] for i in open_], [answers[i] for i in open_])
        if self.final == "top":
            for i, (ranks, notes) in zip(open_, ranked, strict=True):
                found[i] = self._taken(pool, queries[i], answers[i], known, notes, ranks)
        else:
            found |= self._chaired(pool, queries, answers, open_, ranked, known)
        return [found[i] for i in range(len(queries))]

    def _ranked(
        self, pool: Pool, queries: Sequence[Query], answers: Sequence[Sequence[Generation]]
    ) -> list[tuple[list[float | None], dict[str, Json]]]:
        """For each question the mean rank of each member's answer, and notes."""
        n, asking = len(pool), with_room(pool, self.rank_tokens)
        spare = asking.spare()
        orders = [
            [pool.shuffled(query, n, f"rank {judge}") for judge in range(n)] for query in queries
        ]
        asked = [
            (judge, q.id, prompts.rank(q, [answers[i][m].text for m in order], spare=spare))
            for i, q in enumerate(queries)
            for judge, order in enumerate(orders[i])
        ]
        given = ask_members(asking, asked, "rank")
        found = []
        for i in range(len(queries)):
            given_ranks: list[list[int]] = [[] for _ in range(n)]
            missing = 0
            for judge, order in enumerate(orders[i]):
                places = ranking(given[i * n + judge].text, n)
                missing += places is None
                for rank, place in enumerate(places or (), start=1):
                    if self.own_votes or order[place] != judge:
                        given_ranks[order[place]].append(rank)
            means = [sum(own) / len(own) if own else None for own in given_ranks]
            found.append((means, {"ranks": means, "rankings_missing": missing}))
        return found

    def _taken(
        self,
        pool: Pool,
        query: Query,
        answers: Sequence[Generation],
        state: Standing,
        notes: Mapping[str, Json],
        ranks: Sequence[float | None] = (),
    ) -> Prediction:
        """The answer of the best mean rank; ties and no ranks: of the best member on dev."""

        def place(i: int) -> tuple[float, float, int]:
            rank = ranks[i] if ranks else None
            score = state["scores"].get(pool.names[i], 0.0)
            return (len(answers) if rank is None else rank, -score, i)

        chosen = min(range(len(answers)), key=place)
        taken = answers[chosen]
        return Prediction(query.id, taken.text, (pool.names[chosen],), taken.stop, dict(notes))

    def _chaired(
        self,
        pool: Pool,
        queries: Sequence[Query],
        answers: Sequence[Sequence[Generation]],
        open_: Sequence[int],
        ranked: Sequence[tuple[list[float | None], dict[str, Json]]],
        state: Standing,
    ) -> dict[int, Prediction]:
        chairman: Model = pool.roles.get(ROLE) or pool.named(state["best"])
        spare = pool.spare([chairman])
        asked = []
        for i, (ranks, _) in zip(open_, ranked, strict=True):
            order = pool.shuffled(queries[i], len(pool), "chair")
            texts = [answers[i][m].text for m in order]
            asked.append(prompts.chair(queries[i], texts, [ranks[m] for m in order], spare=spare))
        written = chairman.ask(asked, stage="chair", query_ids=[queries[i].id for i in open_])
        return {
            i: Prediction(queries[i].id, g.text, (chairman.name,), g.stop, notes)
            for i, g, (_, notes) in zip(open_, written, ranked, strict=True)
        }


def ranking(text: str, count: int) -> list[int] | None:
    """The places of a ranking line such as `B > A > C`, best first; None unless it names each of
    the `count` letters once.
    """
    for said in reversed(RANKING.findall(re.sub(r"[*_`]", "", text))):
        letters = re.findall(r"\b([A-Z])\b", said)
        places = [prompts.LETTERS.index(letter) for letter in letters]
        if sorted(places) == list(range(count)):
            return places
    return None
