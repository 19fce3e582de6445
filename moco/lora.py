"""LoRA adapters as PEFT writes them, read from their configuration and header: what they change,
and by how much.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moco import checkpoint
from moco.checkpoint import Slot
from moco.errors import ModelFormatError, clip

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
UNSUPPORTED = (
    "use_dora", "use_qalora", "use_bdlora", "lora_bias", "layer_replication", "target_parameters",
    "trainable_token_indices", "alora_invocation_tokens", "arrow_config", "velora_config",
    "monteclora_config", "kasa_config",
)  # fmt: skip
"""Settings of PEFT under which an adapter is more than B·A added to a linear layer."""
CHANGED_BASE = ("pissa", "olora", "loftq", "corda", "lora_ga")
"""Initialisations that change the base's own weights, so the saved factors do not stand alone."""


@dataclass(frozen=True, slots=True)
class LoraModule:
    """One adapted linear layer: its weight changes by scale · B · A."""

    name: str
    """The layer's name in the base model, such as `model.layers.0.self_attn.q_proj`."""
    rank: int
    scale: float
    a: Slot
    """[rank, in]"""
    b: Slot
    """[out, rank]"""
    transposed: bool = False
    """Whether the base stores this layer's weight as [in, out]."""


@dataclass(frozen=True, slots=True)
class Lora:
    """An adapter folder."""

    folder: Path
    modules: Mapping[str, LoraModule]
    base: str
    """The base as the configuration names it: a reference or a path relative to the folder."""
    base_sha256: str = ""
    """`checkpoint.digest` of the base, from the folder's `moco.json`; empty = not recorded."""

    @property
    def num_parameters(self) -> int:
        """Numbers in all factors."""
        return sum(m.a.num_items + m.b.num_items for m in self.modules.values())

    @property
    def num_bytes(self) -> int:
        """Bytes of all factors as stored."""
        return sum(m.a.end - m.a.start + m.b.end - m.b.start for m in self.modules.values())


def config_of(folder: Path) -> dict[str, Any]:
    """The adapter's configuration, checked to be a plain LoRA's. Raises `ModelFormatError`."""
    if not folder.is_dir():
        raise ModelFormatError(f"{folder} is no folder; an adapter is a folder with {CONFIG}")
    config = checkpoint.read_json(folder / CONFIG, required=True)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise ModelFormatError(
            f"{folder} is a {clip(kind)} adapter; only LoRA adapters are supported"
        )
    for key in UNSUPPORTED:
        if config.get(key):
            raise ModelFormatError(
                f"{folder} uses {key}, which is not supported; use a plain LoRA adapter"
            )
    if config.get("modules_to_save"):
        raise ModelFormatError(
            f"{folder} also saves whole modules ({clip(config['modules_to_save'])}), which "
            "cannot be composed; merge it into its base and use the result as a model"
        )
    if config.get("bias", "none") != "none":
        raise ModelFormatError(
            f"{folder} changes biases (bias: {clip(config['bias'])}), which is not supported"
        )
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(CHANGED_BASE):
        raise ModelFormatError(
            f"{folder} was started with {clip(start)}, which changes the base; convert it to a "
            "plain LoRA adapter"
        )
    return config


def base_of(folder: Path) -> str:
    """The base that the folder names: in `moco.json` under `base`, else what PEFT recorded."""
    own = checkpoint.read_json(folder / "moco.json").get("base")
    name = own or checkpoint.read_json(folder / CONFIG, required=True).get(
        "base_model_name_or_path"
    )
    return name if isinstance(name, str) else ""


