"""What discussions share: rounds of answers, who is still talking, and how the last round is
decided.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, TypedDict

from pydantic import Field

from moco import prompts
from moco.access import Access, ModelFacts, Problem, Requires, RoleNeed
from moco.methods import votes
from moco.methods.base import Method, dev_best
from moco.pool import Dev, Model, Pool
from moco.types import Generation, Json, Prediction, Prompt, Query, Request, Sampling

AGGREGATOR = "aggregator"
"""The role of the model that writes the final answer where none is voted."""


class Standing(TypedDict):
    """Members on dev: who breaks ties and who summarises."""

    best: str
    scores: dict[str, float]


@dataclass(slots=True)
class Talk:
    """One question's discussion so far: per round one answer per member."""

    query: Query
    rounds: list[list[Generation]] = field(default_factory=list)
    open: bool = True
    notes: dict[str, Json] = field(default_factory=dict)
    """What a method adds to its prediction's notes."""

    @property
    def settled(self) -> bool:
        """Whether all members gave the same answer in the last round."""
        return votes.agree(votes.read(self.rounds[-1], self.query))

    @property
    def texts(self) -> list[str]:
        """The last round's answers, in pool order."""
        return [g.text for g in self.rounds[-1]]


class Discussion(Method[Standing]):
    """Base of methods in which every member answers, then revises its answer for some rounds.

    A question leaves as soon as all members agree. The last round is decided by vote, or by one
    member that summarises.
    """

    requires: ClassVar[Requires] = Requires(
        min_models=2, roles={AGGREGATOR: RoleNeed(Access.TEXT, default="dev-best")}
    )

    round: int = Field(default=2, ge=1, le=20)
    """Rounds in all, the first answers included; 1 = nobody revises."""
    final: Literal["auto", "vote", "summarizer"] = "auto"
    """How the last round is decided: a vote, one member that summarises, or (auto) a vote wherever
    answers can be compared and a summary elsewhere."""
    stop_on_consensus: bool = True
    """Whether a question on which all members agree leaves the discussion."""

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """One round is worth a note."""
        if self.round > 1:
            return []
        what = "1 = the first answers only: nobody revises"
        return [Problem("method.round", what, "2 or more for a discussion", note=True)]

    def fit(self, pool: Pool, dev: Dev) -> Standing:
        """The member that is best on dev breaks ties, and summarises unless the role aggregator is
        given.
        """
        return standing(pool, dev)

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: Standing | None
    ) -> list[Prediction]:
        """First answers, rounds of revision, then the decision."""
        known = state or unknown(pool)
        first = pool.ask_all(queries)
        talks = [Talk(q, [[own[i] for own in first]]) for i, q in enumerate(queries)]
        for number in range(1, self.round):
            for talk in talks:
                talk.open = talk.open and not (self.stop_on_consensus and talk.settled)
            still = [talk for talk in talks if talk.open]
            if still:
                self.step(pool, still, number)
        return self.decide(pool, talks, known)

    @abstractmethod
    def step(self, pool: Pool, talks: Sequence[Talk], number: int) -> None:
        """Append one round of answers to each of these talks; `number` counts from 1."""

    def decide(self, pool: Pool, talks: Sequence[Talk], state: Standing) -> list[Prediction]:
        """One prediction per talk from its last round."""
        decided: dict[str, Prediction] = {}
        for talk in talks:
            if self.final != "summarizer" or (self.stop_on_consensus and talk.settled):
                prediction = _vote(pool, talk, state, or_medoid=self.final == "vote")
                if prediction is not None:
                    decided[talk.query.id] = prediction
        rest = [t for t in talks if t.query.id not in decided]
        for prediction in summaries(pool, rest, state):
            decided[prediction.query_id] = prediction
        return [decided[t.query.id] for t in talks]


def standing(pool: Pool, dev: Dev) -> Standing:
    """The members by their own dev answers."""
    best, scores = dev_best(pool, dev)
    return {"best": best, "scores": scores}


def unknown(pool: Pool) -> Standing:
    """Of members that dev says nothing of: the first stands in for the best."""
    return {"best": pool.names[0], "scores": {}}


def with_room(pool: Pool, tokens: int | None) -> Pool:
    """The pool whose answers have so much room; None = the run's own."""
    own = pool.context.sampling
    return pool if tokens is None else pool.with_(sampling=replace(own, max_tokens=tokens))


def ask_members(
    pool: Pool, asked: Sequence[tuple[int, str, Prompt]], stage: str
) -> list[Generation]:
    """Answers to (member, query id, prompt), in order, in one job for all members."""
    requests = [
        Request(pool[member].name, prompt, pool.context.sampling, query_id=query_id, stage=stage)
        for member, query_id, prompt in asked
    ]
    return pool.generate(requests)


def _vote(pool: Pool, talk: Talk, state: Standing, *, or_medoid: bool) -> Prediction | None:
    last = talk.rounds[-1]
    scores = [state["scores"].get(name, 0.0) for name in pool.names]
    group, chosen = votes.elect(talk.query, last, scores)
    if not group and talk.settled:  # open answers that are all equal
        group = list(range(len(last)))
        chosen = votes.speaker(group, scores)
    if not group and not or_medoid:
        return None
    by = tuple(pool.names[i] for i in group or [chosen])
    notes: dict[str, Json] = {
        **talk.notes, "rounds": len(talk.rounds), "votes": len(group),
        "decided": "vote" if group else "medoid",
    }  # fmt: skip
    return Prediction(talk.query.id, last[chosen].text, by, last[chosen].stop, notes)


def summaries(pool: Pool, talks: Sequence[Talk], state: Standing) -> list[Prediction]:
    """The final answers of one model that reads the last round: the one in the role aggregator,
    else the best on dev. Answers are shuffled per question.
    """
    writer: Model = pool.roles.get(AGGREGATOR) or pool.named(state["best"])
    spare = pool.spare([writer])
    asked: list[Prompt] = []
    for talk in talks:
        order = pool.shuffled(talk.query, len(pool), "summary")
        asked.append(prompts.aggregate(talk.query, [talk.texts[i] for i in order], spare=spare))
    texts = writer.ask(asked, stage="summary", query_ids=[t.query.id for t in talks])
    return [
        Prediction(
            talk.query.id,
            g.text,
            (writer.name,),
            g.stop,
            {**talk.notes, "rounds": len(talk.rounds), "decided": "summarizer"},
        )
        for talk, g in zip(talks, texts, strict=True)
    ]
