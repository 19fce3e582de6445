"""CMA-ES by the `cmaes` library, started at the best of the first points.

Of the two maintained libraries this one is small, needs numpy alone, keeps its random numbers to
itself, takes one dimension too, and writes no files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from moco.errors import MissingExtraError
from moco.search.base import Space

if TYPE_CHECKING:
    from cmaes import CMA

SMALLEST = 4
"""Points of a generation at least; with fewer the covariance is not learnt."""


@dataclass(frozen=True, slots=True)
class Cma:
    """Covariance matrix adaptation."""

    population: int = 10
    """Points of a generation, 4 at least."""
    max_iterations: int = 100
    """Generations at most, that of the first points included."""

    def begin(self, space: Space, seed: int) -> Adapting:
        """The first generation is the space's; raises `MissingExtraError` without `cmaes`."""
        try:
            from cmaes import CMA
        except ImportError as error:
            raise MissingExtraError("CMA-ES", "search") from error
        return Adapting(self, space, seed, CMA)


class Adapting:
    """A search by CMA-ES under way."""

    def __init__(self, how: Cma, space: Space, seed: int, cma: type[CMA]) -> None:
        self.how, self.space, self.seed, self._cma = how, space, seed, cma
        self.x_ND = space.clip(np.array(space.start_ND, dtype=float))
        self.inner: Any = None
        self.rounds = 0

    def ask(self) -> np.ndarray:
        """The first points, then draws from the adapted distribution."""
        if self.rounds >= self.how.max_iterations or (self.inner and self.inner.should_stop()):
            return self.x_ND[:0]
        if self.inner is not None:
            size = self.inner.population_size
            self.x_ND = np.stack([self.inner.ask() for _ in range(size)])
        return self.x_ND

    def tell(self, scores_N: np.ndarray) -> None:
        """Adapt; the first scores say where to begin."""
        self.rounds += 1
        if self.inner is None:
            self.inner = self._begun(self.x_ND[int(scores_N.argmax())])
            return
        self.inner.tell([(x, -float(s)) for x, s in zip(self.x_ND, scores_N, strict=True)])

    def _begun(self, mean_D: np.ndarray) -> CMA:
        space, width = self.space, len(mean_D)
        box = np.asarray([[space.low, space.high]] * width)
        spread = (space.high - space.low) / 4 if space.boxed else space.spread
        return self._cma(
            mean=mean_D,
            sigma=float(spread),
            bounds=None if np.isinf(box).all() else box,
            seed=self.seed % 2**32,
            population_size=max(self.how.population, SMALLEST),
        )
