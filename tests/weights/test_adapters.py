"""Adapters composed in delta space: against PEFT, against dense merges, row by row."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import peft
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moco import lora
from moco.errors import ModelFormatError
from moco.weights import reader
from moco.weights.adapters import AdapterBank
from tests.weights.conftest import save_adapter
from tests.weights.gathering import composed, gather

IDS = torch.arange(3, 15).reshape(3, 4)


def load(folder: Path) -> torch.nn.Module:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits(model: torch.nn.Module, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.inference_mode():
        return model(ids).logits


@pytest.fixture(scope="module")
def bank(model_dir: Callable[..., Path], adapter_dirs: list[Path]) -> AdapterBank:
    bank = AdapterBank(load(model_dir("llama")))
    for folder in adapter_dirs:
        bank.add(folder.name, folder)
    return bank


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_adapter_equals_peft(
    bank: AdapterBank, model_dir: Callable[..., Path], adapter_dirs: list[Path], index: int
) -> None:
    folder = adapter_dirs[index]
    expected = logits(peft.PeftModel.from_pretrained(load(model_dir("llama")), folder).eval())
    with bank.active(bank.coefficients([{folder.name: 1.0}] * 3)):
        found = logits(bank.model)
    assert (expected - logits(bank.model)).abs().max() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_nothing_changes_without_coefficients(
    bank: AdapterBank, model_dir: Callable[..., Path]
) -> None:
    expected = logits(load(model_dir("llama")))
    assert torch.equal(logits(bank.model), expected)
    with bank.active(bank.coefficients([{}, {"a": 0.0}, {}])):
        assert torch.equal(logits(bank.model), expected)


def test_rows_have_their_own_mix(bank: AdapterBank) -> None:
    rows = [{"a": 1.0}, {}, {"b": 0.5, "c": -1.5}]
    with bank.active(bank.coefficients(rows)):
        together = logits(bank.model)
    for i, row in enumerate(rows):
        with bank.active(bank.coefficients([row])):
            torch.testing.assert_close(
                logits(bank.model, IDS[i : i + 1])[0], together[i], atol=1e-5, rtol=1e-5
            )


def test_packed_input_counts_positions_row_by_row(bank: AdapterBank) -> None:
    layer = bank.model.get_submodule("model.layers.0.self_attn.q_proj")
    x = torch.randn(3, 2, 32)
    coefficients = bank.coefficients([{"a": 1.0}, {"b": 2.0}, {}])
    with torch.inference_mode(), bank.active(coefficients):
        batched = layer(x)
        flat = layer(x.reshape(6, 32))
    with torch.inference_mode(), bank.active(coefficients.repeat_interleave(2, dim=0)):
        packed = layer(x.reshape(1, 6, 32))
    torch.testing.assert_close(flat.reshape(batched.shape), batched)
    torch.testing.assert_close(packed.reshape(batched.shape), batched)
    with pytest.raises(ValueError, match="3 rows of coefficients"), bank.active(coefficients):
        layer(torch.randn(2, 3, 32))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(weights=st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_composing_equals_merging_dense_deltas(
    bank: AdapterBank,
    model_dir: Callable[..., Path],
    adapter_dirs: list[Path],
    weights: list[float],
) -> None:
    merged = load(model_dir("llama"))
    state = gather(composed(model_dir("llama"), adapter_dirs, weights))
    assert not merged.load_state_dict(state, strict=False).unexpected_keys
    merged.tie_weights()
    row = {folder.name: w for folder, w in zip(adapter_dirs, weights, strict=True)}
    with bank.active(bank.coefficients([row] * 3)):
        found = logits(bank.model)
    expected = logits(merged)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=2e-4)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(weights=st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_merged_weights_are_the_dense_sum(
    model_dir: Callable[..., Path], adapter_dirs: list[Path], weights: list[float]
) -> None:
    base = reader.Reader(model_dir("llama"))
    found = gather(composed(model_dir("llama"), adapter_dirs, weights))
    dense = {name: base.tensor(name).double() for name in base.names}
    for folder, weight in zip(adapter_dirs, weights, strict=True):
        for module in lora.read(folder).modules.values():
            a, b = reader.factor(module.a).double(), reader.factor(module.b).double()
            dense[f"{module.name}.weight"] += weight * module.scale * (b @ a)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor.double(), dense[name], atol=1e-5, rtol=1e-5)


def test_bf16_model_and_inference_mode(
    model_dir: Callable[..., Path], adapter_dirs: list[Path]
) -> None:
    bank = AdapterBank(load(model_dir("llama")).to(torch.bfloat16))
    with torch.inference_mode():
        for folder in adapter_dirs:
            bank.add(folder.name, folder)
        with bank.active(bank.coefficients([{"a": 1.0}, {"b": 1.0}, {}])):
            found = bank.model(IDS).logits
    assert found.dtype == torch.bfloat16
    assert torch.isfinite(found).all()


def test_gpt2_layers_are_adapted_too(model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = model_dir("gpt2")
    folder = save_adapter(tmp_path / "g", base, target_modules=["c_attn"], fan_in_fan_out=True)
    expected = logits(peft.PeftModel.from_pretrained(load(base), folder).eval())
    bank = AdapterBank(load(base))
    bank.add("g", folder)
    with bank.active(bank.coefficients([{"g": 1.0}] * 3)):
        torch.testing.assert_close(logits(bank.model), expected, atol=1e-5, rtol=1e-5)
    merged = load(base)
    merged.load_state_dict(gather(composed(base, [folder], [1.0])), strict=False)
    torch.testing.assert_close(logits(merged), expected, atol=1e-4, rtol=1e-4)


def test_close_gives_the_model_back(
    model_dir: Callable[..., Path], adapter_dirs: list[Path]
) -> None:
    model = load(model_dir("llama"))
    bank = AdapterBank(model)
    bank.add("a", adapter_dirs[0])
    bank.add("a", adapter_dirs[0])
    assert "a" in bank and bank.total_rank == 4
    bank.close()
    assert "forward" not in vars(model.get_submodule("model.layers.0.self_attn.q_proj"))


def edited(folder: Path, target: Path, **changes: object) -> Path:
    """A copy of an adapter folder with other settings."""
    shutil.copytree(folder, target)
    config = json.loads((target / lora.CONFIG).read_text()) | changes
    (target / lora.CONFIG).write_text(json.dumps(config))
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "only LoRA"),
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "saves whole modules"),
        ({"bias": "all"}, "biases"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes the base"),
        ({"r": 5}, "has rank 4"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"alpha_pattern": {"(": 3}}, "no pattern"),
    ],
)
def test_adapters_that_cannot_be_composed_are_refused(
    adapter_dirs: list[Path], tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    folder = edited(adapter_dirs[0], tmp_path / "x", **changes)
    with pytest.raises(ModelFormatError, match=message):
        lora.read(folder)


def test_adapter_of_another_base(
    model_dir: Callable[..., Path], adapter_dirs: list[Path], tmp_path: Path
) -> None:
    for kind in ("gpt2", "qwen2"):
        with pytest.raises(ModelFormatError, match="adapter of another base"):
            AdapterBank(load(model_dir(kind))).add("a", adapter_dirs[0])
        with pytest.raises(ModelFormatError, match="adapter of another base"):
            gather(composed(model_dir(kind), [adapter_dirs[0]], [1.0]))


def test_tied_output_projection(model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = model_dir("llama")
    folder = save_adapter(tmp_path / "head", base, target_modules=["lm_head"])
    bank = AdapterBank(load(base))
    bank.add("head", folder)
    with bank.active(bank.coefficients([{"head": 1.0}] * 3)):
        assert (logits(bank.model) - logits(load(base))).abs().max() > 0.01
    with pytest.raises(ModelFormatError, match="tied to the input embeddings"):
        gather(composed(base, [folder], [1.0]))
