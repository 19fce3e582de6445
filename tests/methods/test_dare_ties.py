"""DARE-TIES: given weights and searched ones, in memory, never behind on dev."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from methods.searches import ADAPTERS, FULL, best_on_dev, dev, files, pool_of

from moco.backends.hf_load import recipe_of
from moco.methods.weight.dare_ties import DareTies
from moco.pool import Model
from moco.types import Sampling
from tests.weights.gathering import gather

BASE = {"base": "zoo://mini/base"}
SMALL: dict[str, Any] = {"mode": "optimized", "population": 5, "budget": 7}


def weights_of(model: Model) -> dict[str, torch.Tensor]:
    return gather(recipe_of(model.spec))


def same(one: Model, two: Model) -> bool:
    left, right = weights_of(one), weights_of(two)
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("members", [FULL, ADAPTERS])
def test_the_search_stays_in_memory_and_is_guarded(members: list[str]) -> None:
    method = DareTies(**SMALL)
    with pool_of(members, BASE) as (pool, jobs):
        before = files()
        state = method.fit(pool, dev(8))
        found = method.predict(pool, dev(8).queries, state)
        assert state is not None and files() == before
        # the members (adapters share one), and one model that became all merges
        assert len(pool.context.engine.loads) == (4 if members is FULL else 2)
    assert [(calls, models) for _, calls, models in jobs.of("dev search")] == [(20, 5), (8, 2)]
    names = [member.rpartition("/")[2] for member in members]
    third = round(1 / 3, 6)
    trials = [own["weights"] for own in state["search"]["trials"]]
    assert trials[:5] == [[third] * 3, [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert list(state["weights"]) == names and len({tuple(own) for own in trials}) == 7
    chosen, beaten = best_on_dev(state)
    assert chosen >= beaten and len(found) == 8


def test_searched_weights_add_up_what_agrees() -> None:
    """One member alone with weight 1 is the base and its rescaled survivors; equal weights are
    the sum that mergekit makes.
    """
    method = DareTies(mode="optimized", density=0.5)
    with pool_of(FULL, BASE) as (pool, _):
        names = pool.names
        given = {"density": 0.5, "normalize": False}
        one = method._merged(pool, {name: float(name == "words") for name in names})
        apart = DareTies(weights={"arithmetic": 0, "facts": 0}, **given)
        assert same(one, pool.merge(apart))
        third = dict.fromkeys(names, 0.25)
        assert same(method._merged(pool, third), pool.merge(DareTies(weights=third, **given)))


def test_what_was_found_is_what_answers() -> None:
    state: Any = {
        "weights": {"arithmetic": 0.3, "words": -0.2, "facts": 0.9}, "single": "", "search": {},
        "confirm": {},
    }  # fmt: skip
    queries = dev(3).queries
    given = DareTies(weights=state["weights"], normalize=False)
    with pool_of(FULL, BASE) as (pool, _):
        found = DareTies(mode="optimized").predict(pool, queries, state)
        expected = given.predict(pool, queries, None)
        assert [p.text for p in found] == [p.text for p in expected]
        alone = DareTies(mode="optimized").predict(pool, queries, {**state, "single": "words"})
        told = pool.named("words").ask([q.prompt for q in queries])
        assert [p.text for p in alone] == [g.text for g in told]


def test_how_weights_were_found_is_no_part_of_the_merge() -> None:
    with pool_of(FULL, BASE) as (pool, _):
        one, two = (DareTies(mode="optimized", budget=budget) for budget in (5, 9))
        weights = dict.fromkeys(pool.names, 0.5)
        assert one._merged(pool, weights).spec.fingerprint == (
            two._merged(pool, weights).spec.fingerprint
        )
        assert set(DareTies().identity(pool.names)) == {
            "weights", "normalize", "scale", "density", "rescale",
        }  # fmt: skip


def test_weights_are_given_or_searched() -> None:
    facts = dict.fromkeys("ab")
    (problem,) = DareTies(mode="optimized", weights={"a": 1}).problems(facts, Sampling())
    assert problem.where == "method.weights" and not problem.note
    assert not DareTies(weights={"a": 1}).problems(facts, Sampling())
    assert DareTies(mode="optimized").needs().dev and not DareTies().needs().dev
    assert DareTies().fit(None, None) is None  # type: ignore[arg-type]
