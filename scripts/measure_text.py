"""Measures every text-level method on the bundled pool, each against a vote and against as much
computing spent on the best member alone.

    OMP_WAIT_POLICY=passive python scripts/measure_text.py [--test 300] [--out docs/text.md]

The task is `mini` (dev 120). Each method stands beside the member that is best on dev, beside
`majority_vote`, and beside a control of equal cost: self-consistency of that member with as many
samples as the method spends on a question (parameters times tokens, prompts included).
Differences are paired, with 95% intervals. Each run's seconds stand beside what it may take: 5 s
and 20 ms per new call, 90 s where a method searches, 240 s where it trains.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pages import scores_of, shown, stamp, write_between

from moco import registry
from moco.access import Access
from moco.analysis import stats
from moco.config import RunConfig, parse
from moco.report.report import Report
from moco.runner import run
from moco.types import Json

VOTE = "majority_vote"
GIVEN: Mapping[str, Mapping[str, Json]] = {
    "multiagent_refine": {"round": 2},
    "multiagent_feedback": {"round": 2},
    "structure": {"round": 2},
    "moa": {"round": 1},
    "slm_mux": {"k": 5},
    "self_moa": {"k": 4},
    "heterogeneous_swarms": {"population": 4, "max_iterations": 3},
}
"""Hyperparameters beside the defaults."""
MOST_SAMPLES = 64
SEARCHED, TRAINED = 90.0, 240.0
"""Seconds that a method that searches, or trains, may take."""
SEARCHING = ("heterogeneous_swarms",)


def measured(
    method: Mapping[str, Json], options: argparse.Namespace, folder: Path
) -> tuple[Report, float]:
    """A finished run of one method, and its seconds."""
    data: dict[str, Any] = {
        "method": dict(method),
        "task": {"name": options.task, "test": options.test},
        "pool": "zoo://mini",
        "sampling": {"max_tokens": 64},
    }
    config: RunConfig = parse(RunConfig, data)
    start = time.monotonic()
    return run(config, folder), time.monotonic() - start


def allowed(name: str, report: Report) -> float:
    """Seconds that a method's run may take."""
    needs = registry.load("method", name).model_construct().needs()
    if Access.TRAIN in needs.access or any(Access.TRAIN in n.access for n in needs.roles.values()):
        return TRAINED
    if name in SEARCHING:
        return SEARCHED
    used = (report.usage, report.usage_comparison)
    fresh = sum(int(own["calls"]) - int(own["cached_calls"]) for own in used)
    return 5 + 0.02 * fresh


def table(options: argparse.Namespace, folder: Path) -> list[str]:
    """The lines of the table."""
    names = options.methods or [
        n for n in registry.names("method") if registry.load("method", n).level == "text"
    ]
    single, _ = measured({"name": "best_single"}, options, folder)
    vote, _ = measured({"name": VOTE}, options, folder)
    best = scores_of(single)
    votes, own = scores_of(vote), single.costs["mean"]
    controls: dict[int, tuple[float, list[float | None], int]] = {}
    lines = [
        "| method | score | against best single on dev | against majority vote | against"
        " self-consistency at equal cost | solved of those no member solves | tokens written per"
        " question | seconds (allowed) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        report, seconds = measured({"name": name, **GIVEN.get(name, {})}, options, folder)
        samples = equal_samples(report, own)
        if samples not in controls:
            control, _ = measured({"name": "self_consistency", "k": samples}, options, folder)
            emergent = control.emergence["emergent"]
            controls[samples] = (control.score or 0.0, scores_of(control), emergent)
        mine = scores_of(report)
        against = [
            shown(stats.paired_difference(mine, other))
            for other in (best, votes, controls[samples][1])
        ]
        tokens = report.usage["generated_tokens"] / report.n
        lines.append(
            f"| {name} | {report.score:.3f} | {against[0]} | {against[1] if name != VOTE else ''}"
            f" | {against[2]} (k = {samples}: {controls[samples][0]:.3f})"
            f" | {report.emergence['emergent']} of {report.emergence['unsolved']}"
            f" (control {controls[samples][2]})"
            f" | {tokens:.0f} | {seconds:.0f} ({allowed(name, report):.0f}) |"
        )
        print(lines[-1], flush=True)
    lines.append(
        f"| best single on dev: {single.best_single_dev} | {single.score:.3f} | | | | | | |"
    )
    lines.append(f"| oracle | {single.oracle:.3f} | | | | | | |")
    return lines


def equal_samples(report: Report, own: float) -> int:
    """Samples of the best member that cost what the method spends on a test question."""
    return max(2, min(MOST_SAMPLES, round(float(report.costs["mean"]) / own)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="mini")
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--methods", nargs="*", default=None, help="all text methods if unset")
    parser.add_argument("--out", type=Path, default=None, help="file between whose marks it goes")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        lines = table(options, Path(folder))
    text = f"`{options.task}`, {options.test} test questions, dev 120; {stamp()}.\n\n" + "\n".join(
        lines
    )
    print(text)
    if options.out is not None:
        write_between(options.out, text)


if __name__ == "__main__":
    main()
