"""run, study and check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from moco import inputs, runner, viability
from moco import study as studies
from moco.access import Problem
from moco.commands import merging, terminal
from moco.config import RunConfig, StudyConfig
from moco.errors import MocoError, clip
from moco.plan import plan
from moco.progress import Display
from moco.report.tables import NONE, UNFIT, Entry, Sheet, run_sheet, study_sheet


def run_config(config: Path, changes: Sequence[str], logs: Path, accept: bool, quiet: bool) -> int:
    """Run a config and print its final table."""
    single = inputs.read_run(config, changes)
    with Display(quiet=quiet) as display:
        report = runner.run(single, logs, progress=display, accept_licence=accept)
    terminal.sheet(run_sheet(report))
    terminal.out(f"run folder: {report.path}")
    return 0


def run_study(
    config: Path, changes: Sequence[str], logs: Path, dry: bool, accept: bool, quiet: bool
) -> int:
    """Run a study and print a table per task; `dry` only shows what would be run."""
    found = inputs.read_study(config, changes)
    if dry:
        return _dry(studies.preview(found))
    with Display(quiet=quiet) as display:
        outcomes = studies.run_study(found, logs, progress=display, accept_licence=accept)
    for task in dict.fromkeys(o.task for o in outcomes):
        entries = [Entry(o.label, o.report, o.why, o.unfit) for o in outcomes if o.task == task]
        terminal.sheet(study_sheet(task, entries))
        terminal.out()
    for outcome in outcomes:
        if outcome.report is not None:
            terminal.out(f"{outcome.label} on {outcome.task}: {outcome.report.path}")
        elif not outcome.unfit:
            terminal.err(f"moco: {outcome.label} on {outcome.task} failed: {outcome.why[:1500]}")
    return studies.worst(outcomes)


def _dry(previews: Sequence[studies.Preview]) -> int:
    rows, notes = [], []
    for p in previews:
        state = UNFIT if p.problems else "would run"
        counts = [NONE if n is None else f"{n:,}" for n in (p.num_dev, p.num_test, p.first_answers)]
        rows.append((p.label, p.task, *counts, state))
        notes += [f"{p.label} on {p.task}: {problem}" for problem in p.problems]
    columns = ("method", "task", "dev", "test", "first answers", "state")
    shared = {p.task: p.first_answers for p in previews if p.first_answers is not None}
    if shared:
        notes.append(
            f"first answers are shared by all methods on a task: {sum(shared.values()):,} calls"
            " in all, before any that a method asks for besides"
        )
    terminal.sheet(Sheet(f"{len(previews)} runs", columns, tuple(rows), tuple(notes)))
    return 0


def check_configs(configs: Sequence[Path], every: bool) -> int:
    """Every problem and note of each config; 2 if a problem is left anywhere."""
    codes = []
    for path in configs:
        try:
            codes.append(_check_file(path, every))
        except MocoError as error:
            terminal.error(error)
            codes.append(error.exit_code)
    return max(codes, default=0)


def _check_file(path: Path, every: bool) -> int:
    shown = clip(str(path), 300)
    if merging.is_merge(path):
        wrong, told = merging.problems_of(path)
        lines = [f"{shown}: {_count(len(wrong))}", *(f"  problem: {line}" for line in wrong)]
        terminal.out("\n".join([*lines, *(f"  note: {line}" for line in told)]))
        return 2 if wrong else 0
    found = inputs.read(path)
    singles = studies.runs_of(found) if isinstance(found, StudyConfig) else [found]
    problems, notes = dict[str, list[RunConfig]](), dict[str, list[RunConfig]]()
    for single in singles:
        for problem in plan(single, pull=False).problems:
            (notes if problem.note else problems).setdefault(str(problem), []).append(single)
    lines = [f"{shown}: {_count(len(problems))}"]
    lines += [f"  problem: {_whose(own, singles)}{line}" for line, own in problems.items()]
    lines += [f"  note: {_whose(own, singles)}{line}" for line, own in notes.items()]
    terminal.out("\n".join(lines))
    if every:
        for single in {studies.task_label(s): s for s in singles}.values():
            terminal.sheet(_matrix(single))
    return 2 if problems else 0


def _whose(own: Sequence[RunConfig], every: Sequence[RunConfig]) -> str:
    """Of which runs of a study something holds: nothing for all, else their tasks where it holds
    for all methods on them, else their methods.
    """

    def methods(runs: Sequence[RunConfig]) -> list[str]:
        return list(dict.fromkeys(studies.label_of(run.method) for run in runs))

    def tasks(runs: Sequence[RunConfig]) -> list[str]:
        return list(dict.fromkeys(studies.task_label(run) for run in runs))

    whole = methods(own) == methods(every)
    if whole and tasks(own) == tasks(every):
        return ""
    names = tasks(own) if whole else methods(own)
    more = f" (+{len(names) - 3} more)" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}: "


def _count(problems: int) -> str:
    return "fits" if not problems else f"{problems} problem{'s' if problems > 1 else ''}"


def _matrix(single: RunConfig) -> Sheet:
    """All methods against this pool and task."""
    rows = []
    for fit in viability.fits(single):
        state = UNFIT if fit.problems else "unknown until pulled" if fit.unknown else "fits"
        rows.append((fit.method, fit.level, state, clip(_reasons(fit.problems), 300)))
    title = f"all methods against this pool, on {studies.task_label(single)}"
    return Sheet(title, ("method", "level", "", "reason"), tuple(rows))


def _reasons(problems: Sequence[Problem]) -> str:
    """Problems in short, those that several members share told once."""
    wheres: dict[str, list[str]] = {}
    for problem in problems:
        wheres.setdefault(problem.what, []).append(problem.where)
    return "; ".join(f"{', '.join(where)}: {what}" for what, where in wheres.items())
