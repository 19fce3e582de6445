"""Measures every router on the bundled pool, with two controls from which nothing can be gained.

    OMP_WAIT_POLICY=passive python scripts/measure_routing.py [--test 2000] [--out docs/routing.md]

The task is `mini-large` (dev 120). Each router is set against the member that is best on dev, and
against a router that is told the question's domain: a question of one domain goes to its
specialist, one of two domains to the better of its two specialists. Controls: the rows of the dev
score table permuted over the questions, and a pool of four copies of one model at temperature 0.7;
in both no router may gain. All routers choose among the same stored answers.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pages import shown, stamp, write_between

from moco import plan, registry
from moco.analysis import stats
from moco.config import RunConfig, parse
from moco.methods.base import Method
from moco.pool import Context, Dev, Model, Pool
from moco.routing.base import SoftRouter
from moco.routing.table import DevTable, observe
from moco.runner import make_engine
from moco.types import Json, Prediction, Sample

LEARNT: Mapping[str, tuple[str, Mapping[str, Json]]] = {
    "trained_router, ridge": ("trained_router", {"kind": "ridge"}),
    "trained_router, knn": ("trained_router", {"kind": "knn"}),
    "trained_router, factors": ("trained_router", {"kind": "factors"}),
    "graph_routing": ("graph_routing", {}),
    "cluster_routing": ("cluster_routing", {}),
}
"""Routers that learn from the dev table: these have to beat the best single member."""
OTHERS: Mapping[str, tuple[str, Mapping[str, Json]]] = {
    "trained_router, lm": (
        "trained_router",
        {"kind": "lm", "learning_rate": 4e-3, "epochs": 12, "batch_size": 16},
    ),
    "prompt_routing": ("prompt_routing", {}),
    "random_router": ("random_router", {}),
    "cheapest": ("cheapest", {}),
}
"""Reported as they are."""
SPECIALISTS: Mapping[str, tuple[str, ...]] = {
    "arithmetic": ("arithmetic",),
    "words": ("words",),
    "facts": ("facts",),
    "fact_add": ("facts", "arithmetic"),
    "fact_mul": ("facts", "arithmetic"),
    "fact_sort": ("facts", "words"),
    "word_add": ("words", "arithmetic"),
    "word_mul": ("words", "arithmetic"),
}
"""Domain, or skill of a two-domain question → the members made for it."""
COPIES = ["zoo://mini/words"] * 4
SHARE = 0.95
"""Of the told router's score that a learnt router has to reach."""


@dataclass(frozen=True)
class Lab:
    """An open pool with its dev set, and every member's score on every test question."""

    pool: Pool
    dev: Dev
    test: Sequence[Sample]
    scores: Mapping[str, np.ndarray]
    """Member → score per test question."""
    best: str
    """The member that is best on dev."""
    table: DevTable

    def routed(self, method: Method[Any], state: Any) -> tuple[np.ndarray, list[str]]:
        """A router's score per test question, read off the members' scores, and whom it chose."""
        queries = [sample.query for sample in self.test]
        names = [route.member for route in method.choose(self.pool, queries, state)]  # type: ignore[attr-defined]
        return np.asarray([self.scores[name][i] for i, name in enumerate(names)]), names

    def gain(self, scores: np.ndarray) -> tuple[float, float, float]:
        """Paired difference to the best member on dev, with its 95% interval."""
        found = stats.paired_difference(list(scores), list(self.scores[self.best]))
        assert found is not None
        return found


@contextmanager
def opened(pool: str | list[str], test: int | None, temperature: float) -> Iterator[Lab]:
    """The lab for a pool: every member answers dev and test (stored answers are not made again)."""
    config: RunConfig = parse(
        RunConfig,
        {
            "method": "trained_router",
            "task": {"name": "mini_large", **({"test": test} if test else {})},
            "pool": pool,
            "sampling": {"max_tokens": 64, "temperature": temperature},
        },
    )
    planned = plan.plan(config, pull=True)
    planned.require()
    assert planned.task is not None
    engine = make_engine(config.engine)
    context = Context(engine, plan.sampling_of(config), config.seed)
    roles = {role: Model(spec, context) for role, spec in planned.members.roles.items()}
    members = Pool([Model(spec, context) for spec in planned.members.pool], roles, context)
    dev, test_samples = Dev(planned.task.dev, planned.task.scorer), planned.task.test
    try:
        scores = {}
        answers = members.ask_all([s.query for s in test_samples])
        for name, given in zip(members.names, answers, strict=True):
            predictions = [
                Prediction(s.query.id, g.text, (name,), g.stop)
                for s, g in zip(test_samples, given, strict=True)
            ]
            own = planned.task.scorer.score(test_samples, predictions, {})
            scores[name] = np.asarray([s.value for s in own])
        table = observe(members, dev)
        yield Lab(members, dev, test_samples, scores, table.names[table.best], table)
    finally:
        engine.close()
        engine.cache.close()


