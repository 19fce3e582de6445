"""Greedy soup: ingredients by hand, ties logged, nothing behind on dev, halves where many join."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from methods.searches import ADAPTERS, FULL, dev, files, pool_of

from moco.backends.hf_load import recipe_of
from moco.methods.searching import composed
from moco.methods.weight.greedy_soup import GreedySoup, soup_of
from moco.pool import Dev, Pool
from tests.weights.gathering import gather

QUESTIONS = 8


class Scripted(GreedySoup):
    """A soup whose scores are written down: right answers by ingredients."""

    def _scores(self, pool: Pool, dev: Dev, members: Sequence[str]) -> list[float]:
        right = TABLE["".join(sorted(name[0] for name in members))]
        return [1.0] * right + [0.0] * (QUESTIONS - right)


TABLE = {"af": 4, "fw": 3, "aw": 4, "afw": 5}


def trials(method: GreedySoup, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    singles = {"arithmetic": 3, "words": 2, "facts": 4}
    own = {name: [1.0] * n + [0.0] * (QUESTIONS - n) for name, n in singles.items()}
    monkeypatch.setattr(
        "moco.methods.weight.greedy_soup.dev_scores",
        lambda pool, models, dev, stage: [own[m.name] for m in models],
    )
    monkeypatch.setattr(
        "moco.methods.weight.greedy_soup.dev_best", lambda pool, dev: ("facts", singles)
    )
    with pool_of(FULL) as (pool, _):
        return dict(method.fit(pool, dev(QUESTIONS)))


def test_by_hand_a_tie_joins_and_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    state = trials(Scripted(), monkeypatch)
    # facts 4; with arithmetic 4: a tie, joins; with words 5: joins
    assert state["members"] == ["facts", "arithmetic", "words"]
    first, second = state["trials"]
    assert (first["added"], first["tie"], first["accepted"]) == ("arithmetic", True, True)
    assert first["difference"] == [0, 0, 0]
    assert (second["added"], second["tie"], second["accepted"]) == ("words", False, True)
    assert second["difference"][0] == 0.125 and state["score"] == state["uniform"] == 0.625


def test_strict_and_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    for method in (Scripted(strict=True), Scripted(margin=0.1)):
        state = trials(method, monkeypatch)
        # the tie is refused; then facts and words have 3
        assert [own["accepted"] for own in state["trials"]] == [False, False]
        assert state["members"] == ["facts"] and state["score"] == 0.5


@pytest.mark.parametrize("members", [ADAPTERS, FULL])
def test_a_soup_never_falls_behind_on_dev(members: list[str]) -> None:
    method = GreedySoup()
    with pool_of(members) as (pool, jobs):
        before = files()
        state = method.fit(pool, dev())
        method.predict(pool, dev().queries, state)
        assert files() == before
        # adapters share a base; of checkpoints one soup becomes the next
        assert len(pool.context.engine.loads) == (1 if members is ADAPTERS else 4)
    assert state["score"] >= max(state["singles"].values()) and state["questions"] == 12
    assert {own["added"] for own in state["trials"]} | {state["members"][0]} == set(pool.names)
    assert len(jobs.of("dev soup")) == 3 and state["confirm"] == {}


def test_of_many_members_the_soup_is_confirmed_on_the_other_half() -> None:
    members = [*ADAPTERS, *ADAPTERS, ADAPTERS[0]]
    with pool_of(members) as (pool, _):
        state = GreedySoup().fit(pool, dev())
        paper = GreedySoup(preset="paper").fit(pool, dev())
    assert state["questions"] == 6 and paper["questions"] == 12 and paper["confirm"] == {}
    confirm = state["confirm"]
    assert len(state["trials"]) == 6 and confirm["questions"] == 6
    assert len(confirm["to_beat"]) == 7 and len(confirm["finalists"]) == 1
    assert confirm["chosen"]["dev"] >= max(state["singles"].values())


def test_a_soup_is_the_mean_of_its_members() -> None:
    with pool_of(FULL) as (pool, _):
        one, two = (gather(recipe_of(pool.compose({name: 1.0}).spec)) for name in pool.names[:2])
        soup = composed(pool, soup_of(pool.names, pool.names[:2]))
        for name, tensor in gather(recipe_of(soup.spec)).items():
            assert (tensor - (one[name] + two[name]) / 2).abs().max() < 1e-6
        assert composed(pool, soup_of(pool.names, ["words"])) == pool.named("words")
