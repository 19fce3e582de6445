"""merge, and check of a merge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from moco import documents
from moco.commands import terminal
from moco.config import memory_bytes
from moco.errors import ConfigError, clip
from moco.merging import config as merge_config
from moco.merging import plan as merge_plan
from moco.merging import run as merge_run
from moco.merging.config import MergeConfig
from moco.merging.run import MergeOptions, MergeReport
from moco.progress import Display
from moco.report.tables import Sheet

QUIET_NOTES = 12
"""Notes that are shown at most; the model card has all."""


@dataclass(frozen=True, slots=True)
class Given:
    """The options of the command line as they were written; empty = not."""

    max_memory: str = ""
    device: str = ""
    dtype: str = ""
    shard_size: str = ""
    verify: bool = True
    accept_licence: bool = False
    push: str = ""
    kind: Literal["merged", "adapter"] = "merged"
    rank: int | None = None
    quiet: bool = False


def merge(config: Path, out: Path, changes: Sequence[str], given: Given) -> int:
    """Merge by a config and say what came of it."""
    options = MergeOptions(
        verify=given.verify,
        shard_bytes=memory_bytes(given.shard_size or None, "--shard-size"),
        accept_licence=given.accept_licence,
        push=given.push,
        kind=given.kind,
        rank=given.rank,
    )
    read = _with_options(merge_config.read(config, changes), given)
    with Display(quiet=given.quiet) as display:
        report = merge_run.merge(read, out, options, progress=display)
    terminal.sheet(_sheet(report))
    for warning in report.warnings:
        terminal.err(f"moco: warning: {report.path}: {warning}")
    return 0


def _with_options(read: MergeConfig, given: Given) -> MergeConfig:
    """The config with what the command line says of the engine."""
    engine = read.engine.model_dump(mode="json", exclude_unset=True)
    if given.max_memory:
        memory_bytes(given.max_memory, "--max-memory")
        engine["memory"] = given.max_memory
    if given.device:
        engine["devices"] = [given.device]
    if given.dtype:
        engine["dtype"] = given.dtype
    data = read.model_dump(mode="json", exclude_unset=True)
    changed = merge_config.parsed({**data, "engine": engine})
    return changed.model_copy(update={"written": read.written})


def _sheet(report: MergeReport) -> Sheet:
    """What was merged, what counts for how much, and what it took."""
    found = report.verification
    read = found.parents if found is not None else {}
    rows = [
        (name, report.weights.get(name, "base"), f"{read[name]:,.2f}" if name in read else "")
        for name in dict.fromkeys([*report.weights, *read])
    ]
    if found is not None:
        rows.append(("result", "", f"{found.perplexity:,.2f}"))
    notes = [f"merged in {report.figures}", *report.extra]
    if found is not None:
        notes.append(f"verified in {found.seconds:.1f} s: loads in transformers, writes a token")
    notes += [f"note: {clip(note, 400)}" for note in report.notes[:QUIET_NOTES]]
    if len(report.notes) > QUIET_NOTES:
        notes.append(f"(+{len(report.notes) - QUIET_NOTES} more notes in the model card)")
    notes.append(f"written: {report.path}")
    if report.url:
        notes.append(f"uploaded: {report.url}")
    title = f"{report.method} of {len(report.weights)} members"
    return Sheet(title, ("member", "weight", "perplexity"), tuple(rows), tuple(notes))


def is_merge(path: Path) -> bool:
    """Whether a file describes a merge; False for one that cannot be read."""
    try:
        return merge_config.is_merge(documents.read_file(path))
    except ConfigError:
        return False


def problems_of(path: Path) -> tuple[list[str], list[str]]:
    """(what is wrong with the merge of a file, notes); nothing is loaded or downloaded."""
    found = merge_plan.plan(merge_config.read(path), pull=False).problems
    return [str(p) for p in found if not p.note], [str(p) for p in found if p.note]
