"""The mean of the members' directions on the sphere, at their mean length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from moco.access import ModelFacts, Problem, Requires
from moco.methods.merging import WEIGHTS, WeightedMerge, out_of_range
from moco.types import Sampling
from moco.weights.settings import TensorInfo

if TYPE_CHECKING:
    from torch import Tensor

    from moco.weights.merge import Blocks


class Karcher(WeightedMerge[None]):
    """The point of the unit sphere with the least sum of squared arcs to the directions of the
    members' tensors (Riemannian centre of mass), times the weighted mean of their lengths.

    Slerp for more than two members. The mean is a combination of the tensors, so it is found from
    their inner products alone. Tensors of length 0 have no direction and count only for the mean
    length.
    """

    paper: ClassVar[str] = "Wang et al. 2026, arXiv 2603.04972"
    requires: ClassVar[Requires] = WEIGHTS
    on: ClassVar[Literal["weights", "deltas"]] = "weights"

    max_iter: int = Field(default=10, ge=1)
    """Most steps towards the mean."""
    tol: float = Field(default=1e-5, gt=0)
    """Angle of a step below which the mean is found, and length below which a tensor is 0."""

    @property
    def surveys(self) -> bool:
        """For the inner products."""
        return True

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Weights of a mean on the sphere are not negative."""
        wrong = [
            problem
            for setting in self.weights.values()
            for problem in out_of_range("weights", setting, 0, float("inf"))
        ]
        return [*super().problems(facts, sampling), *wrong]

    def survey(self, blocks: Blocks, info: TensorInfo) -> list[float]:
        """What each member's tensor is multiplied by."""
        from moco.weights import ops

        shares, gram = np.array(self.shares(info)), ops.gram(blocks)
        lengths = np.sqrt(gram.diagonal())
        valid = np.flatnonzero((lengths > self.tol) & (shares > 0))
        found = np.zeros(len(shares))
        if len(valid):
            own, inner = lengths[valid], gram[np.ix_(valid, valid)]
            cosines = inner / np.outer(own, own)
            mean = self._mean(cosines, shares[valid] / shares[valid].sum())
            found[valid] = float(shares @ lengths) * mean / own
        return [float(x) for x in found]

    def _mean(self, cosines_NN: np.ndarray, shares_N: np.ndarray) -> np.ndarray:
        """Coefficients of the unit vectors in their mean."""

        def length(c_N: np.ndarray) -> float:
            return float(np.sqrt(max(c_N @ cosines_NN @ c_N, 0.0)))

        mean_N = shares_N.copy()
        if length(mean_N) < self.tol:  # opposite directions have no mean: start at the first
            mean_N = np.eye(len(shares_N))[0]
        mean_N /= length(mean_N)
        for _ in range(self.max_iter):
            dots_N = (cosines_NN @ mean_N).clip(-1, 1)
            angles_N = np.arccos(dots_N)
            sines_N = np.sin(angles_N)
            apart_N = sines_N > self.tol
            pull_N = np.zeros_like(dots_N)
            np.divide(shares_N * angles_N, sines_N, out=pull_N, where=apart_N)
            step_N = pull_N - (pull_N @ dots_N) * mean_N
            size = length(step_N)
            if size < self.tol:
                break
            mean_N = np.cos(size) * mean_N + np.sin(size) / size * step_N
            mean_N /= length(mean_N)
        return mean_N

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The combination."""
        from moco.weights import ops

        return ops.weighted_sum(tensors, facts)
