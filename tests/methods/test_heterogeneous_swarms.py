"""Graphs from matrices, answers along edges, the search: scripted members and compositions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import member

from moco import Pool
from moco.methods import graphs
from moco.methods.graphs import Graph, decode
from moco.methods.text.heterogeneous_swarms import HeterogeneousSwarms
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.types import Query, Sample, Sampling


def query(name: str = "q") -> Query:
    return plain(name, f"Which one is {name}?", "choice", choices=("red", "green", "blue"))


def dev(count: int = 8) -> Dev:
    return Dev([Sample(query(f"d{i}"), ("A",)) for i in range(count)], load("scorer", "choice")())


def spoken(name: str, reply: Any, *rules: tuple[str, Any]) -> dict[str, Any]:
    return member(name, reply, rules=[{"match": m, "reply": r} for m, r in rules])


def test_a_graph_by_hand() -> None:
    weights = np.asarray([[0.0, 0.9, 0.2], [0.1, 0.0, 0.8], [0.3, 0.1, 0.0]])
    # out weights 1.1, 0.9, 0.4: the sink is 2; then 0 is placed (edge to 2), then 1 (0.8 to 2)
    assert decode(weights) == Graph(((0, 2), (1, 2)), 2, (0, 1, 2))
    weights[1] = [0.85, 0, 0.1]  # now 1 prefers 0
    assert decode(weights).edges == ((0, 2), (1, 0))
    weights[0], weights[1] = [0, 0.9, 0.7], [0.85, 0, 0.6]
    assert decode(weights, most=2).edges == ((0, 2), (1, 0), (1, 2))


matrices = st.integers(2, 6).flatmap(
    lambda n: st.lists(st.floats(-1, 2, allow_nan=False), min_size=n * n, max_size=n * n).map(
        lambda row: np.asarray(row).reshape(n, n)
    )
)


@settings(max_examples=100, deadline=None)
@given(matrices, st.integers(1, 4), st.sampled_from([0.0, 0.7]))
def test_graphs_are_acyclic_reach_the_sink_and_repeat(
    weights: np.ndarray, most: int, top_p: float
) -> None:
    before = weights.copy()
    graph = decode(weights, most, top_p)
    assert (weights == before).all()
    assert graph == decode(weights, most, top_p)
    n = len(weights)
    layers = graph.layers()
    assert sorted(node for layer in layers for node in layer) == list(range(n))
    place = {node: d for d, layer in enumerate(layers) for node in layer}
    assert all(place[u] < place[v] for u, v in graph.edges)
    assert all(
        1 <= sum(a == u for a, _ in graph.edges) <= most for u in range(n) if u != graph.sink
    )
    assert not any(u == graph.sink for u, _ in graph.edges)
    assert Graph.from_json(graph.to_json()) == graph


def test_the_drawn_head_exceeds_top_p() -> None:
    """Two equal shares and top_p 0.5: both are in the head."""
    values = np.asarray([1.0, 1.0])
    drawn = {graphs._pick(values, [0, 1], 0.5, np.random.default_rng(i)) for i in range(20)}
    assert drawn == {0, 1}


def test_the_preferred_sink_has_the_least_out_weight() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        weights = rng.uniform(0, 1, (4, 4))
        np.fill_diagonal(weights, 0)
        assert decode(weights).sink == int(np.argmin(weights.sum(axis=1)))


def test_answers_flow_along_edges_and_shared_calls_are_made_once() -> None:
    members = [
        spoken("a", "from a", ("from", "a read")),
        spoken("b", "from b", ("from|a read", "b read")),
        spoken("c", "from c", ("read", "c read readers"), ("from", "c read")),
    ]
    chain = Graph(((0, 1), (1, 2)), 2, (0, 1, 2))
    star = graphs.star(2, 3)
    with Pool.open(members) as pool:
        found = graphs.run(pool, [chain, star], [query()])
        assert [own[0].text for own in found] == ["c read readers", "c read"]
        assert pool.context.engine.fresh_calls == 2 + 1 + 2  # a and b alone, b with a, c twice
        swapped = chain.with_members((0, 0, 1))
        ((given,),) = graphs.run(pool, [swapped], [query()])
        assert given.text == "b read"


def team() -> list[dict[str, Any]]:
    """Nobody is right alone; c is, where it reads the texts of a and b."""
    return [
        spoken("a", "Answer: B"),
        spoken("b", "Answer: C"),
        spoken("c", "Answer: B", (r"Answer: (B|C).*Answer: (B|C).*Compare", "Answer: A")),
    ]


def test_the_search_finds_the_graph_that_works() -> None:
    with Pool.open(team()) as pool:
        method = HeterogeneousSwarms(population=6, max_iterations=4)
        state = method.fit(pool, dev())
        assert state["search"]["chosen"] == 1.0 and state["search"]["best_single"] == 0.0
        calls = pool.context.engine.fresh_calls
        again = method.fit(pool, dev())
        assert again == state and pool.context.engine.fresh_calls == calls
        (found,) = method.predict(pool, [query()], state)
        assert found.text == "Answer: A"
        assert set(found.by) == {"a", "b", "c"}


def test_assignments_put_the_right_member_at_the_sink() -> None:
    members = [spoken("a", "Answer: B"), spoken("b", "Answer: B", ("Compare", "Answer: A"))]
    with Pool.open(members) as pool:
        method = HeterogeneousSwarms(population=2, max_iterations=1, assignments=20)
        state = method.fit(pool, dev())
        graph = Graph.from_json(state["graph"])
        assert state["search"]["chosen"] == 1.0 and graph.members[graph.sink] == 1


def test_a_graph_is_scored_once() -> None:
    """Two members have two trees: however long the swarm flies, two are run."""
    members = [spoken("a", "Answer: A"), spoken("b", "Answer: B")]
    with Pool.open(members) as pool:
        method = HeterogeneousSwarms(population=8, max_iterations=9, patience=9, assignments=0)
        state = method.fit(pool, dev())
        assert state["search"]["graphs"] == 2


def test_weights_need_one_architecture_and_assignments() -> None:
    method = HeterogeneousSwarms(weight_steps=1, assignments=0)
    (problem,) = method.problems(dict.fromkeys("ab"), Sampling())
    assert problem.where == "method.weight_steps"
    assert HeterogeneousSwarms(weight_steps=1).needs().same == {"architecture", "tokenizer"}
    assert not HeterogeneousSwarms().needs().same


@pytest.mark.parametrize("steps", [2])
def test_weights_move_on_real_models(steps: int) -> None:
    pool = Pool.open(
        ["zoo://mini/arithmetic", "zoo://mini/words"],
        sampling=Sampling(max_tokens=12),
        engine={"devices": ["cpu"], "dtype": "float32"},
    )
    with pool:
        method = HeterogeneousSwarms(
            population=2, max_iterations=1, assignments=3, weight_steps=steps
        )
        state = method.fit(pool, dev(4))
        assert "chosen_with_weights" in state["search"]
        mixed = {
            **state,
            "mixtures": [{"arithmetic": 0.6, "words": 0.4}, {"arithmetic": 0.0, "words": 1.0}],
        }
        (found,) = method.predict(pool, [query()], mixed)
        assert found.text
