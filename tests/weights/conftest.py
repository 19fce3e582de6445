"""Checkpoint folders of tiny random models, tied and untied, and adapters made by PEFT itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import byte_tokenizer, tiny_model


def save(
    folder: Path, kind: str = "llama", seed: int = 0, dtype: torch.dtype = torch.float32
) -> Path:
    """A tiny model with its tokenizer in a folder, as transformers saves it."""
    model = tiny_model(kind, seed=seed).to(dtype)
    model.save_pretrained(folder)
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def save_adapter(folder: Path, base: Path, seed: int = 1, **options: Any) -> Path:
    """A LoRA adapter with random factors on the base in a folder, saved by PEFT."""
    import peft
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], **options}
    wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **settings))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    wrapped.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes (once per kind, seed and type) a model folder."""
    made: dict[tuple[Any, ...], Path] = {}

    def make(kind: str = "llama", seed: int = 0, dtype: torch.dtype = torch.float32) -> Path:
        key = (kind, seed, dtype)
        if key not in made:
            made[key] = save(tmp_path_factory.mktemp("model") / f"{kind}{seed}", kind, seed, dtype)
        return made[key]

    return make


@pytest.fixture(scope="session")
def adapter_dirs(
    model_dir: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Three adapters of one base that differ in rank, alpha, targets and scaling rule."""
    base, root = model_dir("llama"), tmp_path_factory.mktemp("adapters")
    return [
        save_adapter(root / "a", base, 1, r=4, lora_alpha=8),
        save_adapter(root / "b", base, 2, r=2, lora_alpha=3, target_modules="all-linear"),
        save_adapter(
            root / "c", base, 3, r=8, lora_alpha=16, use_rslora=True,
            target_modules=r".*\.(k_proj|down_proj)", rank_pattern={"k_proj": 3},
            alpha_pattern={"layers.1.mlp.down_proj": 5},
        ),
    ]  # fmt: skip
