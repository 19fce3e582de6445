"""The graph router: on made-up embeddings, and as a method on scripted members."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moco import Pool, Query
from moco.config import parse
from moco.errors import ConfigError, DataError
from moco.methods.api.graph_routing import GraphRouting
from moco.routing import graph
from moco.routing.decide import Standing, decide
from moco.routing.describe import describe
from moco.routing.neighbours import nearest
from moco.routing.table import DevTable, unit

WIDTH = 16  # as the scripted embedder
CENTRES = np.random.default_rng(0).normal(size=(4, WIDTH))


@dataclass(frozen=True)
class World:
    """Questions of some domains; member m is good at domain m."""

    rows_QE: np.ndarray
    scores_QM: np.ndarray
    domains: np.ndarray

    @classmethod
    def of(cls, count: int, seed: int, members: int = 2) -> World:
        random = np.random.default_rng(seed)
        domains = random.integers(members, size=count)
        rows = unit(CENTRES[domains] + 0.7 * random.normal(size=(count, WIDTH)))
        chance = np.where(domains[:, None] == np.arange(members), 0.9, 0.2)
        return cls(rows, (random.random(chance.shape) < chance).astype(float), domains)


def fitted(
    rows_QE: np.ndarray, scores_QM: np.ndarray, how: graph.Training, best: int = 0
) -> dict[str, np.ndarray]:
    members = scores_QM.shape[1]
    _, held = graph.split(rows_QE, scores_QM, 0.2, how.seed)
    dev = graph.Labelled.of(rows_QE, scores_QM, np.ones_like(scores_QM))
    whole = graph.Graph.of(dev, np.eye(members, rows_QE.shape[1]), np.zeros(rows_QE.shape[1]))
    return graph.fit(whole, held, best, how)[0]


@pytest.mark.parametrize("neighbours", [16, 0])
def test_unseen_questions_of_two_domains_are_routed_right(neighbours: int) -> None:
    dev, test = World.of(120, 1), World.of(1000, 2)
    start = time.perf_counter()
    arrays = fitted(dev.rows_QE, dev.scores_QM, graph.Training(neighbours=neighbours))
    assert time.perf_counter() - start < 20
    found = graph.estimate(arrays, test.rows_QE)
    assert (found.scores_QM.argmax(axis=1) == test.domains).mean() > 0.95
    picks = decide(found, Standing(dev.scores_QM.mean(axis=0), np.ones(2)))
    assert (picks == test.domains).mean() > 0.95


def test_training_beats_the_neighbours_mean_where_it_can() -> None:
    """One direction of the embedding decides, so what is far away teaches too."""
    random = np.random.default_rng(3)
    rows = unit(random.normal(size=(1400, 24)))
    right = np.stack([rows[:, 0] > 0, rows[:, 0] < 0], axis=1).astype(float)
    share = {}
    for epochs in (0, 200):
        arrays = fitted(rows[:400], right[:400], graph.Training(epochs=epochs))
        found = graph.estimate(arrays, rows[400:])
        share[epochs] = right[400:][np.arange(1000), found.scores_QM.argmax(axis=1)].mean()
    assert share[200] > share[0] + 0.03


def test_a_question_is_routed_alone_as_among_others() -> None:
    dev, test = World.of(80, 1), World.of(300, 2)
    arrays = fitted(dev.rows_QE, dev.scores_QM, graph.Training(epochs=30))
    whole = graph.estimate(arrays, test.rows_QE)
    others = graph.estimate(arrays, np.concatenate([World.of(2000, 5).rows_QE, test.rows_QE]))
    assert np.array_equal(others.scores_QM[2000:], whole.scores_QM)
    assert np.allclose(others.errors_QM[2000:], whole.errors_QM, rtol=0, atol=1e-12)
    for i in range(0, 300, 7):
        alone = graph.estimate(arrays, test.rows_QE[i : i + 1])
        assert np.array_equal(alone.scores_QM[0], whole.scores_QM[i])
    assert graph.estimate(arrays, test.rows_QE[:0]).scores_QM.shape == (0, 2)


def test_rows_of_dev_scores_permuted_give_no_gain() -> None:
    gains = []
    for seed in range(6):
        dev, test = World.of(120, seed, 4), World.of(1000, 100 + seed, 4)
        order = np.random.default_rng(seed).permutation(120)
        means = dev.scores_QM[order].mean(axis=0)
        best = int(means.argmax())
        arrays = fitted(dev.rows_QE, dev.scores_QM[order], graph.Training(seed=seed), best)
        picks = decide(graph.estimate(arrays, test.rows_QE), Standing(means, np.ones(4)))
        own = test.scores_QM[np.arange(1000), picks]
        gains.append(float((own - test.scores_QM[:, best]).mean()))
    error = float(np.std(gains, ddof=1) / np.sqrt(len(gains)))
    assert np.mean(gains) - 2.6 * error < 0  # t of 5 degrees of freedom
    assert abs(np.mean(gains)) < 0.05


def test_ten_equal_members_leave_the_first() -> None:
    dev, test = World.of(60, 1), World.of(200, 2)
    same = np.repeat(dev.scores_QM[:, :1], 10, axis=1)
    arrays = fitted(dev.rows_QE, same, graph.Training())
    picks = decide(graph.estimate(arrays, test.rows_QE), Standing(same.mean(axis=0), np.ones(10)))
    assert set(picks) == {0}


def test_same_seed_same_bits_and_no_global_random_state() -> None:
    import torch

    dev = World.of(60, 1)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = fitted(dev.rows_QE, dev.scores_QM, graph.Training(seed=3))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(8)
    np.random.seed(8)
    again = fitted(dev.rows_QE, dev.scores_QM, graph.Training(seed=3))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    other = fitted(dev.rows_QE, dev.scores_QM, graph.Training(seed=4))
    assert not np.array_equal(first["question"], other["question"])


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 12])
@pytest.mark.parametrize("neighbours", [16, 0])
def test_tiny_dev_sets_work(count: int, neighbours: int) -> None:
    dev, test = World.of(count, 1), World.of(50, 2)
    arrays = fitted(dev.rows_QE, dev.scores_QM, graph.Training(neighbours=neighbours))
    found = graph.estimate(arrays, test.rows_QE)
    assert np.isfinite(found.scores_QM).all()
    assert np.isfinite(found.errors_QM).all()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_equal_scores_everywhere_are_estimated_as_such(value: float) -> None:
    dev = World.of(40, 1)
    scores = np.full((40, 3), value)
    found = graph.estimate(fitted(dev.rows_QE, scores, graph.Training()), dev.rows_QE)
    assert np.allclose(found.scores_QM, value, atol=0.05)
    assert set(decide(found, Standing(scores.mean(axis=0), np.ones(3)))) == {0}


def test_equal_embeddings_and_members_not_asked_work() -> None:
    dev = World.of(40, 1, 3)
    same = np.repeat(dev.rows_QE[:1], 40, axis=0)
    found = graph.estimate(fitted(same, dev.scores_QM, graph.Training()), same[:2])
    assert np.allclose(found.scores_QM[0], dev.scores_QM.mean(axis=0), atol=0.2)
    holes = dev.scores_QM.copy()
    holes[::3, 0] = np.nan
    holes[:, 2] = np.nan
    found = graph.estimate(fitted(dev.rows_QE, holes, graph.Training()), dev.rows_QE)
    assert np.isfinite(found.scores_QM).all()
    assert (found.scores_QM[:, 2] == 0).all()


def test_the_split_is_stratified_and_whole() -> None:
    scores = np.array([[1.0, 0.0]] * 50 + [[0.0, 1.0]] * 30 + [[0.0, 0.0]] * 20)
    rows = unit(np.random.default_rng(0).normal(size=(100, 8)))
    rest, held = graph.split(rows, scores, 0.2, seed=0)
    assert sorted([*rest, *held]) == list(range(100))
    assert [(held < 50).sum(), (held >= 80).sum()] == pytest.approx([10, 4], abs=3)
    assert len(graph.split(rows[:9], scores[:9], 0.2, 0)[1]) == 0
    assert len(graph.split(rows, scores, 0.0, 0)[1]) == 0
    assert len(graph.split(np.ones_like(rows), scores, 0.2, 0)[1]) == 0


def test_nearest_is_exact_with_ties_to_the_lower_row() -> None:
    rows = World.of(1500, 1).rows_QE
    near, distance = nearest(rows, rows, 5, same=True)
    cosine = np.round(rows @ rows.T, 6)
    np.fill_diagonal(cosine, -2)
    assert np.array_equal(near, np.argsort(-cosine, axis=1, kind="stable")[:, :5])
    assert np.allclose(1 - distance, np.take_along_axis(cosine, near, axis=1))
    twins = np.repeat(rows[:1], 6, axis=0)
    assert nearest(twins, twins, 3)[0].tolist() == [[0, 1, 2]] * 6
    assert nearest(twins[:1], twins[:1], 3, same=True)[0].shape == (1, 0)


def test_another_embedder_is_refused() -> None:
    dev = World.of(12, 1)
    arrays = fitted(dev.rows_QE, dev.scores_QM, graph.Training())
    with pytest.raises(DataError, match=r"width 16.*have 5"):
        graph.estimate(arrays, np.ones((1, 5)))


def test_scenarios_set_the_cost_weight_unless_it_is_given() -> None:
    weights = {s: GraphRouting(scenario=s).cost_weight for s in ("performance", "balance", "cost")}
    assert weights == {"performance": 0, "balance": 1, "cost": 4}
    assert GraphRouting(scenario="cost", cost_weight=0.5).cost_weight == 0.5
    paper = GraphRouting(preset="paper", scenario="balance")
    assert (paper.num_neighbours, paper.maskings, paper.cost_weight) == (0, 32, 1)
    again = GraphRouting.model_validate_json(paper.model_dump_json())
    assert again.model_dump() == paper.model_dump()
    for wrong in ({"device": "gpu"}, {"train_mask_rate": 1.0}, {"scenario": "cheap"}):
        with pytest.raises(ConfigError):
            parse(GraphRouting, wrong)


def scripted(name: str, knows: str, **more: Any) -> dict[str, Any]:
    rules = [{"match": knows, "reply": "Answer: yes"}]
    options = {"rules": rules, "reply": "Answer: no"}
    return {"name": name, "model": name, "backend": "fake", "options": options, **more}


@pytest.fixture
def pool() -> Any:
    price = {"prompt": 10, "generated": 10}
    members = [
        scripted("sums", "sum", price=price),
        scripted("words", "word", price={"prompt": 1, "generated": 1}, description="Spells."),
    ]
    roles = {"embedder": {"model": "e", "backend": "fake"}}
    with Pool.open(members, roles=roles, engine={"devices": ["cpu"]}) as found:
        yield found


def table_of(pool: Pool, world: World) -> DevTable:
    topics = ("sum", "word")
    queries = tuple(Query(f"d{i}", f"the {topics[d]} {i}") for i, d in enumerate(world.domains))
    costs = np.ones_like(world.scores_QM) * [10, 1]
    return DevTable(tuple(pool.names), queries, world.scores_QM, costs)


def test_the_state_is_small_json_and_routes_the_same_after_a_reload(pool: Pool) -> None:
    dev, test = World.of(60, 1), World.of(40, 2)
    method = GraphRouting()
    learnt = method.learn(pool, table_of(pool, dev), dev.rows_QE)
    text = json.dumps(learnt)
    assert len(text) < 400
    queries = table_of(pool, test).queries
    first = method.estimate(pool, learnt, queries, test.rows_QE)
    again = method.estimate(pool, json.loads(text), queries, test.rows_QE)
    assert np.array_equal(first.scores_QM, again.scores_QM)
    assert np.array_equal(first.errors_QM, again.errors_QM)
    assert method.learn(pool, table_of(pool, dev), dev.rows_QE) == learnt


def test_costs_change_decisions(pool: Pool) -> None:
    table = table_of(pool, World.of(60, 1))
    state = GraphRouting().fit_table(pool, table)
    shares = []
    for scenario in ("performance", "balance", "cost"):
        routes = GraphRouting(scenario=scenario).choose(pool, table.queries, state)
        shares.append(sum(route.member == "words" for route in routes))
    assert shares[0] < shares[2] == 60
    assert shares[0] <= shares[1]


def test_scores_beyond_one_are_estimated_in_their_own_unit(pool: Pool) -> None:
    dev, test = World.of(80, 1), World.of(200, 2)
    table = table_of(pool, dev)
    rewards = replace(table, scores_QM=8 * table.scores_QM - 4)
    method = GraphRouting()
    learnt = method.learn(pool, rewards, dev.rows_QE)
    found = method.estimate(pool, learnt, (), test.rows_QE).scores_QM
    assert (found.argmax(axis=1) == test.domains).mean() > 0.95
    assert found.min() < -1.5
    assert found.max() > 1.5


def test_a_member_is_described_by_what_few_others_solve(pool: Pool) -> None:
    world = World(
        np.zeros((4, 2)), np.array([[1, 1], [1, 0], [0, 0], [np.nan, 1]]), np.arange(4) % 2
    )
    table = table_of(pool, world)
    text = describe(table, 0)
    assert text.startswith("Answered 67% of 3 sample questions right")
    assert text.index("the word 1") < text.index("the sum 0")
    assert "words" not in text
    nobody = replace(table, scores_QM=np.zeros((4, 2)))
    assert describe(nobody, 1) == "Answered none of 4 sample questions right."


def test_importing_the_router_imports_no_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, moco.methods.api.graph_routing; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
