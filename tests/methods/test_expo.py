"""ExPO: the line by hand, which ends it has, α of 0 always tried, never behind on dev."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from folders import save_model
from methods.searches import ADAPTERS, FULL, best_on_dev, dev, files, pool_of
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from moco.backends.hf_load import recipe_of
from moco.methods.weight.expo import Expo
from moco.types import Sampling
from tests.weights.gathering import gather

SINGLES = {"a": 0.2, "b": 0.5, "c": 0.3, "d": 0.4}
NAMES = list(SINGLES)


def ends(**parameters: Any) -> tuple[list[str], list[str]]:
    return Expo(**parameters)._ends(NAMES, SINGLES)


def test_the_line_by_hand(tmp_path: Path) -> None:
    folders = [save_model(tmp_path / name, seed=0) for name in "ab"]
    for folder, norm in zip(folders, ([1.0, 2.0, 4.0], [3.0, 1.0, 4.0]), strict=True):
        state = load_file(folder / "model.safetensors")
        state["model.norm.weight"][:3] = torch.tensor(norm)
        save_file(state, folder / "model.safetensors", {"format": "pt"})
    with pool_of([str(folder) for folder in folders]) as (pool, _):
        option = Expo()._option(pool, ["a"], ["b"], 0.5)
        assert option.weights == {"a": -0.5, "b": 1.5}
        found = gather(recipe_of(option.model.spec))
        # 3 + 0.5 · (3 − 1), 1 + 0.5 · (1 − 2), 4; what the two share stays
        assert found["model.norm.weight"][:3].tolist() == pytest.approx([4.0, 0.5, 4.0])
        shared = load_file(folders[0] / "model.safetensors")["model.embed_tokens.weight"]
        torch.testing.assert_close(found["model.embed_tokens.weight"], shared)
        assert Expo()._option(pool, ["a"], ["b"], 0.0).model == pool.named("b")
        assert Expo()._option(pool, ["a"], ["b"], -1.0).model == pool.named("a")


def test_ends_by_mode() -> None:
    assert ends() == (["a"], ["b"])
    assert ends(mode="topk_bottomk", k=2) == (["c", "a"], ["b", "d"])
    assert ends(mode="topk_bottomk", k=9) == (["c", "a"], ["b", "d"])  # no member on both ends
    assert ends(mode="pairs") == (["a"], ["b"])  # of (a, b) and (c, d)
    assert ends(mode="pairs", pair_selection="sft_score") == (["c"], ["d"])
    named = {"sft_models": ["b", "a"], "dpo_models": ["d", "c"]}
    assert ends(mode="pairs", **named) == (["b"], ["d"])
    assert ends(mode="pairs", pair_selection="improvement", **named) == (["a"], ["c"])


def test_means_of_several_members() -> None:
    with pool_of(FULL) as (pool, _):
        option = Expo()._option(pool, ["arithmetic", "words"], ["facts"], 0.4)
        assert option.weights == {"arithmetic": -0.2, "words": -0.2, "facts": 1.4}


def test_adapters_all_values_in_one_job_on_one_base() -> None:
    method = Expo()
    with pool_of(ADAPTERS) as (pool, jobs):
        before = files()
        state = method.fit(pool, dev())
        method.predict(pool, dev().queries, state)
        assert files() == before and len(pool.context.engine.loads) == 1
    assert jobs.of("dev search") == [("generate", 36, 6)]
    assert list(state["scores"]) == ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]
    chosen, beaten = best_on_dev(state)
    assert chosen >= beaten
    assert state["targets"] == [max(state["singles"], key=lambda name: state["singles"][name])]


@pytest.mark.parametrize("mode", ["worst_to_best", "topk_bottomk"])
@pytest.mark.parametrize("members", [ADAPTERS, FULL])
def test_never_behind_the_best_single_on_dev(mode: str, members: list[str]) -> None:
    for alpha_mode in ("optimized", "fixed"):
        with pool_of(members) as (pool, _):
            method = Expo(mode=mode, alpha_mode=alpha_mode, alpha=5.0)
            state = method.fit(pool, dev(8))
        chosen, beaten = best_on_dev(state)
        assert chosen >= beaten >= max(state["singles"].values())


def test_without_a_guard_the_best_on_all_of_dev_counts_and_the_first_of_equals() -> None:
    with pool_of(FULL) as (pool, jobs):
        state = Expo(guard=False, alpha_candidates=[-0.5, 0.2, 0.2]).fit(pool, dev(8))
        assert jobs.of("dev search") == [("generate", 24, 3)]
        best = max(state["scores"].values())
        first = next(a for a, score in state["scores"].items() if score == best)
        assert (f"{state['alpha']:g}", state["confirm"]) == (first, {})
        jobs.asked.clear()
        fixed = Expo(guard=False, alpha_mode="fixed").fit(pool, dev(8))
        assert fixed["alpha"] == 0.3 and fixed["scores"] == {} and not jobs.of("dev search")


def test_pairs_have_to_be_complete() -> None:
    facts = dict.fromkeys("abc")

    def where(**parameters: Any) -> list[str]:
        return [p.where for p in Expo(**parameters).problems(facts, Sampling()) if not p.note]

    assert where(mode="pairs") == ["pool"]
    assert where(mode="pairs", sft_models=["a"]) == ["method.sft_models"]
    assert where(mode="pairs", sft_models=["x"], dpo_models=["b"]) == ["method.sft_models"]
    assert where(mode="pairs", sft_models=["a"], dpo_models=["b"]) == where() == []
    (note,) = Expo(sft_models=["a"]).problems(facts, Sampling())
    assert note.note and "no effect" in note.what
    with pytest.raises(ValidationError):
        Expo(alpha_candidates=[-2])
    assert Expo.requires.min_models == 2
