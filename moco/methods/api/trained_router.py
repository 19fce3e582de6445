"""A router learnt on dev: each member's score is estimated from the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from moco.access import ModelFacts, Problem
from moco.methods.base import Level
from moco.pool import Dev, Pool
from moco.routing import factors, knn, ridge, validate
from moco.routing.base import SoftRouter, SoftState
from moco.routing.decide import Estimates
from moco.routing.table import DevTable, observe, vectors
from moco.types import Json, Query, Sampling

ESTIMATORS = {"ridge": ridge, "knn": knn, "factors": factors}
"""Kind → how it is fitted, asked, and joined by a newcomer."""
LEAST_PROFILED = 2
"""Questions that a newcomer has to answer at least."""


class TrainedRouter(SoftRouter):
    """Estimates every member's score for a question and asks the member of the highest one, less
    weighted cost.

    `ridge` regression, nearest neighbours (`knn`) and matrix factorisation (`factors`, as in
    RouteLLM, for any number of members) work on sentence embeddings and take seconds on a CPU. All
    learn from soft scores, so that ties teach nothing. The state holds a cross-validation of the
    router on dev.
    """

    level: ClassVar[Level] = "api"
    paper: ClassVar[str] = "Ong et al. 2024, arXiv 2406.18665 (RouteLLM)"
    paper_preset: ClassVar[Mapping[str, Json]] = {"kind": "factors", "guard": False}

    kind: Literal["ridge", "knn", "factors"] = "ridge"
    """How scores are estimated."""
    newcomers: Mapping[str, Annotated[int, Field(ge=LEAST_PROFILED)]] = Field(default_factory=dict)
    """Alias → number of dev questions that this member answers: it joins the router from these,
    while what was learnt of the others stays as it is.
    """

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Newcomers must be members, and leave some that are none."""
        found = []
        for name in self.newcomers:
            if name not in facts:
                members = "members: " + ", ".join(facts)
                what = f"no pool member is called '{name[:80]}'"
                found.append(Problem("method.newcomers", what, members))
        if self.newcomers and len(set(facts) - set(self.newcomers)) < 2:
            what = "leaves fewer than two members to learn from"
            found.append(Problem("method.newcomers", what, "take members out of it"))
        return found

    def observe(self, pool: Pool, dev: Dev) -> DevTable:
        """Newcomers answer a few dev questions only."""
        return observe(
            pool, dev, runs=self.runs, temperature=self.temperature, newcomers=self.newcomers
        )

    def learn(self, pool: Pool, table: DevTable, vectors_QE: np.ndarray) -> dict[str, Json]:
        """The estimator, newcomers joined one by one, and its cross-validation."""
        seed = pool.context.seed
        kind = ESTIMATORS[self.kind]
        old = [i for i, name in enumerate(table.names) if name not in self.newcomers]
        place = int(np.argmax(np.round(table.means[old], 9)))
        arrays = kind.fit(vectors_QE, table.scores_QM[:, old], place, seed)
        order = list(old)
        for member in (i for i in range(len(table.names)) if i not in old):
            asked = np.isfinite(table.scores_QM[:, member])
            known = vectors_QE[asked], table.scores_QM[asked, member]
            arrays = kind.admit(arrays, *known, place)
            order.append(member)
        checked = validate.cross_validated(kind, vectors_QE, table.scores_QM[:, old], self, seed)
        return {"kind": self.kind, "order": order, "arrays": pool.keep(arrays), "dev": checked}

    def estimate(
        self, pool: Pool, learnt: dict[str, Json], queries: Sequence[Query], vectors_QE: np.ndarray
    ) -> Estimates:
        """Every member's score for each question."""
        found = ESTIMATORS[self.kind].estimate(pool.kept(learnt["arrays"]), vectors_QE)
        columns = np.argsort(learnt["order"])
        return Estimates(found.scores_QM[:, columns], found.errors_QM[:, columns])

    def admit(self, pool: Pool, state: SoftState, name: str, dev: Dev) -> SoftState:
        """The state with one more member of the pool, which answers only these questions; what was
        learnt of the others stays as it is.
        """
        table = observe(pool.of([name]), dev)
        kind, learnt = ESTIMATORS[self.kind], state["learnt"]
        best = learnt["order"].index(int(np.argmax(np.round(state["means"], 9))))
        known = vectors(pool, table.queries), table.scores_QM[:, 0]
        arrays: Any = kind.admit(pool.kept(learnt["arrays"]), *known, best)
        order = [*learnt["order"], len(state["members"])]
        return {
            "members": [*state["members"], name],
            "means": [*state["means"], float(table.means[0])],
            "costs": [*state["costs"], float(table.mean_costs[0])],
            "learnt": {**learnt, "order": order, "arrays": pool.keep(arrays)},
        }
