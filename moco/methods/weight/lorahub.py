"""Adapters are composed by weights that a search without gradients finds on a few examples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, get_args

import numpy as np
from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires
from moco.errors import DataError
from moco.methods.base import Level, Method
from moco.methods.merging import WEIGHTS
from moco.methods.searching import (
    Ground,
    Option,
    Searching,
    SearchState,
    Weights,
    answered,
    composed,
    dev_scores,
    mean_of,
    rounded,
)
from moco.pool import Dev, Pool
from moco.prompts import as_answer
from moco.search.base import Space
from moco.types import AnswerKind, Json, Prediction, Query, Sampling

LOWEST = -1e9
"""Stands in for an objective that is no finite number."""
WRITTEN = frozenset(get_args(AnswerKind)) - {"code"}
"""Answer kinds whose references are answers as a model would write them."""


class LoraHub(Searching, Method[SearchState]):
    """LoRA adapters of one base are composed as base + Σ weight · adapter; the weights, each within
    a bound, are searched for the likeliest references (or the best score) on dev.

    The composition is that of the products B·A, exact for any ranks, scales and targets; a whole
    generation of weights is one batch on one loaded base. The search starts at the base itself,
    every adapter alone, and their mean. With `guard` the base and the adapters alone have to be
    beaten.
    """

    level: ClassVar[Level] = "weight"
    paper: ClassVar[str] = "Huang et al. 2023, arXiv 2307.13269 (LoraHub)"
    requires: ClassVar[Requires] = replace(
        WEIGHTS,
        access=WEIGHTS.access | Access.LOGPROBS,
        same=WEIGHTS.same | {"base"},
        answers=WRITTEN,
        dev=True,
    )
    paper_preset: ClassVar[Mapping[str, Json]] = {"examples": 5, "guard": False, "budget": 40}

    objective: Literal["likelihood", "score"] = "likelihood"
    """What is maximised: the log-probability of each example's reference, mean over its tokens and
    over examples; or the task's score of generated answers.
    """
    examples: int = Field(default=64, ge=1, le=1_000_000)
    """How many dev questions are searched on at most, a seeded sample; 32 or more tell candidates
    apart.
    """
    bound: float = Field(default=1.5, gt=0, le=100)
    """Weights lie between −bound and bound."""
    regular_coef: float = Field(default=0.05, ge=0, le=100)
    """What the mean magnitude of the weights is multiplied by and taken off the objective."""
    max_iterations: int = Field(default=100, ge=1, le=10_000)
    """Generations at most."""

    def needs(self) -> Requires:
        """Likelihoods need log-probabilities, and references that can be written as answers."""
        if self.objective == "likelihood":
            return self.requires
        return replace(self.requires, access=WEIGHTS.access, answers=None)

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Members have to be adapters."""
        fix = "list LoRA adapters of one base; model_swarms takes full checkpoints"
        return [
            Problem(f"pool.{name}", "is a full checkpoint, not an adapter", fix)
            for name, known in facts.items()
            if known is not None and known.architecture and not known.adapter
        ]

    def fit(self, pool: Pool, dev: Dev) -> SearchState:
        """The search."""
        names = pool.names
        if self.objective == "likelihood":
            dev = replace(dev, samples=[s for s in dev.samples if s.target])
            if not len(dev):
                raise DataError(
                    "lorahub: no dev question has a reference answer; set method.objective: score"
                )
        nothing = dict.fromkeys(names, 0.0)
        ground = Ground(
            pool=pool,
            dev=dev,
            space=self._space(len(pool), pool.context.seed),
            weights_of=lambda row: rounded(names, row),
            model_of=lambda weights: composed(pool, weights),
            objective=lambda candidates, part: self._objective(pool, candidates, part),
            extras=[Option(nothing, composed(pool, nothing))],
            questions=self.examples,
        )
        return self.searched(ground)

    def _space(self, n: int, seed: int) -> Space:
        """The box, and the first candidates: nothing, each alone, the mean, then random ones."""
        known = np.vstack([np.zeros(n), np.eye(n), np.full(n, 1 / n)])
        space = Space(known, -self.bound, self.bound)
        missing = max(self.population - len(known), 0)
        more = space.draw(np.random.default_rng([seed, 1]), missing)
        return replace(space, start_ND=np.vstack([known, more]))

    def _objective(self, pool: Pool, candidates: Sequence[Weights], part: Dev) -> list[float]:
        """The objective of every candidate, all asked in one job; rounded, so that it does not
        depend on batches.
        """
        if self.objective == "likelihood":
            values = self._likelihoods(pool, candidates, part)
        else:
            models = [composed(pool, weights) for weights in candidates]
            values = [mean_of(own) for own in dev_scores(pool, models, part)]
        sizes = [sum(map(abs, weights.values())) / len(weights) for weights in candidates]
        return [
            round(value, 4) - self.regular_coef * size if math.isfinite(value) else LOWEST
            for value, size in zip(values, sizes, strict=True)
        ]

    def _likelihoods(self, pool: Pool, candidates: Sequence[Weights], part: Dev) -> list[float]:
        """Each candidate's mean log-probability per token of the references."""
        queries = part.queries
        texts = [as_answer(query, part.references(query)[0]) for query in queries]
        asked = [
            (model, query.prompt, text)
            for model in (composed(pool, weights) for weights in candidates)
            for query, text in zip(queries, texts, strict=True)
        ]
        ids = [query.id for query in queries] * len(candidates)
        found = pool.loglikelihood(asked, stage="dev search", query_ids=ids)
        each = [own.total / max(len(own.logprobs), 1) for own in found]
        n = len(queries)
        return [mean_of(each[i * n : (i + 1) * n]) for i in range(len(candidates))]

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: SearchState | None
    ) -> list[Prediction]:
        """The composition's answers."""
        weights = state["weights"] if state else dict.fromkeys(pool.names, 1 / len(pool))
        return answered(pool, composed(pool, weights), weights, queries)
