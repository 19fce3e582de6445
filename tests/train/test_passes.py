"""A step of a training is cut into passes that a machine can hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from folders import save_model
from safetensors.torch import load_file

from moco.backends.base import ModelSpec
from moco.facts import facts_of
from moco.train import recipe
from moco.train.sft import Sft
from tests.tiny import tiny_model

ROWS = [{"prompt": f"What is {i}?", "completion": "the end " * (i % 3 + 1)} for i in range(12)]


@pytest.mark.parametrize(
    ("rows", "length", "size"), [(8, 10, 8), (8, 100_000, 2), (32, 1_000_000, 1), (6, 10**9, 1)]
)
def test_passes_divide_the_step(rows: int, length: int, size: int) -> None:
    model = tiny_model("llama")  # 32 wide, 2 layers, 320 tokens: 11,264 bytes each
    found = Sft().passes(rows, length, model)
    assert found["per_device_train_batch_size"] == size
    assert found["gradient_accumulation_steps"] * size == rows


def test_several_passes_learn_what_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_model(tmp_path / "base", "llama", 0)
    spec = ModelSpec(
        "base", str(folder), path=folder, dtype="float32", facts=facts_of(folder), fingerprint="x"
    )
    found = {}
    for name, limit in (("one", recipe.PASS_BYTES), ("many", 1)):
        monkeypatch.setattr(recipe, "PASS_BYTES", limit)
        target, scratch = tmp_path / name, tmp_path / f"{name}-scratch"
        target.mkdir()
        lesson = Sft(epochs=2, batch_size=4, validation=0.0, learning_rate=1e-2)
        lesson.train(spec, ROWS, target, "cpu", scratch, lambda question: None)
        found[name] = load_file(target / "adapter_model.safetensors")
    for key, weight in found["one"].items():
        torch.testing.assert_close(found["many"][key], weight, atol=2e-4, rtol=1e-2)
    assert max(float(w.abs().max()) for k, w in found["one"].items() if "lora_B" in k) > 1e-3
