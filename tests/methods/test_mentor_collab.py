"""A generator that asks a mentor, on the bundled models; the joint session's side of it is tested
in `tests/decoding/test_segments.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from moco import Pool
from moco.access import CAUSAL, ModelFacts
from moco.errors import PromptTooLongError
from moco.methods.api.mentor_collab import MentorCollab
from moco.prompts import plain
from moco.types import Query, Sampling

NAMES = ("words", "outsider_a", "facts")
FACTS = dict.fromkeys(NAMES, ModelFacts(access=CAUSAL))


def opened(**changes: Any) -> Pool:
    sampling = Sampling(**{"max_tokens": 32, **changes})
    engine = {"devices": ["cpu"], "dtype": "float32"}
    return Pool.open([f"zoo://mini/{n}" for n in NAMES], sampling=sampling, engine=engine)


def queries() -> list[Query]:
    asked = ("Give the capital of Chile.", "Which letter stands last in basket?", "What is 3 + 4?")
    return [plain(f"q{i}", text, "span") for i, text in enumerate(asked)]


def problems(**fields: Any) -> list[str]:
    return [str(p) for p in MentorCollab(**fields).problems(FACTS, Sampling())]


def test_only_members_take_part_and_only_settings_with_effect_are_taken() -> None:
    assert problems() == problems(generator="facts", mentor="words") == []
    assert (
        "no pool member is called 'wrods' (members: words, outsider_a, facts)"
        in problems(generator="wrods")[0]
    )
    assert problems(mentor="nobody")[0].startswith("method.mentor: no pool member")
    assert "is the generator itself" in problems(generator="facts", mentor="facts")[0]
    assert "method.certainty: has no effect" in problems(certainty=0.2)[0]
    asked = problems(probing="uncertainty", decision_proportion=10)
    assert "method.decision_proportion: has no effect" in asked[0]
    for wrong in ({"decision_proportion": 101}, {"patch_size": 0}, {"mode": "train"}):
        with pytest.raises(ValidationError):
            MentorCollab(**wrong)


def test_the_first_two_or_the_named_two_write() -> None:
    with opened() as pool:
        first = MentorCollab().predict(pool, queries())
        named = MentorCollab(mentor="words").predict(pool, queries())
        turned = MentorCollab(generator="facts").predict(pool, queries())
    assert {p.by for p in first} == {("words", "outsider_a")}
    assert {p.by for p in named} == {("outsider_a", "words")}
    assert {p.by for p in turned} == {("facts", "words")}
    for found in (*first, *named, *turned):
        assert {name for name, _ in found.notes["spans"]} <= set(found.by)


def test_shares_go_from_nothing_to_something_with_the_proportion() -> None:
    shares = []
    with opened() as pool:
        alone = pool.of(["words"]).ask_all(queries())[0]
        for proportion in (0, 100):
            method = MentorCollab(decision_proportion=proportion, patch_size=4)
            found = method.predict(pool, queries())
            shares.append([p.notes["mentor_share"] for p in found])
            if not proportion:
                assert [p.text for p in found] == [g.text for g in alone]
            for p in found:
                spans = p.notes["spans"]
                whole = sum(size for _, size in spans)
                assert whole == len(p.text.encode())
                own = sum(size for name, size in spans if name == "outsider_a")
                assert p.notes["mentor_share"] == round(own / whole, 4)
    assert shares[0] == [0.0] * 3
    assert max(shares[1]) > 0.2


def test_an_answer_does_not_depend_on_its_neighbours_and_follows_the_seed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    method = MentorCollab(patch_size=4, decision_proportion=50)
    with opened(temperature=0.9) as pool:
        whole = method.predict(pool, queries())
        calls = pool.context.engine.fresh_calls
        assert method.predict(pool, queries()) == whole
        assert pool.context.engine.fresh_calls == calls
        other = method.predict(pool.with_(seed=1), queries())
    assert [p.text for p in other] != [p.text for p in whole]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "fresh"))
    with opened(temperature=0.9) as pool:
        turned = method.predict(pool, queries()[::-1])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    with opened(temperature=0.9) as pool:
        one = method.predict(pool, queries()[:1])
    assert [p.text for p in turned[::-1]] == [p.text for p in whole]
    assert one == whole[:1]


def test_room_for_the_verdict_is_asked_for_before_anything_is_written() -> None:
    with opened(max_tokens=900) as pool:
        calls = pool.context.engine.fresh_calls
        with pytest.raises(PromptTooLongError, match=r"query 'q0', model 'words'.*patch_size"):
            MentorCollab(patch_size=64).predict(pool, queries())
        assert pool.context.engine.fresh_calls == calls
