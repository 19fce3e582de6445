"""SLM-MUX, council and knowledge cards with scripted members."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from scripted import member

from moco import Pool
from moco.methods.text.council import Council, ranking
from moco.methods.text.knowledge_card import KnowledgeCard
from moco.methods.text.slm_mux import SlmMux
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.types import Query, Sample, Sampling


def query(name: str = "q") -> Query:
    return plain(name, f"Which one is {name}?", "choice", choices=("red", "green", "blue"))


def dev(count: int = 4) -> Dev:
    return Dev([Sample(query(f"d{i}"), ("A",)) for i in range(count)], load("scorer", "choice")())


def spoken(name: str, reply: Any, *rules: tuple[str, Any]) -> dict[str, Any]:
    return member(name, reply, rules=[{"match": m, "reply": r} for m, r in rules])


def mux(**changes: Any) -> SlmMux:
    return SlmMux(**{"k": 5, **changes})


def test_samples_without_an_answer_count_against_a_member() -> None:
    """One readable sample of five is a confidence of 0.2."""
    with Pool.open([spoken("a", "no idea"), spoken("b", "Answer: B")]) as pool:
        held = [[(g, n) for g, n in own] for own in SlmMux(k=5, tie="order")._held(pool, [query()])]
        assert [n for _, n in held[0]] == [0, 5]
    texts = ["hm", "well", "Answer: C", "so", "er"]
    with Pool.open([spoken("rare", texts), spoken("often", ["Answer: A"] * 4 + ["hm"])]) as pool:
        rare, often = SlmMux(k=40)._held(pool, [query("x")])[0]
        assert rare[1] / 40 == pytest.approx(0.2, abs=0.2)
        assert often[1] > 20
        (found,) = mux(k=40, tie="order").predict(pool, [query("x")], None)
        assert found.by == ("often",)
        assert found.notes["confidence"]["rare"] == rare[1] / 40


def test_ties_go_to_the_better_on_dev() -> None:
    members = [spoken("bad", "Answer: B"), spoken("good", "Answer: A")]
    with Pool.open(members) as pool:
        state = mux().fit(pool, dev())
        assert state["accuracy"] == {"bad": 0.0, "good": 1.0}
        found = [mux(tie=tie).predict(pool, [query()], state)[0].by for tie in ("dev", "order")]
        assert found == [("good",), ("bad",)]
        drawn = {mux(tie="random").predict(pool, [query(f"r{i}")], state)[0].by for i in range(12)}
        assert drawn == {("good",), ("bad",)}


def test_calibration_sees_through_a_member_that_is_sure_of_wrong_answers() -> None:
    sometimes = ["Answer: A", "Answer: A", "Answer: A", "Answer: B"]
    with Pool.open([spoken("sure", "Answer: C"), spoken("unsure", sometimes)]) as pool:
        plain_state = mux().fit(pool, dev(12))
        assert mux().predict(pool, [query()], plain_state)[0].by == ("sure",)
        method = mux(calibrate=True)
        state = method.fit(pool, dev(12))
        assert all(a <= b for own in state["trusted"].values() for a, b in itertools.pairwise(own))
        assert state["trusted"]["sure"][5] < state["trusted"]["unsure"][3]
        assert method.predict(pool, [query()], state)[0].by == ("unsure",)


def test_trust_by_hand() -> None:
    """Groups 0..2 of k = 2: means with one pseudo-question at 0.5, then made to rise."""
    found = SlmMux(k=2)._trust([1.0, 0.0, 0.0, 1.0], [1, 1, 2, 1])
    # raw: group 0: 0.5; group 1: (2 + 0.5) / 4 = 0.625; group 2: (0 + 0.5) / 2 = 0.25 → pooled
    pooled = (0.625 * 4 + 0.25 * 2) / 6
    assert found == pytest.approx([0.5, 0.5, 0.5], abs=1e-6) and pooled == 0.5


def test_the_search_drops_a_member_that_only_contradicts() -> None:
    members = [spoken("a", "Answer: A"), spoken("wrong", "Answer: C"), spoken("b", "Answer: A")]
    with Pool.open(members) as pool:
        state = mux(search=True).fit(pool, dev())
        assert state["members"] == ["a", "b"]
        (found,) = mux(search=True).predict(pool, [query()], state)
        assert set(found.notes["confidence"]) == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("Reasons.\nRanking: B > A > C", [1, 0, 2]),
        ("**Ranking:** C, A, B", [2, 0, 1]),
        ("Ranking: A > B > C\nOn reflection:\nRanking: C > B > A", [2, 1, 0]),
        ("Ranking: B > A > C\nRanking explanation: fine", [1, 0, 2]),
        ("Ranking: A > B", None),
        ("Ranking: A > B > B", None),
        ("Ranking: A > B > C > D", None),
        ("A > B > C", None),
        ("", None),
    ],
)
def test_rankings_are_whole_or_missing(text: str, places: list[int] | None) -> None:
    assert ranking(text, 3) == places


def council_members() -> list[dict[str, Any]]:
    """The author of A is put first by two members wherever it stands; one gives no ranking."""
    shown = r"answer_{0}>\n.{{0,3}}Answer: A"
    likes = [
        (shown.format(letter) + ".*Rank the answers", f"Ranking: {letter} > {rest}")
        for letter, rest in (("A", "B > C"), ("B", "A > C"), ("C", "A > B"))
    ]
    return [
        spoken("a", "Answer: A", ("Rank the answers", "no ranking"), ("chair", "Answer: C")),
        spoken("b", "Answer: B", *likes),
        spoken("c", "Answer: C", *likes, ("chair a council.*", "Answer: B")),
    ]


def test_the_council_ranks_and_the_chairman_decides() -> None:
    with Pool.open(council_members()) as pool:
        state = {"best": "c", "scores": {"a": 0.1, "b": 0.2, "c": 0.3}}
        (found,) = Council().predict(pool, [query()], state)
        assert (found.text, found.by) == ("Answer: B", ("c",))
        assert found.notes["ranks"][0] == 1.0 and found.notes["rankings_missing"] == 1
        (top,) = Council(final="top").predict(pool, [query()], state)
        assert (top.text, top.by) == ("Answer: A", ("a",))


def test_agreement_needs_no_ranking_and_no_ranks_leave_the_best() -> None:
    with Pool.open([spoken(n, "Answer: A") for n in "abc"]) as pool:
        before = pool.context.engine.fresh_calls
        (found,) = Council().predict(pool, [query()], None)
        assert pool.context.engine.fresh_calls - before == 3
        assert found.notes["decided"] == "consensus"
    with Pool.open([spoken("a", "Answer: A"), spoken("b", "Answer: B")]) as pool:
        state = {"best": "b", "scores": {"a": 0.1, "b": 0.9}}
        (found,) = Council(final="top").predict(pool, [query()], state)
        assert found.by == ("b",) and found.notes["ranks"] == [None, None]


NOTE = ("Do not answer it", "Note: A is right.")
READS = ("<note_1>", "Answer: A")


def test_the_knowledge_prompt_is_bare_and_the_answer_reads_the_notes() -> None:
    seen = ("Do not answer it.*red", "LEAK")
    members = [spoken("x", "Answer: B", seen, NOTE), spoken("y", "Answer: C", seen, NOTE, READS)]
    with Pool.open(members) as pool:
        method = KnowledgeCard()
        before = pool.context.engine.fresh_calls
        (found,) = method.predict(pool, [query()], {"best": "y", "lines": []})
        assert pool.context.engine.fresh_calls - before == 3
        assert (found.text, found.by) == ("Answer: A", ("x", "y"))
        alone = KnowledgeCard(exclude_self=True)
        before = pool.context.engine.fresh_calls
        (found,) = alone.predict(pool, [query()], {"best": "y", "lines": []})
        assert pool.context.engine.fresh_calls - before == 1  # the note of x is known
        assert found.notes == {"notes": 1}


def test_the_likest_notes_are_kept() -> None:
    notes = ["Which one is q indeed", "bananas grow on trees", "one is q which"]
    members = [spoken(f"m{i}", "Answer: B", ("Do not answer it", t)) for i, t in enumerate(notes)]
    members.append(
        spoken("reader", "Answer: C", ("bananas", "Answer: B"), ("<note_2>", "Answer: A"))
    )
    with Pool.open(members, roles={"embedder": "zoo://mini/embedder"}) as pool:
        method = KnowledgeCard(top_k=2, exclude_self=True)
        (found,) = method.predict(pool, [query()], {"best": "reader", "lines": []})
        assert found.notes == {"notes": 2}
        assert found.text == "Answer: A"


def test_cards_may_be_voted() -> None:
    members = [
        spoken("x", "Answer: B", ("Do not answer it", "say blue")),
        spoken("y", "Answer: B", ("Do not answer it", "say blue too")),
        spoken("reader", "Answer: B", ("say blue", "Answer: C")),
    ]
    with Pool.open(members) as pool:
        method = KnowledgeCard(integration="per_card_vote", exclude_self=True)
        (found,) = method.predict(pool, [query()], {"best": "reader", "lines": []})
    assert (found.text, found.notes) == ("Answer: C", {"notes": 2, "votes": 2})


@pytest.mark.parametrize(("need", "calls"), [("Yes", 4), ("No", 2)])
def test_top_down_asks_only_if_needed_and_only_the_one_it_wants(need: str, calls: int) -> None:
    members = [
        {**spoken("x", "Answer: B", NOTE), "description": "Knows colours."},
        {**spoken("y", "Answer: B", ("Do not answer it", "Note: B.")), "description": "Knows law."},
        {
            **member(
                "reader", "Answer: C", access=["text"],
                rules=[
                    {"match": "Would a note", "reply": need},
                    {"match": "Which of these experts.*", "reply": "1"},
                    {"match": "<note_1>\nNote: A", "reply": "Answer: A"},
                ],
            ),
            "description": "Reads.",
        },
    ]  # fmt: skip
    with Pool.open(members, sampling=Sampling(max_tokens=16)) as pool:
        method = KnowledgeCard(mode="top_down", exclude_self=True)
        state = method.fit(pool, dev())
        state["best"] = "reader"
        before = pool.context.engine.fresh_calls
        (found,) = method.predict(pool, [query()], state)
        assert pool.context.engine.fresh_calls - before == calls
    assert found.text == ("Answer: A" if need == "Yes" else "Answer: C")


def test_the_answerer_may_be_chosen_with_notes() -> None:
    members = [
        spoken("solver", "Answer: A", NOTE, ("<note_1>", "Answer: B")),
        spoken("reader", "Answer: C", NOTE, READS),
    ]
    with Pool.open(members) as pool:
        assert KnowledgeCard().fit(pool, dev())["best"] == "solver"
        assert KnowledgeCard(chosen="informed").fit(pool, dev())["best"] == "reader"


@pytest.mark.parametrize("k", [2, 3, 5, 8])
@pytest.mark.parametrize("calibrate", [False, True])
def test_adaptive_samples_give_the_same_answers_from_fewer_calls(k: int, calibrate: bool) -> None:
    members = [
        spoken("sure", ["Answer: A"] * 9 + ["Answer: B"]),
        spoken("torn", ["Answer: B", "Answer: A", "Answer: C", "hm"]),
        spoken("often", ["Answer: C"] * 3 + ["Answer: B", "so"]),
    ]
    asked = [query(f"x{i}") for i in range(40)]
    with Pool.open(members) as pool:
        state = mux(k=k, calibrate=calibrate).fit(pool, dev(12))
        count = pool.context.engine.fresh_calls
        some = mux(k=k, calibrate=calibrate, adaptive=True).predict(pool, asked, state)
        fewer = pool.context.engine.fresh_calls - count
        everything = mux(k=k, calibrate=calibrate).predict(pool, asked, state)
        assert [(p.text, p.by) for p in some] == [(p.text, p.by) for p in everything]
        assert fewer <= 3 * k * len(asked) * (1 if k < 5 else 0.9)
        # what was drawn is drawn again from the cache
        assert pool.context.engine.fresh_calls - count == 3 * k * len(asked)
