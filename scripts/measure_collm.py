"""Measures Co-LLM on the bundled pool: what two members write together against each of them, and
how score goes with deferral.

    OMP_WAIT_POLICY=passive python scripts/measure_collm.py [--task mini_train] [--test 2000]

Each pair is (who writes, who is asked). Differences are paired, to the member that is better on
dev, with 95% intervals. Only dev chooses the threshold; the curve shows test questions under all
thresholds that were tried. The task `mini_train` has the test questions of `mini_large` and 480
others of dev's kind instead of its 120.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pages import scores_of, shown, stamp

from moco import Pool
from moco.analysis import stats
from moco.config import RunConfig, parse
from moco.plan import plan
from moco.pool import Dev
from moco.runner import run
from moco.store import finished
from moco.tasks import mini
from moco.types import Json, Sampling

TOKENS = 48


def config_of(
    method: Mapping[str, Json], pair: Sequence[str], options: argparse.Namespace
) -> RunConfig:
    """A run of the method on a pair."""
    task = {"name": options.task, "test": options.test}
    if Path(options.task).suffix == ".jsonl":
        task = {"path": options.task, "scorer": "exact", "test": options.test}
    data: dict[str, Any] = {
        "method": dict(method),
        "task": task,
        "pool": [f"zoo://mini/{name}" for name in pair],
        "sampling": {"max_tokens": TOKENS},
        "engine": {"devices": ["cpu"]},
    }
    config: RunConfig = parse(RunConfig, data)
    return config


def written(folder: Path) -> Path:
    """The file of `mini_train`."""
    parts = {"dev": mini.generate("train"), "test": mini.generate("large")}
    lines = [
        json.dumps(mini.record(item, f"{split}-{i}", split))
        for split, items in parts.items()
        for i, item in enumerate(items)
    ]
    file = folder / "mini_train.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def share(notes: Sequence[Mapping[str, Json]]) -> float:
    """Share of all tokens that were deferred."""
    return float(sum(n["deferred"] for n in notes) / max(sum(n["tokens"] for n in notes), 1))


def table(pair: Sequence[str], options: argparse.Namespace, folder: Path) -> list[str]:
    """The lines of a pair: its members, what they write together, and the curve."""
    single = run(config_of({"name": "best_single"}, pair, options), folder)
    config = config_of({"name": "collm", **json.loads(options.method)}, pair, options)
    report = run(config, folder)
    made = finished.load(report.path)
    deferral = share([sample["notes"] for sample in made.samples()])
    against = shown(stats.paired_difference(scores_of(report), scores_of(single)))
    alone = ", ".join(f"{name} {score:.3f}" for name, score in single.singles.items())
    return [
        f"`{pair[0]}` writes, `{pair[1]}` is asked. Alone on test: {alone}; better on dev:"
        f" {single.best_single_dev}. Together: {report.score:.3f} at deferral {deferral:.4f},"
        f" difference {against}.",
        "",
        f"| threshold | deferral on dev | score on dev | deferral on {options.curve} of test"
        f" | score on {options.curve} of test |",
        "|---|---|---|---|---|",
        *curve(config, pair, made, options.curve),
    ]


def curve(
    config: RunConfig, pair: Sequence[str], made: finished.FinishedRun, count: int
) -> list[str]:
    """A line per threshold that was tried."""
    planned = plan(config, pull=True)
    assert planned.task is not None
    every = max(len(planned.task.test) // count, 1)
    test = Dev(planned.task.test[::every][:count], planned.task.scorer)
    lines = []
    members = [f"zoo://mini/{name}" for name in pair]
    sampling, engine = Sampling(max_tokens=TOKENS), {"devices": ["cpu"]}
    with Pool.open(members, sampling=sampling, engine=engine) as opened:
        pool = opened.with_(artifacts=made.path / "artifacts")
        for point in made.state["curve"]:
            state = {**made.state, "threshold": point["threshold"]}
            found = planned.method.predict(pool, test.queries, state)
            chosen = " (chosen)" if point["threshold"] == made.state["threshold"] else ""
            lines.append(
                f"| {point['threshold']:.5f}{chosen} | {point['deferral']:.3f}"
                f" | {point['score']:.3f} | {share([p.notes for p in found]):.3f}"
                f" | {test.mean([p.text for p in found]):.3f} |"
            )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="mini_train", help="a name, or a .jsonl file")
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--method", default="{}", help="hyperparameters as JSON")
    parser.add_argument("--curve", type=int, default=2000, help="test questions of the curve")
    parser.add_argument("--pairs", nargs="*", default=["base+arithmetic", "words+arithmetic"])
    options = parser.parse_args(arguments)
    print(f"`{options.task}`, {options.test} test questions; {stamp()}.")
    with tempfile.TemporaryDirectory() as folder:
        if options.task == "mini_train":
            options.task = str(written(Path(folder)))
        for pair in options.pairs:
            print("\n" + "\n".join(table(pair.split("+"), options, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
