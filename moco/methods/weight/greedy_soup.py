"""Average the weights of fine-tuned siblings, adding a model only if dev does not get worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, TypedDict

from pydantic import Field

from moco.access import ModelFacts, Problem, Requires
from moco.analysis import stats
from moco.methods.base import Level, Method, dev_best
from moco.methods.merging import WEIGHTS, mixed_kinds
from moco.methods.searching import (
    TIE,
    Option,
    Weights,
    answered,
    composed,
    dev_scores,
    halves_of,
    judged,
    mean_of,
    singles_of,
)
from moco.pool import Dev, Pool
from moco.types import Json, Prediction, Query, Sampling

FEW = 5
"""Candidates up to which all of dev chooses; choosing among more would flatter the best."""


class Trial(TypedDict):
    """One candidate soup."""

    added: str
    score: float
    difference: list[float] | None
    """Mean difference to the soup so far on the same questions, and its 95% interval."""
    tie: bool
    """Whether it scores just as the soup so far."""
    accepted: bool


class State(TypedDict):
    """The soup's ingredients and how they were found."""

    members: list[str]
    score: float
    """Of the soup, on the questions that chose its ingredients."""
    questions: int
    """How many those were."""
    singles: dict[str, float]
    """Scores of the members on all of dev."""
    trials: list[Trial]
    uniform: float
    """Score of the average of all members."""
    confirm: dict[str, Json]
    """Figures of the confirming half of dev, where ingredients were chosen on the other."""


class GreedySoup(Method[State]):
    """Members join the average in the order of their dev scores, each only if the soup's dev score
    does not drop.

    Adapters of one base are averaged in delta space, which is exact for any ranks; full
    checkpoints tensor by tensor in float32, tied tensors once. Soups live in memory: nothing is
    written during the search.
    """

    level: ClassVar[Level] = "weight"
    paper: ClassVar[str] = "Wortsman et al. 2022, arXiv 2203.05482"
    requires: ClassVar[Requires] = replace(WEIGHTS, dev=True)
    version: ClassVar[int] = 2
    idempotent: ClassVar[bool] = True
    paper_preset: ClassVar[Mapping[str, Json]] = {"guard": False}

    margin: float = Field(default=0.0, ge=0, le=1)
    """How much better than the soup so far a candidate must be on dev; 0 accepts ties, as the
    paper does.
    """
    strict: bool = False
    """Whether a tie is refused."""
    guard: bool = True
    """Whether of more than 6 members the ingredients are chosen on one half of dev and the soup is
    confirmed on the other: the best single member answers unless the soup is better there and on
    all of dev not worse. Of fewer all of dev chooses, where a soup never falls behind.
    """

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Adapters average with adapters of the same base, checkpoints with checkpoints."""
        return mixed_kinds(facts)

    def fit(self, pool: Pool, dev: Dev) -> State:
        """The greedy search, in one pass over the members sorted by their own scores (stable)."""
        singles = dev_best(pool, dev)[1]
        many = len(pool) - 1 > FEW
        halves = halves_of(dev, self.guard and many)
        alone = dev_scores(pool, list(pool), halves[0], "answer")
        by_name = dict(zip(pool.names, alone, strict=True))
        order = sorted(pool.names, key=lambda name: -mean_of(by_name[name]))
        members, values, trials = order[:1], by_name[order[0]], list[Trial]()
        for name in order[1:]:
            candidate = self._scores(pool, halves[0], [*members, name])
            trials.append(self._trial(name, candidate, values, halves[0]))
            if trials[-1]["accepted"]:
                members, values = [*members, name], candidate
        state: State = {
            "members": members,
            "score": mean_of(values),
            "questions": len(halves[0]),
            "singles": singles,
            "trials": trials,
            "uniform": mean_of(self._scores(pool, halves[0], order)),
            "confirm": {},
        }
        if self.guard and many:
            weights = soup_of(pool.names, members)
            finalist = Option(weights, composed(pool, weights))
            chosen, state["confirm"] = judged(pool, dev, halves, [finalist], singles_of(pool))
            state["members"] = [chosen.single] if chosen.single else members
        return state

    def _trial(
        self, name: str, candidate: Sequence[float], before: Sequence[float], dev: Dev
    ) -> Trial:
        """What became of a candidate."""
        gain = mean_of(candidate) - mean_of(before)
        found = stats.paired_difference(candidate, before, dev.counting.clusters(dev.samples))
        tie = abs(gain) <= TIE
        return {
            "added": name,
            "score": mean_of(candidate),
            "difference": None if found is None else [round(x, 9) for x in found],
            "tie": tie,
            "accepted": gain >= self.margin - TIE and not (self.strict and tie),
        }

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """The soup's answers."""
        weights = soup_of(pool.names, state["members"] if state else pool.names)
        return answered(pool, composed(pool, weights), weights, queries)

    def _scores(self, pool: Pool, dev: Dev, members: Sequence[str]) -> list[float]:
        model = composed(pool, soup_of(pool.names, members))
        return dev_scores(pool, [model], dev, "dev soup")[0]


def soup_of(names: Sequence[str], members: Sequence[str]) -> Weights:
    """The weights of a soup; members that are left out have 0, so that one soup in memory can
    become the next.
    """
    return {name: 1 / len(members) if name in members else 0.0 for name in names}
