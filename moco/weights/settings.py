"""Hyperparameters of a merge that may differ by layer and tensor, and what a rule is told of a
tensor; torch is not imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from moco import checkpoint
from moco.engine.cache import digest

Numbers = Annotated[list[float], Field(min_length=1)]
Gradient = float | Numbers
"""A number, or numbers spread evenly over the layers and interpolated between."""


class Filtered(BaseModel):
    """A value for the tensors whose name holds a text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Gradient
    filter: str = "*"
    """Part of a tensor's name, which is seen with a dot before it; `*` = every tensor."""


Setting = float | Numbers | Annotated[list[Filtered], Field(min_length=1)]
"""A number; numbers over the layers, first to last; or the first of several whose filter fits."""
PerMember = Setting | dict[str, Setting]
"""One setting for all members, or by member."""

TensorKind = Literal["embedding", "output", "matrix", "vector"]
LAYER = re.compile(r"\.(\d+)\.")


def value_at(setting: Setting, name: str, depth: float, default: float) -> float:
    """A setting's value for a tensor at a depth in [0, 1]; the default where no filter fits."""
    if isinstance(setting, int | float):
        return float(setting)
    if setting and isinstance(setting[0], Filtered):
        for own in setting:
            assert isinstance(own, Filtered)
            # the dot lets `.h.` fit `h.0.attn` as it fits `transformer.h.0.attn`
            if own.filter == "*" or own.filter in f".{name}":
                return value_at(own.value, name, depth, default)
        return default
    numbers = [float(x) for x in setting if not isinstance(x, Filtered)]
    return float(np.interp(depth * (len(numbers) - 1), range(len(numbers)), numbers))


def numbers_in(setting: PerMember) -> list[float]:
    """Every number that a setting may give, for checking its range."""
    if isinstance(setting, dict):
        return [x for own in setting.values() for x in numbers_in(own)]
    if isinstance(setting, int | float):
        return [float(setting)]
    given = [own.value if isinstance(own, Filtered) else own for own in setting]
    return [float(x) for own in given for x in (own if isinstance(own, list) else [own])]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor, or a block of whole rows of one, as a merge rule sees it."""

    name: str
    shape: tuple[int, ...]
    """Of the whole tensor."""
    kind: TensorKind
    depth: float
    """0 for the first layer and the embeddings, 1 for the last layer and what follows."""
    members: tuple[str, ...]
    """Aliases, in the order of the tensors that a rule is given."""
    keys: tuple[str, ...]
    """Fingerprints of the members, from which random numbers follow."""
    seed: int = 0
    start: int = 0
    """First element of the block in the flattened tensor."""
    stop: int = 0
    overall: Any = None
    """What the rule's `study` of the whole models found."""

    def at(self, setting: Setting, default: float = 1.0) -> float:
        """The setting's value for this tensor."""
        return value_at(setting, self.name, self.depth, default)

    def each(self, setting: PerMember, default: float = 1.0) -> list[float]:
        """Its value for every member; a member that is not named has the default."""
        if isinstance(setting, dict):
            return [self.at(setting.get(name, default), default) for name in self.members]
        return [self.at(setting, default)] * len(self.members)

    def noise(self, member: int) -> np.ndarray:
        """Uniform random numbers in 0…65535 for the block's elements, uint16: the same for a
        member, seed and tensor however it is cut into blocks.
        """
        key = digest([self.seed, self.keys[member], self.name])
        bits = np.random.PCG64(int(key[:32], 16))
        first = self.start // 4
        bits.advance(first)
        count = (self.stop + 3) // 4 - first
        drawn = np.random.Generator(bits).integers(0, 2**64 - 1, count, np.uint64, endpoint=True)
        offset = self.start - 4 * first
        return drawn.view(np.uint16)[offset : offset + self.stop - self.start]


def kind_of(name: str, shape: Sequence[int]) -> TensorKind:
    """What a tensor is, by its name and shape."""
    if name in checkpoint.OUTPUT_NAMES:
        return "output"
    if any(part in name for part in checkpoint.EMBEDDINGS):
        return "embedding"
    return "matrix" if len(shape) == 2 else "vector"


def depths(names: Iterable[str]) -> Mapping[str, float]:
    """Each tensor's depth: its layer's share of the way to the last; before them 0, after 1."""
    layers = {name: int(found[1]) if (found := LAYER.search(name)) else None for name in names}
    last = max((layer for layer in layers.values() if layer is not None), default=0)
    return {
        name: (layer / last if last else 1.0)
        if layer is not None
        else 0.0 if kind_of(name, ()) == "embedding" else 1.0
        for name, layer in layers.items()
    }  # fmt: skip
