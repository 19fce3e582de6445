"""Preference training on the bundled tiny models: it learns, goes on, knows its descent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from moco.engine import keys
from moco.errors import DataError, ModelFormatError, PromptTooLongError
from moco.members import with_adapter
from moco.model import Model
from moco.pool import Pool
from moco.train.dpo import Dpo
from moco.train.lora_model import LOG_FILE
from moco.train.rows import preferred_of

BASE = "zoo://mini/base"
WORDS = (
    "apple", "bread", "chair", "dog", "egg", "fish", "goat", "house", "ice", "jam", "king", "lamp",
    "moon", "nose", "oven", "pen", "queen", "rain", "ship", "tree", "uncle", "van", "wall", "yard",
)  # fmt: skip
RECIPE = Dpo(epochs=3, learning_rate=1e-3, batch_size=16, patience=9)


def prompt(word: str) -> str:
    return f"What is the colour of the {word}?"


def pairs(words: Sequence[str]) -> list[dict[str, Any]]:
    """Short answers are preferred to long ones."""
    return [
        {
            "prompt": prompt(w),
            "chosen": "Answer: red",
            "rejected": f"The {w} has many. Answer: blue",
        }
        for w in words
    ]


def opened() -> Pool:
    return Pool.open([BASE], engine={"devices": ["cpu"], "dtype": "float32"})


def margin(model: Model, words: Sequence[str]) -> float:
    """Mean log-probability of the chosen answer less that of the rejected one."""
    rows = pairs(words)
    asked = [(row["prompt"], row[key]) for row in rows for key in ("chosen", "rejected")]
    found = [x.total for x in model.loglikelihood(asked)]
    return sum(found[0::2]) / len(rows) - sum(found[1::2]) / len(rows)


def log_of(model: Model) -> dict[str, Any]:
    assert model.spec.adapter is not None
    found: dict[str, Any] = json.loads((model.spec.adapter / LOG_FILE).read_text())
    return found


def test_the_margin_rises_on_unseen_pairs_and_goes_on_rising() -> None:
    learnt, unseen = WORDS[::2], WORDS[1::2]
    with opened() as pool:
        base = pool[0]
        first = pool.train(base, pairs(learnt), RECIPE, "first")
        validation = [loss for _, loss in log_of(first)["validation"]]
        assert validation[-1] < 0.69  # log 2 where nothing is learnt
        start, once = margin(base, unseen), margin(first, unseen)
        assert once > start + 1.0
        second = pool.train(first, pairs(learnt), RECIPE, "second")
        twice = margin(second, unseen)
        assert twice > once
        assert log_of(first)["parents"] == []
        assert log_of(second)["parents"] == [first.spec.fingerprint]
        assert log_of(second)["base"] == base.facts.base
        again = pool.train(first, pairs(learnt), RECIPE, "second")
        assert again.spec.fingerprint == second.spec.fingerprint != first.spec.fingerprint


def test_a_reloaded_second_iteration_says_what_it_said(tmp_path: Path) -> None:
    with opened() as pool:
        first = pool.train(pool[0], pairs(WORDS[:10]), RECIPE)
        second = pool.train(first, pairs(WORDS[:10]), RECIPE)
        kept = pool.with_(artifacts=tmp_path)
        ref = json.loads(json.dumps(kept.keep_model(second, pool[0])))
        asked = [(prompt(w), "Answer: red") for w in WORDS[:4]]
        before = second.token_logprobs(asked)
    with opened() as fresh:
        after = fresh.with_(artifacts=tmp_path).kept_model(ref).token_logprobs(asked)
    assert [pytest.approx(x, abs=1e-6) for x in before] == after


def test_a_fingerprint_does_not_hang_on_where_an_adapter_lies(tmp_path: Path) -> None:
    with opened() as pool:
        first = pool.train(pool[0], pairs(WORDS[:10]), RECIPE)
        second = pool.train(first, pairs(WORDS[:10]), RECIPE)
        assert second.spec.adapter is not None
        shutil.copytree(second.spec.adapter, tmp_path / "moved")
        config = json.loads((tmp_path / "moved" / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == BASE
        config["base_model_name_or_path"] = "/somewhere/else"
        (tmp_path / "moved" / "adapter_config.json").write_text(json.dumps(config))
        moved = with_adapter(pool[0].spec, tmp_path / "moved", "moved")
        assert moved.fingerprint == second.spec.fingerprint


def test_prompts_are_those_of_inference_and_answers_close_their_turn() -> None:
    with opened() as pool:
        spec = pool[0].spec
        (row,) = preferred_of(spec, pairs(WORDS[:1]), 0)
        assert list(row.prompt) == keys.rendered(spec, prompt(WORDS[0]))
        renderer = keys.renderer_of(spec.path)  # type: ignore[arg-type]
        assert renderer.decode(row.chosen) == "Answer: red"
        assert row.chosen[-1] == row.rejected[-1] and row.chosen[-1] in renderer.stop_ids


def test_pairs_that_teach_nothing_are_left_out_and_none_is_an_error() -> None:
    same = {"prompt": "x", "chosen": "a", "rejected": "a"}
    with opened() as pool:
        spec = pool[0].spec
        assert len(preferred_of(spec, [same, *pairs(WORDS[:1])], 0)) == 1
        with pytest.raises(DataError, match="none of 2 pairs is usable"):
            pool.train(pool[0], [same, same], RECIPE)
        with pytest.raises(DataError, match="needs prompt, chosen and rejected"):
            pool.train(pool[0], [{"prompt": "x", "chosen": "a"}], RECIPE)
        with pytest.raises(PromptTooLongError, match="training row 0"):
            pool.train(
                pool[0], [{"prompt": "word " * 2000, "chosen": "a", "rejected": "b"}], RECIPE
            )


def test_an_adapter_of_another_base_does_not_go_on(tmp_path: Path) -> None:
    with opened() as pool:
        first = pool.train(pool[0], pairs(WORDS[:10]), RECIPE)
        assert first.spec.adapter is not None
        shutil.copytree(first.spec.adapter, tmp_path / "moved")
        log = json.loads((tmp_path / "moved" / LOG_FILE).read_text())
        (tmp_path / "moved" / LOG_FILE).write_text(json.dumps({**log, "base": "another"}))
        odd = Model(with_adapter(pool[0].spec, tmp_path / "moved", "odd"), pool.context)
        with pytest.raises(ModelFormatError, match="another base"):
            pool.train(odd, pairs(WORDS[:10]), RECIPE)
