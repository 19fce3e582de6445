"""Rewarded rollouts on the bundled tiny models: the mean reward rises, nothing to learn is said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
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
)  # fmt: skip
REWARD = TaskReward(load("scorer", "choice")())


def rewards(model: Model, words: Sequence[str], draws: int = 8) -> np.ndarray:
    """Rewards of sampled answers to these questions."""
    samples = [sample(word) for word in words]
    items = [lesson_of(s) for s in samples]
    found: list[float | None] = []
    for draw in range(draws):
        used = Sampling(temperature=1.0, max_tokens=12)
        given = model.ask([s.query.prompt for s in samples], sampling=used, draw=draw)
        found += REWARD.score(items, [g.text for g in given])
    return np.asarray(found, dtype=float)


def test_the_mean_reward_rises_on_unseen_questions() -> None:
    with opened() as pool:
        lessons = [lesson_of(sample(word)) for word in THINGS[::2]]
        trained = pool.train(pool[0], lessons, RECIPE, "rewarded", reward=REWARD)
        before, after = (rewards(model, THINGS[1::2]) for model in (pool[0], trained))
        assert trained.spec.adapter is not None
        log = json.loads((trained.spec.adapter / LOG_FILE).read_text())
        assert log["rows"] == 12 and log["steps"] == 9
        assert (log["judged"], log["missing"]) == (3 * 12 * 8, 0)
        assert log["reward"][-1][1] > log["reward"][0][1]
        again = pool.train(pool[0], lessons, RECIPE, "rewarded", reward=REWARD)
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
        recipe = replace(RECIPE, max_tokens=2, num_generations=2)
        with pytest.raises(DataError, match=r"first 5 batches.*nothing to learn"):
            pool.train(pool[0], lessons, recipe, reward=Same())
        with pytest.raises(ValueError, match="give this training a reward"):
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
    found = REWARD.score([lesson] * 4, ["Answer: B", "Answer: A", "green", "who knows"])
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
    assert REWARD.identity() == {
        "name": "task",
        "scorer": "moco.scorers.choice.Choice",
        "version": Choice.version,
    }
    with opened() as pool:
        spec, data = pool[0].spec, [lesson_of(sample("apple"))]
        judged = TaskReward(load("scorer", "choice")(), {"judge": pool[0]})
        told = [None, REWARD.identity(), judged.identity()]
        assert len({keys.train_call(spec, data, RECIPE, 0, own).key for own in told}) == 3


def test_a_missing_reward_is_the_mean_of_its_group() -> None:
    found = grpo.filled([1.0, None, 0.5, None, None, None], 3)
    assert found.tolist() == [[1.0, 0.75, 0.5], [0.0, 0.0, 0.0]]


@dataclass(frozen=True)
class Judged:
    """A member says which texts it likes, by its own likelihood of them."""

    judge: Model

    def identity(self) -> Mapping[str, Any]:
        return {"name": "judged", "judge": self.judge.spec.fingerprint}

    def score(self, items: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[float | None]:
        pairs = [(str(item["prompt"]), text) for item, text in zip(items, texts, strict=True)]
        found = self.judge.loglikelihood([(p, text or " ") for p, text in pairs], stage="judge")
        return [None if i % 7 == 0 else x.total for i, x in enumerate(found)]


@pytest.mark.parametrize("engine", [{}, {"executor": "process"}])
def test_judges_are_asked_while_the_trainer_waits(engine: dict[str, Any]) -> None:
    """On the thread or in the process that trains, through the cache like all calls."""
    shared = {"devices": ["cpu"], "dtype": "float32", **engine}
    with Pool.open([BASE, "zoo://mini/words"], engine=shared) as pool:
        lessons = [lesson_of(sample(word)) for word in THINGS[:4]]
        recipe = replace(RECIPE, epochs=1, num_generations=4, max_tokens=4)
        trained = pool.train(pool[0], lessons, recipe, reward=Judged(pool[1]))
        assert trained.spec.adapter is not None
        log = json.loads((trained.spec.adapter / LOG_FILE).read_text())
        assert (log["judged"], log["missing"]) == (16, 3)
        assert pool.context.engine.fresh_calls > 1
        calls = pool.context.engine.fresh_calls
        pool.train(pool[0], lessons, recipe, reward=Judged(pool[1]))
        assert pool.context.engine.fresh_calls == calls


@dataclass(frozen=True)
class Broken:
    """A judge that cannot be reached."""

    def identity(self) -> Mapping[str, Any]:
        return {"name": "broken"}

    def score(self, items: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[float]:
        raise DataError("the judge is gone")


def test_what_goes_wrong_in_a_reward_ends_the_training_with_its_message() -> None:
    with opened() as pool:
        lessons = [lesson_of(sample(word)) for word in THINGS[:4]]
        with pytest.raises(DataError, match="the judge is gone"):
            pool.train(pool[0], lessons, RECIPE, reward=Broken())
        assert pool[0].ask(["Still here?"])  # the worker goes on


def test_a_training_that_goes_on_may_have_learnt_all_there_is() -> None:
    """Only the first batches of all say that there is nothing to learn."""
    with opened() as pool:
        spec = pool[0].spec
        rows = asked_of(spec, [lesson_of(sample("apple"))], 12, 0)
        renderer = keys.renderer_of(keys.folder_of(spec), None)

        def batches(step: int) -> None:
            rewarding = grpo._Rewarding(lambda asked: [1.0] * len(asked[1]), rows, renderer, 2)
            for further in range(6):
                state = SimpleNamespace(global_step=step + further)
                rewarding(["0", "0"], [[5], [6]], trainer_state=state)

        batches(grpo.WITHOUT_VARIANCE)
        with pytest.raises(DataError, match="first 5 batches"):
            batches(0)