def read(folder: Path) -> Lora:
    """The adapter in a folder, from headers alone. Raises `ModelFormatError` for what cannot be
    used.
    """
    config = config_of(folder)
    if not (folder / WEIGHTS).is_file():
        pickled = (
            " (pickled weights are not read)" if (folder / "adapter_model.bin").is_file() else ""
        )
        raise ModelFormatError(f"{folder} has no {WEIGHTS}{pickled}")
    halves: dict[str, dict[str, Slot]] = {}
    for name, slot in checkpoint.header(folder / WEIGHTS).items():
        if name.endswith(".base_layer.weight"):
            continue  # PEFT adds the base's own weight where an embedding is adapted
        match = re.fullmatch(
            rf"(?:{re.escape(PREFIX)})?(.+)\.lora_([AB])(?:\.default)?\.weight", name
        )
        if match is None:
            raise ModelFormatError(
                f"{folder}: '{clip(name)}' is no factor of a LoRA on a linear layer"
            )
        halves.setdefault(match[1], {})[match[2]] = slot
    modules = {name: _module(folder, name, pair, config) for name, pair in sorted(halves.items())}
    if not modules:
        raise ModelFormatError(f"{folder} adapts nothing")
    record = checkpoint.read_json(folder / "moco.json").get("base_sha256")
    return Lora(folder, modules, base_of(folder), record if isinstance(record, str) else "")


def _module(
    folder: Path, name: str, pair: Mapping[str, Slot], config: Mapping[str, Any]
) -> LoraModule:
    if set(pair) != {"A", "B"}:
        raise ModelFormatError(f"{folder}: '{clip(name)}' has only one of its two factors")
    a, b = pair["A"], pair["B"]
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1] or not a.shape[0]:
        raise ModelFormatError(
            f"{folder}: '{clip(name)}' has factors of shapes {a.shape} and {b.shape}"
        )
    rank = a.shape[0]
    declared = _pattern(config.get("rank_pattern"), name, config.get("r"))
    if declared != rank:
        raise ModelFormatError(
            f"{folder}: '{clip(name)}' has rank {rank}, {CONFIG} says {clip(declared)}"
        )
    alpha = _pattern(config.get("alpha_pattern"), name, config.get("lora_alpha"))
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise ModelFormatError(f"{folder}: lora_alpha is {clip(alpha)}, not a number")
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return LoraModule(name, rank, scale, a, b, bool(config.get("fan_in_fan_out")))


def _pattern(patterns: Any, name: str, default: Any) -> Any:
    """PEFT's rule for rank_pattern and alpha_pattern: the first key that matches the end of the
    name.
    """
    if isinstance(patterns, dict):
        for key, value in patterns.items():
            try:
                if re.match(rf"(.*\.)?({key})$", name):
                    return value
            except re.error as error:
                raise ModelFormatError(f"{CONFIG}: '{clip(key)}' is no pattern: {error}") from error
    return default


def check_fits(adapter: Lora, base: Mapping[str, Slot], base_digest: str, base_path: Path) -> None:
    """Raises `ModelFormatError` where the adapter was made for another base than the one given."""
    message = f"{adapter.folder} is an adapter of another base than {base_path}"
    named = f" (it names {clip(adapter.base)})" if adapter.base else ""
    if adapter.base_sha256 and adapter.base_sha256 != base_digest:
        raise ModelFormatError(
            f"{message}{named}: the base's weights are not those it was trained on"
        )
    for module in adapter.modules.values():
        name = tensor_name(module.name, base)
        if name is None and f"{module.name}.weight" in checkpoint.OUTPUT_NAMES:
            continue  # tied to the embeddings and not stored
        if name is None:
            raise ModelFormatError(f"{message}{named}: that has no layer '{clip(module.name)}'")
        shape = (module.b.shape[0], module.a.shape[1])
        stored = base[name].shape
        if stored != (shape[::-1] if module.transposed else shape):
            raise ModelFormatError(
                f"{message}{named}: layer '{clip(module.name)}' is {stored}, the adapter's {shape}"
            )


def tensor_name(module: str, base: Mapping[str, Slot]) -> str | None:
    """The base's tensor that a layer's weight is stored under.

    Checkpoints may leave out or add the outermost module's name.
    """
    inner = module.partition(".")[2]
    tried = [f"{module}.weight", f"{inner}.weight", f"model.{module}.weight"]
    return next((name for name in tried if name in base), None)
