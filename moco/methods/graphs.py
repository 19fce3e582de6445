"""Graphs of members through which answers flow: decoded from matrices, run layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moco import prompts
from moco.engine.cache import digest
from moco.methods.discussion import ask_members
from moco.pool import Pool
from moco.types import Generation, Json, Prompt, Query

EDGE = 0.5
"""Weight above which a further edge of a node is drawn."""


@dataclass(frozen=True, slots=True)
class Graph:
    """An acyclic graph; node u is answered by member `members[u]`."""

    edges: tuple[tuple[int, int], ...]
    """(from, to), sorted."""
    sink: int
    """The node whose text is the answer."""
    members: tuple[int, ...]
    """Places in the pool."""

    def to_json(self) -> dict[str, Json]:
        """As a state holds it."""
        edges = [list(edge) for edge in self.edges]
        return {"edges": edges, "sink": self.sink, "members": list(self.members)}

    @classmethod
    def from_json(cls, data: dict[str, Json]) -> Graph:
        """What `to_json` gave."""
        edges = tuple((int(u), int(v)) for u, v in data["edges"])
        return cls(edges, int(data["sink"]), tuple(int(m) for m in data["members"]))

    def sources_of(self, node: int) -> list[int]:
        """The nodes whose texts a node reads."""
        return [u for u, v in self.edges if v == node]

    def layers(self) -> list[list[int]]:
        """Nodes by the longest way from a source; only nodes from which the sink is reached."""
        used = {self.sink}
        while True:
            more = used | {u for u, v in self.edges if v in used}
            if more == used:
                break
            used = more
        depth = dict.fromkeys(used, 0)
        for _ in range(len(used)):
            for u, v in self.edges:
                if v in used:
                    depth[v] = max(depth[v], depth[u] + 1)
        found: list[list[int]] = [[] for _ in range(max(depth.values()) + 1)]
        for node in sorted(used):
            found[depth[node]].append(node)
        return found

    def with_members(self, members: Sequence[int]) -> Graph:
        """The same graph with other members at its nodes."""
        return Graph(self.edges, self.sink, tuple(members))


def star(sink: int, size: int) -> Graph:
    """Everybody answers; the sink writes the final answer."""
    edges = tuple((u, sink) for u in range(size) if u != sink)
    return Graph(edges, sink, tuple(range(size)))


def decode(weights_NN: np.ndarray, most: int = 1, top_p: float = 0.0) -> Graph:
    """The graph of a matrix of edge weights in [0, 1] (row = from, column = to); the matrix is not
    changed, and one matrix always gives the same graph.

    The node of the least outgoing weight is the sink. The others are placed by falling outgoing
    weight, each with an edge to the placed node of its greatest weight, and to at most `most` in
    all of those above 0.5. Weights of 0 are no edges unless nothing else is left. With `top_p`
    above 0 nodes and edges are drawn from the likeliest that together exceed it, by a generator
    seeded with the matrix.
    """
    weights = np.clip(np.asarray(weights_NN, dtype=float), 0.0, 1.0)
    np.fill_diagonal(weights, 0.0)
    n = len(weights)
    rng = np.random.default_rng(int(digest(np.round(weights, 9).tolist())[:12], 16))
    out_N = np.round(weights.sum(axis=1), 9)
    sink = _pick(np.where(out_N > 0, 1 / np.maximum(out_N, 1e-9), 1e9), range(n), top_p, rng)
    placed, rest = [sink], [u for u in range(n) if u != sink]
    edges: list[tuple[int, int]] = []
    while rest:
        u = _pick(out_N, rest, top_p, rng)
        first = _pick(weights[u], placed, top_p, rng)
        others = [v for v in placed if v != first and weights[u, v] > EDGE]
        others.sort(key=lambda v: (-weights[u, v], v))
        edges += [(u, v) for v in [first, *others[: most - 1]]]
        placed.append(u)
        rest.remove(u)
    return Graph(tuple(sorted(edges)), sink, tuple(range(n)))


def _pick(values: np.ndarray, among: Sequence[int], top_p: float, rng: np.random.Generator) -> int:
    """The place of the greatest value, the lowest on ties; or one drawn by softmax from the
    shortest head of them whose mass exceeds `top_p`.
    """
    ordered = sorted(among, key=lambda i: (-values[i], i))
    if top_p <= 0:
        return ordered[0]
    kept = [i for i in ordered if values[i] > 0] or ordered
    shares = np.exp(np.asarray([values[i] - values[kept[0]] for i in kept]))
    shares /= shares.sum()
    count = int(np.searchsorted(np.cumsum(shares), top_p, side="right")) + 1
    head = shares[:count] / shares[:count].sum()
    return kept[int(rng.choice(len(head), p=head))]


def run(pool: Pool, graphs: Sequence[Graph], queries: Sequence[Query]) -> list[list[Generation]]:
    """Each graph's answer to each query, as one list per graph.

    All graphs advance in step, layer by layer, so that equal calls of several graphs are made once.
    A node without incoming edges answers the plain prompt; the others read the texts of the nodes
    before them, in an order shuffled per question.
    """
    texts: list[list[dict[int, Generation]]] = [[{} for _ in queries] for _ in graphs]
    plans = [graph.layers() for graph in graphs]
    spare = pool.spare()
    for depth in range(max(map(len, plans), default=0)):
        asked: list[tuple[int, str, Prompt]] = []
        places: list[tuple[int, int, int]] = []
        for g, (graph, plan) in enumerate(zip(graphs, plans, strict=True)):
            for node in plan[depth] if depth < len(plan) else ():
                before = graph.sources_of(node)
                for q, query in enumerate(queries):
                    prompt = query.prompt
                    if before:
                        order = pool.shuffled(query, len(before), "graph")
                        shown = [texts[g][q][before[i]].text for i in order]
                        prompt = prompts.aggregate(query, shown, spare=spare)
                    asked.append((graph.members[node], query.id, prompt))
                    places.append((g, q, node))
        stage = "answer" if depth == 0 else f"layer {depth + 1}"
        for (g, q, node), given in zip(places, ask_members(pool, asked, stage), strict=True):
            texts[g][q][node] = given
    return [[own[graph.sink] for own in rows] for graph, rows in zip(graphs, texts, strict=True)]
