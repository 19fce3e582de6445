"""A swarm searches, on dev, the graph through which members pass their answers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, TypedDict

import numpy as np
from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires, SameFact
from moco.methods import graphs
from moco.methods.base import Level, Method, dev_best
from moco.methods.flight import Flight
from moco.methods.graphs import Graph
from moco.pool import Dev, Model, Pool
from moco.search.base import Space, maximise
from moco.search.pso import Pso
from moco.types import Json, Prediction, Query, Sampling

RERANKED = 3
"""Graphs of the search that the other half of dev is asked about."""


class State(TypedDict):
    """The graph that was found."""

    graph: dict[str, Json]
    mixtures: list[dict[str, float]]
    """Weights of the members that each node's model is made of; empty = the members themselves."""
    search: dict[str, Json]
    """Graphs that were tried, best score by round, scores on the selecting half, and those of the
    best member alone.
    """


class HeterogeneousSwarms(Flight, Method[State]):
    """Particle swarm search over matrices that are decoded into acyclic graphs of members; answers
    flow along the edges and the sink's is taken.

    A matrix always gives the same graph, and a graph is run once. One half of dev is searched on;
    the best graphs, and stars around each member, are compared on the other. Optionally the members
    at the nodes are searched too (random assignments), and the members' weights (compositions of
    adapters or checkpoints, by the members' scores over assignments).
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "Feng et al. 2025, arXiv 2502.04510 (Heterogeneous Swarms)"
    requires: ClassVar[Requires] = Requires(min_models=2, dev=True)
    paper_preset: ClassVar[Mapping[str, Json]] = {
        "population": 10, "max_iterations": 20, "patience": 6, "start": "differences",
        "restart_patience": 3, "assignments": 0, "max_parents": 1,
    }  # fmt: skip

    population: int = Field(default=5, ge=2, le=1000)
    """Particles."""
    max_iterations: int = Field(default=5, ge=1, le=1000)
    """Rounds at most."""
    start: Literal["random", "rest", "differences"] = "random"
    """Velocities at the start: random, none, or towards another particle."""
    patience: int = Field(default=5, ge=1, le=1000)
    """Rounds without a better graph after which the search ends."""
    restart_patience: int = Field(default=3, ge=1, le=1000)
    """Rounds without a better own graph after which a particle goes back to it."""
    max_parents: int = Field(default=1, ge=1, le=100)
    """Edges that may leave a node; 1 gives trees."""
    top_p: float = Field(default=0.0, ge=0, lt=1)
    """0 decodes the likeliest graph; above it one is drawn, seeded by the matrix."""
    assignments: int = Field(default=5, ge=0, le=1000)
    """Random assignments of members to the best graph's nodes that are tried."""
    weight_steps: int = Field(default=0, ge=0, le=100)
    """Rounds in which the models' weights move, each followed by another search of assignments."""

    def needs(self) -> Requires:
        """Composing weights needs members of one architecture."""
        if not self.weight_steps:
            return self.requires
        access = self.requires.access | Access.WEIGHTS
        same: frozenset[SameFact] = frozenset({"architecture", "tokenizer"})
        return replace(self.requires, access=access, same=same)

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Weights move by what assignments show."""
        if self.weight_steps and not self.assignments:
            what = "moves weights by the scores of assignments, of which there are none"
            return [Problem("method.weight_steps", what, "set assignments to 1 or more")]
        return []

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Search on one half of dev, choose on the other."""
        searching, choosing = dev.split() if len(dev) > 1 else (dev, dev)
        seed, n = pool.context.seed, len(pool)
        rng = np.random.default_rng([seed, 2])
        start_ND = rng.uniform(0, 1, (self.population, n * n))
        found = maximise(
            lambda rows: _scores(pool, [self._decoded(row, n) for row in rows], searching),
            Space(start_ND, 0.0, 1.0, key=lambda row: _key(self._decoded(row, n))),
            self._swarm(),
            seed=seed,
        )
        tried = [self._decoded(row, n) for row in found.top(RERANKED)]
        candidates = list(dict.fromkeys([*tried, *(graphs.star(sink, n) for sink in range(n))]))
        if self.assignments:
            candidates += self._assigned(pool, candidates[0], searching, rng)[0]
            candidates = list(dict.fromkeys(candidates))
        chosen = _scores(pool, candidates, choosing)
        best = int(np.argmax(np.round(chosen, 9)))
        singles = dev_best(pool, choosing)[1]
        state: State = {
            "graph": candidates[best].to_json(),
            "mixtures": [],
            "search": {
                "graphs": len(found.evaluated),
                "best_by_round": found.best_by_round,
                "chosen": chosen[best],
                "best_single": max(singles.values(), default=0.0),
            },
        }
        return self._moved(pool, state, searching, choosing, rng) if self.weight_steps else state

    def _decoded(self, row: np.ndarray, n: int) -> Graph:
        return graphs.decode(row.reshape(n, n), self.max_parents, self.top_p)

    def _swarm(self) -> Pso:
        return self.swarm(self.max_iterations, self.patience, self.restart_patience, self.start)

    def _assigned(
        self, pool: Pool, graph: Graph, dev: Dev, rng: np.random.Generator
    ) -> tuple[list[Graph], np.ndarray]:
        """(the best random assignment of members to the graph's nodes, each member's mean score
        over the assignments weighted by how often it took part, NaN where it never did).
        """
        n = len(pool)
        tried = [graph] + [
            graph.with_members(rng.integers(n, size=n).tolist()) for _ in range(self.assignments)
        ]
        scores = np.asarray(_scores(pool, tried, dev))
        counts = np.asarray([[own.members.count(m) for m in range(n)] for own in tried])
        total_M = counts.sum(axis=0)
        share_M = (counts * scores[:, None]).sum(axis=0) / np.maximum(total_M, 1)
        share_M = np.where(total_M > 0, share_M, np.nan)
        return [tried[int(np.argmax(np.round(scores, 9)))]], share_M

    def _moved(
        self, pool: Pool, state: State, searching: Dev, choosing: Dev, rng: np.random.Generator
    ) -> State:
        """Weights of the models at the nodes move by their scores over assignments; what is better
        on the choosing half stays.
        """
        n, names = len(pool), pool.names
        how = self._swarm()
        x_NN, v_NN = np.eye(n), np.zeros((n, n))
        own_N, own_NN = np.full(n, -np.inf), x_NN.copy()
        best_N, top, worst_N, low = x_NN[0].copy(), -np.inf, x_NN[0].copy(), np.inf
        step, graph = how.step_length, Graph.from_json(state["graph"])
        kept, kept_score = state, float(state["search"]["chosen"])
        for _ in range(self.weight_steps):
            mixed = _mixed(pool, [_weights(names, row) for row in x_NN])
            (assigned,), share_M = self._assigned(mixed, graph, searching, rng)
            better = share_M > own_N
            own_N, own_NN[better] = np.fmax(own_N, share_M), x_NN[better]
            if np.nanmax(share_M) > top:
                top, best_N = float(np.nanmax(share_M)), x_NN[int(np.nanargmax(share_M))].copy()
            if np.nanmin(share_M) < low:
                low, worst_N = float(np.nanmin(share_M)), x_NN[int(np.nanargmin(share_M))].copy()
            (score,) = _scores(mixed, [assigned], choosing)
            if score > kept_score:
                mixtures = [_weights(names, row) for row in x_NN]
                kept = {**state, "graph": assigned.to_json(), "mixtures": mixtures}
                kept_score = score
            v_NN = how.velocities(x_NN, v_NN, (own_NN, best_N, worst_N), rng)
            x_NN = x_NN + step * v_NN
            step = max(step * how.step_length_factor, how.minimum_step_length)
        kept["search"] = {**kept["search"], "chosen_with_weights": kept_score}
        return kept

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """The sink's answers."""
        graph = graphs.star(0, len(pool)) if state is None else Graph.from_json(state["graph"])
        used = _mixed(pool, state["mixtures"]) if state and state["mixtures"] else pool
        (given,) = graphs.run(used, [graph], queries)
        nodes = sorted({node for layer in graph.layers() for node in layer})
        by = tuple(dict.fromkeys(used.names[graph.members[node]] for node in nodes))
        notes: dict[str, Json] = {"edges": [list(edge) for edge in graph.edges]}
        return [
            Prediction(query.id, g.text, by, g.stop, notes)
            for query, g in zip(queries, given, strict=True)
        ]


def _key(graph: Graph) -> Hashable:
    return graph.edges, graph.sink


def _scores(pool: Pool, tried: Sequence[Graph], dev: Dev) -> list[float]:
    """Mean dev score of each graph."""
    found = graphs.run(pool, tried, dev.queries)
    return [dev.mean([g.text for g in own]) for own in found]


def _weights(names: Sequence[str], row: np.ndarray) -> dict[str, float]:
    return {name: round(float(x), 6) for name, x in zip(names, row, strict=True)}


def _mixed(pool: Pool, mixtures: Sequence[Mapping[str, float]]) -> Pool:
    """A pool of compositions; a mixture of one member alone is that member."""
    models: list[Model] = []
    for mixture in mixtures:
        whole = [name for name, weight in mixture.items() if weight == 1.0]
        alone = len(whole) == 1 and sum(w != 0 for w in mixture.values()) == 1
        models.append(pool.named(whole[0]) if alone else pool.compose(mixture))
    return Pool(models, pool.roles, pool.context)
