"""Ask a cheap model first and pass the question on when it is not confident."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, TypedDict

import numpy as np
from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires
from moco.methods.base import Level, Method
from moco.methods.parts import unknown_members
from moco.pool import Dev, Pool
from moco.prompts import replace_last_user
from moco.routing import policy
from moco.routing.calibrate import Fitted, calibrate, confidence, confidences
from moco.routing.table import DevTable, observe
from moco.types import Generation, Json, OperatingPoint, Prediction, Query, Request, Sampling

ASK = (
    "Before that, on a line of its own, say how sure you are: Confidence: sure, or Confidence:"
    " unsure."
)
SAID = re.compile(
    r"^[ \t*_]*confidence[ \t*_]*:[ \t*_]*(sure|unsure)\b.*$\n?", re.IGNORECASE | re.MULTILINE
)
"""The line that `ASK` asks for; it is read, then taken out of the answer."""


SHARES: tuple[float, ...] = tuple(i / 50 for i in range(51))
"""Shares of the accuracy-cost curve of a cascade by `percentage`."""


class Plan(TypedDict):
    """One policy, as a state holds it."""

    levels: list[str]
    """Aliases of the members asked, in order."""
    thresholds: list[float]
    """Confidence below which a level passes a question on; one per level but the last."""
    knob: float
    """What sets it: its mean dev cost, or its percentage."""
    score: float | None
    """Its mean dev score, where it was looked at."""


class State(TypedDict):
    """The cascade that was chosen."""

    levels: list[str]
    thresholds: list[float]
    calibration: dict[str, dict[str, Json]]
    """Alias → coefficients of its confidence, or a note why it is the plain one."""
    frontier: list[Plan]
    """Policies that dev's accuracy-cost curve is made of, cheapest first."""
    dev: dict[str, Json]
    """What the search found on dev: score, cost, regret to the best member per question, number of
    candidates, and the corners of the line of random deferral.
    """


