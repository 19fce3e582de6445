"""Weights that are searched on dev: the candidates of a generation asked in one job, the best of
them confirmed on questions that the search did not see, and the best single model as a guard.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypedDict

import numpy as np
from pydantic import Field

from moco.analysis import stats
from moco.methods.flight import Flight
from moco.methods.merging import answers_of
from moco.pool import Dev, Model, Pool
from moco.search.base import RUNGS, How, Space, halving, maximise
from moco.search.cma import Cma
from moco.search.random_search import RandomSearch
from moco.types import Json, Prediction, Query, Request

Weights = dict[str, float]
"""A number for every member, in pool order."""
DECIMALS = 6
"""To which weights are rounded; candidates that are equal then are one."""
TIE = 1e-9
"""Scores that are closer than this are equal."""


class SearchState(TypedDict):
    """What was found, and on what grounds."""

    weights: Weights
    """Of the model that answers."""
    single: str
    """The member that answers alone, as nothing was confirmed to be better; empty = none."""
    search: dict[str, Json]
    """How many candidates were tried, on how many questions, every one's weights and score, the
    best score by generation.
    """
    confirm: dict[str, Json]
    """Scores on all of dev and on the confirming half, of the finalists and of what they have to
    beat, with the difference; empty without a guard.
    """


@dataclass(frozen=True, slots=True)
class Option:
    """A model that may be chosen."""

    weights: Weights
    model: Model
    single: str = ""
    """Its name, where it is a member."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What is searched, and on what."""

    pool: Pool
    dev: Dev
    space: Space
    weights_of: Callable[[np.ndarray], Weights]
    """Weights of a point."""
    model_of: Callable[[Weights], Model]
    """The model of these weights."""
    objective: Callable[[Sequence[Weights], Dev], Sequence[float]] | None = None
    """What is maximised, of all candidates at once; None = the mean dev score."""
    extras: Sequence[Option] = ()
    """What a finalist has to beat beside the members."""
    questions: int = 0
    """How many questions are searched on at most, a seeded sample; 0 = all."""


class Searching(Flight):
    """Hyperparameters of a search on dev; a part of methods that search weights."""

    search: Literal["pso", "cma", "random"] = "pso"
    """Particle swarm (as published), CMA-ES (needs the extra `search`), or random candidates."""
    population: int = Field(default=10, ge=2, le=1000)
    """Candidates of a generation, the first of which holds at least so many."""
    max_iterations: int = Field(default=10, ge=1, le=10_000)
    """Generations at most."""
    budget: int = Field(default=50, ge=0, le=1_000_000)
    """Different candidates at most, equal for all kinds of search; 0 = population · max_iterations.
    """
    halving: bool = False
    """Whether a generation is first asked a quarter of the questions, its better half twice as
    many, and only the better half of these all.
    """
    guard: bool = True
    """Whether one half of dev is searched on, the finalists are confirmed on the other, and the
    best single model answers unless one of them is better there and on all of dev not worse. false
    searches on all of dev and takes the best, as published.
    """
    finalists: int = Field(default=3, ge=1, le=100)
    """Best candidates of the search that are confirmed."""
    start: Literal["random", "rest", "differences"] = "random"
    """Velocities at the start: random, none, or towards another particle (this, pulls and steps:
    pso).
    """
    patience: int = Field(default=5, ge=1, le=10_000)
    """Rounds without a better candidate after which the search ends."""
    restart_patience: int = Field(default=3, ge=1, le=10_000)
    """Rounds without a better own place after which a particle goes back to it."""

    def strategy(self) -> How:
        """How candidates are found."""
        if self.search == "cma":
            return Cma(self.population, self.max_iterations)
        if self.search == "random":
            return RandomSearch(self.population, self.max_iterations)
        return self.swarm(self.max_iterations, self.patience, self.restart_patience, self.start)

    def searched(self, ground: Ground) -> SearchState:
        """The search, and what it comes to."""
        pool, seed = ground.pool, ground.pool.context.seed
        searching, _ = halves = halves_of(ground.dev, self.guard)
        asked = sampled(searching, ground.questions, seed)
        trials = _Trials(ground, asked)
        budget = self.budget or self.population * self.max_iterations
        space = replace(ground.space, key=trials.key)
        found = maximise(trials.score(self.halving), space, self.strategy(), budget, seed)
        best = [ground.weights_of(row) for row in found.top(len(found.evaluated))]
        report: dict[str, Json] = {
            "by": self.search,
            "candidates": len(found.evaluated),
            "questions": len(asked),
            "best_by_generation": [round(score, 9) for score in found.best_by_round],
            "trials": trials.rows,
        }
        if not self.guard:
            return {"weights": best[0], "single": "", "search": report, "confirm": {}}
        beaten = [*singles_of(pool), *ground.extras]
        finalists = self._others(ground, best, beaten)
        chosen, confirm = judged(pool, ground.dev, halves, finalists, beaten)
        return {
            "weights": chosen.weights, "single": chosen.single, "search": report,
            "confirm": confirm,
        }  # fmt: skip

    def _others(
        self, ground: Ground, best: Sequence[Weights], beaten: Sequence[Option]
    ) -> list[Option]:
        """The best candidates that are not among what has to be beaten anyway."""
        known = {own.model.spec.fingerprint for own in beaten}
        found = list[Option]()
        for weights in best:
            option = Option(weights, ground.model_of(weights))
            if option.model.spec.fingerprint not in known:
                found.append(option)
            if len(found) == self.finalists:
                break
        return found or [Option(best[0], ground.model_of(best[0]))]


