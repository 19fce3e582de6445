"""The blackboard with scripted members."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from scripted import member

from moco import Pool
from moco.methods.text.bbmas import Bbmas
from moco.prompts import plain
from moco.types import Query, Sampling

ASKED = "Reply with one letter"


def query(name: str = "q") -> Query:
    return plain(name, f"Which one is {name}?", "choice", choices=("red", "green", "blue"))


def agent(name: str, *rules: tuple[str, str], reply: str = "hm") -> dict[str, Any]:
    """Gives text only, so that its letters are read."""
    return member(name, reply, rules=[{"match": m, "reply": r} for m, r in rules], access=["text"])


def first(letter: str) -> tuple[str, str]:
    return (rf"blue\n+You are one.*{ASKED}", letter)


PLANS = agent(
    "plans",
    first("A"),
    (ASKED, "E"),
    ("Do not solve", "my plan"),
    ("final answer, using", "Answer: A"),
)
SOLVES = agent(
    "solves",
    first("B"),
    (ASKED, "E"),
    ("next step that", "a step"),
    ("final answer, using", "Answer: B"),
)


def test_agent_i_is_member_i_and_the_board_is_read() -> None:
    reader = agent(
        "reads", (r"entry_1_plan.*" + ASKED, "E"), (ASKED, "A"),
        (r"<entry_1_plan>\nmy plan.*final answer, using", "Answer: C"), ("Do not solve", "my plan"),
        ("final answer, using", "Answer: B"),
    )  # fmt: skip
    with Pool.open([reader, reader]) as pool:
        (found,) = Bbmas(max_iterations=4).predict(pool, [query()], None)
    assert found.text == "Answer: C"
    assert [action for _, action in found.notes["actions"]] == ["plan", "finish"]
    assert found.notes["iterations"] == 2


def test_the_quota_is_of_different_agents_over_all_iterations() -> None:
    with Pool.open([PLANS, SOLVES]) as pool:
        method = Bbmas(min_num_agents_to_stop=2, max_iterations=8)
        (found,) = method.predict(pool, [query()], {"best": "solves", "scores": {"solves": 1.0}})
        actions = found.notes["actions"]
        assert [a for a in actions if a[1] == "finish"] == [
            ["plans", "finish"],
            ["solves", "finish"],
        ] or (
            [a for a in actions if a[1] == "finish"] == [["solves", "finish"], ["plans", "finish"]]
        )
        assert (found.text, found.notes["votes"]) == ("Answer: B", 1)
        assert found.notes["iterations"] <= 8


def test_at_the_limit_everybody_is_asked_for_a_final_answer() -> None:
    never = agent("never", (ASKED, "B"), ("final answer, using", "Answer: A"), reply="a step")
    also = agent("also", (ASKED, "C"), ("final answer, using", "Answer: A"), reply="holds")
    other = agent("other", (ASKED, "C"), ("final answer, using", "Answer: C"), reply="holds")
    with Pool.open([never, also, other]) as pool:
        (found,) = Bbmas(max_iterations=2).predict(pool, [query()], None)
    assert (found.text, found.notes["votes"], found.notes["iterations"]) == ("Answer: A", 2, 2)
    assert [a for _, a in found.notes["actions"]][-3:] == ["finish"] * 3


def test_what_cannot_be_read_writes_nothing() -> None:
    mute = agent("mute", (ASKED, "whatever"), ("final answer, using", "Answer: A"))
    with Pool.open([mute, mute]) as pool:
        (found,) = Bbmas(max_iterations=3).predict(pool, [query()], None)
    assert found.notes["unread"] == 3
    assert [a for _, a in found.notes["actions"]] == ["finish", "finish"]


def test_agents_act_on_one_snapshot_and_idle_ones_come_first() -> None:
    seen = ("entry_1_solve.*next step that", "SAW IT")
    both = [
        agent(n, (ASKED, "B"), seen, ("next step that", f"step of {n}"), ("final", "Answer: A"))
        for n in "ab"
    ]
    with Pool.open(both, sampling=Sampling(max_tokens=16)) as pool:
        method = Bbmas(max_num_agents_to_act=2, max_iterations=1)
        (found,) = method.predict(pool, [query()], None)
        assert [a for _, a in found.notes["actions"]][:2] == ["solve", "solve"]
        turns = Bbmas(agent_idle_threshold=1, max_iterations=6)
        (found,) = turns.predict(pool, [query()], None)
        names = [name for name, action in found.notes["actions"] if action == "solve"]
        assert all(a != b for a, b in itertools.pairwise(names[1:]))


def test_a_quota_that_cannot_be_reached_is_refused() -> None:
    (problem,) = Bbmas(min_num_agents_to_stop=3).problems(dict.fromkeys("ab"), Sampling())
    assert "can never finish" in problem.what


@pytest.mark.parametrize("order", [1, -1])
def test_questions_do_not_depend_on_each_other(order: int) -> None:
    asked = [query(f"q{i}") for i in range(4)][::order]
    with Pool.open([PLANS, SOLVES]) as pool:
        found = {p.query_id: p.notes["actions"] for p in Bbmas().predict(pool, asked, None)}
        (alone,) = Bbmas().predict(pool, [query("q2")], None)
    assert alone.notes["actions"] == found["q2"]
