"""A composition of adapters, Σ weight · adapter, as one PEFT adapter: stacked, which is exact, or
of a lower rank by truncated singular value decomposition.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from moco import checkpoint, lora
from moco.errors import ConfigError, ModelFormatError, clip
from moco.facts import base_digest
from moco.lora import LoraModule
from moco.weights import reader


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    ranks: Mapping[str, int]
    """Rank of every layer's factors."""
    error: float
    """‖change − exact change‖ / ‖exact change‖ over all layers (Frobenius); 0 for a stack."""
    worst: float
    """The largest such error of one layer."""
    num_read: int
    """Bytes of the parents' factors."""
    num_bytes: int

    def __str__(self) -> str:
        ranks = sorted(set(self.ranks.values()))
        shown = str(ranks[0]) if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
        told = f"relative error {self.error:.3g}, of the worst layer {self.worst:.3g}"
        return f"adapter of rank {shown}, {told if self.error else 'exact'}"


@dataclass(frozen=True, slots=True)
class Stack:
    """A layer's change, B · A, in factors: B [out, rank], A [rank, in], in float64."""

    b: Tensor
    a: Tensor
    transposed: bool


def write(
    folder: Path,
    base: Path,
    adapters: Sequence[Path],
    weights: Callable[[str], Sequence[float]],
    rank: int | None = None,
) -> Exported:
    """Writes a PEFT adapter of a base into a folder that exists.

    `weights` gives every adapter's weight for a tensor of the base by its name. With a rank,
    layers of a higher one are truncated to it.
    """
    slots = checkpoint.unique(base)
    found = [lora.read(adapter) for adapter in adapters]
    for path in adapters:
        checkpoint.check_file_finite(path / lora.WEIGHTS)
    for adapter in found:
        lora.check_fits(adapter, slots, checkpoint.digest(slots), base)
    tensors: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    squares = [0.0, 0.0]
    worst = 0.0
    for name in sorted({name for adapter in found for name in adapter.modules}):
        modules = [adapter.modules.get(name) for adapter in found]
        stack = stacked(modules, weights(lora.tensor_name(name, slots) or f"{name}.weight"))
        cut, lost, whole = truncated(stack, rank)
        squares = [squares[0] + lost, squares[1] + whole]
        worst = max(worst, math.sqrt(lost / whole) if whole else 0.0)
        ranks[name] = len(cut.a)
        tensors[f"{lora.PREFIX}{name}.lora_A.weight"] = cut.a.float().contiguous()
        tensors[f"{lora.PREFIX}{name}.lora_B.weight"] = cut.b.float().contiguous()
    try:
        save_file(tensors, folder / lora.WEIGHTS, metadata={"format": "pt"})
    except SafetensorError as failure:  # a full disk, for example
        raise OSError(str(failure)) from failure
    _write_settings(folder, base, found[0], ranks)
    error = math.sqrt(squares[0] / squares[1]) if squares[1] else 0.0
    read = sum(adapter.num_bytes for adapter in found)
    return Exported(ranks, error, worst, read, (folder / lora.WEIGHTS).stat().st_size)


def stacked(modules: Sequence[LoraModule | None], weights: Sequence[float]) -> Stack:
    """The weighted sum of several adapters' changes of one layer, exact: their ranks one after the
    other. Raises `ModelFormatError` where they store the layer in different ways.
    """
    here = [(m, w) for m, w in zip(modules, weights, strict=True) if m is not None]
    if len({m.transposed for m, _ in here}) > 1:
        raise ModelFormatError(
            f"layer '{clip(here[0][0].name)}': fan_in_fan_out of the adapters differs"
        )
    a = torch.cat([reader.factor(m.a).to(torch.float64) for m, _ in here])
    b = torch.cat([reader.factor(m.b).to(torch.float64) * (m.scale * w) for m, w in here], dim=1)
    return Stack(b, a, here[0][0].transposed)


def truncated(stack: Stack, rank: int | None) -> tuple[Stack, float, float]:
    """(the nearest change of at most this rank, square of what is lost, square of the whole); the
    stack itself, with nothing lost, where its rank is not higher.

    The decomposition is of the factors' small triangles, never of the dense change.
    """
    if rank is not None and rank < 1:
        raise ConfigError(f"rank: is {rank}; an adapter has rank 1 or more")
    q_b, r_b = torch.linalg.qr(stack.b)
    q_a, r_a = torch.linalg.qr(stack.a.T)
    u, s, v = torch.linalg.svd(r_b @ r_a.T, full_matrices=False)
    whole = float(s.square().sum())
    if rank is None or rank >= len(stack.a):
        return stack, 0.0, whole
    root = s[:rank].sqrt()
    b = (q_b @ u[:, :rank]) * root
    a = root[:, None] * (v[:rank] @ q_a.T)
    return Stack(b, a, stack.transposed), float(s[rank:].square().sum()), whole


def _write_settings(folder: Path, base: Path, first: lora.Lora, ranks: Mapping[str, int]) -> None:
    """PEFT's configuration: every layer has scale 1, since weights and scales are in B."""
    usual = max(ranks.values())
    others = {name: rank for name, rank in ranks.items() if rank != usual}
    named = first.base if first.base and not first.base.startswith(".") else str(base.absolute())
    settings: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": named,
        "r": usual,
        "lora_alpha": usual,
        "target_modules": sorted(ranks),
        "rank_pattern": others,
        "alpha_pattern": others,
        "bias": "none",
        "fan_in_fan_out": next(iter(first.modules.values())).transposed,
        "lora_dropout": 0.0,
        "inference_mode": True,
    }
    record = {"base": named, "base_sha256": base_digest(base)}
    for name, data in ((lora.CONFIG, settings), ("moco.json", record)):
        (folder / name).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
