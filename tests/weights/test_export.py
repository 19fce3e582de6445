"""Compositions of adapters as one adapter: PEFT reads it and computes the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import scripted
import torch
import transformers
from torch import Tensor

import moco
from moco import facts, lora
from moco.errors import ConfigError, ModelFormatError
from moco.weights import export
from tests.weights.conftest import save_adapter
from tests.weights.gathering import composed, gather

IDS = torch.arange(3, 15).reshape(3, 4)


def load(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits(model: Any) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model(IDS).logits
    return found


def merged_logits(base: Path, adapters: list[Path], weights: list[float]) -> Tensor:
    """Of base + Σ weight · adapter, merged dense."""
    model = load(base)
    model.load_state_dict(gather(composed(base, adapters, weights)), strict=False)
    model.tie_weights()
    return logits(model)


def written(folder: Path, *arguments: Any) -> export.Exported:
    folder.mkdir()
    return export.write(folder, *arguments)


def test_a_stack_is_exact(
    model_dir: Callable[..., Path], adapter_dirs: list[Path], tmp_path: Path
) -> None:
    base, weights = model_dir("llama"), [0.5, -1.25, 2.0]
    found = written(tmp_path / "sum", base, adapter_dirs, lambda _: weights)
    assert found.error == found.worst == 0 and "exact" in str(found)
    assert found.ranks["model.layers.0.self_attn.q_proj"] == 4 + 2
    assert found.ranks["model.layers.1.self_attn.k_proj"] == 2 + 3
    model = peft.PeftModel.from_pretrained(load(base), tmp_path / "sum").eval()
    expected = merged_logits(base, adapter_dirs, weights)
    assert (expected - logits(load(base))).abs().max() > 0.1
    torch.testing.assert_close(logits(model), expected, atol=2e-4, rtol=2e-4)
    again = lora.read(tmp_path / "sum")  # and we read it too
    assert again.base_sha256 == facts.base_digest(base)
    assert {m.scale for m in again.modules.values()} == {1.0}
    alone = gather(composed(base, [tmp_path / "sum"], [1.0]))
    for name, tensor in gather(composed(base, adapter_dirs, weights)).items():
        torch.testing.assert_close(alone[name], tensor, atol=2e-5, rtol=2e-5)


def test_truncation_loses_what_it_says(
    model_dir: Callable[..., Path], adapter_dirs: list[Path], tmp_path: Path
) -> None:
    base, weights = model_dir("llama"), [1.0, 0.5, -0.5]
    dense = gather(composed(base, adapter_dirs, weights))
    plain = gather(composed(base, adapter_dirs, [0.0] * 3))
    errors = []
    for rank in (1, 3, 5):
        found = written(tmp_path / f"r{rank}", base, adapter_dirs, lambda _: weights, rank)
        assert max(found.ranks.values()) <= rank
        cut = gather(composed(base, [tmp_path / f"r{rank}"], [1.0]))
        lost = sum(float((cut[n] - dense[n]).double().square().sum()) for n in dense)
        whole = sum(float((dense[n] - plain[n]).double().square().sum()) for n in dense)
        assert found.error == pytest.approx((lost / whole) ** 0.5, rel=1e-3)
        assert found.worst >= found.error
        name = "model.layers.0.self_attn.q_proj.weight"
        best = torch.linalg.svdvals((dense[name] - plain[name]).double())[rank:].norm()
        assert (cut[name] - dense[name]).double().norm() == pytest.approx(float(best), rel=1e-3)
        errors.append(found.error)
    assert errors[0] > errors[1] > errors[2]
    ranks = written(tmp_path / "all", base, adapter_dirs, lambda _: weights, 99)
    assert ranks.error == 0


def test_by_hand() -> None:
    # 2·(1, 0)ᵀ(3, 4) − 0.5·(1, 0)ᵀ(2, 0) = (1, 0)ᵀ(5, 8)
    b = torch.tensor([[2.0, -0.5], [0, 0]]).double()
    a = torch.tensor([[3.0, 4.0], [2.0, 0]]).double()
    cut, lost, whole = export.truncated(export.Stack(b, a, False), 1)
    torch.testing.assert_close(cut.b @ cut.a, torch.tensor([[5.0, 8.0], [0, 0]]).double())
    assert lost == pytest.approx(0, abs=1e-20) and whole == pytest.approx(89)
    with pytest.raises(ConfigError, match="rank 1 or more"):
        export.truncated(export.Stack(b, a, False), 0)


def test_layers_stored_in_two_ways_do_not_stack(
    model_dir: Callable[..., Path], adapter_dirs: list[Path]
) -> None:
    module = next(iter(lora.read(adapter_dirs[0]).modules.values()))
    with pytest.raises(ModelFormatError, match="fan_in_fan_out"):
        export.stacked([module, replace(module, transposed=True)], [1.0, 1.0])


def test_transposed_layers(model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = model_dir("gpt2")
    own = [
        save_adapter(tmp_path / f"{i}", base, i, target_modules=["c_attn"], fan_in_fan_out=True)
        for i in (1, 2)
    ]
    found = written(tmp_path / "sum", base, own, lambda _: [0.5, 0.5], 3)
    assert set(found.ranks.values()) == {3} and found.error > 0
    whole = written(tmp_path / "whole", base, own, lambda _: [0.5, 0.5])
    model = peft.PeftModel.from_pretrained(load(base), tmp_path / "whole").eval()
    assert whole.error == 0
    torch.testing.assert_close(
        logits(model), merged_logits(base, own, [0.5, 0.5]), atol=2e-4, rtol=2e-4
    )


def config(base: Path, adapters: list[Path], method: Any) -> dict[str, Any]:
    pool = [{"model": str(base), "adapter": str(f), "name": f.name} for f in adapters]
    return {"method": method, "pool": pool}


def test_the_command_writes_adapters(
    model_dir: Callable[..., Path],
    adapter_dirs: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = model_dir("llama")
    layers = {"a": [1.0, 0.0], "b": 2.0, "c": -1.0}
    method = {"name": "task_arithmetic", "scale": 0.5, "weights": layers}
    file = scripted.write_config(tmp_path, config(base, adapter_dirs, method))
    code, out, _ = scripted.call(
        capsys, "merge", file, "-o", tmp_path / "sum", "--as", "adapter", "-q"
    )
    assert code == 0 and "adapter of rank" in out and "exact" in out and "0 to 0.5" in out
    text = (tmp_path / "sum" / "README.md").read_text()
    assert "library_name: peft" in text and "0 to 0.5" in text and "loads in transformers" in text
    dense, _, _ = scripted.call(capsys, "merge", file, "-o", tmp_path / "dense", "-q")
    assert dense == 0
    model = peft.PeftModel.from_pretrained(load(base), tmp_path / "sum").eval()
    torch.testing.assert_close(
        logits(model), logits(load(tmp_path / "dense")), atol=2e-4, rtol=2e-4
    )
    code, out, _ = scripted.call(
        capsys, "merge", file, "-o", tmp_path / "cut", "--as", "adapter", "--rank", "2", "-q"
    )
    assert code == 0 and "adapter of rank 2, relative error 0." in out
    settings = json.loads((tmp_path / "cut" / "adapter_config.json").read_text())
    assert settings["r"] == 2 and settings["base_model_name_or_path"] == str(base)


@pytest.mark.parametrize(
    ("method", "arguments", "words"),
    [
        ("ties", ["--as", "adapter"], "ties is no weighted sum"),
        ({"name": "linear", "normalize": False}, ["--as", "adapter"], "would scale the base"),
        ("linear", ["--as", "adapter", "--rank", "0"], "rank 1 or more"),
        ("linear", ["--rank", "2"], "belongs to --as adapter"),
    ],
)
def test_what_is_no_adapter_is_refused(
    model_dir: Callable[..., Path],
    adapter_dirs: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    method: Any,
    arguments: list[str],
    words: str,
) -> None:
    file = scripted.write_config(tmp_path, config(model_dir("llama"), adapter_dirs, method))
    code, _, err = scripted.call(capsys, "merge", file, "-o", tmp_path / "out", *arguments)
    assert code == 2 and words in scripted.message_of(err)
    assert not (tmp_path / "out").exists()


def test_checkpoints_are_no_adapters(model_dir: Callable[..., Path], tmp_path: Path) -> None:
    found = moco.MergeConfig(method="linear", pool=[str(model_dir("llama", i)) for i in (0, 1)])
    with pytest.raises(moco.MocoError, match="only adapters add up to one"):
        moco.merge(found, tmp_path / "out", moco.MergeOptions(kind="adapter", verify=False))