class Cascade(Method[State]):
    """Members answer in order; a question is passed on while the answer's confidence is below the
    level's threshold.

    Confidence is the probability of a right answer that a logistic regression gives from the
    log-probabilities of the answer's own tokens (temperature 1; mean, minimum, quantiles, length)
    and from whether it could be read; without calibration it is their geometric mean probability,
    or what the model says of itself. By default members, order and thresholds are searched on dev:
    the best score, less weighted cost, within the budget, with a one-standard-error rule towards
    the cheaper (`moco.routing.policy`). The last member's answers are always taken.
    """

    level: ClassVar[Level] = "api"
    paper: ClassVar[str] = (
        "Chen, Zaharia, Zou 2023, arXiv 2305.05176 (FrugalGPT); Gupta et al. 2024, arXiv 2404.10136"
    )
    requires: ClassVar[Requires] = Requires(min_models=2)
    version: ClassVar[int] = 2
    idempotent: ClassVar[bool] = True
    paper_preset: ClassVar[Mapping[str, Json]] = {"percentage": 0.5, "calibration": "none"}

    order: tuple[str, ...] = ()
    """Member aliases from weak to strong; the search keeps this order, but may leave members out.
    Empty = any order in the search, else pool order.
    """
    mode: Literal["logprob", "ask"] = "logprob"
    """Where confidence comes from: token log-probabilities, or the model's own words."""
    thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = None
    """Fixed thresholds of the uncalibrated confidence, one per member but the last; no dev is
    needed.
    """
    percentage: float | None = Field(default=None, ge=0, le=1)
    """Share of dev questions that every level passes on: the threshold is this quantile of its dev
    confidences. Unset = policy search.
    """
    calibration: Literal["logistic", "none"] = "logistic"
    """How log-probabilities become a confidence: learnt on dev, or their geometric mean."""
    budget: float | None = Field(default=None, gt=0)
    """Mean cost per question at most, on dev, in the pool's unit (policy search)."""
    cost_weight: float = Field(default=0.0, ge=0)
    """Score that may be lost to save the mean cost of the costliest member (policy search)."""
    max_levels: int = Field(default=3, ge=1, le=3)
    """Members that may be asked for one question (policy search)."""

    def needs(self) -> Requires:
        """Log-probabilities and dev only where they are used."""
        learnt = self.mode == "logprob" and self.thresholds is None
        access = Access.TEXT | Access.LOGPROBS if self.mode == "logprob" else Access.TEXT
        return Requires(access=access, min_models=2, dev=learnt)

    @property
    def searched(self) -> bool:
        """Whether the policy is searched on dev."""
        return self.needs().dev and self.percentage is None

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """The order must name members, the thresholds match their number."""
        found = unknown_members(facts, order=self.order)
        if len(set(self.order)) < len(self.order):
            found.append(Problem("method.order", "names a member twice"))
        if len(self.order) == 1:
            found.append(
                Problem(
                    "method.order", "names one member", "name at least two, or none for all members"
                )
            )
        levels = len(self.order or facts) - 1
        if self.thresholds is not None and len(self.thresholds) != levels:
            found.append(
                Problem(
                    "method.thresholds",
                    f"has {len(self.thresholds)} values, the cascade {levels}",
                    "give one for each member but the last",
                )
            )
        return [*found, *self._idle()]

    def _idle(self) -> list[Problem]:
        """Settings of the search where nothing is searched."""
        if self.searched:
            return []
        why = "mode ask" if self.mode == "ask" else "percentage"
        why = "thresholds" if self.thresholds is not None else why
        names = ("budget", "cost_weight", "max_levels")
        changed = [n for n in names if getattr(self, n) != type(self).model_fields[n].default]
        what = f"has no effect with {why}: only the policy search uses it"
        return [Problem(f"method.{name}", what, "take one of them out") for name in changed]

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Calibrations and the policy from dev, unless thresholds are given."""
        if not self.needs().dev:
            return self._given(pool)
        if self.percentage is not None:
            return self._by_share(pool, dev, self.percentage)
        table = observe(pool.of(self.order) if self.order else pool, dev)
        learnt = self._calibrated(pool, table)
        names = table.names
        scores_QM, costs_QM = table.scores_QM, table.costs_QM
        evidence = policy.Evidence(scores_QM, _stacked(f.held_out_Q for f in learnt), costs_QM)
        calibration = {n: f.to_json() for n, f in zip(names, learnt, strict=True)}
        aim = policy.Aim(
            cost_weight=self.cost_weight,
            budget=self.budget,
            max_levels=self.max_levels,
            order=tuple(range(len(names))) if self.order else (),
            seed=pool.context.seed,
        )
        deployed_QM = _stacked(
            confidences(table.queries, own, calibration[name])
            for name, own in zip(names, table.answers, strict=True)
        )
        found = policy.search(evidence, aim, deployed_QM)
        best = _plan(names, found.best)
        return {
            "levels": best["levels"],
            "thresholds": best["thresholds"],
            "calibration": calibration,
            "frontier": [_plan(names, rated) for rated in found.frontier],
            "dev": {
                "score": found.best.score,
                "cost": found.best.cost,
                "regret": found.regret,
                "candidates": found.candidates,
                "extra_cost_weight": found.extra,
                "random_deferral": policy.random_line(evidence, found.best.policy.levels),
            },
        }

    def _calibrated(self, pool: Pool, table: DevTable) -> list[Fitted]:
        """What is learnt of each member of the table."""
        if self.calibration == "none":
            return [
                Fitted(None, np.asarray([confidence(g) for g in own]), "plain confidence")
                for own in table.answers
            ]
        labels_QM = _labels(table.scores_QM)
        return [
            calibrate(table.queries, own, labels_QM[:, column], pool.context.seed)
            for column, own in enumerate(table.answers)
        ]

    def _by_share(self, pool: Pool, dev: Dev, share: float) -> State:
        """Thresholds that pass the same share of dev on at every level."""
        levels = list(self.order or pool.names)
        asked = levels[:-1]
        queries, calibration = dev.queries, dict[str, dict[str, Json]]()
        if self.calibration == "none":
            answers = pool.of(asked).ask_all(queries)
        else:
            table = observe(pool.of(asked), dev)
            answers = [list(own) for own in table.answers]
            learnt = self._calibrated(pool, table)
            calibration = {n: f.to_json() for n, f in zip(asked, learnt, strict=True)}
        sure = [
            confidences(queries, own, calibration.get(name)).tolist()
            for name, own in zip(asked, answers, strict=True)
        ]

        def at(part: float) -> list[float]:
            return [quantile(own, part) for own in sure]

        plans: list[Plan] = [
            {"levels": levels, "thresholds": at(part), "knob": part, "score": None}
            for part in SHARES
        ]
        return _state(levels, at(share), calibration, plans)

    def _given(self, pool: Pool) -> State:
        """The thresholds that need no dev."""
        levels = list(self.order or pool.names)
        thresholds = list(self.thresholds or [0.5] * (len(levels) - 1))
        return _state(levels, thresholds, {}, [])

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """Level by level, each with the questions that are still open."""
        known = state or self._given(pool)
        levels, thresholds = known["levels"], [*known["thresholds"], 0.0]
        taken: dict[int, Prediction] = {}
        open_ = list(range(len(queries)))
        trails: dict[int, list[float]] = {i: [] for i in open_}
        for level, (name, threshold) in enumerate(zip(levels, thresholds, strict=True)):
            last = level == len(levels) - 1
            asked = [queries[i] for i in open_]
            given = self._ask(pool, name, asked, last)
            judged = self._judge(asked, given, known["calibration"].get(name))
            for i, generation, (sure, text) in zip(open_, given, judged, strict=True):
                trails[i].append(sure)
                if last or sure >= threshold:
                    notes: dict[str, Json] = {
                        "level": level, "levels": list(levels), "confidences": trails[i],
                    }  # fmt: skip
                    taken[i] = Prediction(queries[i].id, text, (name,), generation.stop, notes)
            open_ = [i for i in open_ if i not in taken]
        return [taken[i] for i in range(len(queries))]

    def points(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[OperatingPoint]:
        """The policies of dev's frontier and every member alone, over the members' own answers."""
        if not state or not state["frontier"]:
            return []
        members = list(dict.fromkeys(n for plan in state["frontier"] for n in plan["levels"]))
        answers = pool.of(members).ask_all(queries)
        sure_QM = _stacked(
            confidences(queries, own, state["calibration"].get(name))
            for name, own in zip(members, answers, strict=True)
        )
        found = []
        for plan in state["frontier"]:
            levels, thresholds = plan["levels"], tuple(plan["thresholds"])
            own = policy.Policy(tuple(members.index(n) for n in levels), thresholds)
            places = own.answering(sure_QM).tolist()
            by = tuple(levels[place] for place in places)
            asked = tuple(tuple(levels[: place + 1]) for place in places)
            found.append(OperatingPoint(plan["knob"], by, asked))
        return found

    def _ask(self, pool: Pool, name: str, queries: Sequence[Query], last: bool) -> list[Generation]:
        if self.mode == "logprob" or last:
            return pool.of([name]).ask_all(queries)[0]
        requests = [
            Request(
                name,
                replace_last_user(q.prompt, _with_ask(q)),
                pool.context.sampling,
                query_id=q.id,
                stage="ask confidence",
            )
            for q in queries
        ]
        return pool.generate(requests)

    def _judge(
        self,
        queries: Sequence[Query],
        answers: Sequence[Generation],
        learnt: Mapping[str, Json] | None,
    ) -> list[tuple[float, str]]:
        """(confidence, text) of each answer."""
        if self.mode == "logprob":
            sure = confidences(queries, answers, learnt).tolist()
            return list(zip(sure, (g.text for g in answers), strict=True))
        return [_said(g.text) for g in answers]


def _said(text: str) -> tuple[float, str]:
    """What the model says of its confidence, and its answer without that."""
    said = SAID.findall(text)
    sure = 1.0 if said and said[-1].lower() == "sure" else 0.0
    return sure, SAID.sub("", text).strip()


def _with_ask(query: Query) -> str:
    parts = [query.body or query.text, "\n".join(p for p in (query.format_line, ASK) if p)]
    return "\n\n".join(parts)


def _state(
    levels: list[str],
    thresholds: list[float],
    calibration: dict[str, dict[str, Json]],
    frontier: list[Plan],
) -> State:
    """A cascade that was not searched."""
    return {
        "levels": levels,
        "thresholds": thresholds,
        "calibration": calibration,
        "frontier": frontier,
        "dev": {},
    }


def _plan(names: Sequence[str], rated: policy.Rated) -> Plan:
    return {
        "levels": [names[m] for m in rated.policy.levels],
        "thresholds": list(rated.policy.thresholds),
        "knob": rated.cost,
        "score": rated.score,
    }


def _labels(scores_QM: np.ndarray) -> np.ndarray:
    """Scores as soft labels; those of a scorer beyond [0, 1] are scaled into it."""
    low, high = min(0.0, float(scores_QM.min())), max(1.0, float(scores_QM.max()))
    found: np.ndarray = (scores_QM - low) / (high - low)
    return found


def _stacked(columns: Iterable[np.ndarray]) -> np.ndarray:
    """Columns side by side, shape [questions, members]."""
    return np.stack(list(columns), axis=1)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies (linear between order statistics)."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
