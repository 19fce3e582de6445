"""Drop entries of task vectors at random, rescale the others, elect signs, average what agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np

from moco.access import ModelFacts, Problem, Requires
from moco.methods.searching import (
    Ground,
    Searching,
    SearchState,
    Weights,
    answered,
    rounded,
    shown,
)
from moco.methods.task_vectors import Dropped
from moco.pool import Dev, Model, Pool
from moco.search.base import Space
from moco.types import Json, Prediction, Query, Sampling


class DareTies(Searching, Dropped):
    """Entries of each task vector are dropped at random and the others rescaled; then the sign of
    their weighted sum is elected, and the entries of that sign are averaged.

    With mode `optimized` the weights are searched on dev: any numbers, started at equal ones and at
    each member alone. The agreeing entries are then added up, as the weights also set the size.
    """

    paper: ClassVar[str] = "Yu et al. 2023, arXiv 2311.03099 (DARE); Yadav et al. 2023, 2306.01708"
    plain: ClassVar[Mapping[str, Json]] = {"density": 1.0}
    elects: ClassVar[bool] = True
    paper_preset: ClassVar[Mapping[str, Json]] = {"density": 0.1, "guard": False}

    mode: Literal["average", "optimized"] = "average"
    """Whether the weights are given, or searched on dev (the hyperparameters of a search count only
    then).
    """
    normalize: bool = True
    """Whether agreeing entries are averaged (as published for TIES) or added (mergekit; always with
    mode `optimized`).
    """

    def needs(self) -> Requires:
        """Only a search needs dev."""
        return replace(self.requires, dev=self.mode == "optimized")

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Weights are given or searched, not both."""
        found = super().problems(facts, sampling)
        if self.mode == "optimized" and self.weights:
            what = "are given, and searched in mode optimized"
            found.append(Problem("method.weights", what, "leave them out, or set mode: average"))
        return found

    def identity(self, names: Sequence[str]) -> dict[str, Json]:
        """What the merged weights depend on, however they were found."""
        found = super().identity(names)
        return {k: v for k, v in found.items() if k != "mode" and k not in Searching.model_fields}

    def fit(self, pool: Pool, dev: Dev) -> SearchState | None:  # type: ignore[override]
        """The search, in mode `optimized`."""
        if self.mode == "average":
            return None
        names = pool.names
        ground = Ground(
            pool=pool,
            dev=dev,
            space=self._space(len(pool), pool.context.seed),
            weights_of=lambda row: rounded(names, row),
            model_of=lambda weights: self._merged(pool, weights),
        )
        return self.searched(ground)

    def _space(self, n: int, seed: int) -> Space:
        """The first candidates: equal weights that add up to 1, all 1, each alone, random ones."""
        known = np.vstack([np.full(n, 1 / n), np.ones(n), np.eye(n)])
        space = Space(known)
        missing = max(self.population - len(known), 0)
        more = space.draw(np.random.default_rng([seed, 1]), missing)
        return replace(space, start_ND=np.vstack([known, more]))

    def _merged(self, pool: Pool, weights: Weights) -> Model:
        changes = {"weights": weights, "normalize": False, "mode": "average"}
        return pool.merge(self.model_copy(update=changes), shown(weights))

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: SearchState | None
    ) -> list[Prediction]:
        """The merged model's answers."""
        if not state:
            return super().predict(pool, queries, None)
        weights, single = state["weights"], state["single"]
        model = pool.named(single) if single else self._merged(pool, weights)
        return answered(pool, model, weights, queries)
