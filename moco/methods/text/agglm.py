"""An aggregator is trained, by rewards, to make one right answer of several solutions."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypedDict

from pydantic import Field

from moco import prompts
from moco.access import Access, Requires, RoleNeed
from moco.errors import DataError
from moco.methods import votes
from moco.methods.base import Level, Method, dev_best
from moco.methods.discussion import AGGREGATOR
from moco.methods.parts import trainable
from moco.pool import Dev, Model, Pool
from moco.train.grpo import Grpo
from moco.train.rewards import TaskReward, lesson_of
from moco.types import Generation, Json, Prediction, Query, Sample

RIGHT = 0.5
"""Score from which a solution counts as right."""


class State(TypedDict):
    """Who aggregates, and whether training helped."""

    best: str
    scores: dict[str, float]
    base: str
    """Alias of the model that was trained."""
    model: dict[str, Json] | None
    """Reference to the trained aggregator; None where nothing was trained."""
    use: str
    """What is used: `trained`, `untrained` or `vote`."""
    training: dict[str, Json]
    """How many sets of solutions were hard, easy, hopeless, and learnt from; scores of what was
    compared.
    """


@dataclass(frozen=True, slots=True)
class _Set:
    """Solutions to one dev question."""

    sample: Sample
    texts: tuple[str, ...]
    hard: bool
    """Whether their majority is wrong, or there is none."""
    hopeless: bool
    """Whether no solution is right."""


class Agglm(Method[State]):
    """Every member solves; an aggregator, trained by rewarded rollouts on dev, writes the answer
    from all solutions.

    It learns from sets of solutions whose majority is wrong (hard) and as many easy ones; sets
    without a right solution are left out. The trained aggregator, the untrained one and the plain
    vote are compared on a part of dev that was not learnt from, and the best is used.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "Zhao et al. 2025, arXiv 2509.06870 (AggLM)"
    requires: ClassVar[Requires] = Requires(
        min_models=2,
        dev=True,
        roles={AGGREGATOR: RoleNeed(Access.TEXT | Access.TRAIN, default="dev-best")},
    )
    paper_preset: ClassVar[Mapping[str, Json]] = {"use": "trained", "sets": 4}

    sets: int = Field(default=2, ge=1, le=1000)
    """Sets of solutions per dev question; above 1 they are drawn at `temperature`."""
    temperature: float = Field(default=0.7, gt=0, le=10)
    """Temperature of several sets."""
    easy_share: float = Field(default=1.0, ge=0, le=100)
    """Easy sets per hard one."""
    use: Literal["best", "trained"] = "best"
    """What answers: the best on the part of dev that was held out, or always the trained one."""
    epochs: int = Field(default=1, ge=1, le=1000)
    """Passes over the sets."""
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    """Peak rate."""
    batch_size: int = Field(default=4, ge=1, le=4096)
    """Sets per step."""
    num_generations: int = Field(default=8, ge=2, le=1024)
    """Rollouts per set."""
    rollout_temperature: float = Field(default=1.0, gt=0, le=10)
    """Temperature of the rollouts."""

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Sets of solutions, training, comparison."""
        best, scores = dev_best(pool, dev)
        writer = trainable(pool, scores, self.name(), AGGREGATOR)
        learning, choosing = dev.split(0.8) if len(dev) >= 5 else (dev, dev)
        found = self._sets(pool, learning)
        chosen = self._mixed(found, pool.context.seed)
        told: dict[str, Json] = {
            "sets": len(found),
            "hard": sum(own.hard and not own.hopeless for own in found),
            "hopeless": sum(own.hopeless for own in found),
            "learnt": len(chosen),
        }
        state: State = {
            "best": best, "scores": scores, "base": writer.name, "model": None,
            "use": "untrained", "training": told,
        }  # fmt: skip
        if chosen:
            lessons, recipe = self._lessons(pool, writer, chosen), self._recipe(pool)
            name, reward = f"{writer.name}+aggregating", TaskReward(dev.scorer, dev.roles)
            try:
                trained = pool.train(writer, lessons, recipe, name, reward=reward)
            except DataError as error:  # all rollouts are worth the same
                if self.use == "trained":
                    raise
                told["why"] = str(error)
            else:
                state["model"], state["use"] = pool.keep_model(trained, writer), "trained"
        if self.use == "best" and len(choosing):
            state["use"] = self._best(pool, choosing, state)
        return state

    def _sets(self, pool: Pool, dev: Dev) -> list[_Set]:
        found = []
        queries = dev.queries
        for draw in range(self.sets):
            answers = self._solutions(pool, queries, draw)
            for i, sample in enumerate(dev.samples):
                own = [given[i] for given in answers]
                scores = dev.score_alone(sample.query.id, [g.text for g in own])
                right = [score >= RIGHT for score in scores]
                groups = votes.winners(
                    sample.query, votes.read(own, sample.query), [1.0] * len(own)
                )
                hard = len(groups) != 1 or not right[groups[0][0]]
                texts = tuple(g.text for g in own)
                found.append(_Set(sample, texts, hard, not any(right)))
        return found

    def _solutions(self, pool: Pool, queries: Sequence[Query], draw: int) -> list[list[Generation]]:
        """The members' plain answers, shared with other methods; further sets are sampled."""
        if draw == 0:
            return pool.ask_all(queries)
        sampling = replace(pool.context.sampling, temperature=self.temperature)
        return pool.ask_all(queries, sampling=sampling, draw=draw, stage="sample")

    def _mixed(self, found: Sequence[_Set], seed: int) -> list[_Set]:
        """All hard sets that have a right solution, and a seeded sample of easy ones, shuffled."""
        hard = [own for own in found if own.hard and not own.hopeless]
        easy = [own for own in found if not own.hard]
        dice = random.Random(f"{seed}-easy")
        dice.shuffle(easy)
        chosen = hard + easy[: round(self.easy_share * len(hard))]
        dice.shuffle(chosen)
        return chosen

    def _lessons(self, pool: Pool, writer: Model, chosen: Sequence[_Set]) -> list[dict[str, Json]]:
        rows = []
        for number, own in enumerate(chosen):
            order = pool.shuffled(own.sample.query, len(own.texts), f"lesson {number}")
            texts = [own.texts[i] for i in order]
            prompt = prompts.aggregate(own.sample.query, texts, spare=pool.spare([writer]))
            rows.append(lesson_of(own.sample, prompt))
        return rows

    def _recipe(self, pool: Pool) -> Grpo:
        return Grpo(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            num_generations=self.num_generations,
            temperature=self.rollout_temperature,
            max_tokens=pool.context.sampling.max_tokens,
            seed=pool.context.seed,
        )

    def _best(self, pool: Pool, dev: Dev, state: State) -> str:
        """What scores best on the held-out part; the simpler on ties."""
        kinds = ["vote", "untrained", *(["trained"] if state["model"] else [])]
        compared = {}
        for kind in kinds:
            written = self.predict(pool, dev.queries, {**state, "use": kind})
            compared[kind] = round(dev.mean([p.text for p in written]), 9)
        state["training"]["compared"] = compared
        return max(kinds, key=lambda kind: compared[kind])

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """One solution per member, then the aggregator or the vote."""
        if state is None:
            raise ValueError("agglm: needs the state that fit() returns")
        answers = pool.ask_all(queries)
        if state["use"] == "vote":
            return [
                _voted(pool, query, [own[i] for own in answers], state)
                for i, query in enumerate(queries)
            ]
        base = pool.roles.get(AGGREGATOR) or pool.named(state["base"])
        trained = state["use"] == "trained" and state["model"] is not None
        writer = pool.kept_model(state["model"] or {}) if trained else base
        spare = pool.spare([base])
        asked = []
        for i, query in enumerate(queries):
            order = pool.shuffled(query, len(pool), "summary")
            texts = [answers[m][i].text for m in order]
            asked.append(prompts.aggregate(query, texts, spare=spare))
        written = writer.ask(asked, stage="aggregate", query_ids=[q.id for q in queries])
        notes: dict[str, Json] = {"used": state["use"]}
        return [
            Prediction(query.id, g.text, (base.name,), g.stop, notes)
            for query, g in zip(queries, written, strict=True)
        ]


def _voted(pool: Pool, query: Query, given: Sequence[Generation], state: State) -> Prediction:
    scores = [state["scores"].get(name, 0.0) for name in pool.names]
    group, chosen = votes.elect(query, given, scores)
    by = tuple(pool.names[i] for i in group or [chosen])
    return Prediction(query.id, given[chosen].text, by, given[chosen].stop, {"used": "vote"})
