"""The line from a weaker to a stronger sibling is continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, TypedDict

from pydantic import Field

from moco.access import ModelFacts, Problem, Requires
from moco.errors import RequirementError
from moco.methods.base import Level, Method, dev_best
from moco.methods.merging import WEIGHTS, mixed_kinds
from moco.methods.parts import unknown_members
from moco.methods.searching import (
    DECIMALS,
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

Alpha = Annotated[float, Field(ge=-1, le=10)]
FINALISTS = 3
"""Values of α that are confirmed."""


class State(TypedDict):
    """The line and how far it is followed."""

    weights: Weights
    """Of the model that answers."""
    single: str
    """The member that answers alone, as nothing was confirmed to be better; empty = none."""
    sources: list[str]
    targets: list[str]
    """Members that the line comes from and leads to; the mean of several."""
    alpha: float
    """How far beyond the targets; 0 where a guard keeps to them."""
    singles: dict[str, float]
    """Dev scores of the members."""
    scores: dict[str, float]
    """Scores by α on what was searched; empty where one α was given and nothing guards."""
    confirm: dict[str, Json]
    """Figures of the confirming half of dev; empty without a guard."""


class Expo(Method[State]):
    """target + α · (target − source) of two members' weights, or of two means of members.

    As published the source is the supervised checkpoint that the target was trained from by
    preferences (mode `pairs`); worst and best on dev is a generalisation. Adapters are combined in
    delta space, all α in one batch on one base; full checkpoints in memory, in float32. With α
    optimized 0, the target itself, is always a candidate; below 0 lies between the two.
    """

    level: ClassVar[Level] = "weight"
    paper: ClassVar[str] = "Zheng et al. 2024, arXiv 2404.16792 (ExPO)"
    requires: ClassVar[Requires] = replace(WEIGHTS, dev=True)
    idempotent: ClassVar[bool] = True
    paper_preset: ClassVar[Mapping[str, Json]] = {"mode": "pairs", "guard": False}

    mode: Literal["worst_to_best", "topk_bottomk", "pairs"] = "worst_to_best"
    """From the worst to the best member on dev; from the mean of the k worst to that of the k best;
    or from a member of `sft_models` to its partner in `dpo_models`.
    """
    alpha_mode: Literal["fixed", "optimized"] = "optimized"
    """Whether α is given, or the best of several on dev."""
    alpha: Alpha = 0.3
    """α where it is fixed."""
    alpha_candidates: list[Alpha] = Field(default=[0.1, 0.2, 0.3, 0.4, 0.5], min_length=1)
    """α where it is optimized; 0 is tried too, and first."""
    k: int = Field(default=1, ge=1, le=1000)
    """Members in each mean of topk_bottomk, at most half of the pool."""
    sft_models: list[str] = Field(default=[])
    """Pairs: the members that lines come from; unset = the first, third … member."""
    dpo_models: list[str] = Field(default=[])
    """Pairs: their partners, in the same order; unset = the second, fourth … member."""
    pair_selection: Literal["dpo_score", "improvement", "sft_score"] = "dpo_score"
    """Which of several pairs: by the partner's dev score, by what it is better by, or by the dev
    score of the one the line comes from.
    """
    guard: bool = True
    """Whether one half of dev chooses α and the other confirms, so that the best single member, or
    the target, answers unless the result is better there and on all of dev not worse.
    """

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Pairs are complete, and their members are there."""
        found = mixed_kinds(facts)
        named = {"sft_models": self.sft_models, "dpo_models": self.dpo_models}
        if self.mode != "pairs":
            return found + [
                Problem(f"method.{key}", f"has no effect in mode {self.mode}", note=True)
                for key, given in named.items()
                if given
            ]
        if len(self.sft_models) != len(self.dpo_models):
            what = f"{len(self.sft_models)} names, dpo_models has {len(self.dpo_models)}"
            found.append(Problem("method.sft_models", f"has {what}", "give one for one"))
        elif not self.sft_models and len(facts) % 2:
            what = f"has {len(facts)} members, which are no pairs"
            found.append(Problem("pool", what, "add one, or name sft_models and dpo_models"))
        return found + unknown_members(facts, **named)

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Ranks the members on dev, then tries every α at once."""
        singles = dev_best(pool, dev)[1]
        sources, targets = self._ends(pool.names, singles)
        halves = halves_of(dev, self.guard)
        tried = self._alphas()
        options = [self._option(pool, sources, targets, alpha) for alpha in tried]
        compared = options if self.guard or len(options) > 1 else []
        values = dev_scores(pool, [own.model for own in compared], halves[0])
        scores = [round(mean_of(own), 9) for own in values] or [0.0]
        order = sorted(range(len(tried)), key=lambda i: (-scores[i], i))
        chosen, confirm = options[order[0]], dict[str, Json]()
        if self.guard:
            still = self._option(pool, sources, targets, 0.0)
            finalists = [options[i] for i in order if tried[i] != 0][:FINALISTS] or [still]
            beaten = [*singles_of(pool), *([] if len(targets) == 1 else [still])]
            chosen, confirm = judged(pool, dev, halves, finalists, beaten)
        found = [a for a, own in zip(tried, options, strict=True) if own is chosen]
        return {
            "weights": chosen.weights, "single": chosen.single, "sources": sources,
            "targets": targets, "alpha": found[0] if found else 0.0, "singles": singles,
            "scores": {f"{a:g}": s for a, s in zip(tried, scores, strict=True) if compared},
            "confirm": confirm,
        }  # fmt: skip

    def _alphas(self) -> list[float]:
        if self.alpha_mode == "fixed":
            return [self.alpha]
        return list(dict.fromkeys([0.0, *self.alpha_candidates]))

    def _ends(
        self, names: Sequence[str], singles: Mapping[str, float]
    ) -> tuple[list[str], list[str]]:
        """(where the line comes from, where it leads to); the first of equals is the better one."""
        if self.mode == "pairs":
            return self._pair(names, singles)
        ranked = sorted(names, key=lambda name: -singles[name])
        k = 1 if self.mode == "worst_to_best" else max(1, min(self.k, len(names) // 2))
        return ranked[len(ranked) - k :], ranked[:k]

    def _pair(
        self, names: Sequence[str], singles: Mapping[str, float]
    ) -> tuple[list[str], list[str]]:
        lower, upper = self.sft_models or names[::2], self.dpo_models or names[1::2]
        pairs = list(zip(lower, upper, strict=True))
        if not pairs:
            raise RequirementError("expo: there is no pair; list two members or more")

        def worth(pair: tuple[str, str]) -> float:
            source, target = singles[pair[0]], singles[pair[1]]
            by = {"dpo_score": target, "sft_score": source, "improvement": target - source}
            return round(by[self.pair_selection], 9)

        source, target = max(pairs, key=worth)
        return [source], [target]

    def _option(
        self, pool: Pool, sources: Sequence[str], targets: Sequence[str], alpha: float
    ) -> Option:
        """The model at this α."""
        weights = dict.fromkeys(pool.names, 0.0)
        for name in targets:
            weights[name] += (1 + alpha) / len(targets)
        for name in sources:
            weights[name] -= alpha / len(sources)
        weights = {name: round(weight, DECIMALS) + 0.0 for name, weight in weights.items()}
        return Option(weights, composed(pool, weights))

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """The answers of the model on the line."""
        option = self._option(pool, pool.names[:1], pool.names[1:2], self.alpha)
        weights = state["weights"] if state else option.weights
        return answered(pool, composed(pool, weights), weights, queries)
