"""Ridge, nearest neighbours, factors and clusters: by hand, by brute force, and on two domains."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from moco.routing import clusters, factors, knn, ridge
from moco.routing.decide import Estimates, Standing, decide
from moco.routing.residuals import shrinkage
from moco.routing.table import DevTable, unit
from moco.store import tensors
from moco.types import Query

KINDS = [ridge, knn, factors, clusters]
SOFT = [ridge, knn, factors]
WIDTH = 12


def world(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of two domains, and scores of three members: one good at each, one mediocre."""
    rng = np.random.default_rng(seed)
    domain = np.arange(count) % 2
    centres = np.zeros((2, WIDTH))
    centres[0, 0] = centres[1, 1] = 2.0
    vectors_QE = unit(centres[domain] + rng.normal(0, 0.5, (count, WIDTH)))
    chance_QM = np.stack([0.9 - 0.8 * domain, 0.1 + 0.8 * domain, np.full(count, 0.45)], axis=1)
    return vectors_QE, (rng.random((count, 3)) < chance_QM).astype(float)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_two_domains_are_told_apart(kind: ModuleType) -> None:
    vectors_QE, scores_QM = world(120)
    new_QE, _ = world(200, seed=1)
    best = int(np.argmax(scores_QM.mean(axis=0)))
    found: Estimates = kind.estimate(kind.fit(vectors_QE, scores_QM, best, 0), new_QE)
    standing = Standing(scores_QM.mean(axis=0), np.ones(3))
    assert (decide(found, standing) == np.arange(200) % 2).mean() > 0.93


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_question_alone_is_estimated_as_in_a_batch(kind: ModuleType) -> None:
    vectors_QE, scores_QM = world(60)
    arrays = kind.fit(vectors_QE, scores_QM, 0, 0)
    new_QE, _ = world(20, seed=2)
    together = kind.estimate(arrays, new_QE)
    for i in range(20):
        alone = kind.estimate(arrays, new_QE[[i]])
        np.testing.assert_allclose(alone.scores_QM[0], together.scores_QM[i], atol=1e-12)
        np.testing.assert_allclose(alone.errors_QM[0], together.errors_QM[i], atol=1e-12)


@pytest.mark.parametrize("kind", SOFT, ids=lambda kind: kind.__name__)
def test_members_permuted_permute_the_estimates(kind: ModuleType) -> None:
    vectors_QE, scores_QM = world(60)
    order = [2, 0, 1]
    plain = kind.estimate(kind.fit(vectors_QE, scores_QM, 0, 0), vectors_QE)
    moved = kind.estimate(kind.fit(vectors_QE, scores_QM[:, order], 1, 0), vectors_QE)
    tolerance = 0.08 if kind is factors else 1e-9  # a seeded start belongs to a place, not a member
    np.testing.assert_allclose(moved.scores_QM, plain.scores_QM[:, order], atol=tolerance)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_nothing_is_gained_from_permuted_scores(kind: ModuleType) -> None:
    vectors_QE, scores_QM = world(120)
    new_QE, new_QM = world(400, seed=3)
    gains = []
    for seed in range(5):
        mixed = scores_QM[np.random.default_rng(seed).permutation(120)]
        best = int(np.argmax(mixed.mean(axis=0)))
        found = kind.estimate(kind.fit(vectors_QE, mixed, best, 0), new_QE)
        picks = decide(found, Standing(mixed.mean(axis=0), np.ones(3)))
        gains.append(new_QM[np.arange(400), picks].mean() - new_QM[:, best].mean())
    assert abs(float(np.mean(gains))) < 0.1


def test_left_out_ridge_equals_refitting() -> None:
    vectors_QE, scores_QM = world(15)
    y, penalty = scores_QM[:, 0], 0.7
    left = ridge.Spectrum.of(vectors_QE).left_out(y[:, None], penalty)[:, 0]
    for i in range(15):
        rest = np.delete(np.arange(15), i)
        design = np.hstack([vectors_QE[rest], np.ones((14, 1))])
        cost = np.diag([penalty] * WIDTH + [0.0])
        weights = np.linalg.solve(design.T @ design + cost, design.T @ y[rest])
        assert left[i] == pytest.approx(vectors_QE[i] @ weights[:-1] + weights[-1], abs=1e-8)


def test_neighbours_by_hand() -> None:
    arrays: dict[str, Any] = {
        "vectors_QE": np.eye(2), "scores_QM": np.asarray([[1.0], [0.0]]),
        "means_M": np.asarray([0.5]), "setting": np.asarray([0.5, 1.0]), "gap_M": np.ones(1),
        "caution_M": np.ones(1),
    }  # fmt: skip
    found = knn.estimate(arrays, np.asarray([[1.0, 0.0]]))
    far = np.exp(-1 / 0.5)  # cosine 0 against cosine 1 at width 0.5
    assert found.scores_QM[0, 0] == pytest.approx((1.0 + 0.5) / (1 + far + 1))
    assert found.errors_QM[0, 0] == pytest.approx(np.sqrt(1 + far**2) / (2 + far))


