"""Pairwise comparison, ratings, ranking and fusion with scripted members."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scripted import member

from moco import Pool, comparing
from moco.analysis.ratings import bradley_terry, elo
from moco.comparing import Pair
from moco.methods.text.llm_blender import LlmBlender, _scores
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.types import Query, Sample, Sampling


def query(name: str = "q") -> Query:
    return plain(name, f"Which one is {name}?", "choice", choices=("red", "green", "blue"))


def dev(count: int = 4, right: str = "A") -> Dev:
    samples = [Sample(query(f"d{i}"), (right,)) for i in range(count)]
    return Dev(samples, load("scorer", "choice")())


def spoken(name: str, reply: Any, *rules: tuple[str, Any], **options: Any) -> dict[str, Any]:
    return member(name, reply, rules=[{"match": m, "reply": r} for m, r in rules], **options)


PICK = "Which answer is right"


def judge(*rules: tuple[str, str], reply: str = "A") -> dict[str, Any]:
    """A judge that gives text only."""
    return spoken("judge", reply, *rules, access=["text"])


def preference(text: str) -> float | None:
    """What one and the same reply in both orders makes of a pair."""
    with Pool.open([judge(reply=text)]) as pool:
        (found,) = comparing.compare(pool[0], [Pair(query(), "Answer: A", "Answer: B")])
    return found.share


@pytest.mark.parametrize(
    "text",
    ["A", "B", "Answer B is better.", "I prefer candidate B.", "The better answer is A", "**A**"],
)
def test_a_judge_that_always_says_the_same_label_ties(text: str) -> None:
    assert preference(text) == 0.5


@pytest.mark.parametrize("text", ["Both are wrong, but A", "no idea", "A or B", ""])
def test_what_cannot_be_read_is_missing(text: str) -> None:
    assert preference(text) is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Answer B is better.", "B"), ("Candidate B", "B"), ("I prefer Candidate B.", "B"),
        ("The better answer is A", "A"), ("B", "B"), ("(a)", "A"),
    ],
)  # fmt: skip
def test_verdicts_in_words_are_read_as_meant(text: str, label: str) -> None:
    """The reply is given in the first order only; in the other the other label is named."""
    turned = {"A": "B", "B": "A"}[label]
    first = r"answer_A>\nAnswer: A"
    with Pool.open([judge((first, text), reply=turned)]) as pool:
        (found,) = comparing.compare(pool[0], [Pair(query(), "Answer: A", "Answer: B")])
    assert found.share == (1.0 if label == "A" else 0.0)


def test_log_probabilities_cancel_a_liking_for_a_position() -> None:
    biased = member("j", likelihood={"A": -0.1, "B": -3.0})
    with Pool.open([biased]) as pool:
        before = pool.context.engine.fresh_calls
        pairs = [Pair(query(), "x", "y"), Pair(query(), "same ", "same")]
        found = comparing.compare(pool[0], pairs)
        assert [(p.share, p.margin) for p in found] == [(0.5, 0.0), (0.5, 0.0)]
        assert pool.context.engine.fresh_calls - before == 4  # none for the equal texts


def test_a_real_judge_is_antisymmetric() -> None:
    with Pool.open(["zoo://mini/base"], engine={"devices": ["cpu"], "dtype": "float32"}) as pool:
        pairs = [Pair(query(f"q{i}"), "Answer: A", "It must be Answer: B") for i in range(4)]
        turned = [Pair(p.query, p.second, p.first) for p in pairs]
        one, other = (comparing.compare(pool[0], asked) for asked in (pairs, turned))
    assert [p.margin for p in one] == pytest.approx([-(p.margin or 0) for p in other], abs=2e-4)
    assert any(p.margin for p in one)


def test_bradley_terry_recovers_strengths_and_elo_moves_both() -> None:
    strength = np.asarray([1.0, 0.0, -0.5, -0.5])
    chance = 1 / (1 + np.exp(strength[None, :] - strength[:, None]))
    wins = 2000 * chance
    np.fill_diagonal(wins, 0)
    assert bradley_terry(wins) == pytest.approx(strength - strength.mean(), abs=0.01)
    assert bradley_terry(np.zeros((3, 3))) == pytest.approx([0, 0, 0])
    perfect = bradley_terry(np.asarray([[0, 5.0], [0, 0]]))
    assert np.isfinite(perfect).all() and perfect[0] > perfect[1]
    assert elo(2, [(0, 1, 1.0)], k=32) == [1016.0, 984.0]
    # the second game goes by the ratings after the first
    expected = 1 / (1 + 10 ** (-32 / 400))
    assert elo(2, [(0, 1, 1.0), (0, 1, 0.0)]) == pytest.approx(
        [1016 - 32 * expected, 984 + 32 * expected]
    )


def test_scores_by_hand() -> None:
    told = [
        comparing.Preference(1.0, 2.0),
        comparing.Preference(None),
        comparing.Preference(0.0, -1.0),
    ]
    places = [(0, 1), (0, 2), (1, 2)]
    assert _scores("max_logits", 3, places, told) == [2.0, -1.5, 1.0]
    assert _scores("max_wins", 3, places, told) == [1.0, 0.0, 1.0]
    ranks = _scores("bradley_terry", 3, places, told)
    assert ranks[0] > ranks[1] and ranks[2] > ranks[1]


def members() -> list[dict[str, Any]]:
    return [spoken("a", "Answer: A"), spoken("b", "Answer: B"), spoken("c", "Answer: C")]


PREFERS_C = [
    (r"answer_A>\nAnswer: C.*" + PICK, "A"),
    (r"answer_B>\nAnswer: C.*" + PICK, "B"),
    (PICK, "neither, really"),
]
STATE: Any = {
    "best": "a", "scores": {"a": 0.2, "b": 0.9, "c": 0.1}, "output": "top1", "ranker": None,
    "fuser": None,
}  # fmt: skip


@pytest.mark.parametrize("policy", ["max_logits", "max_wins", "bradley_terry", "bubble"])
def test_the_preferred_candidate_comes_first_wherever_it_stands(policy: Any) -> None:
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        listed = [members()[i] for i in order]
        with Pool.open(listed, roles={"ranker": judge(*PREFERS_C)}) as pool:
            method = LlmBlender(policy=policy, output="top1")
            (found,) = method.predict(pool, [query()], STATE)
        assert found.by == ("c",)
        assert policy == "bubble" or found.notes["missing"] == 1


def test_a_judge_of_one_label_leaves_the_best_on_dev() -> None:
    with Pool.open(members(), roles={"ranker": judge(reply="A")}) as pool:
        (found,) = LlmBlender(output="top1").predict(pool, [query()], STATE)
    assert found.by == ("b",) and set(found.notes["ranking"].values()) == {0.0}


def test_the_fuser_reads_the_best_first_and_only_so_many() -> None:
    fuser = spoken(
        "fuser", "Answer: A", (r"answer_3", "Answer: B"), (r"answer_1>\nAnswer: C", "Answer: C")
    )
    roles = {"ranker": judge(*PREFERS_C), "fuser": fuser}
    with Pool.open(members(), roles=roles) as pool:
        method = LlmBlender(top_k=2, output="fuse")
        (found,) = method.predict(pool, [query()], {**STATE, "output": "fuse"})
    assert (found.text, found.by) == ("Answer: C", ("fuser",))


@pytest.mark.parametrize(("fused", "output"), [("Answer: A", "fuse"), ("Answer: B", "top1")])
def test_whether_fusing_pays_is_decided_on_dev(fused: str, output: str) -> None:
    fuser = spoken("fuser", fused)
    with Pool.open(members(), roles={"ranker": judge(*PREFERS_C), "fuser": fuser}) as pool:
        state = LlmBlender().fit(pool, dev())
    assert state["output"] == output


def test_agreement_is_not_ranked() -> None:
    same = [spoken(n, "Answer: A") for n in "ab"]
    with Pool.open(same, roles={"ranker": judge()}) as pool:
        before = pool.context.engine.fresh_calls
        (found,) = LlmBlender().predict(pool, [query()], {**STATE, "output": "fuse"})
        assert pool.context.engine.fresh_calls - before == 2
        assert found.notes["decided"] == "consensus"


def test_bubble_cannot_fuse() -> None:
    facts = dict.fromkeys("ab")
    (problem,) = LlmBlender(policy="bubble").problems(facts, Sampling())
    assert problem.where == "method.output"
    assert LlmBlender(policy="bubble", output="top1").problems(facts, Sampling()) == []


def test_training_rows_are_both_orders_and_right_candidates() -> None:
    with Pool.open(members()) as pool:
        method = LlmBlender()
        rows = method._ranker_rows(pool, dev(1), pool[0])
        assert [row["completion"] for row in rows] == ["A", "A", "B", "B"]
        state = {**STATE, "output": "fuse"}
        fields = method._ranked(pool, dev(1).queries, state)
        (row,) = method._fuser_rows(pool, dev(1), fields, state)
        assert row["completion"] == "Answer: A"


def test_a_trained_ranker_learns_which_answers_are_right(tmp_path: Any) -> None:
    """Answers that end in a bang are right; the tiny ranker learns to see it."""
    listed = [spoken("good", "red! Answer: A"), spoken("bad", "so. Answer: B")]
    with Pool.open(listed, roles={"ranker": "zoo://mini/base"}, seed=1) as pool:
        kept = pool.with_(artifacts=tmp_path)
        method = LlmBlender(
            train_ranker=True, output="top1", learning_rate=3e-3, epochs=4, stop_on_consensus=False
        )
        state = method.fit(kept, dev(24))
        assert state["ranker"] is not None
        found = method.predict(kept, [query(f"t{i}") for i in range(6)], state)
    assert [p.by for p in found] == [("good",)] * 6
