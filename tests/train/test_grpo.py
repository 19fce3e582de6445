"""Rewarded rollouts on the bundled tiny models: the mean reward rises, nothing to learn is said."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from moco.engine import keys
from moco.errors import DataError, PromptTooLongError
from moco.model import Model
from moco.pool import Pool
from moco.prompts import plain
from moco.registry import load
from moco.scorers.choice import Choice
from moco.train import grpo
from moco.train.grpo import Grpo
from moco.train.lora_model import LOG_FILE
from moco.train.rewards import TaskReward, lesson_of
from moco.train.rows import asked_of
from moco.types import Sample, Sampling

BASE = "zoo://mini/base"
THINGS = (
    "apple", "bread", "chair", "dog", "egg", "fish", "goat", "house", "ice", "jam", "king", "lamp",
    "moon", "nose", "oven", "pen", "queen", "rain", "ship", "tree", "uncle", "van", "wall", "yard",
)  # fmt: skip


def sample(word: str, right: str = "B") -> Sample:
    """Which option is right is the same everywhere, which the model has to find out."""
    choices = ("red", "green", "blue", "white")
    return Sample(plain(word, f"Which colour has the {word}?", "choice", choices=choices), (right,))


def opened() -> Pool:
    return Pool.open([BASE], engine={"devices": ["cpu"], "dtype": "float32"})


RECIPE = Grpo(
    learning_rate=3e-3, epochs=3, batch_size=4, num_generations=8, max_tokens=12,
    reward=TaskReward(load("scorer", "choice")()),
)  # fmt: skip


def rewards(model: Model, words: Sequence[str], draws: int = 8) -> np.ndarray:
    """Rewards of sampled answers to these questions."""
    samples = [sample(word) for word in words]
    items = [lesson_of(s) for s in samples]
    found: list[float] = []
    for draw in range(draws):
        used = Sampling(temperature=1.0, max_tokens=12)
        given = model.ask([s.query.prompt for s in samples], sampling=used, draw=draw)
        found += RECIPE.reward.score(items, [g.text for g in given])
    return np.asarray(found)


def test_the_mean_reward_rises_on_unseen_questions() -> None:
    with opened() as pool:
        lessons = [lesson_of(sample(word)) for word in THINGS[::2]]
        trained = pool.train(pool[0], lessons, RECIPE, "rewarded")
        before, after = (rewards(model, THINGS[1::2]) for model in (pool[0], trained))
        assert trained.spec.adapter is not None
        log = json.loads((trained.spec.adapter / LOG_FILE).read_text())
        assert log["rows"] == 12 and log["steps"] == 9
        again = pool.train(pool[0], lessons, RECIPE, "rewarded")
        assert again.spec.fingerprint == trained.spec.fingerprint
    gain = after.mean() - before.mean()
    both, rng = np.concatenate([before, after]), np.random.default_rng(0)
    shuffled = []
    for _ in range(2000):
        rng.shuffle(both)
        shuffled.append(both[len(before) :].mean() - both[: len(before)].mean())
    assert gain > 0.2
    assert (np.asarray(shuffled) >= gain).mean() < 0.01


@dataclass(frozen=True)
class Same:
    """Everything is worth the same."""

    def identity(self) -> Mapping[str, Any]:
        return {"name": "same"}

    def score(self, items: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[float]:
        return [0.5] * len(texts)


def test_rewards_without_variance_end_the_training() -> None:
    with opened() as pool:
        lessons = [lesson_of(sample(word)) for word in THINGS]
        recipe = replace(RECIPE, reward=Same(), max_tokens=2, num_generations=2)
        with pytest.raises(DataError, match=r"first 5 batches.*nothing to learn"):
            pool.train(pool[0], lessons, recipe)


def test_prompts_are_those_of_inference_and_have_room_for_an_answer() -> None:
    with opened() as pool:
        spec = pool[0].spec
        lesson = lesson_of(sample("apple"))
        (row,) = asked_of(spec, [lesson], 12, 0)
        assert list(row.prompt) == keys.rendered(spec, sample("apple").query.prompt)
        with pytest.raises(PromptTooLongError, match="training row 0"):
            asked_of(spec, [lesson], 100_000, 0)
        with pytest.raises(DataError, match="needs a prompt"):
            asked_of(spec, [{"query": {}}], 12, 0)


def test_the_task_reward_is_the_tasks_score() -> None:
    lesson = lesson_of(sample("apple"))
    assert json.loads(json.dumps(lesson)) == lesson
    reward = pickle.loads(pickle.dumps(TaskReward(load("scorer", "choice")())))
    found = reward.score([lesson] * 4, ["Answer: B", "Answer: A", "green", "who knows"])
    assert found == [1.0, 0.0, 1.0, 0.0]


def test_the_reward_knows_what_the_data_set_says_besides() -> None:
    rules = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}], "key": 1}
    own = Sample(plain("i", "Write a line.", "free"), ("",), rules)
    reward = TaskReward(load("scorer", "ifeval")())
    lesson = json.loads(json.dumps(lesson_of(own)))
    assert reward.score([lesson, lesson], ["no comma here", "one, two"]) == [1.0, 0.0]


def test_all_rows_are_learnt_from() -> None:
    found = grpo._dataset(8, 7)["prompt"]
    assert [int(place) for place in found] == [0, 1, 2, 3, 4, 5, 6, 0]


def test_the_reward_is_part_of_the_identity() -> None:
    other = replace(RECIPE, reward=TaskReward(load("scorer", "exact")()))
    assert RECIPE.identity() != other.identity()
    found = RECIPE.identity()["reward"]
    assert found == {
        "name": "task",
        "scorer": "moco.scorers.choice.Choice",
        "version": Choice.version,
    }
    json.dumps(RECIPE.identity())
