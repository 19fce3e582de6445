"""Models criticise each other's answers; authors revise."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from moco import prompts
from moco.methods.base import Level
from moco.methods.discussion import Discussion, Talk, ask_members
from moco.pool import Pool
from moco.types import Json

VERDICT = re.compile(
    r"^\W*(?:(?:the|my|final)\s+)*verdict\W*\s*(correct|incorrect|unsure)\b\s*(?:[.,;:!(\[–—-].*)?$",
    re.I | re.M,
)
"""The line that critics are asked for; the last one counts."""


class MultiagentFeedback(Discussion):
    """Every answer is criticised by some other members, who do not know its author; the author then
    revises it.

    A critic names the first wrong step and gives a verdict. By default an answer that no critic
    calls incorrect stays as it is, which saves the rewriting and keeps right answers from being
    talked away. Critics are drawn per question and author, without replacement, by the run's seed.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "Feng et al. 2024, arXiv 2402.00367 (Cooperate)"
    paper_preset: ClassVar[Mapping[str, Json]] = {
        "round": 3, "revise_only_if_flagged": False, "stop_on_consensus": False,
        "final": "summarizer",
    }  # fmt: skip

    feedback_count: int = Field(default=3, ge=1, le=1000)
    """Critics per answer; at most all other members."""
    revise_only_if_flagged: bool = True
    """Whether only answers that a critic calls incorrect are revised."""

    def step(self, pool: Pool, talks: Sequence[Talk], number: int) -> None:
        """All critics in one job, then all authors in one."""
        n, spare = len(pool), pool.spare()
        drawn = [
            (talk, i, self._critics(pool, talk, i, number)) for talk in talks for i in range(n)
        ]
        asked = [
            (critic, talk.query.id, prompts.criticise(talk.query, talk.texts[i], spare=spare))
            for talk, i, critics in drawn
            for critic in critics
        ]
        given = iter(ask_members(pool, asked, f"criticise {number}"))
        comments = [[next(given).text for _ in critics] for _, _, critics in drawn]
        open_ = [k for k, own in enumerate(comments) if self._flagged(own)]
        revisions = ask_members(
            pool,
            [
                (i, talk.query.id, prompts.revise(talk.query, talk.texts[i], own, spare=spare))
                for (talk, i, _), own in ((drawn[k], comments[k]) for k in open_)
            ],
            f"round {number + 1}",
        )
        made = dict(zip(open_, revisions, strict=True))
        for t, talk in enumerate(talks):
            last = talk.rounds[-1]
            talk.rounds.append([made.get(t * n + i, last[i]) for i in range(n)])
            told = Counter(verdict(text) for i in range(n) for text in comments[t * n + i])
            talk.notes[f"verdicts {number}"] = {name or "none": told[name] for name in sorted(told)}
            talk.open = any(t * n + i in made for i in range(n))

    def _critics(self, pool: Pool, talk: Talk, author: int, number: int) -> list[int]:
        order = pool.shuffled(talk.query, len(pool), f"critics {number} {author}")
        return [i for i in order if i != author][: self.feedback_count]

    def _flagged(self, comments: Sequence[str]) -> bool:
        flagged = any(verdict(text) == "incorrect" for text in comments)
        return flagged or not self.revise_only_if_flagged


def verdict(text: str) -> str:
    """`correct`, `incorrect` or `unsure`, as the last verdict line says; empty without one."""
    said = VERDICT.findall(re.sub(r"[*_`]", "", text))
    return str(said[-1]).lower() if said else ""
