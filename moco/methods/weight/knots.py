"""Express all members' changes in one common basis, and merge them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from moco.access import ModelFacts, Problem
from moco.methods.merging import out_of_range
from moco.methods.spectral import Spectral
from moco.types import Json, Sampling
from moco.weights.settings import PerMember, TensorInfo

if TYPE_CHECKING:
    from torch import Tensor


class Knots(Spectral):
    """The changes of each matrix, side by side, are taken apart into U · Σ · [V₁ V₂ …]; each
    member's Σ · Vᵢ, all in one basis, are merged as TIES does; vectors and embeddings are averaged.

    As in the authors' code: members side by side along the input, singular values on the right
    factors, directions without a singular value left out, agreeing entries averaged. Made for
    adapters, whose changes agree more in such a basis than entry by entry; their low rank is made
    use of. The share that is kept is counted per matrix.
    """

    paper: ClassVar[str] = "Stoica et al. 2024, arXiv 2410.19735"
    paper_preset: ClassVar[Mapping[str, Json]] = {"scale": 0.5}

    density: PerMember = Field(default=1.0)
    """Share of the entries of each member's right factor that is kept, the largest in magnitude,
    also by member.
    """
    consensus: bool = True
    """Whether an entry counts only if its sign is that of the weighted sum, as in TIES."""

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """A share lies between 0 and 1."""
        wrong = out_of_range("density", self.density, 0, 1)
        return [*super().problems(facts, sampling), *wrong]

    def combine(
        self, matrices: Sequence[Tensor], shares: Sequence[float], info: TensorInfo
    ) -> Tensor:
        """U times the merged right factors."""
        import torch

        from moco.weights import ops, spectral

        found = spectral.svd(torch.cat([matrix.to(torch.float64) for matrix in matrices], dim=1))
        right_RN = (found.s_R[:, None] * found.v_RN).to(torch.float32)
        parts = [part.contiguous() for part in torch.split(right_RN, info.shape[1], dim=1)]
        size = parts[0].numel()
        counts = [int(density * size) for density in info.each(self.density)]
        if any(count < size for count in counts):
            for part, cut in zip(parts, ops.largest([parts], counts), strict=True):
                part.mul_(cut.keep(part))
        merged_RN = ops.signed_sum(parts, shares, elect=self.consensus, normalize=True)
        return found.u_MR @ merged_RN.to(torch.float64)
