"""Vocabularies lined up by token: twins, missing tokens, padding, unions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

import moco
from moco.errors import ModelFormatError
from moco.merging import alignment
from moco.merging import plan as merge_plan
from moco.merging.alignment import Words
from moco.merging.run import MergeOptions
from moco.weights import merge as engine
from moco.weights import vocabulary_align
from moco.weights.reader import Reader
from tests.weights.vocabularies import TABLES, renumbered, row, save, state, with_added, words

QUICK = MergeOptions(verify=False)


def merged(
    out: Path,
    folders: Sequence[Path],
    method: Any = "linear",
    base: Path | None = None,
    **more: Any,
) -> Path:
    """The result of a merge."""
    roles: dict[str, Any] = {"base": {"model": str(base), "name": "base"}} if base else {}
    pool = [{"model": str(f), "name": "abc"[i]} for i, f in enumerate(folders)]
    data = {"method": method, "pool": pool, "roles": roles, "tokenizer": "first", **more}
    return moco.merge(moco.MergeConfig.model_validate(data), out, QUICK).path


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    """Whether both hold the same numbers."""
    return one.keys() == two.keys() and all(torch.equal(one[n], two[n]) for n in one)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_model_and_its_renumbered_twin_give_the_model_back(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = save(tmp_path / "one", tokens=300, rows=328, kind=kind)
    twin = renumbered(tmp_path / "twin", one)
    assert not same(state(one), state(twin))
    assert (TABLES[1] in state(one)) == (kind == "qwen2")  # tied and untied
    assert same(state(merged(tmp_path / "first", [one, twin])), state(one))
    assert same(state(merged(tmp_path / "last", [one, twin], tokenizer="b")), state(twin))
    assert same(state(merged(tmp_path / "union", [one, twin], tokenizer="union")), state(one))
    ties = {"name": "ties", "density": 1.0}
    other = renumbered(tmp_path / "other", one, seed=5)
    found = state(merged(tmp_path / "ties", [twin, other], ties, base=one, tokenizer="base"))
    assert same(found, state(one))  # no difference anywhere
    monkeypatch.setattr(engine, "BLOCK", 96)
    assert same(state(merged(tmp_path / "cut", [one, twin])), state(one))


def test_vocabularies_are_never_merged_by_index(tmp_path: Path) -> None:
    one = save(tmp_path / "one")
    twin = renumbered(tmp_path / "twin", one)
    found = moco.MergeConfig(method="linear", pool=[str(one), str(twin)])
    problems = [str(p) for p in merge_plan.plan(found, pull=False).problems]
    assert len(problems) == 1 and "pool.twin: differs from 'one' in its vocabulary" in problems[0]
    assert "tokens differ, such as" in problems[0] and "tokenizer: first" in problems[0]


def test_a_missing_token_takes_the_mean_of_those_that_have_it(tmp_path: Path) -> None:
    full = save(tmp_path / "full", tokens=300, seed=1)
    more = renumbered(tmp_path / "more", save(tmp_path / "m", tokens=300, seed=2))
    less = save(tmp_path / "less", tokens=280, rows=300, seed=3)
    gone = sorted(words(full).keys() - words(less).keys())
    assert gone and words(less).keys() < words(full).keys()
    out = merged(tmp_path / "out", [full, less, more])
    for token in gone[:5]:
        mean = (row(full, token) + row(more, token)) / 2
        torch.testing.assert_close(row(out, token), mean)
    token = "Ġthe" if "Ġthe" in words(less) else "a"
    mean = (row(full, token) + row(less, token) + row(more, token)) / 3
    torch.testing.assert_close(row(out, token), mean)
    small = merged(tmp_path / "small", [full, less, more], tokenizer="b")
    assert words(small) == words(less) and len(state(small)[TABLES[0]]) == 300
    torch.testing.assert_close(row(small, token), mean)


def test_a_missing_token_has_no_difference_to_the_base(tmp_path: Path) -> None:
    base = save(tmp_path / "base", tokens=300, seed=0)
    full = renumbered(tmp_path / "full", save(tmp_path / "f", tokens=300, seed=1))
    less = save(tmp_path / "less", tokens=280, rows=300, seed=2)
    token = sorted(words(full).keys() - words(less).keys())[0]
    method = {"name": "task_arithmetic", "scale": 0.5}
    out = merged(tmp_path / "out", [full, less], method, base, tokenizer="base")
    expected = row(base, token) + 0.5 * (row(full, token) - row(base, token))
    torch.testing.assert_close(row(out, token), expected)
    # a token that the base lacks: the mean of those that have it, without a difference
    added = with_added(tmp_path / "added", base, ["<|tool|>"])
    out = merged(tmp_path / "more", [added, full], method, base)
    torch.testing.assert_close(row(out, "<|tool|>"), row(added, "<|tool|>"))


def test_padding_is_kept(tmp_path: Path) -> None:
    one = save(tmp_path / "one", tokens=300, rows=352, seed=1)
    two = save(tmp_path / "two", tokens=300, rows=336, seed=2)
    out = merged(tmp_path / "out", [one, two])
    table, mine, other = (state(f)[TABLES[0]] for f in (out, one, two))
    assert table.shape == mine.shape
    assert json.loads((out / "config.json").read_text())["vocab_size"] == 352
    torch.testing.assert_close(table[:336], (mine[:336] + other) / 2)
    torch.testing.assert_close(table[336:], mine[336:])


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_union_has_the_tokens_of_all(tmp_path: Path, kind: str) -> None:
    one = save(tmp_path / "one", tokens=280, rows=284, kind=kind, seed=1)
    two = with_added(
        tmp_path / "two", save(tmp_path / "t", tokens=300, kind=kind, seed=2), ["<|tool|>"]
    )
    (one / "merges.txt").write_text("stale")
    out = merged(tmp_path / "out", [one, two], tokenizer="union", engine={"dtype": "bfloat16"})
    found = words(out)
    assert found.keys() == words(one).keys() | words(two).keys()
    assert sorted(found.values()) == list(range(len(found)))
    assert all(found[token] == i for token, i in words(one).items())
    config = json.loads((out / "config.json").read_text())
    assert config["vocab_size"] == len(found) and config["dtype"] == "bfloat16"
    assert not (out / "merges.txt").exists()
    for name in TABLES if kind == "qwen2" else TABLES[:1]:
        torch.testing.assert_close(
            row(out, "<|tool|>", name), row(two, "<|tool|>", name).bfloat16()
        )
        both = (row(one, "<|end|>", name) + row(two, "<|end|>", name)) / 2
        torch.testing.assert_close(row(out, "<|end|>", name), both.bfloat16())
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    text = "The answer is the end of a question <|tool|> é 7<|im_end|>"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text and found["<|tool|>"] in ids
    mine, more = (Tokenizer.from_file(str(f / "tokenizer.json")).encode(text) for f in (out, two))
    assert mine.tokens == more.tokens  # its merges came along
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert model(torch.tensor([ids])).logits.shape[-1] == len(found)


def test_a_union_fills_padding_before_it_adds_rows(tmp_path: Path) -> None:
    one = save(tmp_path / "one", tokens=300, rows=328, seed=1)
    two = with_added(tmp_path / "two", one, ["<|tool|>"])
    out = merged(tmp_path / "out", [one, two], tokenizer="union")
    assert words(out)["<|tool|>"] == 300 and len(state(out)[TABLES[0]]) == 328
    torch.testing.assert_close(row(out, "<|tool|>"), row(two, "<|tool|>"))
    torch.testing.assert_close(state(out)[TABLES[0]][301:], state(one)[TABLES[0]][301:])


def test_a_union_numbers_tokens_without_counting_them_anew() -> None:
    class Counted(dict[str, int]):
        asked = 0

        def values(self) -> Any:
            self.asked += 1
            return super().values()

    def tokenizer(vocab: dict[str, int], added: Sequence[str]) -> dict[str, Any]:
        entries = [{"content": token, "id": len(vocab) + i} for i, token in enumerate(added)]
        return {
            "model": {"type": "BPE", "vocab": vocab, "merges": []}, "added_tokens": entries
        }  # fmt: skip

    ids = Counted({"a": 0, "b": 1})
    more = tokenizer({"b": 0, **{f"t{i}": i + 1 for i in range(40)}}, [f"<{i}>" for i in range(40)])
    alignment._extend(tokenizer(dict(ids), []), ids, more, Path("one"))
    assert sorted(ids.values()) == list(range(82)) and ids.asked < 4


def changed(folder: Path, change: Callable[[Any], Any], file: str = "tokenizer.json") -> Path:
    """A folder of which a JSON file is changed."""
    data = json.loads((folder / file).read_text())
    change(data)
    (folder / file).write_text(json.dumps(data))
    return folder


def test_a_union_takes_ordinary_tokens_that_are_added_besides(tmp_path: Path) -> None:
    def extend(data: Any) -> None:
        data["model"]["vocab"] |= {"zq": 300, "zx": 301, "hole": 310}
        data["model"]["merges"] += [["z", "q"], ["z", "x"]]
        data["added_tokens"].append({**data["added_tokens"][0], "content": "zq", "id": 300})

    one, two = (save(tmp_path / name, tokens=300) for name in ("one", "two"))
    changed(two, extend)
    for first, other in ((one, two), (two, with_added(tmp_path / "more", one, ["<|tool|>"]))):
        union = alignment.union(alignment.words_of(first), [alignment.words_of(other)])
        data: Any = union.files["tokenizer.json"]
        made = Tokenizer.from_str(json.dumps(data))
        numbered = {entry["content"]: entry["id"] for entry in data["added_tokens"]}
        found = made.get_vocab(with_added_tokens=True)
        assert {token: found[token] for token in numbered} == numbered  # also behind a hole
        whole = Tokenizer.from_file(str(two / "tokenizer.json")).encode("a zq zx").tokens
        assert made.encode("a zq zx").tokens == whole and "zx" in whole


def test_a_union_keeps_the_roles_of_special_tokens(tmp_path: Path) -> None:
    one = save(tmp_path / "one", tokens=300, rows=300)
    two = with_added(tmp_path / "two", one, ["<|tool|>"])
    changed(one, lambda data: data.pop("eos_token"), "tokenizer_config.json")
    roles = {"eos_token": "<|end|>", "pad_token": "<|im_end|>"}
    (one / "special_tokens_map.json").write_text(json.dumps(roles))
    out = merged(tmp_path / "out", [one, two], tokenizer="union")
    told = transformers.AutoTokenizer.from_pretrained(out)
    assert (told.eos_token, told.pad_token) == ("<|end|>", "<|im_end|>")
    assert told.convert_tokens_to_ids("<|tool|>") == 300


def test_constants_do_not_make_architectures_differ(tmp_path: Path) -> None:
    one, two = (save(tmp_path / name) for name in ("one", "two"))
    constants = {
        "model.position_ids": torch.arange(4),
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
    }
    save_file({**state(two), **constants}, two / "model.safetensors", {"format": "pt"})
    assert not alignment.why_not_equal(one, two, rows_may_differ=False)
    more = {**state(two), "model.layers.0.self_attn.bias": torch.ones(4)}
    save_file(more, two / "model.safetensors", {"format": "pt"})
    assert "self_attn.bias'" in alignment.why_not_equal(one, two, rows_may_differ=False)


def test_the_mean_of_all_rows_is_found_once_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Noted(Reader):
        def weights(self, name: str, start: int, stop: int) -> Tensor:
            asked.append(stop - start)
            return super().weights(name, start, stop)

    monkeypatch.setattr(vocabulary_align, "STEP", 256)
    folders = [save(tmp_path / f"{i}", tokens=300, rows=300, seed=i) for i in (1, 2)]
    models = [alignment.words_of(folder) for folder in folders]
    target = Words(tmp_path, {**models[0].ids, "no": 300, "never": 301}, 302)
    made = vocabulary_align.readers(alignment.align(target, models), folders, None, Noted)
    jobs = [(made[folder], row * 32) for folder in folders for row in (300, 301)]
    with ThreadPoolExecutor(4) as threads:
        rows = list(threads.map(lambda job: job[0].weights(TABLES[0], job[1], job[1] + 32), jobs))
    mean = torch.stack([state(folder)[TABLES[0]] for folder in folders]).mean((0, 1))
    torch.testing.assert_close(torch.stack(rows), mean.expand(4, 32))
    assert sum(asked) == 2 * 300 * 32 and max(asked) <= 256


def test_another_models_tokenizer(tmp_path: Path) -> None:
    one, two = (save(tmp_path / f"{i}", tokens=280, rows=300, seed=i) for i in (1, 2))
    lender = with_added(tmp_path / "lender", one, ["<|tool|>"])
    out = merged(tmp_path / "out", [one, two], tokenizer=str(lender))
    assert words(out) == words(lender)
    everything = torch.cat([state(f)[TABLES[0]][:280] for f in (one, two)])
    torch.testing.assert_close(row(out, "<|tool|>"), everything.mean(0), atol=1e-6, rtol=1e-5)
    found = moco.MergeConfig(method="linear", pool=[str(one), str(two)], tokenizer=str(lender))
    notes = [str(p) for p in merge_plan.plan(found, pull=False).problems if p.note]
    assert notes == ["config: 1 tokens are in no model; they get the mean of all rows"]


def test_what_cannot_be_aligned_is_refused(tmp_path: Path, model_dir: Callable[..., Path]) -> None:
    one = save(tmp_path / "one", rows=328)
    other = moco.MergeConfig(
        method="linear", pool=[str(one), str(model_dir("qwen2"))], tokenizer="first"
    )
    (problem,) = [p for p in merge_plan.plan(other, pull=False).problems if not p.note]
    assert "it is a Qwen2ForCausalLM, not a LlamaForCausalLM" in str(problem)
    bare = moco.MergeConfig(method="linear", pool=[str(one)] * 2, tokenizer="base")
    assert "no base is named" in str(merge_plan.plan(bare, pull=False).problems[0])
    blank = tmp_path / "blank"
    blank.mkdir()
    with pytest.raises(ModelFormatError, match=r"has no tokenizer\.json"):
        alignment.words_of(blank)
    data = json.loads((one / "tokenizer.json").read_text())
    unigram = tmp_path / "unigram"
    unigram.mkdir()
    for file in one.iterdir():
        (unigram / file.name).write_bytes(file.read_bytes())
    data["model"] = {"type": "Unigram", "vocab": [["zz", -1.0], ["yy", -2.0]]}
    (unigram / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(ModelFormatError, match="cannot take ordinary tokens"):
        alignment.union(alignment.words_of(one), [alignment.words_of(unigram)])


def test_source_rows_by_hand() -> None:
    own = Words(Path("own"), {"b": 0, "a": 1, "c": 3, "far": 9}, rows=6)
    found = alignment.source_rows({"a": 0, "b": 1, "x": 2, "far": 3}, 7, own)
    # rows 4 and 5 hold no token on either side, row 6 is beyond the model
    assert np.array_equal(found, [1, 0, -1, -1, 4, 5, -1])


def test_other_padding_is_told_apart(tmp_path: Path) -> None:
    one, two = (save(tmp_path / f"{n}", rows=n) for n in (320, 328))
    found = moco.MergeConfig(method="linear", pool=[str(one), str(two)])
    (problem,) = [str(p) for p in merge_plan.plan(found, pull=False).problems if not p.note]
    assert "is (328, 32), not (320, 32)" in problem and "tokenizer: first" in problem


def test_few_common_tokens_are_told(tmp_path: Path) -> None:
    ids = {f"t{i}": i for i in range(10)}
    one = Words(tmp_path / "one", ids, 10)
    two = Words(tmp_path / "two", {f"u{i}": i for i in range(10)}, 10)
    (note,) = alignment.align(one, [one, two]).notes
    assert note == "two has only 0% of the tokens: its vocabulary is of another kind"
