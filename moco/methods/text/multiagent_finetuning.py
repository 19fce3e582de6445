"""Members debate; each is fine-tuned on its own answers that the vote confirms."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypedDict

from pydantic import Field

from moco import prompts
from moco.access import Access, Requires
from moco.answers.parser import Answer, cluster
from moco.errors import DataError
from moco.methods import votes
from moco.methods.base import Level, Method, dev_best
from moco.methods.discussion import ask_members
from moco.pool import Dev, Model, Pool
from moco.train.rows import written
from moco.train.sft import Sft
from moco.types import Generation, Json, Prediction, Prompt, Query

Ref = dict[str, Json]


class State(TypedDict):
    """The tuned agents."""

    generators: list[Ref | None]
    """Per member the adapter that writes first answers; None = the member as it is."""
    critics: list[Ref | None]
    """Per member the adapter that revises."""
    scores: dict[str, float]
    training: list[dict[str, Json]]
    """Per iteration how many rows each agent learnt from, and the score on held-out dev before and
    after.
    """


@dataclass(frozen=True, slots=True)
class _Debate:
    """One question's debate: per round one answer and one prompt per member."""

    query: Query
    rounds: list[list[Generation]]
    asked: list[list[Prompt]]


class MultiagentFinetuning(Method[State]):
    """Every member answers (as generator), then revises given all answers (as critic); the vote
    over the last round labels dev without its gold answers, and each generator and critic is
    fine-tuned on its own answers that agree with the label.

    A critic's training prompt is the prompt it answered, the others' answers included. Labels need
    a majority of members. Tuned agents stay only if the debate is better with them on a part of dev
    that was not learnt from.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "Subramaniam et al. 2025, arXiv 2501.05707 (Multiagent Finetuning)"
    requires: ClassVar[Requires] = Requires(
        access=Access.TEXT | Access.TRAIN, min_models=2, dev=True,
        answers=frozenset({"choice", "number", "math", "span", "boolean", "label", "list"}),
    )  # fmt: skip
    paper_preset: ClassVar[Mapping[str, Json]] = {
        "keep": "tuned", "epochs": 2, "learning_rate": 1e-5,
    }  # fmt: skip

    iterations: int = Field(default=1, ge=1, le=100)
    """Rounds of debate on dev and fine-tuning; each goes on from the agents of the one before."""
    rounds: int = Field(default=2, ge=2, le=20)
    """Rounds of a debate, first answers included."""
    w: float = Field(default=0.5, ge=0, le=1)
    """Share of a critic's rows in which it changed a wrong first answer."""
    labels: Literal["consensus", "gold"] = "consensus"
    """What an answer has to agree with to be learnt: the vote, or dev's own answers."""
    keep: Literal["better", "tuned"] = "better"
    """Whether tuned agents are kept only if they are better on held-out dev, or always."""
    epochs: int = Field(default=1, ge=1, le=1000)
    """Passes of a fine-tuning."""
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    """Its peak rate."""
    batch_size: int = Field(default=8, ge=1, le=4096)
    """Rows per step."""

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Debates on one part of dev, fine-tuning, and a check on the other."""
        learning, choosing = dev.split(0.8) if len(dev) >= 5 else (dev, dev)
        state: State = {
            "generators": [None] * len(pool), "critics": [None] * len(pool),
            "scores": dev_best(pool, dev)[1], "training": [],
        }  # fmt: skip
        for number in range(self.iterations):
            told, tuned = self._tuned(pool, learning, state, number)
            told["before"] = self._score(pool, choosing, state)
            told["after"] = self._score(pool, choosing, tuned)
            tuned["training"] = [*state["training"], told]
            if self.keep == "better" and told["after"] <= told["before"]:
                return {**state, "training": tuned["training"]}
            state = tuned
        return state

    def _score(self, pool: Pool, dev: Dev, state: State) -> float:
        found = self.predict(pool, dev.queries, state)
        return round(dev.mean([p.text for p in found]), 9)

    def _tuned(
        self, pool: Pool, dev: Dev, state: State, number: int
    ) -> tuple[dict[str, Json], State]:
        """(how many rows each agent learnt from, the state with agents tuned once more)."""
        debates = self._debate(pool, dev.queries, state)
        generators, critics = _agents(pool, state["generators"]), _agents(pool, state["critics"])
        counts: dict[str, Json] = {"labelled": 0, "generators": [], "critics": []}
        labelled = [(d, right) for d in debates if (right := self._right(dev, d)) is not None]
        counts["labelled"] = len(labelled)
        if not labelled and number:  # what was learnt before stays
            return counts, state
        if not labelled:
            raise DataError(
                "multiagent_finetuning: on no dev question does a majority of members agree, so"
                " there is no label to learn from; use labels: gold, or easier questions"
            )
        made: State = {**state, "generators": [], "critics": []}
        for member in range(len(pool)):
            rows = [
                _row(d, 0, member)
                for d, right in labelled
                if right[0][member] and _whole(d, 0, member)
            ]
            made["generators"].append(
                self._train(pool, generators[member], rows, member, state["generators"][member])
            )
            counts["generators"].append(len(rows))
            rows = self._critic_rows(labelled, member, f"{pool.context.seed}-{number}-{member}")
            made["critics"].append(
                self._train(pool, critics[member], rows, member, state["critics"][member])
            )
            counts["critics"].append(len(rows))
        return counts, made

    def _right(self, dev: Dev, debate: _Debate) -> list[list[bool]] | None:
        """Per round and member whether the answer agrees with the label; None without a label."""
        if self.labels == "gold":
            name = debate.query.id
            return [
                [s >= 0.5 for s in dev.score_alone(name, [g.text for g in own])]
                for own in debate.rounds
            ]
        last = votes.read(debate.rounds[-1], debate.query)
        groups = sorted(cluster(last), key=len, reverse=True)
        if not groups or len(groups[0]) < math.ceil((len(last) + 1) / 2):
            return None
        label = last[groups[0][0]]
        return [
            [_agrees(label, answer) for answer in votes.read(own, debate.query)]
            for own in debate.rounds
        ]

    def _critic_rows(
        self, labelled: Sequence[tuple[_Debate, list[list[bool]]]], member: int, seed: str
    ) -> list[dict[str, Json]]:
        """Final answers that are right, so mixed that the share `w` corrects a wrong first one as
        far as there are enough of both.
        """
        corrected: list[dict[str, Json]] = []
        kept: list[dict[str, Json]] = []
        for debate, right in labelled:
            if right[-1][member] and _whole(debate, len(debate.rounds) - 1, member):
                rows = kept if right[0][member] else corrected
                rows.append(_row(debate, len(debate.rounds) - 1, member))
        dice = random.Random(seed)
        dice.shuffle(corrected)
        dice.shuffle(kept)
        if self.w == 1 and corrected:
            kept = []
        elif self.w == 0 and kept:
            corrected = []
        elif corrected and kept:
            total = min(len(corrected) / self.w, len(kept) / (1 - self.w))
            corrected = corrected[: max(1, round(total * self.w))]
            kept = kept[: max(1, round(total * (1 - self.w)))]
        mixed = corrected + kept
        dice.shuffle(mixed)
        return mixed

    def _train(
        self, pool: Pool, agent: Model, rows: list[dict[str, Json]], member: int, known: Ref | None
    ) -> Ref | None:
        """The agent tuned on these rows; as it was without any."""
        if not rows:
            return known
        recipe = Sft(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            seed=pool.context.seed,
        )
        trained = pool.train(agent, rows, recipe, f"{pool.names[member]}+tuned")
        return pool.keep_model(trained, pool[member])

    def _debate(self, pool: Pool, queries: Sequence[Query], state: State) -> list[_Debate]:
        n = len(pool)
        generators = Pool(_agents(pool, state["generators"]), pool.roles, pool.context)
        critics = Pool(_agents(pool, state["critics"]), pool.roles, pool.context)
        first = generators.ask_all(queries)
        debates = [
            _Debate(q, [[own[i] for own in first]], [[q.prompt] * n]) for i, q in enumerate(queries)
        ]
        spare = critics.spare()
        for number in range(1, self.rounds):
            asked: list[tuple[int, str, Prompt]] = []
            for debate in debates:
                order = pool.shuffled(debate.query, n, f"round {number}")
                texts = [debate.rounds[-1][i].text for i in order]
                own = [
                    prompts.refine(debate.query, texts, order.index(i), spare=spare)
                    for i in range(n)
                ]
                debate.asked.append(own)
                asked += [(i, debate.query.id, own[i]) for i in range(n)]
            given = ask_members(critics, asked, f"round {number + 1}")
            for d, debate in enumerate(debates):
                debate.rounds.append(given[d * n : (d + 1) * n])
        return debates

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """The debate of the tuned agents, and the vote over its last round."""
        blank: list[Ref | None] = [None] * len(pool)
        known = state or {"generators": blank, "critics": blank, "scores": {}, "training": []}
        scores = [known["scores"].get(name, 0.0) for name in pool.names]
        found = []
        for debate in self._debate(pool, queries, known):
            last, query = debate.rounds[-1], debate.query
            groups = votes.winners(query, votes.read(last, query), [1.0] * len(last))
            group = votes.strongest(groups, scores) if groups else list(range(len(last)))
            chosen = votes.speaker(group, scores)
            by = tuple(pool.names[i] for i in group)
            notes: dict[str, Json] = {"votes": len(group) if groups else 0}
            found.append(Prediction(query.id, last[chosen].text, by, last[chosen].stop, notes))
        return found


def _agrees(label: Answer, answer: Answer) -> bool:
    """Whether an answer is the label's."""
    return any(len(group) == 2 for group in cluster([label, answer]))


def _whole(debate: _Debate, number: int, member: int) -> bool:
    """Whether an answer ended by itself: one that was cut off teaches to break off."""
    return debate.rounds[number][member].stop != "length"


def _row(debate: _Debate, number: int, member: int) -> dict[str, Json]:
    prompt = written(debate.asked[number][member])
    return {"prompt": prompt, "completion": debate.rounds[number][member].text}


def _agents(pool: Pool, refs: Sequence[Ref | None]) -> list[Model]:
    """The members, each with its adapter where it has one."""
    return [
        member if ref is None else pool.kept_model(ref, f"{member.name}+tuned")
        for member, ref in zip(pool, refs, strict=True)
    ]
