"""Members duel, the others judge, and all learn from the preferences."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Protocol, Self, TypedDict

from pydantic import Field, model_validator

from moco import comparing
from moco.access import Access, Requires
from moco.comparing import Pair
from moco.errors import DataError
from moco.methods.base import Level, Method
from moco.methods.duels import (
    START,
    Duel,
    ScoreType,
    SpartaRule,
    agreement,
    handicaps,
    matched,
    strengths,
)
from moco.pool import Dev, Model, Pool
from moco.train.dpo import Dpo
from moco.train.rows import written
from moco.types import Json, Prediction, Prompt, Query, Request

Ref = dict[str, Json]


class State(TypedDict):
    """The model that answers, and how it was found."""

    member: str
    model: Ref | None
    """Its adapter; None = the member as it was."""
    iterations: list[dict[str, Json]]
    """Per iteration: duels, verdicts that could not be read, preferences, ratings."""
    candidates: list[list[Json]]
    """[member, iteration (0 = untrained), score on held-out dev] of all that were compared."""


class Scout(Protocol):
    """Who arranges the duels of each iteration."""

    def duels(self, number: int, ratings: Sequence[float]) -> list[Duel]:
        """The duels of this iteration, counted from 1."""
        ...

    def learn(
        self, number: int, fought: Sequence[Duel], weights: Sequence[float]
    ) -> dict[str, Json]:
        """Hear how they went; what is to be told of it."""
        ...


class Sparta(Method[State]):
    """Members answer questions in pairs, the others say which answer is better, and every member is
    trained on the pooled preferences (DPO), going on from its own adapter. At last all models of
    all iterations, the untrained members among them, are compared on a part of dev that was not
    learnt from, and the best answers alone.

    Verdicts are of pairs, in both orders, or differences of marks; what cannot be read is missing.
    Judges are weighted by their agreement with each other, or by their reputation. Reputations are
    Bradley-Terry strengths from all duels, or move by the paper's rule.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "Jiang et al. 2025, arXiv 2506.04721 (Sparta Alignment)"
    requires: ClassVar[Requires] = Requires(
        access=Access.TEXT | Access.TRAIN, min_models=3, dev=True
    )
    paper_preset: ClassVar[Mapping[str, Json]] = {
        "judging": "scores", "judge_weights": "rating", "rating": "sparta", "num_iterations": 8,
        "num_instructions": 1000, "random_match_prob": 0.6, "num_opponents": 5,
        "learning_rate": 1e-6,
    }  # fmt: skip

    num_iterations: int = Field(default=3, ge=1, le=100)
    """Rounds of duels and training."""
    num_instructions: int = Field(default=500, ge=1, le=1_000_000)
    """Dev questions per iteration, drawn anew each time; at most all that may be learnt from."""
    random_match_prob: float = Field(default=0.2, ge=0, le=1)
    """Probability that any other member is the opponent."""
    num_opponents: int = Field(default=3, ge=1, le=1000)
    """Members of like rating among which the opponent is drawn otherwise."""
    judge: Literal["members", "gold"] = "members"
    """Who says which answer is better: the members that do not duel, or dev's own answers."""
    judging: Literal["pairs", "scores"] = "pairs"
    """Whether a judge sees both answers, or marks each alone from 1 to 10."""
    judge_weights: Literal["agreement", "rating"] = "agreement"
    """How far a judge counts: by how often it agrees with the other judges of the same duels (all
    alike where a duel has one judge), or by its reputation.
    """
    rating: Literal["bradley_terry", "sparta"] = "bradley_terry"
    """How reputations are made."""
    initial_k: float = Field(default=10.0, gt=0, le=1e6)
    """With `rating: sparta`: the step of a rating at first."""
    min_k: float = Field(default=5.0, gt=0, le=1e6)
    """What the step does not fall below."""
    decay_rate: float = Field(default=0.9, gt=0, le=1)
    """What the step is multiplied by every `decay_steps` duels."""
    decay_steps: int = Field(default=10, ge=1, le=1_000_000)
    """See `decay_rate`."""
    scaling_factor: float = Field(default=20.0, gt=0, le=1e6)
    """What a rating's move is divided by."""
    epsilon: float = Field(default=0.01, ge=0, le=1)
    """Least factor for the gap between the players."""
    window_size: int = Field(default=10, ge=1, le=100_000)
    """Last moves whose spread is a player's uncertainty."""
    min_deviation: float = Field(default=0.1, gt=0, le=1e6)
    """Least uncertainty."""
    freeze_ratings: bool = False
    """Whether reputations stay as they start."""
    score_type: ScoreType = "normal"
    """With `judging: scores`, whether low-rated players' marks are cut: `dynamic` cuts one more of
    the lowest of the last iteration each time, `static` keeps those that were cut.
    """
    temperature: float = Field(default=0.7, gt=0, le=10)
    """Temperature of the answers in duels."""
    beta: float = Field(default=0.1, gt=0, le=10)
    """How strongly training holds a model to itself as it was."""
    epochs: int = Field(default=1, ge=1, le=1000)
    """Passes of a training."""
    learning_rate: float = Field(default=1e-5, gt=0, le=1)
    """Its peak rate."""
    batch_size: int = Field(default=8, ge=1, le=4096)
    """Pairs per step."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.score_type != "normal" and (self.judging, self.judge) != ("scores", "members"):
            raise ValueError("score_type cuts marks: it needs judging: scores and judge: members")
        return self

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Duels and training, then the comparison of all models."""
        learning, choosing = dev.split(0.8) if len(dev) >= 5 else (dev, dev)
        n, scout = len(pool), self._scout(pool, learning)
        refs: list[Ref | None] = [None] * n
        versions: list[tuple[int, int, Ref | None]] = [(m, 0, None) for m in range(n)]
        rule, duels, history = self._rule(n), list[Duel](), list[list[float]]()
        told: list[dict[str, Json]] = []
        for number in range(1, self.num_iterations + 1):
            agents = _agents(pool, refs)
            ratings = history[-1] if history else [START] * n
            fought = scout.duels(number, ratings)
            self._answer(agents, fought, number)
            missing = self._judge(agents, learning, fought, handicaps(self.score_type, n, history))
            believed = agreement(n, [*duels, *fought])
            weights = [*(believed if self.judge_weights == "agreement" else ratings), 1.0]
            try:
                taught, learnt = self._learn(pool, agents, learning, fought, weights)
            except DataError:
                if number == 1:
                    raise
                break  # what was learnt before stays
            duels += fought
            refs = [learnt.get(m, ref) for m, ref in enumerate(refs)]
            versions += [(m, number, refs[m]) for m in sorted(learnt)]
            after = self._after(rule, fought, duels, weights)
            history.append(after)
            told.append(
                {
                    "duels": len(fought), "missing": missing, **taught,
                    "ratings": dict(zip(pool.names, (round(x, 3) for x in after), strict=True)),
                    "weights": dict(zip(pool.names, (round(w, 3) for w in weights), strict=False)),
                    **scout.learn(number, fought, weights),
                }
            )  # fmt: skip
        return self._chosen(pool, choosing, versions, told)

    def _scout(self, pool: Pool, dev: Dev) -> Scout:
        return _Turns(self, pool, dev)

    def _rule(self, players: int) -> SpartaRule:
        return SpartaRule.of(
            players,
            initial_k=self.initial_k,
            min_k=self.min_k,
            decay_rate=self.decay_rate,
            decay_steps=self.decay_steps,
            scaling_factor=self.scaling_factor,
            epsilon=self.epsilon,
            window_size=self.window_size,
            min_deviation=self.min_deviation,
        )

    def _after(
        self,
        rule: SpartaRule,
        fought: Sequence[Duel],
        duels: Sequence[Duel],
        weights: Sequence[float],
    ) -> list[float]:
        """Ratings after an iteration."""
        if self.freeze_ratings:
            return [START] * len(rule.ratings)
        if self.rating == "bradley_terry":
            return strengths(len(rule.ratings), duels, weights)
        for duel in fought:
            rule.record(duel, () if self.judge_weights == "rating" else weights)
        return list(rule.ratings)

    def _answer(self, agents: Pool, fought: Sequence[Duel], number: int) -> None:
        sampling = replace(agents.context.sampling, temperature=self.temperature)
        requests = [
            Request(
                agents[player].name, duel.query.prompt, sampling, draw=number,
                query_id=duel.query.id, stage="duel",
            )
            for duel in fought
            for player in duel.players
        ]  # fmt: skip
        given = agents.generate(requests)
        for d, duel in enumerate(fought):
            duel.texts = (given[2 * d].text, given[2 * d + 1].text)

    def _judge(
        self, agents: Pool, dev: Dev, fought: Sequence[Duel], factors: Sequence[float]
    ) -> int:
        """Fills in the verdicts; how many could not be read."""
        if self.judge == "gold":
            for duel in fought:
                one, other = dev.score_alone(duel.query.id, duel.texts)
                duel.marks = {-1: (1 + 9 * one, 1 + 9 * other)}
                duel.votes = {-1: 0.5 + (one > other) / 2 - (one < other) / 2}
            return 0
        missing = 0
        for judge in range(len(agents)):
            own = [duel for duel in fought if judge not in duel.players]
            if self.judging == "scores":
                missing += _marked(agents[judge], judge, own, factors)
                continue
            pairs = [Pair(duel.query, *duel.texts) for duel in own]
            for duel, found in zip(
                own, comparing.compare(agents[judge], pairs, stage="judge"), strict=True
            ):
                if found.share is None:
                    missing += 1
                else:
                    duel.votes[judge] = found.share
        return missing

    def _learn(
        self, pool: Pool, agents: Pool, dev: Dev, fought: Sequence[Duel], weights: Sequence[float]
    ) -> tuple[dict[str, Json], dict[int, Ref]]:
        """Trains the members: (what is to be told, member → its adapter). DataError where there is
        nothing to learn.
        """
        rows = _preferences(fought, weights)
        if not rows:
            raise DataError(
                f"{self.name()}: no duel has a winner, so there is nothing to learn from: more"
                " questions, or other judges, are needed"
            )
        learnt = {m: self._train(pool, agents[m], rows, m) for m in range(len(pool))}
        return {"preferences": len(rows)}, learnt

    def _train(self, pool: Pool, agent: Model, rows: list[dict[str, Json]], member: int) -> Ref:
        recipe = Dpo(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            beta=self.beta,
            seed=pool.context.seed,
        )
        trained = pool.train(agent, rows, recipe, f"{pool.names[member]}+sparta")
        return pool.keep_model(trained, pool[member])

    def _chosen(
        self,
        pool: Pool,
        dev: Dev,
        versions: Sequence[tuple[int, int, Ref | None]],
        told: list[dict[str, Json]],
    ) -> State:
        """The version of the best score on held-out dev; the earlier on ties."""
        models = _agents(pool, [ref for _, _, ref in versions], [m for m, _, _ in versions])
        answers = models.ask_all(dev.queries)
        scores = [round(dev.mean([g.text for g in given]), 9) for given in answers]
        best = max(range(len(versions)), key=lambda v: (scores[v], -v))
        compared: list[list[Json]] = [
            [pool.names[m], number, score]
            for (m, number, _), score in zip(versions, scores, strict=True)
        ]
        return {
            "member": pool.names[versions[best][0]],
            "model": versions[best][2],
            "iterations": told,
            "candidates": compared,
        }

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """The best model's own answers."""
        if state is None:
            raise ValueError(f"{self.name()}: needs the state that fit() returns")
        name, ref = state["member"], state["model"]
        model = pool.named(name) if ref is None else pool.kept_model(ref, f"{name}+sparta")
        asked: list[Prompt] = [q.prompt for q in queries]
        given = model.ask(asked, query_ids=[q.id for q in queries])
        return [
            Prediction(query.id, g.text, (name,), g.stop, {"trained": ref is not None})
            for query, g in zip(queries, given, strict=True)
        ]


