"""Questions are clustered; each cluster goes to the member that is best on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from moco.methods import votes
from moco.methods.base import Level
from moco.pool import Pool
from moco.routing import clusters
from moco.routing.base import SoftRouter
from moco.routing.decide import Estimates
from moco.routing.table import DevTable
from moco.types import Json, Prediction, Query, Request


class ClusterRouting(SoftRouter):
    """k-means over the embeddings of dev questions; a question goes to the member of the best mean
    score on the clusters nearest to it, and may be sampled several times and voted.
    """

    level: ClassVar[Level] = "api"
    paper: ClassVar[str] = "Zhang et al. 2025, arXiv 2505.19797 (Avengers)"
    paper_preset: ClassVar[dict[str, Json]] = {
        "num_clusters": 64, "guard": False, "k": 10, "nearest": 1,
    }  # fmt: skip

    num_clusters: int = Field(default=0, ge=0, le=10_000)
    """Clusters; 0 = the number that predicts left-out dev scores best."""
    nearest: int = Field(default=1, ge=1, le=100)
    """Clusters whose scores are averaged for a question."""
    k: int = Field(default=1, ge=1, le=100)
    """Answers that the chosen member gives; above 1 they are drawn at `temperature` and voted."""

    def learn(self, pool: Pool, table: DevTable, vectors_QE: np.ndarray) -> dict[str, Json]:
        """Centres, and scores per cluster."""
        size = min(self.num_clusters, len(table.queries))
        seed = pool.context.seed
        arrays = clusters.fit(vectors_QE, table.scores_QM, table.best, seed, size)
        return {"clusters": len(arrays["centres_CE"]), "arrays": pool.keep(arrays)}

    def estimate(
        self, pool: Pool, learnt: dict[str, Json], queries: Sequence[Query], vectors_QE: np.ndarray
    ) -> Estimates:
        """The members' scores on the clusters nearest to each question."""
        return clusters.estimate(pool.kept(learnt["arrays"]), vectors_QE, self.nearest)

    def predict(self, pool: Pool, queries: Sequence[Query], state: Any) -> list[Prediction]:
        """The chosen member's answer, or the vote over its samples."""
        if self.k == 1:
            return super().predict(pool, queries, state)
        routes = self.choose(pool, queries, state)
        sampling = replace(pool.context.sampling, temperature=self.temperature)
        requests = [
            Request(r.member, q.prompt, sampling, draw=draw, query_id=q.id, stage="sample")
            for q, r in zip(queries, routes, strict=True)
            for draw in range(self.k)
        ]
        given = pool.generate(requests)
        predictions = []
        for i, (query, route) in enumerate(zip(queries, routes, strict=True)):
            own = given[i * self.k : (i + 1) * self.k]
            pick, support = votes.plurality(own, query)
            notes = {**route.notes, "votes": support, "samples": self.k}
            text, stop = own[pick].text, own[pick].stop
            predictions.append(Prediction(query.id, text, (route.member,), stop, notes))
        return predictions
