"""Select the entries that differ most, weight members by their energy, erase minority signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from moco.access import ModelFacts, Problem
from moco.methods.merging import MergeMethod, out_of_range
from moco.types import Sampling
from moco.weights.settings import Setting, TensorInfo

if TYPE_CHECKING:
    from torch import Tensor

    from moco.weights.merge import Blocks
    from moco.weights.ops import Cut


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a tensor."""

    cut: Cut | None
    """The entries that are selected, by their variance; none = all."""
    shares: list[float]
    """Each member's weight."""


class Sce(MergeMethod[None]):
    """Of the task vectors those entries are kept that vary most between members; each member
    weighs as much as the squares of its kept entries; an entry counts only where its sign is that
    of the sum.

    All three steps are per tensor. Only selected entries are merged, as in mergekit; the authors'
    code selects for the weights alone.
    """

    paper: ClassVar[str] = "Wan et al. 2024, arXiv 2408.07990 (FuseChat)"

    select_topk: Setting = Field(default=1.0)
    """Share of the entries that is kept, of those whose variance is not 0."""
    least_energy: float = Field(default=0.0, ge=0)
    """Sum over the members of the mean square of their kept entries below which they weigh alike;
    mergekit has 1e-6, which fine-tuned models often do not reach.
    """

    @property
    def surveys(self) -> bool:
        """For the variances and energies."""
        return True

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """A share lies between 0 and 1."""
        wrong = out_of_range("select_topk", self.select_topk, 0, 1)
        return [*super().problems(facts, sampling), *wrong]

    def survey(self, blocks: Blocks, info: TensorInfo) -> Found:
        """The selection and the weights."""
        import torch

        from moco.weights import ops

        cut = self._selection(blocks, info.at(self.select_topk))
        here = None if cut is None else replace(cut)
        energies = np.zeros(len(info.members))
        for tensors in blocks:
            kept = None if here is None else here.keep(ops.variance(tensors))
            for i, tensor in enumerate(tensors):
                chosen = tensor if kept is None else tensor * kept
                energies[i] += float(chosen.square().sum(dtype=torch.float64))
        total = energies.sum()
        alike = total == 0 or total / info.stop < self.least_energy
        shares = np.full(len(energies), 1 / len(energies)) if alike else energies / total
        return Found(cut, shares.tolist())

    def _selection(self, blocks: Blocks, share: float) -> Cut | None:
        import torch

        from moco.weights import ops

        if share >= 1 or len(next(iter(blocks))) == 1:
            return None  # a single member's entries do not vary
        varying = sum(int(torch.count_nonzero(ops.variance(tensors))) for tensors in blocks)
        variances = ops.Mapped(blocks, lambda tensors: [ops.variance(tensors)])
        return ops.largest(variances, [int(varying * share)])[0]

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The weighted mean of the selected entries that agree."""
        from moco.weights import ops

        if facts.cut is not None:
            kept = facts.cut.keep(ops.variance(tensors))
            tensors = [tensor.mul_(kept) for tensor in tensors]
        return ops.agreeing_mean(tensors, facts.shares)
