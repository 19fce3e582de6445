"""`moco merge`: the folder it writes, the card in it, the check after it, and what it refuses."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scripted
import torch
import transformers
import yaml
from safetensors.torch import load_file, save_file

import moco
from moco import facts, members
from moco.merging import config as merge_config
from moco.merging import plan as merge_plan
from moco.sources import hub
from tests.tiny import CHATML

Models = Callable[..., Path]
WEIGHTS = "model.safetensors"


def config(folders: list[Path], method: Any = "linear", **more: Any) -> dict[str, Any]:
    pool = [{"model": str(f), "name": "abcd"[i]} for i, f in enumerate(folders)]
    return {"method": method, "pool": pool, **more}


def copied(source: Path, folder: Path, **files: str) -> Path:
    """A copy of a model with other files; a name's last underscore is its dot."""
    shutil.copytree(source, folder)
    for name, text in files.items():
        stem, _, ending = name.rpartition("_")
        (folder / f"{stem}.{ending}").write_text(text)
    return folder


def front(folder: Path) -> dict[str, Any]:
    """What a model card tells programs."""
    found: dict[str, Any] = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    return found


@pytest.fixture
def pair(model_dir: Models) -> list[Path]:
    return [model_dir("llama", 1), model_dir("llama", 2)]


def test_a_merge_is_a_model_with_a_card(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    licensed = copied(pair[0], tmp_path / "one", README_md="---\nlicense: mit\n---\n")
    (licensed / "LICENSE").write_text("Do what you like.")
    method = {"name": "linear", "weights": {"a": [3.0, 1.0], "b": 1}}
    file = scripted.write_config(tmp_path, config([licensed, pair[1]], method))
    code, out, err = scripted.call(capsys, "merge", file, "-o", tmp_path / "out", "-q")
    assert code == 0 and not err, err
    for word in ("linear of 2 members", "0.5 to 0.75", "0.25 to 0.5", "result", "GB/s",
                 "verified in", f"written: {tmp_path / 'out'}"):  # fmt: skip
        assert word in out, word
    out_dir = tmp_path / "out"
    text = (out_dir / "README.md").read_text()
    assert front(out_dir) == {
        "library_name": "transformers", "license": "other", "license_name": "mit-and-unknown",
        "tags": ["merge", "moco", "linear"],
    }  # fmt: skip
    prints = [str(s.fingerprint) for s in members.resolve(
        merge_config.read(file).shared(), pull=True).pool]  # fmt: skip
    for word in (*prints, str(licensed), "| 0.5 to 0.75 | mit |", "- b: unknown", "perplexity",
                 "weights:\n    a: [3.0, 1.0]", "GB/s", "written by moco 0."):  # fmt: skip
        assert word in text, word
    assert (out_dir / "licences" / "a" / "LICENSE").read_text() == "Do what you like."
    one, two, result = (load_file(f / WEIGHTS) for f in (licensed, pair[1], out_dir))
    name = "model.layers.0.mlp.up_proj.weight"
    torch.testing.assert_close(result[name], 0.75 * one[name] + 0.25 * two[name])
    name = "model.layers.1.mlp.up_proj.weight"
    torch.testing.assert_close(result[name], 0.5 * one[name] + 0.5 * two[name])
    model = transformers.AutoModelForCausalLM.from_pretrained(out_dir)
    assert model.generate(torch.tensor([[5, 6]]), max_new_tokens=2, pad_token_id=0).shape[1] > 2
    assert facts.facts_of(out_dir).licence == "other"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_full_config_of_a_card_gives_the_same_model(
    model_dir: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, folders = model_dir("llama"), [model_dir("llama", i) for i in (1, 2)]
    data = {
        "merge_method": "dare_ties", "base_model": str(base), "out_dtype": "bfloat16",
        "models": [{"model": str(f), "parameters": {"weight": 0.5}} for f in folders],
        "parameters": {"density": 0.5, "lambda": [0.5, 1]},
    }  # fmt: skip
    file = scripted.write_config(tmp_path, data)
    arguments = ("seed=3", "--no-verify", "-q")
    assert scripted.call(capsys, "merge", file, "-o", tmp_path / "one", *arguments)[0] == 0
    text = (tmp_path / "one" / "README.md").read_text()
    given, whole = (block.split("```")[0] for block in text.split("```yaml\n")[1:])
    assert yaml.safe_load(given) == data and "not verified" in text
    again = tmp_path / "again.yaml"
    again.write_text(whole)
    assert scripted.call(capsys, "merge", again, "-o", tmp_path / "two", *arguments[1:])[0] == 0
    assert (tmp_path / "one" / WEIGHTS).read_bytes() == (tmp_path / "two" / WEIGHTS).read_bytes()
    other = scripted.call(capsys, "merge", again, "-o", tmp_path / "three", "seed=4", "--no-verify")
    assert other[0] == 0
    assert (tmp_path / "one" / WEIGHTS).read_bytes() != (tmp_path / "three" / WEIGHTS).read_bytes()


def test_the_merge_is_the_one_that_runs(model_dir: Models, tmp_path: Path) -> None:
    """What `moco run` answers with is what `moco merge` writes, random masks included."""
    base, folders = model_dir("llama"), [model_dir("llama", i) for i in (1, 2)]
    names = {"a": str(folders[0]), "b": str(folders[1])}
    pool: list[Any] = [{"model": ref, "name": name} for name, ref in names.items()]
    found = moco.MergeConfig.model_validate(
        {"method": "dare_linear", "pool": pool, "roles": {"base": str(base)}, "seed": 3}
    )
    out = moco.merge(found, tmp_path / "out", moco.MergeOptions(verify=False)).path
    queries = [moco.Query(str(i), text) for i, text in enumerate(["The answer", "A question"])]
    roles, short = {"base": str(base)}, moco.Sampling(max_tokens=16)
    with moco.Pool.open(pool, roles=roles, seed=3) as opened:
        rule = merge_plan.build_method(found)
        live = opened.merge(rule).ask([q.prompt for q in queries], stage="x", sampling=short)
    with moco.Pool.open([str(out)]) as opened:
        written = opened.ask_all(queries, sampling=short)[0]
    assert [g.text for g in live] == [g.text for g in written]
    assert any(g.text for g in live)


def test_types_and_shards(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = scripted.write_config(tmp_path, config(pair))
    options = ("--dtype", "bfloat16", "--shard-size", "20KB", "--max-memory", "64MB",
               "--device", "cpu", "-q")  # fmt: skip
    code, out, _ = scripted.call(capsys, "merge", file, "-o", tmp_path / "deep" / "out", *options)
    folder = tmp_path / "deep" / "out"
    assert code == 0 and len(list(folder.glob("model-*.safetensors"))) > 2
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert model.dtype == torch.bfloat16 and "result" in out


def test_adapters_merge_into_their_base(
    model_dir: Models, adapter_dirs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lender = tmp_path / "lender"
    shutil.copytree(adapter_dirs[0], lender)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(model_dir("llama") / name, lender / name)
    (lender / "chat_template.jinja").write_text(CHATML)
    data = {
        "merge_method": "task_arithmetic", "base_model": str(model_dir("llama")),
        "models": [{"model": f"{model_dir('llama')}+{f}"} for f in (lender, adapter_dirs[1])],
        "parameters": {"weight": 0.5},
    }  # fmt: skip
    file = scripted.write_config(tmp_path, data)
    code, out, err = scripted.call(
        capsys, "merge", file, "-o", tmp_path / "out", "tokenizer_source=base", "-q"
    )
    assert code == 0, err
    assert "lender" in out and str(lender) in (tmp_path / "out" / "README.md").read_text()
    code, _, err = scripted.call(
        capsys, "merge", file, "-o", tmp_path / "more", "-q", "files=first"
    )
    assert (tmp_path / "more" / "chat_template.jinja").read_text() == CHATML
    one, two = (load_file(tmp_path / d / WEIGHTS) for d in ("out", "more"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_adapters_merge_over_their_own_base_only(
    model_dir: Models, adapter_dirs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = [{"model": str(model_dir("llama")), "adapter": str(f), "name": f.name}
            for f in adapter_dirs[:2]]  # fmt: skip
    data = {"method": "task_arithmetic", "pool": pool}
    for base, code in ((model_dir("llama"), 0), (model_dir("llama", 5), 2)):
        for task in ({}, {"task": "mini"}):  # a merge, and a run with one
            file = scripted.write_config(tmp_path, {**data, **task, "roles": {"base": str(base)}})
            found, out, _ = scripted.call(capsys, "check", file)
            assert found == code and ("not the base that the adapters" in out) == bool(code)


def test_the_configs_of_the_page_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "merging.md").read_text()
    blocks = [part.partition("```")[0] for part in page.split("```yaml\n")[1:]]
    assert len(blocks) == 3
    for i, block in enumerate(blocks):
        file = scripted.write_config(tmp_path, block, f"{i}.yaml")
        code, out, err = scripted.call(capsys, "check", file)
        assert code == 0 and out.strip().endswith(f"{i}.yaml: fits"), out + err
        options = ("--no-verify", "-q", *(("--as", "adapter", "--rank", "16") if i == 2 else ()))
        assert scripted.call(capsys, "merge", file, "-o", tmp_path / f"{i}", *options)[0] == 0


def test_differences_are_told_and_settled(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"}
    one = copied(pair[0], tmp_path / "one", tokenizer_config_json=json.dumps(settings))
    two = copied(pair[1], tmp_path / "two", chat_template_jinja=CHATML)
    three = copied(pair[1], tmp_path / "three", chat_template_jinja=CHATML)
    rope = json.loads((three / "config.json").read_text()) | {"rms_norm_eps": 0.1}
    (three / "config.json").write_text(json.dumps(rope))
    state = {k: v.bfloat16() for k, v in load_file(three / WEIGHTS).items()}
    save_file(state, three / WEIGHTS, metadata={"format": "pt"})
    file = scripted.write_config(tmp_path, config([one, two, three]))
    code, out, _ = scripted.call(capsys, "check", file)
    assert code == 0 and "c.yaml: fits" in out
    for line in ("the type of the stored numbers of c is not that of 'a', which the result has",
                 "the chat template of b, c is not that of 'a'", "the eos_token of b, c",
                 "the rms_norm_eps of c"):  # fmt: skip
        assert line in out, line
    quick = ("--no-verify", "-q")
    code, out, _ = scripted.call(capsys, "merge", file, "-o", tmp_path / "first", *quick)
    assert code == 0 and "chat template" in out
    assert not (tmp_path / "first" / "chat_template.jinja").exists()
    assert json.loads((tmp_path / "first" / "tokenizer_config.json").read_text()) == settings
    assert "the rms_norm_eps of c" in (tmp_path / "first" / "README.md").read_text()
    for i, change in enumerate(("tokenizer=b", "files=b", "chat_template=auto")):
        out_dir = tmp_path / f"{i}"
        assert scripted.call(capsys, "merge", file, "-o", out_dir, change, *quick)[0] == 0
        assert (out_dir / "chat_template.jinja").read_text() == CHATML.strip()
    text = "chat_template=\"{{ messages[0]['content'] }}\""
    assert scripted.call(capsys, "merge", file, "-o", tmp_path / "own", text, *quick)[0] == 0
    assert "messages[0]" in (tmp_path / "own" / "chat_template.jinja").read_text()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"task": "mini"}, "task: a merge has none; `moco run` scores"),
    ({"method": "majority_vote"}, "works on answers, not on weights; moco merge takes"),
    ({"method": "greedy_soup"}, "`moco run` is the way"),
    ({"method": "linaer"}, "Did you mean 'linear'?"),
    ({"method": {"name": "linear", "normalise": True}}, "Did you mean 'normalize'?"),
    ({"method": {"name": "linear", "weights": {"z": 1}}}, "z"),
    ({"method": "ties"}, "roles.base: is required"),
    ({"pool": ["zoo://mini/base"]}, "needs at least 2 models, has 1"),
    ({"pool": ["zoo://mini/base", "zoo://mini/outsider_a"]}, "differs from 'base' in its"),
    ({"pool": ["zoo://mini/base", "zoo://mini/facts_lora"]}, "mixes adapters and full"),
    ({"pool": ["zoo://mini/base", "zoo://mini/nothing"]}, "nothing"),
    ({"pool": ["zoo://mini/base", "zoo://mini/reward"]}, "does not give"),
    ({"engine": {"memory": "much"}}, "'much' is no size"),
    ({"engine": {"dtype": "int8"}}, "engine.dtype"),
    (
        {"tokenizer": "base", "pool": ["zoo://mini/facts", "zoo://mini/words"]},
        "is 'base', and no base is named",
    ),
    ({"files": "z"}, "'z' is no member"),
    ({"chat_template": "{% if %}"}, "chat_template: the chat template is faulty"),
    ({"sead": 1}, "Did you mean 'seed'?"),
    ({"roles": {"judge": "zoo://mini/base"}}, "roles.judge"),
    ({"method": {"name": "linear", "weights": {"base": 1, "facts": -1}}}, "add up to 0"),
    ({"method": {"name": "slerp", "t": []}}, "method slerp:"),
    ({"method": "ties", "roles": {"base": "zoo://mini/facts_lora"}}, "is an adapter on a"),
    (
        {"method": {"name": "linear", "normalize": False}, "pool": ["zoo://mini/facts_lora"] * 2},
        "do not add up to 1, which would scale the base",
    ),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[w[:25] for _, w in WRONG])
def test_what_is_wrong_is_one_message_before_anything_is_read(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    words: str,
) -> None:
    from moco.weights.reader import Reader

    def read(*_: Any) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(Reader, "block", read)
    data = {"method": "linear", "pool": ["zoo://mini/base", "zoo://mini/facts"]} | change
    file = scripted.write_config(tmp_path, data)
    before = sorted(p for p in tmp_path.iterdir())
    code, _, err = scripted.call(capsys, "merge", file, "-o", tmp_path / "out" / "deep")
    assert code == 2 and words in scripted.message_of(err)
    assert sorted(tmp_path.iterdir()) == before
    if "task" not in change and change.get("method") in (None, "linear", "ties"):
        code, out, err = scripted.call(capsys, "check", file)
        assert code == 2 and words in out + err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "exists already"),
        (("--max-memory", "tiny"), 2, "--max-memory: 'tiny' is no size"),
        (("--shard-size", "-1"), 2, "--shard-size"),
        (("--dtype", "int4"), 2, "engine.dtype"),
        (("--device", "tpu"), 2, "engine.devices"),
        (("--max-memory", "1KB"), 2, "too few to merge in"),
        (("--push", "nobody"), 2, "is no name on the hub"),
        (("--push", "owner/name"), 3, "HF_TOKEN"),
        (("--as", "table"), 2, "table"),
    ],
)
def test_wrong_options(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, words: str,
) -> None:  # fmt: skip
    monkeypatch.delenv("HF_TOKEN", raising=False)
    file = scripted.write_config(tmp_path, config(pair))
    out = tmp_path if not arguments else tmp_path / "out"
    found, _, err = scripted.call(capsys, "merge", file, "-o", out, *arguments)
    assert found == code and words in scripted.message_of(err)
    assert not (tmp_path / "out").exists()
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".")] == []


