"""How fast routers decide and learn, with no model but a scripted one.

    OMP_WAIT_POLICY=passive python bench/routing.py [--dev 10000] [--members 8] [--width 384]

Prints for each soft router the time to fit it on dev, and the median time to route one question
beyond its embedding; then the time of a 50-point sweep of a cascade's thresholds and of a soft
router's cost weight over as many answered questions, with the number of model calls it took (0).
Ends with exit code 1 above 10 s, 10 ms, 2 s or 0 calls at the default size.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from moco import Pool
from moco.methods.api.cascade import Cascade
from moco.methods.api.cluster_routing import ClusterRouting
from moco.methods.api.trained_router import TrainedRouter
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.routing.base import SoftRouter
from moco.routing.table import DevTable, unit
from moco.types import Query, Sample

FIT_S, ROUTE_MS, SWEEP_S = 10.0, 10.0, 2.0
ROUTERS: dict[str, Callable[[], SoftRouter]] = {
    "ridge": lambda: TrainedRouter(kind="ridge"),
    "knn": lambda: TrainedRouter(kind="knn"),
    "factors": lambda: TrainedRouter(kind="factors"),
    "clusters": lambda: ClusterRouting(),
}


def world(count: int, members: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(embeddings, scores): questions of some topics, each member better on its own."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(2 * members, width))
    topic = rng.integers(2 * members, size=count)
    vectors = unit(centres[topic] + 2.0 * rng.normal(size=(count, width)))
    chance = np.where(topic[:, None] % members == np.arange(members), 0.8, 0.4)
    return vectors, (rng.random(chance.shape) < chance).astype(float)


def pool_of(members: int, folder: Path) -> Pool:
    """Scripted members; the state's arrays go to a folder."""
    listed = [
        {
            "model": f"m{i}", "backend": "fake", "price": {"prompt": i + 1, "generated": i + 1},
            "options": {
                "reply": "Answer: A",
                "rules": [{"match": f"[{i}{(i + 3) % 10}]\\?", "reply": "Answer: B"}],
            },
        }
        for i in range(members)
    ]  # fmt: skip
    embedder = [{"model": "e", "backend": "fake", "options": {"reply": ""}}]
    opened = Pool.open([*listed], roles={"embedder": embedder[0]}, engine={"devices": ["cpu"]})
    return opened.with_(artifacts=folder)


def questions(count: int) -> list[Query]:
    return [plain(f"q{i}", f"Question {i}?", "choice", choices=("x", "y")) for i in range(count)]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def measured(
    pool: Pool, method: SoftRouter, table: DevTable, vectors: np.ndarray, new: np.ndarray
) -> tuple[float, float, float]:
    """(seconds to fit, median ms to route one, seconds to sweep the cost weight)."""
    fit, learnt = timed(lambda: method.learn(pool, table, vectors))
    state = {
        "members": list(table.names), "means": table.means.tolist(),
        "costs": (np.arange(len(table.names)) + 1.0).tolist(), "learnt": learnt,
    }  # fmt: skip
    rows = {query.id: i for i, query in enumerate(table.queries)}
    known: Any = type(method)
    embed = known.embed
    known.embed = lambda self, pool, queries: new[[rows[q.id] for q in queries]]
    try:
        times = [timed(lambda i=i: method.choose(pool, [i], state))[0] for i in table.queries[:100]]
        swept, _ = timed(lambda: method.points(pool, table.queries, state))
    finally:
        known.embed = embed
    return fit, float(np.median(times)) * 1e3, swept


def routers(pool: Pool, options: argparse.Namespace) -> dict[str, tuple[float, float, float]]:
    """Each router's times."""
    vectors, scores = world(options.dev, options.members, options.width, 1)
    new, _ = world(options.dev, options.members, options.width, 2)
    asked = tuple(questions(options.dev))
    table = DevTable(tuple(pool.names), asked, scores, np.ones_like(scores))
    return {name: measured(pool, build(), table, vectors, new) for name, build in ROUTERS.items()}


def cascade(pool: Pool, count: int) -> tuple[float, int, int]:
    """(seconds, settings, model calls) of drawing a cascade's curve over answered questions."""
    three = pool.of(pool.names[:3])
    method = Cascade(percentage=0.5, calibration="none")
    samples = [Sample(q, ("A" if i % 2 else "B",)) for i, q in enumerate(questions(count))]
    dev = Dev(samples[:200], load("scorer", "choice")())
    state = method.fit(three, dev)
    asked: Sequence[Query] = [s.query for s in samples]
    three.ask_all(asked)
    calls = three.context.engine.fresh_calls
    seconds, points = timed(lambda: method.points(three, asked, state))
    return seconds, len(points), three.context.engine.fresh_calls - calls


def main() -> int:
    """Exit code 0 when every level is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", type=int, default=10_000)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--width", type=int, default=384)
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as folder:
        pool = pool_of(options.members, Path(folder))
        with pool:
            print(f"{options.dev} questions, {options.members} members, width {options.width}")
            for name, (fit, route, swept) in routers(pool, options).items():
                print(
                    f"{name:9} fit {fit:6.2f} s, one route {route:5.2f} ms,"
                    f" 50 weights {swept:5.2f} s"
                )
                good &= fit <= FIT_S and route <= ROUTE_MS and swept <= SWEEP_S
            seconds, settings, calls = cascade(pool, options.dev)
            print(f"cascade   {settings} thresholds in {seconds:.2f} s, {calls} model calls")
            good &= seconds <= SWEEP_S and calls == 0
    print("all levels reached" if good else "LEVELS MISSED")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
