"""Walk from one member's weights to another's along the sphere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from moco.access import ModelFacts, Problem, Requires
from moco.methods.merging import WEIGHTS, MergeMethod, out_of_range
from moco.types import Sampling
from moco.weights.settings import Setting, TensorInfo

if TYPE_CHECKING:
    from torch import Tensor

    from moco.weights.merge import Blocks

COLLINEAR = 0.9995
"""Cosine beyond which the arc is as good as straight, and the weights are averaged linearly."""


class Slerp(MergeMethod[None]):
    """Spherical linear interpolation between the weights of two members, tensor by tensor.

    The angle is that of the tensors as vectors; almost collinear ones (cosine above 0.9995 or
    below −0.9995) and zeros are interpolated linearly. Lengths are not normalised.
    """

    paper: ClassVar[str] = "Shoemake 1985 (slerp of quaternions)"
    requires: ClassVar[Requires] = replace(WEIGHTS, max_models=2)
    on: ClassVar[Literal["weights", "deltas"]] = "weights"
    symmetric: ClassVar[bool] = False

    t: Setting = Field(default=0.5)
    """How far to go: 0 is the first member, 1 the second."""

    @property
    def surveys(self) -> bool:
        """For the angle."""
        return True

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """The way lies between the members."""
        return [*super().problems(facts, sampling), *out_of_range("t", self.t, 0, 1)]

    def survey(self, blocks: Blocks, info: TensorInfo) -> tuple[float, float]:
        """What both members are multiplied by."""
        from moco.weights import ops

        t, gram = info.at(self.t), ops.gram(blocks)
        lengths = math.sqrt(gram[0, 0] * gram[1, 1])
        cosine = gram[0, 1] / lengths if lengths else 1.0
        if abs(cosine) > COLLINEAR:
            return 1 - t, t
        angle = math.acos(cosine)
        return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)

    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """The point on the arc."""
        from moco.weights import ops

        return ops.weighted_sum(tensors, facts)
