"""What every LoRA training shares: the adapted base, the trainer's plain settings, randomness that
is put back, checkpoints, and the adapter as a pool member's folder.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moco import lora
from moco.backends.base import ModelSpec
from moco.engine.keys import folder_of, renderer_of
from moco.errors import MissingExtraError, ModelFormatError
from moco.silence import quiet_transformers
from moco.types import Json

if TYPE_CHECKING:
    from moco.train.recipe import LoraRecipe

LOG = logging.getLogger("moco")
LOG_FILE = "training.json"
"""Beside a trained adapter: losses by step, the best step, how many rows were learnt from, on what.
"""


def trl() -> Any:
    """The training library; MissingExtraError without it."""
    try:
        import datasets  # noqa: F401
        import trl
    except ImportError as error:
        raise MissingExtraError("training", "train") from error
    return trl


def adapted(spec: ModelSpec, device: str, recipe: LoraRecipe) -> Any:
    """The base in its own type on the device, with the model's own adapter to go on with, else with
    a fresh one; adapters are in float32.
    """
    import torch
    from peft import LoraConfig, PeftModel, TaskType, get_peft_model
    from transformers import AutoModelForCausalLM

    if spec.path is None:
        raise ModelFormatError(f"'{spec.name}' has no files here, so it cannot be trained")
    dtype = getattr(torch, spec.dtype)
    torch.manual_seed(recipe.seed)
    with quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(
            spec.path, dtype=dtype, trust_remote_code=False, local_files_only=True
        )
    if spec.adapter is not None:
        return PeftModel.from_pretrained(model.to(device), spec.adapter, is_trainable=True)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=recipe.targets if isinstance(recipe.targets, str) else list(recipe.targets),
        task_type=TaskType.CAUSAL_LM,
    )
    return get_peft_model(model.to(device), config)


def lineage(spec: ModelSpec) -> dict[str, Json]:
    """What an adapter trained from this model descends from: the base, and the adapters before."""
    before: list[Json] = []
    if spec.adapter is not None:
        before = [*_lineage_of(spec.adapter).get("parents", []), spec.fingerprint]
    return {"base": spec.facts.base if spec.facts else "", "parents": before}


def check_lineage(spec: ModelSpec) -> None:
    """ModelFormatError where a trained adapter says that it belongs to another base."""
    if spec.adapter is None or spec.facts is None:
        return
    base = _lineage_of(spec.adapter).get("base", "")
    if base and base != spec.facts.base:
        raise ModelFormatError(
            f"{spec.adapter}: this adapter was trained on another base than '{spec.name}' has; use"
            " it with its own base, or train it anew"
        )


def _lineage_of(adapter: Path) -> dict[str, Json]:
    path = adapter / LOG_FILE
    if not path.is_file():
        return {}
    found: dict[str, Json] = json.loads(path.read_text(encoding="utf-8"))
    return found


def tokenizer(spec: ModelSpec) -> Any:
    """The tokenizer object that the trainer insists on; rows are rendered before."""
    from transformers import PreTrainedTokenizerFast

    folder = folder_of(spec)
    assert folder is not None
    made = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    made.pad_token = made.eos_token = made.convert_ids_to_tokens(renderer_of(folder).eos_id or 0)
    return made


def base_settings(device: str, scratch: Path, seed: int) -> dict[str, Any]:
    """No telemetry, no bars, nothing written but checkpoints; the device is the worker's."""
    return {
        "output_dir": str(scratch),
        "report_to": "none",
        "disable_tqdm": True,
        "save_total_limit": 2,
        "use_cpu": device == "cpu",
        "seed": seed,
        "data_seed": seed,
        "bf16": False,
        "fp16": False,
        "activation_checkpointing": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": device != "cpu",
        "optim": "adamw_torch",
        "remove_unused_columns": False,
        "full_determinism": False,
    }


def callbacks(patience: int) -> list[Any]:
    """Stops after so many validations without improvement; 0 = never early."""
    from transformers import EarlyStoppingCallback

    return [EarlyStoppingCallback(early_stopping_patience=patience)] if patience else []


def quiet(trainer: Any) -> Any:
    """The trainer without its printing."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


@contextlib.contextmanager
def untouched_randomness() -> Iterator[None]:
    """Puts the global random states back: trainers seed them."""
    import numpy as np
    import torch

    plain, numeric = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(numeric)


def last_checkpoint(scratch: Path) -> str | None:
    """The newest whole checkpoint of this very training, if one was interrupted."""
    steps = {int(p.name.partition("-")[2]): p for p in scratch.glob("checkpoint-*") if p.is_dir()}
    whole = {step: path for step, path in steps.items() if (path / "trainer_state.json").is_file()}
    if not whole:
        return None
    newest = max(whole)
    LOG.info("training goes on from step %d", newest)
    return str(whole[newest])


def save(model: Any, spec: ModelSpec, folder: Path) -> None:
    """The adapter as a member's folder: float32 weights, and a config without this machine's
    path.
    """
    model.save_pretrained(
        folder,
        safe_serialization=True,
        selected_adapters=["default"],
        save_embedding_layers=False,  # none is trained; "auto" looks for the base on the Hub
    )
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / lora.CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = spec.ref
    path.write_text(json.dumps(config, indent=1, sort_keys=True), encoding="utf-8")
