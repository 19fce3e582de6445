"""The trained aggregator: which sets it learns from, that it learns, that the best is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted import member

from moco import Pool
from moco.errors import RequirementError
from moco.methods.text.agglm import Agglm
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.types import Query, Sample, Sampling

THINGS = ("apple", "bread", "chair", "dog", "egg", "fish", "goat", "house", "ice", "jam", "king",
          "lamp", "moon", "nose", "oven", "pen", "queen", "rain", "ship", "tree")  # fmt: skip


def query(thing: str) -> Query:
    return plain(
        thing, f"Which colour has the {thing}?", "choice", choices=("red", "green", "blue")
    )


def dev(things: tuple[str, ...] = THINGS, right: str = "A") -> Dev:
    return Dev([Sample(query(t), (right,)) for t in things], load("scorer", "choice")())


def spoken(name: str, reply: str, *rules: tuple[str, str]) -> dict[str, Any]:
    return member(name, reply, rules=[{"match": m, "reply": r} for m, r in rules])


MIXED = [
    spoken("one", "Answer: B", ("apple|bread", "Answer: A"), ("dog", "Answer: C")),
    spoken("two", "Answer: B", ("bread|chair", "Answer: A"), ("dog", "Answer: C")),
    spoken("three", "Answer: A", ("chair|dog", "Answer: C")),
]
"""apple and bread: the majority is right; chair: a tie with a right one; dog: nobody is right."""


def test_sets_are_hard_where_the_majority_is_wrong_and_hopeless_where_all_are() -> None:
    with Pool.open(MIXED) as pool:
        method = Agglm(sets=1)
        found = method._sets(pool, dev(("apple", "bread", "chair", "dog", "egg")))
        told = {own.sample.query.id: (own.hard, own.hopeless) for own in found}
        assert told == {
            "apple": (False, False), "bread": (False, False), "chair": (True, False),
            "dog": (True, True), "egg": (True, False),
        }  # fmt: skip
        chosen = {own.sample.query.id for own in method._mixed(found, 0)}
        assert chosen == {"apple", "bread", "chair", "egg"}
        few = Agglm(sets=1, easy_share=0.5)._mixed(found, 0)
        assert sum(not own.hard for own in few) == 1


def test_an_aggregator_learns_whom_to_believe_and_beats_the_vote(tmp_path: Path) -> None:
    """Two members are wrong in the same way; the third is right and says so differently."""
    wrong, right = "It is Answer: B", "Surely Answer: A"
    members = [spoken("x", wrong), spoken("y", wrong), spoken("z", right)]
    roles = {"aggregator": "zoo://mini/base"}
    with Pool.open(members, roles=roles, sampling=Sampling(max_tokens=12)) as pool:
        kept = pool.with_(artifacts=tmp_path)
        method = Agglm(sets=1, learning_rate=3e-3, epochs=3, batch_size=4)
        state = method.fit(kept, dev())
        assert state["training"]["hard"] == state["training"]["learnt"] == 16
        compared = state["training"]["compared"]
        assert compared["vote"] == 0.0 and state["use"] == "trained"
        assert compared["trained"] >= compared["untrained"]
        calls = pool.context.engine.fresh_calls
        assert method.fit(kept, dev()) == state and pool.context.engine.fresh_calls == calls
        again = json.loads(json.dumps(state))
        found = method.predict(kept, [query("violin"), query("wall")], again)
    assert all("A" in p.text for p in found)
    assert all(p.notes == {"used": "trained"} for p in found)


def test_nothing_hard_leaves_the_simplest_that_is_best() -> None:
    members = [spoken(n, "Answer: A") for n in "ab"]
    with Pool.open(members, roles={"aggregator": "zoo://mini/base"}) as pool:
        state = Agglm(sets=1).fit(pool, dev(THINGS[:6]))
        assert state["model"] is None and state["use"] == "vote"
        assert state["training"]["learnt"] == 0
        (found,) = Agglm(sets=1).predict(pool, [query("violin")], state)
        assert found.text == "Answer: A" and found.notes == {"used": "vote"}


def test_somebody_has_to_be_trainable() -> None:
    pool = Pool.open(MIXED)
    with pool, pytest.raises(RequirementError, match="no member can be trained"):
        Agglm().fit(pool, dev(THINGS[:4]))
