"""The trained router through a pool: every kind learns, newcomers join, states survive a reload."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted import member

from moco import Pool
from moco.choosing import Ballot
from moco.errors import DataError, RequirementError
from moco.methods.api.trained_router import TrainedRouter
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.routing import lm
from moco.types import Query, Sample, Sampling

KINDS = ("sum", "word", "city")
TOPICS = {
    "sum": "What is {} plus seven and twelve",
    "word": "Spell the letters of the word number {} backwards",
    "city": "Which country has the capital city number {}",
}
EMBEDDER = "zoo://mini/embedder"
ENGINE = {"devices": ["cpu"], "dtype": "float32"}
SOFT = ("ridge", "knn", "factors")


def samples(split: str, count: int) -> list[Sample]:
    """Questions of three kinds in turn; A is right."""
    found = []
    for i in range(count):
        text = TOPICS[KINDS[i % 3]].format(i + (100 if split == "test" else 0)) + "?"
        found.append(Sample(plain(f"{split}{i}", text, "choice", choices=("red", "green")), ("A",)))
    return found


def knows(name: str, kind: str, **changes: Any) -> dict[str, Any]:
    """Right on questions of one kind only."""
    start = TOPICS[kind].partition(" {}")[0]
    rules = [{"match": start, "reply": "Answer: A"}]
    return {**member(name, "Answer: B", rules=rules), **changes}


TEXTS = {"sum": "Adds numbers.", "word": "Spells words.", "city": "Knows capitals."}
MEMBERS = [knows(f"m-{kind}", kind) for kind in KINDS]


def opened(roles: dict[str, Any], members: Sequence[Any] = MEMBERS, **changes: Any) -> Pool:
    return Pool.open(list(members), roles=roles, engine=ENGINE, **changes)


def dev_of(count: int = 30) -> Dev:
    return Dev(samples("dev", count), load("scorer", "choice")())


def queries(count: int = 12) -> list[Query]:
    return [s.query for s in samples("test", count)]


def expected(count: int = 12) -> list[str]:
    return [f"m-{KINDS[i % 3]}" for i in range(count)]


def routed(method: TrainedRouter, pool: Pool, state: Any, asked: Sequence[Query]) -> list[str]:
    return [route.member for route in method.choose(pool, asked, state)]


@pytest.mark.parametrize("kind", SOFT)
def test_light_kinds_route_by_topic_and_their_state_survives(kind: Any, tmp_path: Path) -> None:
    with opened({"embedder": EMBEDDER}) as pool:
        kept = pool.with_(artifacts=tmp_path)
        method = TrainedRouter(kind=kind)
        state = method.fit(kept, dev_of())
        assert routed(method, kept, state, queries()) == expected()
        again = json.loads(json.dumps(state))
        reloaded = opened({"embedder": EMBEDDER}).with_(artifacts=tmp_path)
        with reloaded:
            first = method.choose(kept, queries(), state)
            assert method.choose(reloaded, queries(), again) == first
        checked = state["learnt"]["dev"]
        assert checked["router"] > checked["best_single"] + 0.4
        assert not list(tmp_path.rglob("*.pkl")) and not list(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize("kind", SOFT)
def test_a_newcomer_joins_from_a_few_questions(kind: Any) -> None:
    """The one that knows cities answers 9 of 30 dev questions; the others are learnt as without
    it.
    """
    with opened({"embedder": EMBEDDER}) as pool:
        method = TrainedRouter(kind=kind, newcomers={"m-city": 9})
        calls = pool.context.engine.fresh_calls
        table = method.observe(pool, dev_of())
        asked = np.isfinite(table.scores_QM).sum(axis=0)
        assert asked.tolist() == [30, 30, 9]
        assert pool.context.engine.fresh_calls - calls <= 69
        state = method.fit_table(pool, table)
        found = routed(method, pool, state, queries(30))
        hits = [f == e for f, e in zip(found, expected(30), strict=True)]
        cities = [hit for hit, e in zip(hits, expected(30), strict=True) if e == "m-city"]
        assert np.mean(cities) >= 0.8
        assert np.mean(hits) >= 0.9

        old = TrainedRouter(kind=kind)
        without = old.fit(pool.of(["m-sum", "m-word"]), dev_of())
        joined = old.admit(pool, without, "m-city", Dev(dev_of().samples[:9], dev_of().scorer))
        assert joined["members"] == ["m-sum", "m-word", "m-city"]
        assert joined["means"][:2] == without["means"]
        two, three = (
            old.estimate(pool, s["learnt"], queries(), old.embed(pool, queries()))
            for s in (without, joined)
        )
        assert np.allclose(three.scores_QM[:, :2], two.scores_QM, atol=1e-12)


def test_the_language_model_learns_whom_to_name(tmp_path: Path) -> None:
    method = TrainedRouter(kind="lm", learning_rate=4e-3, epochs=12, batch_size=16)
    dev, asked = dev_of(45), queries(30)
    members = [{**m, "description": TEXTS[k]} for m, k in zip(MEMBERS, KINDS, strict=True)]
    with opened({"router": "zoo://mini/base"}, members, seed=3) as pool:
        kept = pool.with_(artifacts=tmp_path)
        state = method.fit(kept, dev)
        learnt = state["learnt"]
        assert learnt["held"] > 0 and learnt["caution"] == 0.0 and learnt["slope"] > 0.5
        found = routed(method, kept, state, asked)
        assert np.mean([f == e for f, e in zip(found, expected(30), strict=True)]) >= 0.7
        alone = [routed(method, kept, state, [query])[0] for query in asked[:6]]
        assert alone == found[:6]
        calls = pool.context.engine.fresh_calls
        again = json.loads(json.dumps(method.fit(kept, dev)))
        assert again == json.loads(json.dumps(state))
        assert pool.context.engine.fresh_calls == calls  # neither trained nor asked twice
        assert routed(method, kept, again, asked) == found
    # another order of the members changes neither the training nor what the router says
    with opened({"router": "zoo://mini/base"}, members[::-1], seed=3) as turned:
        other = method.fit(turned.with_(artifacts=tmp_path), dev)["learnt"]
        assert other["model"] == learnt["model"]
        router = turned.with_(artifacts=tmp_path).kept_model(other["model"])
        asked_of = [
            lm.probabilities(router, asked, x["lines"], x["means"]) for x in (learnt, other)
        ]
        assert np.allclose(asked_of[0], asked_of[1][:, ::-1], atol=1e-6)


def test_lessons_name_the_best_in_every_order_and_leave_ties_out() -> None:
    own = Ballot(("b", "a", "c"), lambda order: f"order {list(order)}")
    rows = lm.lessons(own, np.asarray([0.0, 1.0, 1.0]))
    assert [(r["prompt"], r["completion"]) for r in rows] == [
        ("order [1, 0, 2]", "1"), ("order [1, 0, 2]", "3"),
        ("order [0, 2, 1]", "2"), ("order [0, 2, 1]", "3"),
        ("order [2, 1, 0]", "1"), ("order [2, 1, 0]", "2"),
    ]  # fmt: skip
    assert lm.lessons(own, np.asarray([1.0, 1.0, 1.0])) == []
    assert lm.lessons(own, np.asarray([np.nan, 0.5, np.nan])) == []


def test_nothing_to_learn_is_said() -> None:
    same = [member(f"same-{i}", "Answer: A") for i in range(2)]
    pool = opened({"router": "zoo://mini/base"}, same)
    with pool, pytest.raises(DataError, match="nothing to learn"):
        TrainedRouter(kind="lm").fit(pool, dev_of(6))


def test_a_router_that_cannot_be_trained_is_refused_before_anything_is_asked() -> None:
    with opened({}) as pool:
        with pytest.raises(RequirementError, match="no member is a full checkpoint"):
            TrainedRouter(kind="lm").fit(pool, dev_of(6))
        assert pool.context.engine.fresh_calls == 0
    pool = opened({"router": MEMBERS[0]})
    with pool, pytest.raises(RequirementError, match="cannot be trained"):
        TrainedRouter(kind="lm").fit(pool, dev_of(6))


def test_settings_of_another_kind_are_refused() -> None:
    facts = {"a": None, "b": None, "c": None}
    sampling = Sampling()
    (found,) = TrainedRouter(kind="ridge", rank=4).problems(facts, sampling)
    assert found.where == "method.rank" and "kind ridge" in found.what
    (found,) = TrainedRouter(kind="lm", newcomers={"a": 4}).problems(facts, sampling)
    assert found.where == "method.newcomers"
    found, *_ = TrainedRouter(newcomers={"d": 4}).problems(facts, sampling)
    assert "no pool member is called 'd'" in found.what
    (found,) = TrainedRouter(newcomers={"a": 4, "b": 4}).problems(facts, sampling)
    assert "fewer than two" in found.what
    assert TrainedRouter(kind="lm", rank=4).problems(facts, sampling) == []


def test_cost_weight_moves_questions_to_the_cheap_member() -> None:
    priced = [
        {**m, "price": {"prompt": p, "generated": p}}
        for m, p in zip(MEMBERS, (1, 1, 50), strict=True)
    ]
    with opened({"embedder": EMBEDDER}, priced) as pool:
        state = TrainedRouter().fit(pool, dev_of())
        free = routed(TrainedRouter(), pool, state, queries())
        dear = routed(TrainedRouter(cost_weight=3.0), pool, state, queries())
        assert free.count("m-city") == 4 and dear.count("m-city") == 0
        plans = TrainedRouter().points(pool, queries(), state)
        assert plans[0].by == tuple(free)
        assert replace(plans[0]).knob == 0.0
