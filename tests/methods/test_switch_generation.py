"""A switcher that is trained on real tiny members, and what is used where it cannot help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moco import Pool
from moco.access import CAUSAL, ModelFacts, check
from moco.errors import DataError
from moco.methods.api.switch_generation import State, SwitchGeneration, _best_writers, _Place
from moco.methods.patches import AfterParts, cue, read_ids
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.types import Query, Sample, Sampling

MEMBERS = ["zoo://mini/words", "zoo://mini/facts"]
CITIES = {
    "France": "Paris", "Chile": "Santiago", "Japan": "Tokyo", "Italy": "Rome", "Spain": "Madrid",
    "Egypt": "Cairo", "Peru": "Lima", "Kenya": "Nairobi", "Cuba": "Havana", "Norway": "Oslo",
}  # fmt: skip


def opened(members: list[Any] = MEMBERS, **more: Any) -> Pool:
    engine = {"devices": ["cpu"], "dtype": "float32"}
    return Pool.open(members, sampling=Sampling(max_tokens=24), engine=engine, **more)


def dev(count: int = 10, right: str = "") -> Dev:
    """Questions that the second member knows the answers to, and the first does not."""
    samples = [
        Sample(plain(f"d{i}", f"Give the capital of {land}.", "span"), (right or city,))
        for i, (land, city) in enumerate(list(CITIES.items())[:count])
    ]
    return Dev(samples, load("scorer", "f1")())


def queries() -> list[Query]:
    return [plain(f"q{i}", f"Give the capital of {x}.", "span") for i, x in enumerate(CITIES)]


def small(**changes: Any) -> SwitchGeneration:
    fields = {
        "patch_size": 4, "training_instances": 20, "rollouts": 2, "learning_rate": 2e-3,
        "epochs": 3, **changes,
    }  # fmt: skip
    return SwitchGeneration(**fields)


def test_the_switcher_learns_which_member_knows(tmp_path: Path) -> None:
    with opened() as pool:
        kept = pool.with_(artifacts=tmp_path)
        method = small(compare_random=True, training_instances=40, epochs=15)
        state = method.fit(kept, dev())
        assert state["best"] == "facts"
        training = state["training"]
        assert training["places"] == 40
        assert training["telling"] >= 10 and training["rows"] >= training["telling"]
        compared = state["compared"]
        assert set(compared) == {"single", "random", "switcher"}
        assert state["use"] == max(compared, key=lambda use: compared[use])
        assert state["model"] is not None and state["model"]["base"] == "facts"
        forced: State = {**state, "use": "switcher"}
        found = method.predict(kept, queries(), forced)
        share = sum(size for p in found for name, size in p.notes["spans"] if name == "facts")
        assert share > 0.6 * sum(len(p.text.encode()) for p in found)
        for p in found:
            assert p.notes["use"] == "switcher"
            assert sum(size for _, size in p.notes["spans"]) == len(p.text.encode())
            assert set(p.by) == {name for name, _ in p.notes["spans"]}
        plain_use: State = {**state, "use": "single"}
        single = method.predict(kept, queries(), plain_use)
        alone = kept.of(["facts"]).ask_all(queries())[0]
        assert [(p.text, p.by) for p in single] == [(g.text, ("facts",)) for g in alone]
        calls = kept.context.engine.fresh_calls
        assert method.fit(kept, dev()) == state
        turned = method.predict(kept, queries()[::-1], forced)
        assert [p.text for p in turned[::-1]] == [p.text for p in found]
        assert kept.context.engine.fresh_calls == calls


def test_where_it_never_matters_who_goes_on_there_is_nothing_to_learn(tmp_path: Path) -> None:
    with opened() as pool:
        kept = pool.with_(artifacts=tmp_path)
        hopeless = dev(6, right="no such city")
        state = small(training_instances=4).fit(kept, hopeless)
        assert (state["use"], state["model"]) == ("single", None)
        assert state["training"] == {"places": 4, "telling": 0, "rows": 0}
        with pytest.raises(DataError, match="does it matter which member goes on"):
            small(training_instances=4, use="switcher").fit(kept, hopeless)


def test_a_selector_is_used_as_it_is_without_training() -> None:
    method = SwitchGeneration(patch_size=4, train=False, use="switcher")
    with opened(roles={"selector": "zoo://mini/outsider_a"}) as pool:
        calls = pool.context.engine.fresh_calls
        state = method.fit(pool, dev(6))
        assert pool.context.engine.fresh_calls == calls + 12  # the members' own answers only
        assert state["model"] is None and state["training"] == {} == state["compared"]
        found = method.predict(pool, queries()[:3], state)
        assert all(set(p.by) <= {"words", "facts"} and p.text for p in found)
    facts = dict.fromkeys(("words", "facts"), ModelFacts(access=CAUSAL))
    missing = [str(p) for p in check(method.needs(), facts) if p.where == "roles.selector"]
    assert "is required and has no default" in missing[0]
    assert check(small().needs(), facts) == []
    idle = [p.where for p in small(train=False).problems(facts, Sampling())]
    assert idle == [
        f"method.{n}" for n in ("training_instances", "rollouts", "epochs", "learning_rate")
    ]
    assert method.problems(facts, Sampling()) == small().problems(facts, Sampling()) == []


def test_all_best_members_are_taught_and_ties_teach_nothing() -> None:
    one = dev(1)
    (query,) = one.queries

    def right(*answers: list[str]) -> list[int]:
        return _best_writers(_Place(query, [], [], [*answers]), one)

    assert right(["Answer: Paris", "Answer: Rome"], ["Answer: Rome"] * 2) == [0]
    assert right(["Answer: Rome"] * 2, ["Answer: Paris"] * 2, ["Answer: Paris"] * 2) == [1, 2]
    assert right(["Answer: Rome"] * 2, ["Answer: Rome"] * 2) == []
    assert right(["Answer: Paris"] * 2, ["Answer: Paris"] * 2) == []


def test_the_cue_names_the_last_writers() -> None:
    assert "Parts so far by: nobody." in cue([], 3)
    assert "Parts so far by: 1, 3, 1." in cue([0, 2, 0], 3)
    assert cue([0] * 30, 3) == cue([0] * 8, 3)
    assert "by: A, L." in cue([0, 11], 12)


def test_only_the_label_is_learnt_and_the_prompt_is_that_of_inference() -> None:
    with opened() as pool:
        method, switcher = small(), pool.named("facts")
        prompt = method._prompt(switcher, queries()[0], ["Knows words.", "Knows facts."])
        assert prompt is not None
        assert "Give the capital of France." in prompt and "2. Knows facts." in prompt
        assert "facts" not in prompt.replace("Knows facts", "")
        parts = ["The capital", " of France", cue([0, 1], 2)]
        data = [{"prompt": prompt, "parts": parts, "completion": "2", "held": True}]
        (row,) = AfterParts().rows(switcher.spec, data)
        assert row.held and row.ids[: row.start] == read_ids(switcher.spec, prompt, parts)
        assert row.ids[row.start :] == read_ids(switcher.spec, None, ["2"])
        long = ["word " * 4000] * 2
        shortened = method._prompt(switcher, queries()[0], long)
        assert shortened is not None and switcher.spare(shortened) >= 0
        assert (
            method._prompt(
                switcher.__class__(
                    switcher.spec, pool.with_(sampling=Sampling(max_tokens=1000)).context
                ),
                queries()[0],
                long,
            )
            is None
        )


def test_no_state_is_an_error() -> None:
    with opened() as pool, pytest.raises(ValueError, match="fit"):
        SwitchGeneration().predict(pool, queries(), None)


def test_the_papers_settings_fill_what_is_not_given() -> None:
    method = SwitchGeneration(preset="paper", rank=8)
    assert (method.patch_size, method.use, method.rank) == (50, "switcher", 8)
    assert State.__required_keys__ == {"use", "best", "model", "lines", "training", "compared"}
