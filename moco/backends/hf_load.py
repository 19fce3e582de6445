"""Loading local checkpoints through transformers: safetensors, no remote code, finite weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from moco.backends.base import ModelSpec
from moco.checkpoint import is_learnt
from moco.decoding.session import attach
from moco.errors import MissingExtraError, ModelFormatError, clip
from moco.rendering import read_json
from moco.silence import quiet_transformers
from moco.weights.merge import Combination, Merge, Part, Recipe, Rule

try:
    import transformers
except ImportError as error:
    raise MissingExtraError("a local model", "hf") from error

Kind = Literal["causal", "encoder", "reward"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def kind_of(folder: Path) -> Kind:
    """What sort of model the folder holds, by the architecture that its config names."""
    names = read_json(folder / "config.json").get("architectures") or [""]
    name = str(names[0])
    if name.endswith("ForSequenceClassification"):
        return "reward"
    return "causal" if name.endswith(("ForCausalLM", "LMHeadModel")) else "encoder"


def load_model(spec: ModelSpec, device: str) -> Any:
    """The spec's base (adapters apart) in evaluation mode on the device.

    Causal models get our attention. Raises `ModelFormatError` for folders that cannot be used and
    for weights that are not finite.
    """
    folder = base_folder(spec)
    kind = kind_of(folder)
    model = _from_folder(folder, kind, spec.dtype)
    model = model.to(device).eval().requires_grad_(False)
    if spec.family:
        fill_merged(model, spec)
    else:
        _check_finite(model, str(folder))
    if kind == "causal":
        attach(model, str(folder))
    return model


def base_folder(spec: ModelSpec) -> Path:
    """Folder whose config, tokenizer and (unless merged) weights the model's base has."""
    if spec.derive:
        return base_folder(spec.parents[0])
    if spec.path is None:
        raise ModelFormatError(f"model '{spec.name}' has no local folder; pull it first")
    return spec.path


def _from_folder(folder: Path, kind: Kind, dtype: str) -> Any:
    if not (folder / "config.json").exists():
        raise ModelFormatError(f"{folder} has no config.json: not a model folder")
    if not list(folder.glob("*.safetensors")):
        raise ModelFormatError(
            f"{folder} has no .safetensors file; other formats are not read, convert it first"
        )
    if dtype not in (*DTYPES, "auto"):
        raise ModelFormatError(f"unknown dtype '{dtype}': use {', '.join(DTYPES)} or auto")
    loaders = {
        "causal": transformers.AutoModelForCausalLM,
        "encoder": transformers.AutoModel,
        "reward": transformers.AutoModelForSequenceClassification,
    }
    try:
        with quiet_transformers():
            return loaders[kind].from_pretrained(
                folder,
                dtype=DTYPES.get(dtype, "auto"),
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                attn_implementation="eager" if kind == "causal" else "sdpa",
            )
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise ModelFormatError(f"{folder} cannot be loaded: {clip(str(error), 500)}") from error


def recipe_of(spec: ModelSpec) -> Recipe:
    """The merge that makes a derived model's weights."""
    parts = tuple(
        Part(parent.name, parent.fingerprint, base_folder(parent), parent.adapter)
        for parent in spec.parents
    )
    rule: Rule = Combination(spec.weights) if spec.rule is None else spec.rule
    return Recipe(rule, parts, None if spec.over is None else base_folder(spec.over), spec.seed)


def fill_merged(model: Any, spec: ModelSpec) -> None:
    """Overwrite the weights with those of the merge, in place; raises `ModelFormatError` where it
    gives numbers that are not finite.
    """
    places: dict[str, Tensor] = model.state_dict()

    merge = Merge(recipe_of(spec), device=str(model.device))

    def put(name: str, start: int, block: Tensor) -> None:
        if name not in places:
            if not is_learnt(merge.like.slots[name]):
                return  # a constant that this version computes itself
            raise ModelFormatError(f"merging '{spec.ref}': the base has no tensor '{name}'")
        places[name].view(-1)[start : start + block.numel()].copy_(block.reshape(-1))

    merge.run(put)
    model.tie_weights()
    _check_finite(model, f"the merge '{spec.ref}'")


def _check_finite(model: Any, what: str) -> None:
    bad = []
    for name, tensor in model.named_parameters():
        total = tensor.sum(dtype=torch.float32)  # one pass without a mask; rarely both are needed
        if not torch.isfinite(total) and not torch.isfinite(tensor).all():
            bad.append(name)
    if bad:
        raise ModelFormatError(
            f"{what}: {len(bad)} tensors hold NaN or infinite numbers, the first is '{bad[0]}'"
        )