def test_shrinkage_by_hand() -> None:
    target, mean = np.asarray([0.0, 1.0]), np.asarray([0.5, 0.5])
    assert shrinkage(np.asarray([0.0, 1.0]), target, mean) == 1.0
    assert shrinkage(np.asarray([-0.5, 1.5]), target, mean) == 0.5
    assert shrinkage(np.asarray([1.0, 0.0]), target, mean) == 0.0
    assert shrinkage(mean, target, mean) == 0.0


@pytest.mark.parametrize("kind", SOFT, ids=lambda kind: kind.__name__)
def test_a_newcomer_joins_and_changes_nobody_else(kind: ModuleType) -> None:
    vectors_QE, scores_QM = world(120)
    arrays = kind.fit(vectors_QE, scores_QM[:, :2], 0, 0)
    new_KE, new_KM = world(24, seed=5)
    grown = kind.admit(arrays, new_KE, 1 - new_KM[:, 0], 0)
    probe_QE, _ = world(200, seed=6)
    before, after = kind.estimate(arrays, probe_QE), kind.estimate(grown, probe_QE)
    assert np.array_equal(before.scores_QM, after.scores_QM[:, :2])
    assert np.array_equal(before.errors_QM, after.errors_QM[:, :2])
    strong, weak = after.scores_QM[1::2, 2].mean(), after.scores_QM[::2, 2].mean()
    assert strong > weak + 0.15  # it is good where member 0 is not


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_state_survives_a_reload_bit_for_bit(kind: ModuleType, tmp_path: Any) -> None:
    vectors_QE, scores_QM = world(40)
    arrays = kind.fit(vectors_QE, scores_QM, 0, 0)
    ref = json.loads(json.dumps(tensors.keep(tmp_path, arrays)))
    again = tensors.kept(tmp_path, ref)
    assert arrays.keys() == again.keys()
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors"}
    old, new = kind.estimate(arrays, vectors_QE), kind.estimate(again, vectors_QE)
    assert np.array_equal(old.scores_QM, new.scores_QM)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_equal_embeddings_and_a_single_question_work(kind: ModuleType) -> None:
    for vectors_QE, scores_QM in (
        (np.ones((12, 4)) / 2, np.tile([[1.0, 0.0], [0.0, 1.0]], (6, 1))),
        (np.ones((1, 4)) / 2, np.asarray([[1.0, 0.0]])),
    ):
        found = kind.estimate(kind.fit(vectors_QE, scores_QM, 0, 0), vectors_QE)
        assert np.isfinite(found.scores_QM).all()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("count", [2, 3, 9])
def test_tiny_or_flat_dev_sets_work(kind: ModuleType, count: int) -> None:
    vectors_QE, scores_QM = world(count)
    for scores in (scores_QM, np.zeros_like(scores_QM), np.ones_like(scores_QM)):
        found = kind.estimate(kind.fit(vectors_QE, scores, 0, 0), vectors_QE)
        assert np.isfinite(found.scores_QM).all()
        assert (found.errors_QM >= 0).all()


def test_decisions_by_hand() -> None:
    found = Estimates(np.asarray([[0.5, 0.9], [0.5, 0.55]]), np.full((2, 2), 0.1))
    standing = Standing(np.asarray([0.6, 0.5]), np.asarray([1.0, 4.0]))
    assert decide(found, standing).tolist() == [1, 0]  # a gain below its error is not taken
    assert decide(found, standing, guard=False).tolist() == [1, 1]
    assert decide(found, standing, cost_weight=1.0).tolist() == [0, 0]
    tied = Estimates(np.asarray([[0.5, 0.5]]), np.zeros((1, 2)))
    assert decide(tied, standing).tolist() == [0]
    swapped = Standing(standing.means[::-1], standing.costs)
    assert decide(tied, swapped).tolist() == [1]


def test_a_table_knows_who_was_asked() -> None:
    scores = np.asarray([[1.0, np.nan], [0.0, 1.0]])
    queries = (Query("1", "a"), Query("2", "b"))
    table = DevTable(("a", "b"), queries, scores, np.ones((2, 2)))
    assert table.means.tolist() == [0.5, 1.0] and table.best == 1
    assert table.of([1]).scores_QM.tolist() == [[0.0, 1.0]]
    rows = [tuple(map(str, row)) for row in table.permuted(1).scores_QM]
    assert sorted(rows) == sorted(tuple(map(str, row)) for row in scores)
