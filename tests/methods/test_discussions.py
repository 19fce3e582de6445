"""Feedback, structures, mixture of agents and refinement with scripted members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from scripted import member

from moco import Pool
from moco.errors import MocoError
from moco.methods.text.moa import Moa
from moco.methods.text.multiagent_feedback import MultiagentFeedback, verdict
from moco.methods.text.multiagent_refine import MultiagentRefine
from moco.methods.text.structure import Structure, neighbours
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.types import Query, Sample, Sampling


def query(name: str = "q") -> Query:
    return plain(name, f"Which one is {name}?", "choice", choices=("red", "green", "blue"))


def dev() -> Dev:
    return Dev([Sample(query(f"d{i}"), ("A",)) for i in range(3)], load("scorer", "choice")())


def spoken(name: str, reply: str, *rules: tuple[str, str]) -> dict[str, Any]:
    return member(name, reply, rules=[{"match": m, "reply": r} for m, r in rules])


def calls(pool: Pool) -> int:
    return pool.context.engine.fresh_calls


@pytest.mark.parametrize(
    "method",
    [MultiagentRefine(round=4), MultiagentFeedback(round=4), Structure(round=4), Moa(round=3)],
    ids=lambda m: m.name(),
)
def test_unanimous_questions_cost_one_call_per_member(method: Any) -> None:
    with Pool.open([spoken(n, "Answer: A") for n in "abc"]) as pool:
        state = method.fit(pool, dev())
        before = calls(pool)
        (found,) = method.predict(pool, [query()], state)
        assert calls(pool) - before == 3
    assert found.text == "Answer: A"


WRONG = "Step 2 is off. Verdict: Incorrect"
FINE = "Looks good.\n**Verdict:** Correct"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Bad.\nVerdict: Incorrect", "incorrect"),
        ("**Verdict:** Correct", "correct"),
        ("Verdict: unsure.", "unsure"),
        ("Verdict: Correct\nNo wait.\nVerdict: Incorrect", "incorrect"),
        ("The verdict: correct answers are rare", ""),
        ("The final verdict: Incorrect (step 2)", "incorrect"),
        ("Verdict: Incorrect. Step 2 is off", "incorrect"),
        ("Verdict: Correct or Incorrect", ""),
        ("", ""),
    ],
)
def test_verdicts_are_read_from_their_own_line(text: str, said: str) -> None:
    assert verdict(text) == said


def test_only_flagged_answers_are_revised() -> None:
    members = [
        spoken("a", "Answer: A", ("Name the first", FINE), ("comment_1", "Answer: C")),
        spoken("b", "Answer: B", ("Name the first", "Verdict: Unsure"), ("comment_1", "Answer: A")),
        spoken(
            "c", "Answer: B",
            ("Name the first.*", "One step is wrong.\nVerdict: Incorrect"),
            ("comment_1", "Answer: A"),
        ),
    ]  # fmt: skip
    # c calls the answers of a and b incorrect; nobody calls c's incorrect
    with Pool.open(members) as pool:
        method = MultiagentFeedback(round=2, feedback_count=5)
        state = method.fit(pool, dev())
        before = calls(pool)
        (found,) = method.predict(pool, [query()], state)
        assert calls(pool) - before == 3 + 6 - 1 + 2  # b and c gave one text to criticise: shared
        assert found.notes["verdicts 1"] == {"correct": 2, "incorrect": 2, "unsure": 2}
        every = MultiagentFeedback(round=2, revise_only_if_flagged=False)
        before = calls(pool)
        (other,) = every.predict(pool, [query()], state)
        assert calls(pool) - before == 1  # the revision of c alone is new
    assert found.text in ("Answer: A", "Answer: C", "Answer: B")
    assert other.text == "Answer: A"


def test_critics_are_others_seeded_and_as_many_as_asked() -> None:
    with Pool.open(
        [spoken(n, f"Answer: {a}") for n, a in zip("abcd", "ABCA", strict=True)]
    ) as pool:
        method = MultiagentFeedback(feedback_count=2)
        from moco.methods.discussion import Talk

        talk = Talk(query())
        drawn = [method._critics(pool, talk, author, 1) for author in range(4)]
        assert drawn == [method._critics(pool, talk, author, 1) for author in range(4)]
        assert all(len(set(own)) == 2 and i not in own for i, own in enumerate(drawn))
        rounds = {tuple(method._critics(pool, talk, 0, number)) for number in range(1, 9)}
        assert len(rounds) > 1


@pytest.mark.parametrize(
    ("structure", "members", "edges"),
    [
        ("chain", 4, 3), ("circle", 4, 4), ("circle", 2, 1), ("star", 4, 3), ("star", 2, 1),
        ("wheel", 5, 8), ("wheel", 3, 2), ("tree", 7, 6), ("complete", 4, 6), ("complete", 2, 1),
    ],
)  # fmt: skip
def test_graphs_have_their_edges_and_no_loops(structure: str, members: int, edges: int) -> None:
    found = neighbours(structure, members)
    assert sum(map(len, found)) == 2 * edges
    assert all(i not in own for i, own in enumerate(found))
    assert all(i in found[j] for i, own in enumerate(found) for j in own)


def test_who_hears_nobody_keeps_its_answer_and_duplicates_keep_their_place() -> None:
    one = spoken("a", "Answer: A", ("<answer_2>", "Answer: C"))
    members = [one, one, spoken("b", "Answer: B", ("<answer_2>", "Answer: C"))]
    matrix = ((0, 0, 0), (0, 0, 1), (0, 0, 0))
    with Pool.open(members, sampling=Sampling(max_tokens=8)) as pool:
        method = Structure(structure="own", matrix=matrix, round=2, final="hub")
        (found,) = method.predict(pool, [query()], {"best": "a#2", "scores": {}})
        assert (found.text, found.by) == ("Answer: C", ("a#2",))
        (found,) = method.predict(pool, [query()], {"best": "a", "scores": {}})
        assert (found.text, found.by) == ("Answer: A", ("a",))


def test_the_best_member_is_the_hub() -> None:
    members = [spoken("bad", "Answer: B"), spoken("good", "Answer: A", ("<answer_3>", "Answer: C"))]
    members.append(spoken("other", "Answer: B", ("<answer_3>", "Answer: A")))
    with Pool.open(members) as pool:
        state = Structure().fit(pool, dev())
        assert state["best"] == "good"
        hub = Structure(structure="star", round=2, final="hub")
        (found,) = hub.predict(pool, [query()], state)
        assert (found.text, found.by) == ("Answer: C", ("good",))  # it alone saw three answers


def test_structures_are_checked() -> None:
    facts = dict.fromkeys("abc")
    bad: Sequence[tuple[Structure, str]] = [
        (Structure(structure="own"), "is missing"),
        (Structure(matrix=((0, 1, 0),) * 3), "goes with structure: own"),
        (Structure(structure="own", matrix=((0, 1), (1, 0))), "3 members"),
        (Structure(structure="own", matrix=((1, 0, 0), (0, 0, 0), (0, 0, 0))), "row 0"),
    ]
    for method, words in bad:
        (problem,) = method.problems(facts, Sampling())
        assert words in str(problem) and not problem.note
    (note,) = Structure(round=1).problems(facts, Sampling())
    assert note.note and "nobody revises" in note.what
    with pytest.raises(MocoError, match="Input should be"):
        from moco.config import parse

        parse(Structure, {"structure": "star", "matrix": [[0, 2], [1, 0]]})


def test_layers_read_the_answers_before_them_and_one_member_aggregates() -> None:
    members = [
        spoken("a", "first A Answer: A", ("second", "Answer: C"), ("first", "second A")),
        spoken("b", "first B Answer: B", ("second", "Answer: B"), ("first", "second B")),
    ]
    with Pool.open(members) as pool:
        state = Moa().fit(pool, dev())
        assert state["best"] == "a"
        before = calls(pool)
        (found,) = Moa(round=2).predict(pool, [query()], state)
        assert calls(pool) - before == 2 + 2 + 1
        assert (found.text, found.by) == ("Answer: C", ("a",))
        (lite,) = Moa(round=1).predict(pool, [query()], state)
        assert lite.text == "second A"


def test_the_aggregator_may_be_chosen_by_aggregating() -> None:
    members = [
        spoken("solver", "Answer: A", ("<answer_2>", "Answer: B")),
        spoken("editor", "Answer: C", ("<answer_2>", "Answer: A")),
    ]
    with Pool.open(members) as pool:
        assert Moa().fit(pool, dev())["best"] == "solver"
        state = Moa(aggregator="aggregating").fit(pool, dev())
        assert state["best"] == "editor"
        (found,) = Moa().predict(pool, [query()], state)
        assert (found.text, found.by) == ("Answer: A", ("editor",))


def test_equal_open_answers_are_taken_without_a_summary() -> None:
    open_ = plain("open", "Say something.", "free")
    with Pool.open([spoken(n, "All the same.") for n in "ab"]) as pool:
        for method in (MultiagentRefine(), Moa()):
            before = calls(pool)
            (found,) = method.predict(pool, [open_], None)
            assert found.text == "All the same." and found.notes["decided"] == "vote"
            assert calls(pool) - before <= 2


def test_summaries_of_open_questions_come_from_the_role() -> None:
    open_ = plain("open", "Say something.", "free")
    judge = member("judge", "All in all.")
    for method in (MultiagentRefine(), MultiagentFeedback(), Structure()):
        pool = Pool.open([spoken(n, f"I am {n}.") for n in "ab"], roles={"aggregator": judge})
        with pool:
            (found,) = method.predict(pool, [open_], None)
            assert (found.text, found.by, found.notes["decided"]) == (
                "All in all.", ("judge",), "summarizer",
            )  # fmt: skip
