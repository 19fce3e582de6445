"""What each member of a merge counts for, from its hyperparameters alone; torch is not imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moco.checkpoint import Slot
from moco.methods.merging import MergeMethod, WeightedMerge
from moco.methods.task_vectors import TaskVectors
from moco.methods.weight.linear import Linear
from moco.methods.weight.slerp import Slerp
from moco.methods.weight.task_arithmetic import TaskArithmetic
from moco.weights.settings import TensorInfo, depths, kind_of


@dataclass(frozen=True, slots=True)
class Span:
    """The smallest and the largest of a member's weights over the tensors."""

    low: float
    high: float

    def __str__(self) -> str:
        low, high = f"{self.low:.4g}", f"{self.high:.4g}"
        return low if low == high else f"{low} to {high}"


def shares(method: MergeMethod[Any], info: TensorInfo) -> list[float] | None:
    """What each member's tensor (or its difference to the base) is multiplied by: its weight, made
    to add up to 1 where the merge does so, and scaled. Entries that a merge leaves out, or whose
    signs disagree, count for less; None where the tensors themselves decide.
    """
    if isinstance(method, Slerp):
        t = info.at(method.t)
        return [1 - t, t]
    if not isinstance(method, WeightedMerge):
        return None
    if method.relative:
        return method.shares(info)
    weights = info.each(method.weights)
    if not isinstance(method, TaskVectors):
        return weights
    total, scale = sum(weights), info.at(method.scale)
    if not method.normalize or abs(total) <= 1e-8:
        total = 1.0
    return [w / total * scale for w in weights]


def is_sum(method: MergeMethod[Any]) -> bool:
    """Whether the result is the members' tensors times their shares, added up, and no more."""
    return isinstance(method, Linear | TaskArithmetic)


def infos(slots: Mapping[str, Slot], members: Sequence[str]) -> list[TensorInfo]:
    """Every floating-point tensor of a checkpoint as a merge sees it."""
    deep = depths(slots)
    return [
        TensorInfo(
            name, slot.shape, kind_of(name, slot.shape), deep[name], tuple(members),
            ("",) * len(members), stop=slot.num_items,
        )
        for name, slot in sorted(slots.items())
        if slot.is_float
    ]  # fmt: skip


def spans(
    method: MergeMethod[Any], slots: Mapping[str, Slot], members: Sequence[str]
) -> dict[str, Span] | None:
    """The weights of every member over all tensors."""
    rows = [shares(method, info) for info in infos(slots, members)]
    known = [row for row in rows if row is not None]
    if not known or len(known) < len(rows):
        return None
    columns = zip(*known, strict=True)
    return {
        name: Span(min(column), max(column)) for name, column in zip(members, columns, strict=True)
    }
