"""Add up the members' changes and give all singular directions of the sum the same strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from moco.access import ModelFacts, Problem
from moco.methods.merging import out_of_range
from moco.methods.spectral import Spectral, summed
from moco.types import Sampling
from moco.weights.settings import Setting, TensorInfo

if TYPE_CHECKING:
    from torch import Tensor


class IsoC(Spectral):
    """The changes of each matrix are added up and every singular value of the sum is replaced by
    their mean, so that no member's direction dominates; vectors and embeddings are averaged.

    `common_space` below 1 is Iso-CTS: the weakest directions of the sum make room for the
    strongest ones of each member outside the common space. Directions without a singular value
    (where the sum is of lower rank, as adapters' is) stay without: the mean is over those there
    are. Equal members do not give that member back, as its own spectrum is levelled too.
    """

    paper: ClassVar[str] = "Marczak et al. 2025, arXiv 2502.04959"
    idempotent: ClassVar[bool] = False

    common_space: Setting = Field(default=1.0)
    """Share of the directions that are the sum's; the others are the members' own, equally many of
    each (0.8 in the authors' Iso-CTS).
    """

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """A share lies between 0 and 1."""
        wrong = out_of_range("common_space", self.common_space, 0, 1)
        return [*super().problems(facts, sampling), *wrong]

    def combine(
        self, matrices: Sequence[Tensor], shares: Sequence[float], info: TensorInfo
    ) -> Tensor:
        """The levelled sum."""
        import torch

        from moco.weights import spectral

        common = spectral.svd(summed(matrices, shares))
        rank, share = len(common.s_R), info.at(self.common_space)
        own = min(round((rank - int(rank * share)) / len(matrices)), rank // len(matrices))
        if not own:
            return level(common.u_MR, common.s_R, common.v_RN)
        parts = [common.top(rank - own * len(matrices))]
        for matrix, weight in zip(matrices, shares, strict=True):
            rest = matrix.to(torch.float64) * (weight * len(matrices))
            rest = rest - parts[0].u_MR @ (parts[0].u_MR.T @ rest)
            parts.append(spectral.svd(rest).top(own))
        u_MR = spectral.orthonormal(torch.cat([part.u_MR for part in parts], dim=1))
        v_RN = spectral.orthonormal(torch.cat([part.v_RN for part in parts]))
        return level(u_MR, torch.cat([part.s_R for part in parts]), v_RN)


def level(u_MR: Tensor, s_R: Tensor, v_RN: Tensor) -> Tensor:
    """U · V times the mean singular value."""
    return (u_MR @ v_RN).mul_(float(s_R.mean()) if len(s_R) else 0.0)