@dataclass(slots=True)
class _Trials:
    """Scores candidates and keeps what they came to."""

    ground: Ground
    asked: Dev
    rows: list[dict[str, Json]] = field(default_factory=list)

    def key(self, row: np.ndarray) -> Hashable:
        """Candidates of equal weights are one."""
        return tuple(self.ground.weights_of(row).values())

    def score(self, halved: bool) -> Callable[[list[np.ndarray]], list[float]]:
        """The score of a generation."""
        parts = {share: self.asked.split(share, seed=1)[0] for share in RUNGS[:-1]}
        rungs = [share for share in parts if halved and len(parts[share])]
        done = dict[Hashable, int]()

        def score_on(points: list[np.ndarray], share: float) -> Sequence[float]:
            part = parts.get(share, self.asked)
            done.update((self.key(point), len(part)) for point in points)
            return self._objective([self.ground.weights_of(point) for point in points], part)

        whole = halving(score_on, (*rungs, 1.0))

        def score(points: list[np.ndarray]) -> list[float]:
            values = list(whole(points))
            for point, value in zip(points, values, strict=True):
                weights = list(self.ground.weights_of(point).values())
                row = {"weights": weights, "score": round(value, 9)}
                self.rows.append({**row, "questions": done[self.key(point)]})
            return values

        return score

    def _objective(self, candidates: Sequence[Weights], part: Dev) -> Sequence[float]:
        if self.ground.objective is not None:
            return self.ground.objective(candidates, part)
        models = [self.ground.model_of(weights) for weights in candidates]
        return [mean_of(own) for own in dev_scores(self.ground.pool, models, part)]


def halves_of(dev: Dev, guard: bool) -> tuple[Dev, Dev]:
    """(what is searched on, what confirms): two halves of dev, or twice all of it without a guard
    and where there is only one question or group.
    """
    first, second = dev.split() if guard else (dev, dev)
    return (first, second) if len(first) and len(second) else (dev, dev)


def sampled(dev: Dev, count: int, seed: int) -> Dev:
    """About so many of the dev questions, seeded; all where there are no more, or count is 0."""
    if not 0 < count < len(dev):
        return dev
    part = dev.split(count / len(dev), seed=seed)[0]
    return part if len(part) else dev


