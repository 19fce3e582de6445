"""Supervised fine-tuning on the bundled tiny models: it learns, resumes, stops, is done once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from moco.engine import keys
from moco.errors import DataError, PromptTooLongError
from moco.pool import Pool
from moco.train.base import artifact
from moco.train.lora_model import LOG_FILE
from moco.train.rows import prompt_of, rows_of
from moco.train.sft import Sft
from moco.types import Message, Query, Sampling

BASE = "zoo://mini/base"
COLOURS = {"north": "red", "south": "green", "east": "blue", "west": "white"}
"""The rule to learn: the place decides, whatever the word is."""
WORDS = (
    "apple", "bread", "chair", "dog", "egg", "fish", "goat", "house", "ice", "jam", "king", "lamp",
    "moon", "nose", "oven", "pen", "queen", "rain", "ship", "tree", "uncle", "van", "wall", "yard",
)  # fmt: skip


def question(word: str, place: str) -> str:
    return f"What is the colour of the {word} in the {place}?"


def lesson(words: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"prompt": question(word, place), "completion": f"Answer: {colour}"}
        for word in words
        for place, colour in COLOURS.items()
    ]


def opened() -> Pool:
    return Pool.open([BASE], sampling=Sampling(max_tokens=8), engine={"devices": ["cpu"]})


def right(pool: Pool, words: Sequence[str]) -> list[float]:
    """Share of right answers of each member on these words."""
    asked = [(w, place) for w in words for place in COLOURS]
    answers = pool.ask_all([Query(f"{w}-{place}", question(w, place)) for w, place in asked])
    return [
        sum(COLOURS[p] in g.text for (_, p), g in zip(asked, own, strict=True)) / len(asked)
        for own in answers
    ]


def log_of(trained: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((trained.spec.adapter / LOG_FILE).read_text())
    return found


def test_training_prompts_are_inference_prompts() -> None:
    with opened() as pool:
        spec = pool[0].spec
        chat = [["system", "Be brief."], ["user", "What is the capital of France?"]]
        data = [{"prompt": p, "completion": "Paris"} for p in ("Who?", chat)]
        rows = rows_of(spec, data, 0)
        for row, item in zip(rows, data, strict=True):
            prompt = keys.rendered(spec, prompt_of(item["prompt"]))
            assert list(row.ids[: row.start]) == prompt
            renderer = keys.renderer_of(spec.path)  # type: ignore[arg-type]
            assert renderer.decode(row.ids[row.start :]) == "Paris"
            assert row.ids[-1] in renderer.stop_ids
        assert prompt_of(chat) == (Message("system", chat[0][1]), Message("user", chat[1][1]))


def test_it_learns_a_rule_that_holds_for_the_unseen_half() -> None:
    recipe = Sft(epochs=12, learning_rate=4e-3, batch_size=16, rank=16, alpha=32, patience=4)
    with opened() as pool:
        trained = pool.train(pool[0], lesson(WORDS[::2]), recipe, "taught")
        validation = [loss for _, loss in log_of(trained)["validation"]]
        assert min(validation) < 0.5 * validation[0]
        before, after = right(pool.including([trained]), WORDS[1::2])
        assert after >= before + 0.5
        assert after >= 0.9
        calls = pool.context.engine.fresh_calls
        again = pool.train(pool[0], lesson(WORDS[::2]), recipe, "taught")
        assert again.spec == trained.spec and pool.context.engine.fresh_calls == calls


SHORT = Sft(epochs=4, learning_rate=2e-3, batch_size=16, rank=4, alpha=8, patience=9)


def run(recipe: Sft, folder: Path, scratch: Path, **changes: Any) -> Mapping[str, torch.Tensor]:
    with opened() as pool:
        folder.mkdir()
        recipe.train(pool[0].spec, lesson(WORDS[:8]), folder, "cpu", scratch, lambda rollouts: [])
    return load_file(folder / "adapter_model.safetensors")


def test_a_stopped_training_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import TrainerCallback

    from moco.train import lora_model

    class Stop(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.global_step == 7:
                raise KeyboardInterrupt

    whole = run(SHORT, tmp_path / "whole", tmp_path / "scratch-whole")
    twice = run(SHORT, tmp_path / "twice", tmp_path / "scratch-twice")
    assert all(torch.equal(whole[name], twice[name]) for name in whole)
    with monkeypatch.context() as patch:
        own = lora_model.callbacks
        patch.setattr(lora_model, "callbacks", lambda patience: [*own(patience), Stop()])
        with pytest.raises(KeyboardInterrupt):
            run(SHORT, tmp_path / "stopped", tmp_path / "scratch")
    assert lora_model.last_checkpoint(tmp_path / "scratch") is not None
    resumed = run(SHORT, tmp_path / "resumed", tmp_path / "scratch")
    assert whole.keys() == resumed.keys()
    assert all(torch.allclose(whole[name], resumed[name], atol=1e-6) for name in whole)
    log = json.loads((tmp_path / "resumed" / LOG_FILE).read_text())
    assert log == json.loads((tmp_path / "whole" / LOG_FILE).read_text())
    assert not (tmp_path / "scratch").exists()
    made = [tmp_path / name for name in ("whole", "twice", "resumed")]
    left = {path.suffix for folder in made for path in folder.rglob("*")}
    assert left == {".json", ".safetensors"}


def test_it_stops_early_and_leaves_randomness_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    recipe = Sft(epochs=30, learning_rate=0.5, batch_size=16, rank=4, alpha=8, patience=1)
    run(recipe, tmp_path / "made", tmp_path / "scratch")
    assert torch.equal(torch.rand(1), expected)
    log = json.loads((tmp_path / "made" / LOG_FILE).read_text())
    assert log["steps"] < 30 * -(-log["rows"] // 16)
    assert log["best"] == min(loss for _, loss in log["validation"])


def test_a_row_that_does_not_fit_is_named_and_none_is_cut() -> None:
    with opened() as pool:
        long = [*lesson(WORDS[:2]), {"prompt": "word " * 2000, "completion": "x"}]
        with pytest.raises(PromptTooLongError, match="training row 8"):
            pool.train(pool[0], long, Sft())
        with pytest.raises(DataError, match="no training rows"):
            pool.train(pool[0], [], Sft())
        with pytest.raises(DataError, match="completion"):
            pool.train(pool[0], [{"prompt": "x"}], Sft())


def test_validation_is_held_out_and_settings_are_the_identity() -> None:
    with opened() as pool:
        rows = rows_of(pool[0].spec, lesson(WORDS), 0)
        learnt, held = Sft().split(rows)
        assert len(learnt) + len(held) == len(rows) and len(held) == round(0.1 * len(rows))
        assert Sft().split(rows) == (learnt, held)
        marked = [{**item, "held": i < 3} for i, item in enumerate(lesson(WORDS))]
        learnt, held = Sft().split(rows_of(pool[0].spec, marked, 0))
        assert [row.ids for row in held] == [row.ids for row in rows[:3]]
        assert [row.ids for row in learnt] == [row.ids for row in rows[3:]]
        assert Sft(seed=1).identity() != Sft().identity()
        call = keys.train_call(pool[0].spec, lesson(WORDS), Sft(), 0)
        assert not artifact(call.key).exists()
