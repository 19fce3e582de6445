"""Random search: the yardstick of the others at equal budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moco.search.base import Space


@dataclass(frozen=True, slots=True)
class RandomSearch:
    """The first points, then random ones that no score influences."""

    population: int = 10
    """Points of a generation after the first."""
    max_iterations: int = 100
    """Generations at most, that of the first points included."""

    def begin(self, space: Space, seed: int) -> Drawing:
        """The first generation is the space's."""
        return Drawing(self, space, seed)


class Drawing:
    """A random search under way."""

    def __init__(self, how: RandomSearch, space: Space, seed: int) -> None:
        self.how, self.space = how, space
        self.rng = np.random.default_rng(seed)
        self.rounds = 0

    def ask(self) -> np.ndarray:
        """The next draws."""
        start_ND = self.space.clip(np.array(self.space.start_ND, dtype=float))
        if self.rounds >= self.how.max_iterations:
            return start_ND[:0]
        return self.space.draw(self.rng, self.how.population) if self.rounds else start_ND

    def tell(self, scores_N: np.ndarray) -> None:
        """One round more."""
        self.rounds += 1
