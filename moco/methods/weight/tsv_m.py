"""Keep the main singular directions of each member's changes, and put them at right angles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from moco.access import ModelFacts, Problem
from moco.methods.merging import out_of_range
from moco.methods.spectral import Spectral
from moco.types import Json, Sampling
from moco.weights.settings import Setting, TensorInfo

if TYPE_CHECKING:
    from torch import Tensor


class TsvM(Spectral):
    """Of the changes of each matrix every member keeps its main singular directions; all left ones
    together, and all right ones, are replaced by the nearest orthonormal set, so that members
    disturb each other less; vectors and embeddings are averaged.

    As in the authors' code: 1 / n of the directions for n members, and the orthonormal set by
    Procrustes. Directions that a change does not have (its rank is lower, as an adapter's is) take
    no part. With all directions, equal members give that member back.
    """

    paper: ClassVar[str] = "Gargiulo et al. 2024, arXiv 2412.00081"
    plain: ClassVar[Mapping[str, Json]] = {"density": 1.0}

    density: Setting | None = Field(default=None)
    """Share of each member's singular directions that is kept; none = 1 / members, as published."""

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """A share lies between 0 and 1."""
        wrong = [] if self.density is None else out_of_range("density", self.density, 0, 1)
        return [*super().problems(facts, sampling), *wrong]

    def combine(
        self, matrices: Sequence[Tensor], shares: Sequence[float], info: TensorInfo
    ) -> Tensor:
        """U · Σ · V of all members' directions, U and V made orthonormal."""
        import torch

        from moco.weights import spectral

        count = len(matrices)
        density = 1 / count if self.density is None else info.at(self.density)
        kept = max(int(density * min(info.shape)), 1)
        parts = [
            spectral.svd(matrix * (share * count)).top(kept)
            for matrix, share in zip(matrices, shares, strict=True)
        ]
        u_MR = spectral.orthonormal(torch.cat([part.u_MR for part in parts], dim=1))
        v_RN = spectral.orthonormal(torch.cat([part.v_RN for part in parts]))
        return (u_MR * torch.cat([part.s_R for part in parts])) @ v_RN
