"""The result of a merge in memory, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moco.weights.merge import Combination, Merge, Part, Recipe


def parts(folders: Sequence[Path], adapters: Sequence[Path] = ()) -> tuple[Part, ...]:
    """Members called a, b, c: checkpoints, or adapters on the one checkpoint."""
    names = "abcdefgh"
    if adapters:
        return tuple(Part(n, a.name, folders[0], a) for n, a in zip(names, adapters, strict=False))
    return tuple(Part(n, f.name, f) for n, f in zip(names, folders, strict=False))


def gather(recipe: Recipe, **options: Any) -> dict[str, Tensor]:
    """Every tensor of the result, in float32 or as stored."""
    merge = Merge(recipe, **options)
    found: dict[str, Tensor] = {}

    def put(name: str, start: int, block: Tensor) -> None:
        whole = found.setdefault(
            name, torch.full(merge.like.slots[name].shape, float("nan"), dtype=block.dtype)
        )
        whole.view(-1)[start : start + block.numel()] = block.reshape(-1)

    merge.run(put)
    return found


def rule(rule: Any, folders: Sequence[Path], base: Path | None = None, **options: Any) -> Recipe:
    """A recipe for checkpoints."""
    return Recipe(rule, parts(folders), base, **options)


def linear(folders: Sequence[Path], weights: Sequence[float]) -> Recipe:
    """Σ weight · checkpoint."""
    return Recipe(Combination(tuple(weights)), parts(folders))


def composed(base: Path, adapters: Sequence[Path], weights: Sequence[float]) -> Recipe:
    """base + Σ weight · adapter's delta."""
    return Recipe(Combination(tuple(weights), on="deltas"), parts([base], adapters))
