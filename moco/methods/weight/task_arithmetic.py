"""Add the members' task vectors to their base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from moco.methods.task_vectors import TaskVectors
from moco.types import Json
from moco.weights.settings import Setting, TensorInfo

if TYPE_CHECKING:
    from torch import Tensor


class TaskArithmetic(TaskVectors):
    """base + scale · Σ weight · (member − base), every entry kept.

    A negative weight takes a member's skill away.
    """

    paper: ClassVar[str] = "Ilharco et al. 2023, arXiv 2212.04089"
    plain: ClassVar[Mapping[str, Json]] = {"normalize": True, "scale": 1.0}
    paper_preset: ClassVar[Mapping[str, Json]] = {"scale": 0.3}

    scale: Setting = Field(default=0.4)
    """What the sum of task vectors is multiplied by (λ in the paper, which picks it on held-out
    data; 0.3 without any).
    """

    def as_sum(self, names: Sequence[str]) -> list[float] | None:
        """Each member's weight times the scale."""
        weights = self.plain_weights(names)
        if weights is None or not isinstance(self.scale, int | float):
            return None
        total = sum(weights) if self.normalize and abs(sum(weights)) > 1e-8 else 1.0
        return [self.scale * weight / total for weight in weights]

    def thin(self, vector: Tensor, member: int, info: TensorInfo, facts: Any) -> Tensor:
        """All of it."""
        return vector
