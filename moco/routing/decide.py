"""From estimated scores and costs to a member for each question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DIGITS = 9
"""Estimates are rounded before they are compared, so that ties do not hang on rounding errors."""
SWEEP: tuple[float, ...] = (0.0, *(float(w) for w in np.geomspace(0.005, 5, 49)))
"""Cost weights of the accuracy-cost curve."""


@dataclass(frozen=True)
class Estimates:
    """What is expected of each member on each question."""

    scores_QM: np.ndarray
    """Estimated scores."""
    errors_QM: np.ndarray
    """Standard error of a member's estimate less the best dev member's; 0 where unknown."""


@dataclass(frozen=True)
class Standing:
    """The members on dev: what decides where questions do not."""

    means: np.ndarray
    """Mean dev score per member."""
    costs: np.ndarray
    """Mean dev cost per member."""

    @property
    def relative(self) -> np.ndarray:
        """Costs as shares of the costliest member's."""
        top = float(self.costs.max())
        return self.costs / top if top > 0 else np.zeros_like(self.costs)

    def best(self, cost_weight: float = 0.0) -> int:
        """The member of the best mean score less weighted cost, the first on ties."""
        return int(np.argmax(np.round(self.means - cost_weight * self.relative, DIGITS)))


def decide(
    found: Estimates, standing: Standing, *, cost_weight: float = 0.0, guard: bool = True
) -> np.ndarray:
    """The member per question, shape [questions]: argmax of estimate − weight · relative cost.

    Ties go to the better dev mean, then to the lower index. With `guard` the best dev member
    answers where the gain over it is below its standard error.
    """
    net_QM = np.round(found.scores_QM - cost_weight * standing.relative, DIGITS)
    rank_M = np.lexsort((np.arange(len(standing.means)), -np.round(standing.means, DIGITS)))
    chosen_Q: np.ndarray = rank_M[np.argmax(net_QM[:, rank_M], axis=1)]
    if not guard:
        return chosen_Q
    best = standing.best(cost_weight)
    rows = np.arange(len(net_QM))
    gain_Q = net_QM[rows, chosen_Q] - net_QM[:, best]
    return np.where(gain_Q < found.errors_QM[rows, chosen_Q], best, chosen_Q)