class FakeHub:
    """Stands for the hub's own client."""

    calls: list[Any] = []  # noqa: RUF012 - emptied by the test

    def __init__(self, token: str = "") -> None:
        self.calls.append(("token", token))

    def create_repo(self, repo: str, **options: Any) -> str:
        self.calls.append((repo, options))
        return f"https://hub.example/{repo}"

    def upload_folder(self, *, repo_id: str, folder_path: str, **_: Any) -> None:
        if repo_id == "owner/full":
            raise OSError("no room")
        self.calls.append((repo_id, sorted(p.name for p in Path(folder_path).iterdir())))


def test_a_result_is_pushed(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeHub)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    FakeHub.calls.clear()
    file = scripted.write_config(tmp_path, config(pair))
    push = ("merge", file, "--no-verify", "-q", "-o")
    code, out, err = scripted.call(capsys, *push, tmp_path / "out", "--push", "owner/name")
    assert code == 0 and "uploaded: https://hub.example/owner/name" in out
    assert FakeHub.calls[0] == ("token", "hf_secret")
    assert FakeHub.calls[1][1]["private"] and "README.md" in FakeHub.calls[2][1]
    assert "hf_secret" not in out + err + (tmp_path / "out" / "README.md").read_text()
    code, _, err = scripted.call(capsys, *push, tmp_path / "two", "--push", "owner/full")
    assert code == 3 and (tmp_path / "two" / "README.md").is_file()
    assert "is written, but not uploaded" in scripted.message_of(err)
    monkeypatch.setattr("moco.merging.run.importlib.util.find_spec", lambda n: n == "torch" or None)
    code, _, err = scripted.call(capsys, *push, tmp_path / "three", "--push", "owner/name")
    assert code == 3 and "moco-collab[hf]" in scripted.message_of(err)