def told(lab: Lab) -> np.ndarray:
    """The score of a router that is told each question's domain."""
    rows = []
    for i, sample in enumerate(lab.test):
        domain = str(sample.meta["domain"])
        makers = SPECIALISTS[domain if domain in SPECIALISTS else str(sample.meta["skill"])]
        rows.append(max(lab.scores[name][i] for name in makers))
    return np.asarray(rows)


def right_share(lab: Lab, names: Sequence[str]) -> float:
    """How often a specialist of the question's domain (or one of its two) was chosen."""
    hits = []
    for sample, name in zip(lab.test, names, strict=True):
        domain = str(sample.meta["domain"])
        makers = SPECIALISTS[domain if domain in SPECIALISTS else str(sample.meta["skill"])]
        hits.append(name in makers)
    return float(np.mean(hits))


def build(name: str, given: Mapping[str, Json]) -> Method[Any]:
    """A method with these hyperparameters."""
    method: Method[Any] = parse(registry.load("method", name), dict(given))
    return method


def main_table(lab: Lab) -> tuple[list[str], bool]:
    """The lines of the table, and whether every learnt router reaches its levels."""
    reference, oracle = told(lab), np.max(list(lab.scores.values()), axis=0)
    lines = [
        "| router | score | gain over best single on dev | of the told router | of the oracle"
        " | specialist chosen |",
        "|---|---|---|---|---|---|",
    ]
    passed = True
    for label, (name, given) in {**LEARNT, **OTHERS}.items():
        method = build(name, given)
        scores, names = lab.routed(method, method.fit(lab.pool, lab.dev))
        gain, share = lab.gain(scores), scores.mean() / reference.mean()
        if label in LEARNT:
            passed &= gain[1] > 0 and share >= SHARE
        lines.append(
            f"| {label} | {scores.mean():.3f} | {shown(gain)} | {share:.1%}"
            f" | {scores.mean() / oracle.mean():.1%} | {right_share(lab, names):.1%} |"
        )
        print(lines[-1], flush=True)
    best = lab.scores[lab.best]
    lines.append(f"| best single on dev: {lab.best} | {best.mean():.3f} | | | | |")
    lines.append(
        f"| told the domain | {reference.mean():.3f} | {shown(lab.gain(reference))} | | | |"
    )
    lines.append(f"| oracle | {oracle.mean():.3f} | {shown(lab.gain(oracle))} | | | |")
    return lines, passed


def control(lab: Lab, table: DevTable, title: str) -> tuple[list[str], bool]:
    """Routers fitted where nothing can be learnt: no interval may lie above 0."""
    lines, passed = [f"| {title} | gain over best single on dev |", "|---|---|"], True
    for label, (name, given) in LEARNT.items():
        method = build(name, given)
        assert isinstance(method, SoftRouter)
        gain = lab.gain(lab.routed(method, method.fit_table(lab.pool, table))[0])
        passed &= gain[1] <= 0
        lines.append(f"| {label} | {shown(gain)} |")
        print(lines[-1], flush=True)
    return lines, passed


def main() -> int:
    """Exit code 0 when every level is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", type=int, default=None, help="test questions; all 2,000 if unset")
    parser.add_argument("--out", type=Path, default=None, help="file between whose marks it goes")
    options = parser.parse_args()
    with opened("zoo://mini", options.test, 0.0) as lab:
        main_lines, main_passed = main_table(lab)
        mixed, mixed_passed = control(lab, lab.table.permuted(0), "dev scores permuted")
        count = len(lab.test)
    with opened(COPIES, options.test, 0.7) as lab:
        same, same_passed = control(lab, lab.table, "four copies of one model")
    head = f"`mini-large`, {count} test questions, dev 120; {stamp()}."
    parts = [head, *["\n".join(p) for p in (main_lines, mixed, same)]]
    text = "\n\n".join(parts)
    print(text)
    if options.out is not None:
        write_between(options.out, text)
    passed = main_passed and mixed_passed and same_passed
    print("all levels reached" if passed else "LEVELS MISSED")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
