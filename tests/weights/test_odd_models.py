"""Merges of checkpoints that are stored in odd ways or hold bad numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scripted
import torch
import transformers
from safetensors.torch import load_file, save_file

from moco import checkpoint
from moco.merging.config import parsed
from moco.merging.run import MergeOptions, merge

Models = Callable[..., Path]
WEIGHTS = "model.safetensors"
EMBEDDINGS = "model.embed_tokens.weight"
UP = "model.layers.0.mlp.up_proj.weight"


def changed(
    folder: Path, target: Path, change: Callable[[dict[str, Any]], object], **config: Any
) -> Path:
    """A copy of a model whose tensors went through `change`."""
    shutil.copytree(folder, target)
    state = load_file(target / WEIGHTS)
    change(state)
    save_file(state, target / WEIGHTS, metadata={"format": "pt"})
    settings = json.loads((target / "config.json").read_text()) | config
    (target / "config.json").write_text(json.dumps(settings))
    return target


def merged(pool: list[Path], out: Path, **more: Any) -> dict[str, torch.Tensor]:
    """The tensors of the mean, unchecked."""
    members = [{"model": str(f), "name": "abc"[i]} for i, f in enumerate(pool)]
    merge(parsed({"method": "linear", "pool": members, **more}), out, MergeOptions(verify=False))
    found: dict[str, torch.Tensor] = load_file(out / WEIGHTS)
    return found


def test_tied_embeddings_may_be_stored_as_the_output_only(
    model_dir: Models, tmp_path: Path
) -> None:
    def only_output(state: dict[str, Any]) -> None:
        state["lm_head.weight"] = state.pop(EMBEDDINGS)
        state.pop("lm_head.bias", None)

    plain = [model_dir("llama", seed) for seed in (1, 2)]
    odd = [
        changed(folder, tmp_path / f"odd{i}", only_output, tie_word_embeddings=True)
        for i, folder in enumerate(plain)
    ]
    found = merged(odd, tmp_path / "out")
    mean = sum(load_file(folder / WEIGHTS)[EMBEDDINGS] for folder in plain) / 2
    assert torch.allclose(found["lm_head.weight"], mean)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.allclose(loaded.get_input_embeddings().weight, mean)


def test_tied_embeddings_need_not_be_said_to_be(model_dir: Models, tmp_path: Path) -> None:
    def twice(state: dict[str, Any]) -> None:
        state["lm_head.weight"] = state[EMBEDDINGS].clone()

    plain = [model_dir("gemma2", seed) for seed in (1, 2)]
    odd = changed(plain[0], tmp_path / "odd", twice, tie_word_embeddings=None)
    settings = json.loads((odd / "config.json").read_text())
    del settings["tie_word_embeddings"]
    (odd / "config.json").write_text(json.dumps(settings))
    found = merged([odd, plain[1]], tmp_path / "out")
    expected = merged(plain, tmp_path / "expected")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_kinds_that_tie_unless_told_otherwise_are_those_of_transformers() -> None:
    kinds = transformers.models.auto.configuration_auto.CONFIG_MAPPING
    ties = {kind: kinds[kind].tie_word_embeddings for kind in (*checkpoint.TIED, "llama", "qwen2")}
    assert {kind for kind, tied in ties.items() if tied} == checkpoint.TIED


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_named(
    model_dir: Models, tmp_path: Path, bad: float, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(state: dict[str, Any]) -> None:
        state[EMBEDDINGS][-1, 0] = bad

    odd = changed(model_dir("llama", 1), tmp_path / "odd", spoil)
    pool = [{"model": str(f), "name": n} for n, f in (("good", model_dir("llama")), ("bad", odd))]
    file = scripted.write_config(tmp_path, {"method": "linear", "pool": pool})
    code, _, err = scripted.call(capsys, "merge", file, "-o", tmp_path / "out", "--no-verify", "-q")
    assert code == 2 and f"'{EMBEDDINGS}' that are not finite; so do those of bad" in err
    assert not (tmp_path / "out").exists()


def test_a_number_too_large_for_float16_is_found_beside_an_infinity() -> None:
    from moco.weights import ops

    with pytest.raises(OverflowError):
        ops.cast(torch.tensor([1e5, float("inf")]), torch.float16)
    assert ops.cast(torch.tensor([6e4, float("inf")]), torch.float16)[1].isinf()


@pytest.mark.parametrize("rule", ["linear", "tsv_m"])
def test_empty_tensors_stay_empty(model_dir: Models, tmp_path: Path, rule: str) -> None:
    def add(state: dict[str, Any]) -> None:
        state["model.layers.0.extra"] = torch.zeros(4, 0)

    pool = [changed(model_dir("llama", i), tmp_path / f"{i}", add) for i in range(3)]
    roles = {"roles": {"base": str(pool[2])}} if rule != "linear" else {}
    found = merged(pool[:2], tmp_path / "out", method=rule, **roles)
    assert found["model.layers.0.extra"].shape == (4, 0)


def test_a_type_without_arithmetic_is_refused(
    model_dir: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def shrink(state: dict[str, Any]) -> None:
        state[UP] = state[UP].to(torch.float8_e4m3fn)

    pool = [str(changed(model_dir("llama", i), tmp_path / f"{i}", shrink)) for i in range(2)]
    file = scripted.write_config(tmp_path, {"method": "linear", "pool": pool})
    code, _, err = scripted.call(capsys, "merge", file, "-o", tmp_path / "out", "--no-verify", "-q")
    assert code == 2 and "has type F8_E4M3, which cannot be computed with" in err