def test_hub_models_without_a_revision_are_pinned(
    pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def newest(repo: str, *, pull: bool) -> str:
        asked.append(pull)
        return "abc123" if pull else ""

    snapshots = {"hf://own/one@abc123": pair[0], "hf://own/two@def": pair[1]}
    monkeypatch.setattr(hub, "newest", newest)
    monkeypatch.setattr(hub, "fetch", lambda ref, *, pull: snapshots[ref] if pull else None)
    data = {"merge_method": "linear", "parameters": {"weight": 1},
            "models": [{"model": "own/one"}, {"model": "own/two@def"}]}  # fmt: skip
    found = merge_config.from_data(data)
    notes = [str(p) for p in merge_plan.plan(found, pull=False).problems]
    assert all("unknown until pulled" in n or "no revision is named" in n for n in notes)
    out = moco.merge(found, tmp_path / "out", moco.MergeOptions(verify=False)).path
    text = (out / "README.md").read_text()
    assert "hf://own/one@abc123" in text and "so abc123 is taken" in text
    assert front(out)["base_model"] == ["own/one", "own/two"] and asked == [False, False, True]


def test_newest_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda *_, **__: str(tmp_path / "snapshots" / "c0ffee"),
    )
    assert hub.newest("own/er", pull=False) == "c0ffee"
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert hub.newest("own/er", pull=False) == ""


def test_nothing_heavy_is_imported_to_check(tmp_path: Path, pair: list[Path]) -> None:
    import subprocess

    file = scripted.write_config(tmp_path, config(pair, tokenizer="union"))
    code = (
        "import sys, moco.cli; code = moco.cli.main(sys.argv[1:]);"
        "heavy = {'torch', 'transformers', 'scipy'} & {*sys.modules};"
        "sys.exit(code or (f'imported {heavy}' if heavy else 0))"
    )
    done = subprocess.run([sys.executable, "-c", code, "check", str(file)], check=False)
    assert done.returncode == 0
    quick = code.replace("'torch', ", "")
    out = ["merge", str(file), "-o", str(tmp_path / "out"), "--no-verify"]
    done = subprocess.run([sys.executable, "-c", quick, *out], check=False)
    assert done.returncode == 0
