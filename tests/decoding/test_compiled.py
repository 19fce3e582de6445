"""Compiled layers: the same answers, also beside adapters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from moco.backends.base import LoadSettings, ModelSpec, Row, generate
from moco.backends.hf import HfBackend
from moco.errors import EnvironmentProblem
from moco.types import Request, Sampling
from tests.tiny import tiny_adapter, tiny_folder

PROMPTS = ("The answer", "1 2 3 4 5 6 7 8 9 10 11 12", "x", "so on: " * 12)


@pytest.mark.slow
def test_compiled_layers_write_the_same(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "base")
    adapter = tiny_adapter(folder, tmp_path / "adapter", 3)
    base = ModelSpec("m", "m", path=folder, dtype="float32", fingerprint="m")
    tuned = ModelSpec("t", "t", path=folder, adapter=adapter, dtype="float32", fingerprint="t")
    rows = [
        Row(Request("m", prompt, Sampling(max_tokens=20)), spec, bytes(32))
        for spec in (base, tuned)
        for prompt in PROMPTS
    ]
    plain = generate(HfBackend(base), rows)
    fast = HfBackend(base, settings=LoadSettings(compile=True))
    assert all(layer._compiled_call_impl for layer in fast.model.base_model.layers)
    assert [g.token_ids for g in generate(fast, rows)] == [g.token_ids for g in plain]
    assert [g.token_ids for g in generate(fast, rows[:2])] == [g.token_ids for g in plain[:2]]


def test_a_machine_without_a_compiler_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: torch.nn.Module, **_: object) -> None:
        self._compiled_call_impl = lambda *_, **__: 1 / 0

    monkeypatch.setattr(torch.nn.Module, "compile", broken)
    base = ModelSpec("m", "m", path=tiny_folder(tmp_path), dtype="float32", fingerprint="m")
    with pytest.raises(EnvironmentProblem, match=r"engine\.compile: .*compiler"):
        HfBackend(base, settings=LoadSettings(compile=True))