def singles_of(pool: Pool) -> list[Option]:
    """Every member alone."""
    names = pool.names
    return [
        Option({name: float(name == own) for name in names}, pool.named(own), own) for own in names
    ]


def composed(pool: Pool, weights: Weights) -> Model:
    """The combination of members with these weights; a member alone is that member."""
    alone = [name for name, weight in weights.items() if weight]
    if len(alone) == 1 and weights[alone[0]] == 1.0:
        return pool.named(alone[0])
    return pool.compose(weights, name=shown(weights))


def shown(weights: Weights) -> str:
    """Weights as the name of a model, different for different weights."""
    return "+".join(f"{weight!r}·{name}" for name, weight in weights.items())


def rounded(names: Sequence[str], row: np.ndarray) -> Weights:
    """A point's weights."""
    return {n: round(float(x), DECIMALS) + 0.0 for n, x in zip(names, row, strict=True)}


def dev_scores(
    pool: Pool, models: Sequence[Model], dev: Dev, stage: str = "dev search"
) -> list[list[float]]:
    """Each model's score on every dev question, all asked in one job."""
    queries = dev.queries
    known = set(pool.names)
    new = {model.name: model for model in models if model.name not in known}
    requests = [
        Request(model.name, q.prompt, pool.context.sampling, query_id=q.id, stage=stage)
        for model in models
        for q in queries
    ]
    texts = [given.text for given in pool.including(list(new.values())).generate(requests)]
    ids, n = [q.id for q in queries], len(queries)
    return [dev.score(ids, texts[i * n : (i + 1) * n]) for i in range(len(models))]


def judged(
    pool: Pool,
    dev: Dev,
    halves: tuple[Dev, Dev],
    finalists: Sequence[Option],
    beaten: Sequence[Option],
) -> tuple[Option, dict[str, Json]]:
    """(what is chosen, the figures): the finalist with the best score on the confirming half of
    those that are better there than everything they have to beat, and not worse on all of dev; the
    best of the latter on all of dev where there is none. The first of equals.
    """
    options = [*beaten, *finalists]
    scores = dev_scores(pool, [own.model for own in options], dev, "dev confirm")
    second = {q.id for q in halves[1].queries}
    rows = [i for i, query in enumerate(dev.queries) if query.id in second]
    whole = [mean_of(own) for own in scores]
    half = [mean_of([own[i] for i in rows]) for own in scores]
    k = len(beaten)
    best = max(range(k), key=lambda i: (round(whole[i], 9), -i))
    bar = max(half[:k])
    good = [
        i for i in range(k, len(options)) if half[i] > bar + TIE and whole[i] >= whole[best] - TIE
    ]
    order = list(range(k, len(options)))
    first = max(good or order, key=lambda i: (round(half[i], 9), round(whole[i], 9), -i))
    chosen = first if good else best
    clusters = dev.counting.clusters(dev.samples)
    found = stats.paired_difference(
        [scores[first][i] for i in rows],
        [scores[best][i] for i in rows],
        None if clusters is None else [clusters[i] for i in rows],
    )

    def line(i: int) -> dict[str, Json]:
        own = options[i]
        what = {"single": own.single} if own.single else {"weights": own.weights}
        return {**what, "dev": round(whole[i], 9), "confirmed": round(half[i], 9)}

    report: dict[str, Json] = {
        "questions": len(rows),
        "finalists": [line(i) for i in order],
        "to_beat": [line(i) for i in range(k)],
        "difference": None if found is None else [round(x, 9) for x in found],
        "chosen": line(chosen),
    }
    return options[chosen], report


def answered(
    pool: Pool, model: Model, weights: Weights, queries: Sequence[Query]
) -> list[Prediction]:
    """A model's answers as predictions of the members that it is made of."""
    own = [name for name, weight in weights.items() if weight]
    return answers_of(model, queries, own or pool.names)


def mean_of(values: Sequence[float]) -> float:
    """Arithmetic mean; 0 of nothing."""
    return sum(values) / max(len(values), 1)
