"""Members duel, the others judge, and all learn from the preferences."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, TypedDict

from pydantic import Field

from moco import comparing
from moco.access import Access, Requires
from moco.comparing import Pair
from moco.errors import DataError
from moco.methods.base import Level, Method
from moco.methods.duels import Duel, SpartaRule, matched, strengths
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


class Sparta(Method[State]):
    """Members answer questions in pairs, the others say which answer is better, weighted by their
    reputation, and every member is trained on the pooled preferences (DPO), going on from its own
    adapter. At last all models of all iterations, the untrained members among them, are compared on
    a part of dev that was not learnt from, and the best answers alone.

    Verdicts are of pairs, in both orders; what cannot be read is missing. Reputations are
    Bradley-Terry strengths from all duels, or move by the paper's rule.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "Jiang et al. 2025, arXiv 2506.04721 (Sparta Alignment)"
    requires: ClassVar[Requires] = Requires(
        access=Access.TEXT | Access.TRAIN, min_models=3, dev=True
    )
    paper_preset: ClassVar[Mapping[str, Json]] = {
        "rating": "sparta", "num_iterations": 8, "num_instructions": 1000,
        "random_match_prob": 0.6, "num_opponents": 5, "learning_rate": 1e-6,
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
    rating: Literal["bradley_terry", "sparta"] = "bradley_terry"
    """How reputations are made."""
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

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Duels and training, then the comparison of all models."""
        learning, choosing = dev.split(0.8) if len(dev) >= 5 else (dev, dev)
        n, dice = len(pool), random.Random(f"{pool.context.seed}-sparta")
        refs: list[Ref | None] = [None] * n
        versions: list[tuple[int, int, Ref | None]] = [(m, 0, None) for m in range(n)]
        rule, duels = SpartaRule.of(n), list[Duel]()
        told: list[dict[str, Json]] = []
        for number in range(1, self.num_iterations + 1):
            agents = _agents(pool, refs)
            ratings = rule.ratings if self.rating == "sparta" else strengths(n, duels)
            fought = self._duels(pool, learning, ratings, dice)
            self._answer(agents, fought, number)
            missing = self._judge(agents, learning, fought)
            rows = _preferences(fought, ratings)
            if not rows and number > 1:  # what was learnt before stays
                break
            if not rows:
                raise DataError(
                    f"sparta: in iteration {number} no duel has a winner, so there is nothing to"
                    " learn from: more questions, or other judges, are needed"
                )
            for duel in fought:
                rule.record(duel)
            duels += fought
            refs = [self._train(pool, agents[m], rows, m) for m in range(n)]
            versions += [(m, number, refs[m]) for m in range(n)]
            after = rule.ratings if self.rating == "sparta" else strengths(n, duels)
            told.append(
                {
                    "duels": len(fought), "missing": missing, "preferences": len(rows),
                    "ratings": dict(zip(pool.names, (round(x, 3) for x in after), strict=True)),
                }
            )  # fmt: skip
        return self._chosen(pool, choosing, versions, told)

    def _duels(
        self, pool: Pool, dev: Dev, ratings: Sequence[float], dice: random.Random
    ) -> list[Duel]:
        queries = dice.sample(dev.queries, min(self.num_instructions, len(dev)))
        return matched(
            queries,
            ratings,
            dice,
            random_share=self.random_match_prob,
            opponents=self.num_opponents,
        )

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

    def _judge(self, agents: Pool, dev: Dev, fought: Sequence[Duel]) -> int:
        """Fills in the verdicts; how many could not be read."""
        if self.judge == "gold":
            for duel in fought:
                one, other = dev.score_alone(duel.query.id, duel.texts)
                duel.votes = {-1: 0.5 + (one > other) / 2 - (one < other) / 2}
            return 0
        missing = 0
        for judge in range(len(agents)):
            own = [duel for duel in fought if judge not in duel.players]
            pairs = [Pair(duel.query, *duel.texts) for duel in own]
            for duel, found in zip(
                own, comparing.compare(agents[judge], pairs, stage="judge"), strict=True
            ):
                if found.share is None:
                    missing += 1
                else:
                    duel.votes[judge] = found.share
        return missing

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
            raise ValueError("sparta: needs the state that fit() returns")
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


def _preferences(fought: Sequence[Duel], ratings: Sequence[float]) -> list[dict[str, Json]]:
    """Chosen and rejected answers of the duels that have a winner."""
    rows = []
    weights = [*ratings, 1.0]  # the last is the gold judge's, -1
    for duel in fought:
        balance = duel.balance(weights)
        if balance == 0 or duel.texts[0] == duel.texts[1]:
            continue
        first, second = duel.texts if balance > 0 else duel.texts[::-1]
        prompt = written(duel.query.prompt)
        rows.append({"prompt": prompt, "chosen": first, "rejected": second})
    return rows