def _agents(pool: Pool, refs: Sequence[Ref | None], members: Sequence[int] | None = None) -> Pool:
    """The members, each with its adapter where it has one, under names of their own."""
    places = range(len(pool)) if members is None else members
    models = []
    for version, (ref, place) in enumerate(zip(refs, places, strict=True)):
        member = pool[place]
        name = f"{member.name}+sparta {version}"
        models.append(member if ref is None else pool.kept_model(ref, name))
    return Pool(models, pool.roles, pool.context)


def _marked(judge: Model, place: int, duels: Sequence[Duel], factors: Sequence[float]) -> int:
    """Notes a judge's marks of both answers; in how many duels one could not be read."""
    asked = [(duel.query, text) for duel in duels for text in duel.texts]
    marks = comparing.grade(judge, asked, stage="judge")
    missing = 0
    for duel, one, other in zip(duels, marks[::2], marks[1::2], strict=True):
        if one is None or other is None:
            missing += 1
        else:
            duel.mark(place, (one, other), factors)
    return missing


class _Turns:
    """New questions in every iteration; members take turns."""

    def __init__(self, method: Sparta, pool: Pool, dev: Dev) -> None:
        self.method, self.queries = method, dev.queries
        self.dice = random.Random(f"{pool.context.seed}-sparta")

    def duels(self, number: int, ratings: Sequence[float]) -> list[Duel]:
        """One per question."""
        count = min(self.method.num_instructions, len(self.queries))
        return matched(
            self.dice.sample(self.queries, count),
            ratings,
            self.dice,
            random_share=self.method.random_match_prob,
            opponents=self.method.num_opponents,
        )

    def learn(
        self, number: int, fought: Sequence[Duel], weights: Sequence[float]
    ) -> dict[str, Json]:
        """Nothing."""
        return {}


def _preferences(fought: Sequence[Duel], weights: Sequence[float]) -> list[dict[str, Json]]:
    """Chosen and rejected answers of the duels that have a winner; judges weigh as given."""
    rows = []
    for duel in fought:
        balance = duel.balance(weights)
        if balance == 0 or duel.texts[0] == duel.texts[1]:
            continue
        first, second = duel.texts if balance > 0 else duel.texts[::-1]
        prompt = written(duel.query.prompt)
        rows.append({"prompt": prompt, "chosen": first, "rejected": second})
    return rows
