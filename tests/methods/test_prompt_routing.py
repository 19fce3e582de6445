"""The router that reads descriptions: scripted members, a text-only router, a tiny real one."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from folders import save_model
from scripted import member

from moco import Pool
from moco.methods.api.prompt_routing import PromptRouting
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.types import Query, Sample

KINDS = ("sum", "word", "city")
ENGINE = {"devices": ["cpu"], "dtype": "float32"}


def samples(split: str, count: int) -> list[Sample]:
    found = []
    for i in range(count):
        text = f"The {KINDS[i % 3]} number {i} of {split}?"
        query = plain(f"{split}{i}", text, "choice", choices=("red", "green"))
        found.append(Sample(query, ("A",)))
    return found


def knows(name: str, kind: str, **changes: Any) -> dict[str, Any]:
    """Right on questions of one kind only."""
    rules = [{"match": f"The {kind} ", "reply": "Answer: A"}]
    return {**member(name, "Answer: B", rules=rules), **changes}


MEMBERS = [
    knows("secret-one", "sum", description="Adds up."),
    knows("secret-two", "word", description="Spells"),
    knows("secret-three", "city"),
]
HANDS_OUT = [
    {"match": "exactly one of", "reply": "3"},
    {"match": "The sum .*Adds up", "reply": "1. It handles 4-step arithmetic"},
    {"match": "The word ", "reply": "either 1 or 3"},
]


def opened(router: Any = None, members: Sequence[Any] = MEMBERS) -> Pool:
    roles = {"router": router} if router else {}
    return Pool.open(list(members), roles=roles, engine=ENGINE)


def dev_of(count: int = 9) -> Dev:
    return Dev(samples("dev", count), load("scorer", "choice")())


def queries(count: int = 6) -> list[Query]:
    return [s.query for s in samples("test", count)]


def test_a_text_only_router_is_read_strictly_asked_again_then_replaced() -> None:
    router = member("hands-out", "no idea at all", access=["text"], rules=HANDS_OUT[1:])
    asked = queries()
    with opened(router) as pool:
        method = PromptRouting()
        state = method.fit(pool, dev_of(8))  # two cities only: the first member is the best
        assert state["best"] == "secret-one"
        routes = method.choose(pool, asked, state)
    assert state["means"] == [3 / 8, 3 / 8, 2 / 8]
    lines = sorted(state["lines"])
    assert lines[0].startswith("Adds up. Mean score on sample questions: 0.38.")
    assert [r.notes["fallback"] for r in routes] == [False, True, True] * 2
    assert [r.notes["rule"] for r in routes] == ["start", "none", "none"] * 2
    assert all(r.member == "secret-one" for r in routes)


def test_a_retry_decides_and_predictions_come_from_the_chosen_member() -> None:
    router = member("hands-out", "no idea", access=["text"], rules=HANDS_OUT)
    with opened(router) as pool:
        method = PromptRouting()
        state = method.fit(pool, dev_of())
        found = method.predict(pool, queries(3), state)
    third = sorted(zip(state["lines"], state["members"], strict=True))[2][1]
    assert [p.notes["rule"] for p in found] == ["start", "retry", "retry"]
    assert [p.by for p in found] == [("secret-one",), (third,), (third,)]
    assert found[0].text == "Answer: A"


def test_the_prompt_shows_question_and_descriptions_but_no_names_and_no_answer_format(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    with opened() as pool:
        method = PromptRouting()
        state = method.fit(pool, dev_of())
        chooser = type(pool[0])
        inner = chooser.choose_among
        monkeypatch.setattr(
            chooser,
            "choose_among",
            lambda self, ballots, **more: (
                seen.extend(p for b in ballots for part in b.prompts() for p in part),
                inner(self, ballots, **more),
            )[1],
        )
        routes = method.choose(pool, queries(2), state)
    assert len(seen) == 2 * 6
    assert not any("secret" in text or "End with one line" in text for text in seen)
    assert sum("The sum number 0 of test?\nA) red\nB) green" in text for text in seen) == 3
    assert sum("Question:\nN/A" in text for text in seen) == 6
    assert all("Spells. Mean score on sample questions: 0.33." in text for text in seen)
    assert all("sample questions right, among them these" in text for text in seen)
    assert all(r.notes["rule"] == "orders" for r in routes)


def test_scores_can_be_left_out_of_the_prompt() -> None:
    with opened() as pool:
        state = PromptRouting(preset="paper").fit(pool, dev_of())
    assert state["lines"][:2] == ["Adds up.", "Spells"]


def test_the_prior_is_the_weighted_log_share_of_dev_scores() -> None:
    with opened() as pool:
        state = PromptRouting(prior_weight=2).fit(pool, dev_of(7))
    assert state["means"] == pytest.approx([3 / 7, 2 / 7, 2 / 7])
    assert state["prior"] == pytest.approx([2 * math.log(s) for s in (3 / 7, 2 / 7, 2 / 7)])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_model(tmp_path_factory.mktemp("router") / "tiny", "llama", 1))


def short(name: str, kind: str) -> dict[str, Any]:
    return knows(name, kind, description=f"Knows each {kind}.")


def test_a_real_router_does_not_go_by_the_order_of_members_or_questions(tiny: str) -> None:
    asked = queries(12)
    members = [short(f"m-{kind}", kind) for kind in KINDS]
    found = {}
    for order in ((0, 1, 2), (2, 0, 1), (1, 0, 2)):
        with opened(tiny, [members[i] for i in order]) as pool:
            method = PromptRouting()
            state = json.loads(json.dumps(method.fit(pool, dev_of())))
            routes = method.choose(pool, asked, state)
            alone = [method.choose(pool, [query], state)[0] for query in reversed(asked)]
        assert routes == alone[::-1]
        assert all(r.notes["rule"] == "orders" for r in routes)
        found[order] = [(r.member, sorted(r.notes["scores"].items())) for r in routes]
    assert found[0, 1, 2] == found[2, 0, 1] == found[1, 0, 2]


@pytest.mark.parametrize(("words", "rule"), [(1, "orders"), (300, "too long")])
def test_long_texts_are_shortened_to_the_routers_context(tiny: str, words: int, rule: str) -> None:
    """The tiny router reads 512 tokens of about one character each."""
    long = plain("long", "word " * 3000, "choice", choices=("red", "green"))
    members = [knows(f"m{i}", kind, description=f"{kind} " * words) for i, kind in enumerate(KINDS)]
    with opened(tiny, members) as pool:
        method = PromptRouting(show_dev_scores=False)
        state = method.fit(pool, dev_of(8))
        (route,) = method.choose(pool, [long], state)
    assert (route.notes["rule"], route.notes["fallback"]) == (rule, rule == "too long")
    assert rule == "orders" or route.member == state["best"]


def test_a_member_may_route() -> None:
    with opened("secret-two") as pool:
        method = PromptRouting()
        routes = method.choose(pool, queries(2), method.fit(pool, dev_of()))
    assert all(r.notes["rule"] == "orders" for r in routes)
