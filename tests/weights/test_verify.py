"""The check of a merge: the result is loaded afresh, writes a token, reads a text."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scripted
import torch
import transformers
from safetensors.torch import load_file, save_file

import moco
from moco.errors import MissingExtraError, MocoError
from moco.weights import verify

Models = Callable[..., Path]
WEIGHTS = "model.safetensors"


def config(folders: list[Path], method: Any = "linear", **more: Any) -> dict[str, Any]:
    pool = [{"model": str(f), "name": "abcd"[i]} for i, f in enumerate(folders)]
    return {"method": method, "pool": pool, **more}


@pytest.fixture
def pair(model_dir: Models) -> list[Path]:
    return [model_dir("llama", 1), model_dir("llama", 2)]


def test_a_broken_result_is_kept_apart(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(pair[1], spoilt)
    state = load_file(spoilt / WEIGHTS)
    state["model.norm.weight"][:] = 3e38  # finite, what is computed from it is not
    save_file(state, spoilt / WEIGHTS, metadata={"format": "pt"})
    file = scripted.write_config(tmp_path, config([pair[0], spoilt]))
    for bad in ("out.bad", "out.bad2"):
        code, _, err = scripted.call(capsys, "merge", file, "-o", tmp_path / "out", "-q")
        message = scripted.message_of(err)
        assert code == 1 and f"kept as {tmp_path / bad}" in message
        assert "not finite; so does its parent b" in message
        assert (tmp_path / bad / WEIGHTS).is_file() and not (tmp_path / "out").exists()


def test_a_merge_far_worse_than_its_parents_is_a_warning(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(verify, "FAR", 1e-3)
    file = scripted.write_config(tmp_path, config(pair))
    code, _, err = scripted.call(capsys, "merge", file, "-o", tmp_path / "out", "-q")
    assert code == 0 and "it is probably broken" in scripted.message_of(err)
    assert "**warning**: its perplexity" in (tmp_path / "out" / "README.md").read_text()


def test_a_result_that_lacks_tensors_is_broken(pair: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "less"
    shutil.copytree(pair[0], folder)
    state = load_file(folder / WEIGHTS)
    del state["model.norm.weight"]
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(verify.BrokenMergeError, match=r"lacks 1 tensors .*model\.norm\.weight"):
        verify.verify(verify.Candidate("less", folder), [])
    (folder / "config.json").write_text("{}")
    with pytest.raises(MocoError, match="does not run in transformers"):
        verify.verify(verify.Candidate("less", folder), [])


@pytest.mark.parametrize(
    ("error", "code", "kept", "told"),
    [
        (torch.OutOfMemoryError("no room"), 0, "out", "could not be checked here: .*no room"),
        (IndexError("row 303"), 1, "out.bad", "does not run in transformers: .*row 303"),
    ],
)
def test_a_check_that_fails_loses_no_merge(
    pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], error: Exception, code: int, kept: str, told: str,
) -> None:  # fmt: skip
    def failing(self: object, *_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(transformers.PreTrainedModel, "to", failing)
    file = scripted.write_config(tmp_path, config(pair))
    found, _, err = scripted.call(capsys, "merge", file, "-o", tmp_path / "out", "-q")
    assert found == code and re.search(told, scripted.message_of(err))
    assert (tmp_path / kept / WEIGHTS).exists()


def test_perplexity_is_that_of_the_text(pair: list[Path]) -> None:
    found = verify.verify(verify.Candidate("x", pair[0]), [verify.Candidate("y", pair[1])])
    model = transformers.AutoModelForCausalLM.from_pretrained(pair[0])
    ids = transformers.AutoTokenizer.from_pretrained(pair[0])(verify.TEXT, return_tensors="pt")
    cut = ids["input_ids"][:, : verify.LONGEST]
    with torch.inference_mode():
        expected = float(model(cut, labels=cut).loss.exp())
    assert found.perplexity == pytest.approx(expected, rel=1e-4)
    assert found.parents["y"] != found.perplexity and not found.warnings


def test_without_transformers(
    pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = moco.MergeConfig.model_validate(config(pair))
    monkeypatch.setattr("moco.merging.run.importlib.util.find_spec", lambda n: n == "torch" or None)
    with pytest.raises(MissingExtraError, match=r"--no-verify skips it.*moco-collab\[hf\]"):
        moco.merge(found, tmp_path / "out")
    moco.merge(found, tmp_path / "out", moco.MergeOptions(verify=False))
