"""A member drawn at random answers each question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from moco.access import Requires
from moco.methods.base import Level, Route, Router
from moco.pool import Pool
from moco.types import Query


class RandomRouter(Router[None]):
    """Each question goes to a member drawn uniformly; the draw depends on the run's seed and the
    question alone. The baseline that any router has to beat.
    """

    level: ClassVar[Level] = "baseline"
    paper: ClassVar[str] = "none (a baseline)"
    requires: ClassVar[Requires] = Requires(min_models=2)

    def choose(self, pool: Pool, queries: Sequence[Query], state: None) -> list[Route]:
        """The first member of a seeded permutation."""
        return [
            Route(pool.names[pool.shuffled(query, len(pool), "random_router")[0]])
            for query in queries
        ]
