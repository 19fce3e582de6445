"""Duels, ratings, preferences, and training of real tiny models."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from scripted import member

from moco import Pool
from moco.errors import DataError
from moco.methods.duels import Duel, SpartaRule, matched, strengths
from moco.methods.text.sparta import Sparta, _preferences
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.types import Query, Sample, Sampling


def query(name: str = "q") -> Query:
    return plain(name, f"Which one is {name}?", "choice", choices=("red", "green", "blue"))


def dev(count: int = 10, right: str = "A") -> Dev:
    samples = [Sample(query(f"d{i}"), (right,)) for i in range(count)]
    return Dev(samples, load("scorer", "choice")())


def duel(players: tuple[int, int] = (0, 1), **votes: float) -> Duel:
    told = {int(judge[1:]): share for judge, share in votes.items()}
    return Duel(query(), players, ("first", "second"), told)


def test_everybody_takes_turns_and_meets_like_ratings() -> None:
    asked = [query(f"q{i}") for i in range(40)]
    found = matched(asked, [100, 101, 180, 181], random.Random(0), random_share=0.0, opponents=1)
    assert [d.query.id for d in found] == [q.id for q in asked]
    assert Counter(d.players[0] for d in found) == {0: 10, 1: 10, 2: 10, 3: 10}
    assert all({*d.players} in ({0, 1}, {2, 3}) for d in found)
    wild = matched(asked, [100, 101, 180, 181], random.Random(0), random_share=1.0, opponents=1)
    assert len({frozenset(d.players) for d in wild}) == 6


def test_verdicts_are_weighted_and_missing_ones_do_not_count() -> None:
    weights = [1.0, 1.0, 3.0, 1.0]
    assert duel(j2=1.0, j3=0.0).balance(weights) == 0.5
    assert duel(j3=0.0).balance(weights) == -1.0
    assert duel(j2=0.5).balance(weights) == 0.0
    assert duel().balance(weights) == 0.0
    rows = _preferences([duel(j2=1.0), duel(j3=0.0), duel(j2=0.5), duel()], weights)
    assert [(row["chosen"], row["rejected"]) for row in rows] == [
        ("first", "second"), ("second", "first"),
    ]  # fmt: skip


def test_both_players_move_from_the_ratings_before_the_duel() -> None:
    rule = SpartaRule.of(3)
    rule.ratings = [104.0, 100.0, 100.0]
    rule.record(duel(j2=1.0))
    z = 4 / math.hypot(0.5, 0.5)
    gap = math.erf(z / math.sqrt(2))
    move = 10 * 9 * math.tanh(0.5) * gap / 20
    assert rule.ratings == pytest.approx([104 + move, 100 - move, 100])
    turned = SpartaRule.of(3)
    turned.ratings = [104.0, 100.0, 100.0]
    turned.record(Duel(query(), (1, 0), ("b", "a"), {2: 0.0}))
    assert turned.ratings == pytest.approx(rule.ratings)
    assert rule.updates == 1
    for _ in range(60):
        rule.record(duel(j2=0.0))
    assert min(rule.ratings) >= 10


def test_strengths_follow_the_duels() -> None:
    duels = [duel((0, 1), j2=1.0)] * 6 + [duel((1, 2), j0=1.0)] * 6 + [duel((0, 2))]
    found = strengths(3, duels)
    assert found[0] > found[1] > found[2] > 0
    assert strengths(3, []) == [100.0] * 3


def test_no_winner_is_said() -> None:
    members = [member(n, "Answer: A") for n in "abc"]
    pool = Pool.open(members)
    with pool, pytest.raises(DataError, match="no duel has a winner"):
        Sparta(judge="gold").fit(pool, dev())


MEMBERS = ["zoo://mini/base", "zoo://mini/words", "zoo://mini/facts"]


def opened() -> Pool:
    return Pool.open(
        MEMBERS, sampling=Sampling(max_tokens=10), engine={"devices": ["cpu"], "dtype": "float32"}
    )


@pytest.mark.parametrize("rating", ["bradley_terry", "sparta"])
def test_all_versions_and_the_untrained_members_are_candidates(rating: Any, tmp_path: Path) -> None:
    method = Sparta(
        num_iterations=2, num_instructions=6, rating=rating, learning_rate=1e-3, batch_size=4
    )
    with opened() as pool:
        kept = pool.with_(artifacts=tmp_path)
        state = method.fit(kept, dev())
        names = [(name, number) for name, number, _ in state["candidates"]]
        assert names == [(n, i) for i in range(3) for n in ("base", "words", "facts")]
        scores = [score for _, _, score in state["candidates"]]
        best = scores.index(max(scores))
        assert state["member"] == names[best][0]
        assert (state["model"] is None) == (best < 3)
        assert len(state["iterations"]) == 2
        assert all(told["duels"] == 6 and told["preferences"] > 0 for told in state["iterations"])
        first, second = (told["ratings"] for told in state["iterations"])
        assert first != second  # the second iteration goes on from the first's
        calls = pool.context.engine.fresh_calls
        assert method.fit(kept, dev()) == state
        assert pool.context.engine.fresh_calls == calls
        found = method.predict(kept, [query("t")], json.loads(json.dumps(state)))
        assert found[0].by == (state["member"],)


def test_clones_stay_apart_and_a_flat_iteration_ends_the_training(tmp_path: Path) -> None:
    method = Sparta(num_iterations=3, num_instructions=4, learning_rate=1e-3, judge="gold")
    pool = Pool.open(
        ["zoo://mini/base"] * 3, sampling=Sampling(max_tokens=10),
        engine={"devices": ["cpu"], "dtype": "float32"},
    )  # fmt: skip
    with pool:
        state = method.fit(pool.with_(artifacts=tmp_path), dev(20))
    assert 1 <= len(state["iterations"]) <= 3
    assert len(state["candidates"]) == 3 + 3 * len(state["iterations"])


def test_with_gold_verdicts_members_learn_what_is_right(tmp_path: Path) -> None:
    """Everywhere A is right; after training on duels answers say so more often."""
    method = Sparta(
        num_iterations=1, judge="gold", learning_rate=2e-3, epochs=3, batch_size=4,
        temperature=1.0,
    )  # fmt: skip
    with opened() as pool:
        state = method.fit(pool.with_(artifacts=tmp_path), dev(40))
    before = [score for _, number, score in state["candidates"] if number == 0]
    after = [score for _, number, score in state["candidates"] if number == 1]
    assert max(after) >= max(before)
    assert sum(after) > sum(before)
