"""Model Swarms: positions are sums, one load and one job per generation, nothing written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from folders import save_model
from hypothesis import given, settings
from hypothesis import strategies as st
from methods.searches import ADAPTERS, FULL, best_on_dev, dev, files, pool_of
from safetensors.torch import load_file

from moco.backends.hf_load import recipe_of
from moco.methods.searching import composed
from moco.methods.weight.model_swarms import ModelSwarms, Plane, exact
from tests.weights.gathering import gather

SMALL = {"population": 5, "budget": 12}


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_the_plane_keeps_sums_distances_and_directions(n: int, seed: int) -> None:
    rng, plane = np.random.default_rng(seed), Plane(n)
    rows = rng.normal(size=(2, n))
    rows += (1 - rows.sum(axis=1, keepdims=True)) / n
    places = plane.places(rows)
    assert places.shape == (2, n - 1)
    for row, place in zip(rows, places, strict=True):
        np.testing.assert_allclose(plane.point(place), row, atol=1e-12)
    assert np.linalg.norm(places[0] - places[1]) == pytest.approx(np.linalg.norm(rows[0] - rows[1]))
    moved = plane.point(places[0] + rng.normal(size=n - 1))
    assert moved.sum() == pytest.approx(1)
    assert sum(exact([f"m{i}" for i in range(n)], moved).values()) == pytest.approx(1, abs=1e-12)


def test_the_first_particles_are_the_members_and_crosses_of_two() -> None:
    rows = ModelSwarms(population=200)._start(3, np.random.default_rng(0))
    assert np.array_equal(rows[:3], np.eye(3))
    assert all(np.count_nonzero(row) == 2 and row.sum() == pytest.approx(1) for row in rows[3:])
    assert rows[3:].max() > 1.5 and rows[3:].min() < -0.5  # beyond the members too
    assert len(ModelSwarms(population=2)._start(4, np.random.default_rng(0))) == 4


def test_adapters_one_load_one_job_per_generation_nothing_written() -> None:
    method = ModelSwarms(**SMALL)
    with pool_of(ADAPTERS) as (pool, jobs):
        before = files()
        state = method.fit(pool, dev())
        loads = len(pool.context.engine.loads)
        (answer, *_) = method.predict(pool, dev().queries, state)
        assert files() == before and loads == len(pool.context.engine.loads) == 1
    search = jobs.of("dev search")
    assert [kind for kind, _, _ in search] == ["generate"] * 3
    assert [models for _, _, models in search] == [5, 5, 2]
    assert [calls for _, calls, _ in search] == [5 * 6, 5 * 6, 2 * 6]
    assert len(jobs.of("dev confirm")) == 1
    assert state["search"]["candidates"] == 12 and state["search"]["questions"] == 6
    weights = [tuple(trial["weights"]) for trial in state["search"]["trials"]]
    assert len(set(weights)) == 12
    assert all(sum(own) == pytest.approx(1, abs=1e-9) for own in weights)
    chosen, beaten = best_on_dev(state)
    assert chosen >= beaten and answer.by


@pytest.mark.parametrize("search", ["pso", "cma", "random"])
def test_a_guarded_search_never_falls_behind_on_dev(search: str) -> None:
    for seed in range(2):
        with pool_of(ADAPTERS, seed=seed) as (pool, _):
            state = ModelSwarms(search=search, **SMALL).fit(pool, dev())
        chosen, beaten = best_on_dev(state)
        assert chosen >= beaten
        assert (chosen == beaten) or not state["single"]


def test_full_checkpoints_become_each_other_in_memory() -> None:
    method = ModelSwarms(population=3, budget=6, guard=False)
    with pool_of(FULL) as (pool, jobs):
        before = files()
        state = method.fit(pool, dev(4))
        assert files() == before
        assert len(pool.context.engine.loads) == 4  # the members, and one model for all the others
        best = composed(pool, state["weights"])
        assert (
            method.predict(pool, dev(4).queries, state)[0].text
            == best.ask([dev(4).queries[0].prompt])[0].text
        )
    assert [models for _, _, models in jobs.of("dev search")] == [3, 3]
    assert state["confirm"] == {}


def test_a_position_is_the_sum_of_the_members(tmp_path: Path) -> None:
    folders = [save_model(tmp_path / name, seed=i) for i, name in enumerate("abc")]
    weights = exact(["a", "b", "c"], np.asarray([0.7, 0.9, -0.6]))
    with pool_of([str(folder) for folder in folders]) as (pool, _):
        found = gather(recipe_of(composed(pool, weights).spec))
    states = [load_file(folder / "model.safetensors") for folder in folders]
    for name, tensor in found.items():
        one, two, three = (state[name].double() for state in states)
        expected = 0.7 * one + 0.9 * two - 0.6 * three
        torch.testing.assert_close(tensor.double(), expected, atol=2e-6, rtol=1e-5)


def test_mixed_pools_are_refused() -> None:
    with pool_of([ADAPTERS[0], FULL[1]]) as (pool, _):
        facts = {model.name: model.spec.facts for model in pool}
        (problem,) = ModelSwarms().problems(facts, pool.context.sampling)
    assert "mixes adapters and full checkpoints" in problem.what
