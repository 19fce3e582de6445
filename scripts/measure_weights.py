"""Measures every weight-level method on two bundled pools, each against the best single model on
dev.

    OMP_WAIT_POLICY=passive python scripts/measure_weights.py --out docs/weights.md

`mini`: three full checkpoints that were fine-tuned from one base (`zoo://mini/arithmetic`, `words`
and `facts`, base `zoo://mini/base`). `smol`: three LoRA adapters of one SmolLM2
(`zoo://smol-specialists`). The task is `mini`. Differences are paired, with 95% intervals; logit
fusion of the same members and the oracle stand below.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pages import scores_of, shown, stamp, write_between

from moco import registry
from moco.analysis import stats
from moco.config import RunConfig, parse
from moco.errors import RequirementError
from moco.report.report import Report
from moco.runner import run
from moco.types import Json


@dataclass(frozen=True)
class Setup:
    """A pool and how much is asked of it."""

    title: str
    pool: Any
    dev: int
    test: int
    roles: Mapping[str, str] = field(default_factory=dict)


SETUPS: Mapping[str, Setup] = {
    "mini": Setup(
        "Three checkpoints of about a million parameters, `zoo://mini/arithmetic`, `/words` and"
        " `/facts`, over `zoo://mini/base`",
        ["zoo://mini/arithmetic", "zoo://mini/words", "zoo://mini/facts"],
        120,
        300,
        {"base": "zoo://mini/base"},
    ),
    "smol": Setup(
        "Three rank-8 adapters of SmolLM2-135M-Instruct, `zoo://smol-specialists`",
        "zoo://smol-specialists",
        60,
        120,
    ),
}
BESIDE = ("logit_fusion",)
"""Methods of other levels that stand in the table."""
GIVEN: Mapping[str, Mapping[str, Json]] = {
    "slerp": {},
    "dare_ties (optimized)": {"name": "dare_ties", "mode": "optimized"},
}
"""Hyperparameters beside the defaults, and further lines of the table."""
TWO = ("slerp",)
"""Methods of two members: they get the two that are best on dev."""


def measured(method: Mapping[str, Json], setup: Setup, folder: Path, pool: Any) -> Report:
    """A finished run of one method."""
    data: dict[str, Any] = {
        "method": dict(method),
        "task": {"name": "mini", "dev": setup.dev, "test": setup.test},
        "pool": pool,
        "sampling": {"max_tokens": 64},
    }
    needs = registry.load("method", str(method["name"])).model_construct().needs()
    data["roles"] = {role: ref for role, ref in setup.roles.items() if role in needs.roles}
    config: RunConfig = parse(RunConfig, data)
    return run(config, folder)


def table(setup: Setup, names: Sequence[str], folder: Path) -> list[str]:
    """The lines of a pool's table."""
    single = measured({"name": "best_single"}, setup, folder, setup.pool)
    best = scores_of(single)
    ranked = sorted(single.singles, key=lambda name: -(single.singles_dev[name] or 0.0))
    lines = [
        f"{setup.title}; {setup.dev} dev and {setup.test} test questions of `mini`.",
        "",
        "| method | score | against best single on dev | solved of those no member solves"
        " | new model calls | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for shown_name in (*names, *BESIDE):
        method = {"name": shown_name, **GIVEN.get(shown_name, {})}
        pool = setup.pool
        if shown_name in TWO:
            pool = [f"{refs_of(setup)[name]}" for name in ranked[:2]]
        start = time.monotonic()
        try:
            report = measured(method, setup, folder, pool)
        except RequirementError as error:
            lines.append(f"| {shown_name} | | {str(error).splitlines()[-1].strip()} | | | |")
            print(lines[-1], flush=True)
            continue
        against = shown(stats.paired_difference(scores_of(report), best))
        fresh = report.usage["calls"] - report.usage["cached_calls"]
        lines.append(
            f"| {shown_name} | {report.score:.3f} | {against} | {report.emergence['emergent']} of"
            f" {report.emergence['unsolved']} | {fresh} | {time.monotonic() - start:.0f} |"
        )
        print(lines[-1], flush=True)
    lines.append(f"| best single on dev: {single.best_single_dev} | {single.score:.3f} | | | | |")
    lines.append(
        f"| best single on test: {single.best_single_test} |"
        f" {max(x or 0.0 for x in single.singles.values()):.3f} | | | | |"
    )
    lines.append(f"| oracle | {single.oracle:.3f} | | | | |")
    return lines


def refs_of(setup: Setup) -> dict[str, str]:
    """Alias → reference of a pool's members."""
    listed = setup.pool
    if isinstance(listed, str):
        from moco.zoo import pools

        found = pools.find(listed)
        assert found is not None
        listed = found.members
    return {ref.rpartition("/")[2]: ref for ref in listed}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pools", nargs="*", default=list(SETUPS))
    parser.add_argument("--methods", nargs="*", default=None, help="all weight methods if unset")
    parser.add_argument("--out", type=Path, default=None, help="file between whose marks it goes")
    options = parser.parse_args(arguments)
    names = options.methods or [
        *(n for n in registry.names("method") if registry.load("method", n).level == "weight"),
        *(n for n in GIVEN if " " in n),
    ]
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for key in options.pools:
            parts.append("\n".join(table(SETUPS[key], names, Path(folder))))
    text = f"{stamp()}.\n\n" + "\n\n".join(parts)
    print(text)
    if options.out is not None:
        write_between(options.out, text)


if __name__ == "__main__":
    main()
