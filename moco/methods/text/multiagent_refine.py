"""Models see each other's answers and revise their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from moco import prompts
from moco.methods.base import Level
from moco.methods.discussion import Discussion, Talk, ask_members
from moco.pool import Pool
from moco.types import Json, Prompt

ROUND_HEADER = "Round {number}:"


class MultiagentRefine(Discussion):
    """Every member answers, then for some rounds revises its answer given all members' previous
    ones.

    Answers are shown anonymously and in an order shuffled per question, the same for all members.
    A question leaves the discussion as soon as all members agree. The last round is decided by
    vote, or by one member that summarises.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = (
        "Du et al. 2023, arXiv 2305.14325 (multiagent debate); Madaan et al. 2023, arXiv 2303.17651"
    )
    version: ClassVar[int] = 2
    paper_preset: ClassVar[Mapping[str, Json]] = {"final": "vote", "stop_on_consensus": False}

    history: Literal["last", "full"] = "last"
    """Whether members see the previous round only, or all of them."""

    def step(self, pool: Pool, talks: Sequence[Talk], number: int) -> None:
        """Every member revises."""
        n = len(pool)
        asked = [
            (member, talk.query.id, self._prompt(pool, talk, member, number))
            for talk in talks
            for member in range(n)
        ]
        answers = ask_members(pool, asked, f"round {number + 1}")
        for i, talk in enumerate(talks):
            talk.rounds.append(answers[i * n : (i + 1) * n])

    def _prompt(self, pool: Pool, talk: Talk, member: int, number: int) -> Prompt:
        order = pool.shuffled(talk.query, len(pool), f"round {number}")
        texts = [self._shown(talk, i) for i in order]
        return prompts.refine(talk.query, texts, order.index(member), spare=pool.spare())

    def _shown(self, talk: Talk, member: int) -> str:
        if self.history == "last" or len(talk.rounds) == 1:
            return talk.rounds[-1][member].text
        return "\n".join(
            f"{ROUND_HEADER.format(number=i + 1)}\n{answers[member].text}"
            for i, answers in enumerate(talk.rounds)
        )
