"""Streaming sums of checkpoints, reading and writing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from moco import checkpoint
from moco.errors import EnvironmentProblem, InputError, ModelFormatError
from moco.weights import ops
from moco.weights.merge import Merge
from moco.weights.reader import Reader
from moco.weights.writer import plan_like, write
from tests.weights.gathering import gather, linear


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_soup_is_the_mean_of_every_tensor(model_dir: Callable[..., Path], kind: str) -> None:
    folders = [model_dir(kind, seed) for seed in range(3)]
    states = [load_file(folder / "model.safetensors") for folder in folders]
    found = gather(linear(folders, [1 / 3] * 3))
    assert found.keys() == states[0].keys()
    for name, tensor in found.items():
        mean = sum(state[name].double() for state in states) / 3
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor.double(), mean, atol=1e-7, rtol=3e-7)


def test_soup_of_tied_models_loads_with_mean_embeddings(
    model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    folders = [model_dir("llama", 0), model_dir("llama", 1)]
    final = write(tmp_path / "soup", Merge(linear(folders, [0.5, 0.5])).run, folders[0])
    models = [transformers.AutoModelForCausalLM.from_pretrained(f) for f in [*folders, final]]
    one, two, soup = (m.get_input_embeddings().weight for m in models)
    torch.testing.assert_close(soup, 0.5 * one + 0.5 * two, atol=1e-7, rtol=1e-6)
    assert models[2].lm_head.weight.data_ptr() == soup.data_ptr()


def test_tied_projection_stored_twice_counts_once(
    model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    twice = tmp_path / "twice"
    shutil.copytree(model_dir("llama"), twice)
    state = load_file(twice / "model.safetensors")
    state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
    save_file(state, twice / "model.safetensors")
    assert "lm_head.weight" not in Reader(twice).names
    assert checkpoint.digest(checkpoint.unique(twice)) == checkpoint.digest(
        checkpoint.unique(model_dir("llama"))
    )


def test_bf16_sums_are_rounded_once(model_dir: Callable[..., Path], tmp_path: Path) -> None:
    folders = [model_dir("llama", seed, torch.bfloat16) for seed in range(3)]
    weights = [0.7, 0.4, -0.1]
    found = Reader(write(tmp_path / "sum", Merge(linear(folders, weights)).run, folders[0]))
    for name in Reader(folders[0]).names:
        exact = ops.weighted_sum((Reader(f).tensor(name) for f in folders), weights)
        assert torch.equal(found.tensor(name), exact.to(torch.bfloat16))
    assert all(t.dtype == torch.float32 for t in gather(linear(folders, weights)).values())


MEASURE = """
import re, sys
from pathlib import Path
from moco.weights.merge import Combination, Merge, Part, Recipe
from moco.weights.writer import write
def status(key):
    return int(re.search(key + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
folders = [Path(p) for p in sys.argv[2:]]
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
recipe = Recipe(Combination((0.25,) * 4), tuple(Part(f.name, f.name, f) for f in folders))
write(Path(sys.argv[1]), Merge(recipe).run, folders[0])
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measured through /proc")
def test_peak_memory_is_one_tensor_not_all_models(tmp_path: Path) -> None:
    folders = [tmp_path / f"m{i}" for i in range(4)]
    for i, folder in enumerate(folders):
        folder.mkdir()
        (folder / "config.json").write_text('{"architectures": ["X"]}')
        state = {f"t{j}": torch.full((6 << 20,), float(i + j)) for j in range(2)}
        save_file(state, folder / "model.safetensors")
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "out"), *map(str, folders)]
    megabytes = int(subprocess.check_output(command, text=True))
    assert megabytes < 120, megabytes  # a tensor takes 24 MiB, the four models 192
    assert Reader(tmp_path / "out").block("t1", 5, 6).item() == 2.5


def test_models_of_other_shapes_are_refused(model_dir: Callable[..., Path]) -> None:
    with pytest.raises(ModelFormatError, match="has no tensor"):
        Merge(linear([model_dir("llama"), model_dir("gpt2")], [0.5, 0.5]))


def test_shards_read_back_equal(model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = model_dir("llama")
    final = write(
        tmp_path / "sharded", Merge(linear([base], [1.0])).run, base, shard_bytes=20_000,
        files={"README.md": "# card\n"},
    )  # fmt: skip
    assert len(list(final.glob("model-*.safetensors"))) > 2
    assert (final / "README.md").read_text() == "# card\n"
    for name in Reader(base).names:
        assert torch.equal(Reader(final).tensor(name), Reader(base).tensor(name))
    loaded = transformers.AutoModelForCausalLM.from_pretrained(final)
    assert torch.equal(
        loaded.state_dict()["lm_head.weight"], Reader(base).tensor("model.embed_tokens.weight")
    )
    assert checkpoint.digest(checkpoint.unique(final)) == checkpoint.digest(checkpoint.unique(base))


def test_a_cast_checkpoint_says_so(model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = model_dir("llama")
    fill = Merge(linear([base], [1.0])).run
    final = write(tmp_path / "half", fill, base, dtype=torch.bfloat16)
    assert json.loads((final / "config.json").read_text())["dtype"] == "bfloat16"
    assert {slot.dtype for slot in checkpoint.tensors(final).values()} == {"BF16"}
    assert sum(p.num_bytes for p in plan_like(final)) * 2 == sum(
        p.num_bytes for p in plan_like(base)
    )


def test_nothing_half_written_is_left(model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = model_dir("llama")
    with pytest.raises(ValueError, match="not written whole"):
        write(tmp_path / "out", lambda put: None, base)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists already"):
        write(tmp_path / "out", Merge(linear([base], [1.0])).run, base)


def test_a_full_disk_is_said_before_writing(
    model_dir: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moco.paths.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(EnvironmentProblem, match="free some space"):
        write(tmp_path / "out", lambda put: None, model_dir("llama"))


def test_blocks_and_empty_sums(model_dir: Callable[..., Path]) -> None:
    source = Reader(model_dir("llama"))
    name = "model.embed_tokens.weight"
    assert torch.equal(source.block(name, 40, 47), source.tensor(name).reshape(-1)[40:47])
    assert source.block(name, 3, 3).numel() == 0
    with pytest.raises(ValueError, match="nothing"):
        ops.weighted_sum([], [])
    with pytest.raises(OverflowError):
        ops.cast(torch.tensor([1e6]), torch.float16)
