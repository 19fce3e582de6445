"""A generator that asks a mentor, on the bundled models; the joint session's side of it is tested
in `tests/decoding/test_segments.py`, the verifier in `tests/train/test_verifier.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from moco import Pool
from moco.access import CAUSAL, Access, ModelFacts
from moco.decoding.joint import JointSession
from moco.errors import DataError
from moco.methods.api.mentor_collab import MentorCollab, State, _Tried
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.train.verifier import packed
from moco.types import Query, Sample, Sampling

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
    for wrong in (
        {"decision_proportion": 101}, {"patch_size": 0}, {"mode": "trained"},
        {"mlp_threshold": 1.1}, {"verifier": "tree"}, {"training_instances": 0},
    ):  # fmt: skip
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


def test_where_the_question_does_not_fit_the_generators_segment_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with opened() as pool:
        asked = MentorCollab(decision_proportion=100, patch_size=2).predict(pool, queries())
        monkeypatch.setattr(JointSession, "holds", lambda *_: False)
        monkeypatch.setattr(MentorCollab, "version", 1000)
        alone = MentorCollab(decision_proportion=100, patch_size=2).predict(pool, queries())
        single = pool[0].ask([q.prompt for q in queries()])
    assert [p.text for p in alone] == [g.text for g in single] != [p.text for p in asked]


def test_another_seed_asks_at_other_words_at_temperature_0_too() -> None:
    with opened() as pool:
        probes = [
            [p.notes["spans"] for p in MentorCollab(patch_size=2).predict(own, queries())]
            for own in (pool, pool.with_(seed=7), pool.with_(seed=8))
        ]
    assert probes[0] != probes[1] or probes[0] != probes[2]


def test_training_needs_dev_and_the_generators_states() -> None:
    assert MentorCollab(mode="train").needs().dev and not MentorCollab().needs().dev
    assert problems(mode="train", mlp_threshold=0.4, verifier="linear") == []
    idle = problems(mlp_threshold=0.4, verifier="linear", training_instances=9)
    assert [p.split(":")[0] for p in idle] == [
        "method.verifier", "method.mlp_threshold", "method.training_instances"
    ]  # fmt: skip
    assert all("has no effect with mode: free" in p for p in idle)
    facts = {**FACTS, "words": ModelFacts(access=CAUSAL & ~Access.HIDDEN)}

    def broken(**fields: Any) -> list[str]:
        return [str(p) for p in MentorCollab(**fields).problems(facts, Sampling())]

    assert "pool.words: does not give hidden" in broken(mode="train")[0]
    assert broken() == broken(mode="train", mentor="words") == []
    assert MentorCollab(mode="train").problems(dict.fromkeys(NAMES), Sampling()) == []


CITIES = {
    "France": "Paris", "Chile": "Santiago", "Japan": "Tokyo", "Italy": "Rome", "Spain": "Madrid",
    "Egypt": "Cairo", "Peru": "Lima", "Kenya": "Nairobi", "Cuba": "Havana", "Norway": "Oslo",
}  # fmt: skip
WORDS = ("basket", "candle", "dragon", "forest", "garden", "island", "jacket", "kitten", "lemon")


def dev(right: str = "") -> Dev:
    """Questions of which the facts model knows one half, and the words model the other."""
    asked = [(f"Give the capital of {land}.", city) for land, city in CITIES.items()]
    asked += [(f"Which letter stands last in {word}?", word[-1]) for word in WORDS]
    samples = [
        Sample(plain(f"d{i}", text, "span"), (right or answer,))
        for i, (text, answer) in enumerate(asked)
    ]
    return Dev(samples, load("scorer", "f1")())


def trained(**changes: Any) -> MentorCollab:
    fields = {
        "mode": "train", "generator": "words", "mentor": "facts", "patch_size": 8,
        "decision_proportion": 50, "training_instances": 120, **changes,
    }  # fmt: skip
    return MentorCollab(**fields)


def test_what_comes_of_either_segment_is_an_example_where_the_scores_differ() -> None:
    query, told = dev().queries[0], {"state": packed(np.arange(3.0))}
    one = _Tried.of(query, {**told, "texts": ["Answer: Rome", "It is so.\nAnswer: Paris"]}, dev())
    assert (one.query_id, one.scores) == ("d0", (0.0, 1.0))
    assert one.state_W.tolist() == [0, 1, 2]
    assert _Tried.of(query, None, dev()).scores == ()
    with opened() as pool:
        pair = pool.of(["words", "facts"])
        method = trained(training_instances=45)
        tried = method._tried(pair, dev())
        assert len(tried) == 45
        counts = [sum(one.query_id == q.id for one in tried) for q in dev().queries]
        assert sorted(counts) == [2] * 12 + [3] * 7
        assert {len(one.state_W) for one in tried if one.scores} == {128}
        assert any(not one.scores for one in tried)
        states = [one.state_W.tobytes() for one in tried if one.scores]
        assert len(set(states)) > 0.6 * len(states)  # also at temperature 0 each goes its own way
        calls = pool.context.engine.fresh_calls
        fewer = trained(training_instances=20, mlp_threshold=0.3)._tried(pair, dev())
        assert [(x.query_id, x.scores) for x in fewer] == [
            (x.query_id, x.scores) for x in tried[:20]
        ]
        assert pool.context.engine.fresh_calls == calls


def test_a_verifier_learns_when_to_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = trained()
    with opened() as pool:
        kept = pool.with_(artifacts=tmp_path / "artifacts")
        state = method.fit(kept, dev())
        assert state is not None
        assert state["places"]["tried"] == 120 >= state["places"]["disagreed"]
        assert state["places"]["generator"] >= 2 and state["places"]["mentor"] >= 5
        found = method.predict(kept, dev().queries, state)
        free = MentorCollab(
            generator="words", mentor="facts", patch_size=8, decision_proportion=50
        ).predict(kept, dev().queries)
        alone = kept.of(["words"]).ask_all(dev().queries)[0]
        scores = [dev().mean([x.text for x in own]) for own in (found, free, alone)]
        assert scores[0] > max(scores[1:])
        calls = kept.context.engine.fresh_calls
        assert method.fit(kept, dev()) == state
        other = trained(verifier="linear").fit(kept, dev())
        assert kept.context.engine.fresh_calls == calls
        assert other is not None and other["training"]["form"] == "linear"
        assert other["verifier"] != state["verifier"]
    reloaded: State = json.loads(json.dumps(state))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "fresh"))
    with opened() as pool:
        again = pool.with_(artifacts=tmp_path / "artifacts")
        turned = method.predict(again, dev().queries[::-1], reloaded)
        assert [p.text for p in turned[::-1]] == [p.text for p in found]
        assert method.fit(again.with_(artifacts=tmp_path / "others"), dev()) == state
        with pytest.raises(DataError, match="is missing"):
            method.predict(again.with_(artifacts=tmp_path / "none"), queries(), reloaded)
        with pytest.raises(DataError, match="fit comes first"):
            method.predict(again, queries(), None)


def test_where_neither_segment_ever_scores_better_nothing_is_learnt() -> None:
    with opened() as pool, pytest.raises(DataError) as caught:
        trained(training_instances=19).fit(pool, dev(right="no such thing"))
    told = str(caught.value)
    assert "19 answers were begun" in told and "better 0 times and the mentor's 0" in told
    assert "training_instances" in told and "mode: free" in told
    with opened() as pool, pytest.raises(DataError, match="had a disagreement"):
        trained(training_instances=19, decision_proportion=0).fit(pool, dev())
