"""Many methods on many tasks over one call cache and one engine, so that each model is loaded once.

Every run has a run folder of its own, side by side; the study's result is the table made of their
reports.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from moco.config import MethodConfig, RunConfig, Shared, StudyConfig, method_name, task_config
from moco.engine.engine import Progress
from moco.errors import Cancelled, MocoError, RequirementError, clip
from moco.plan import Plan, TaskData, plan
from moco.report.report import Report
from moco.runner import make_engine, run
from moco.types import Json


@dataclass(frozen=True)
class Outcome:
    """What became of one method on one task."""

    label: str
    """The method with the hyperparameters that the study gives it."""
    task: str
    report: Report | None = None
    why: str = ""
    """Why there is no report."""
    unfit: bool = False
    """The pool breaks the method's requirements: the method does not apply, nothing failed."""
    exit_code: int = 0


@dataclass(frozen=True)
class Preview:
    """One run of a study before it is started."""

    label: str
    task: str
    num_dev: int | None
    """None: the task's data is not on this machine."""
    num_test: int | None
    first_answers: int | None
    """Calls for the members' first answers on dev and test; all methods on a task share them."""
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def run_study(
    config: StudyConfig,
    log_dir: Path = Path("runs"),
    *,
    progress: Progress | None = None,
    accept_licence: bool = False,
) -> list[Outcome]:
    """Run everything, task by task. A method that does not fit is an outcome with its reason, and a
    run that fails does not stop the others; input errors are raised before anything is loaded.
    """
    preview(config)
    engine = make_engine(config.engine, progress)
    outcomes = []
    try:
        for single in runs_of(config):
            label, task = label_of(single.method), task_label(single)
            try:
                report = run(single, log_dir, engine=engine, accept_licence=accept_licence)
            except RequirementError as error:
                outcomes.append(Outcome(label, task, why=_reason(error), unfit=True))
            except Cancelled:
                raise
            except MocoError as error:
                outcomes.append(Outcome(label, task, why=str(error), exit_code=error.exit_code))
            else:
                outcomes.append(Outcome(label, task, report))
    finally:
        engine.close()
        engine.cache.close()
    return outcomes


def preview(config: StudyConfig) -> list[Preview]:
    """Every run of a study, checked; nothing is loaded, written or downloaded."""
    found = []
    for single in runs_of(config):
        label, task = label_of(single.method), task_label(single)
        try:
            planned = plan(single, pull=False)
        except RequirementError as error:
            found.append(Preview(label, task, None, None, None, (_reason(error),), ()))
            continue
        found.append(_preview(label, task, planned))
    return found


def _preview(label: str, task: str, planned: Plan) -> Preview:
    data, problems = planned.task, planned.problems
    return Preview(
        label,
        task,
        len(data.dev) if data else None,
        len(data.test) if data else None,
        first_answers(planned, data) if data else None,
        tuple(str(p) for p in problems if not p.note),
        tuple(str(p) for p in problems if p.note),
    )


def first_answers(planned: Plan, data: TaskData) -> int:
    """Calls in which every member answers every dev question once and every test question once per
    sample; greedy samples and copies repeat none.
    """
    greedy = planned.config.sampling.temperature == 0
    specs = planned.members.pool
    members = sum(1 for s in specs if not (greedy and s.copy))
    draws = 1 if greedy else planned.config.samples
    return members * (len(data.dev) + len(data.test) * draws)


def runs_of(config: StudyConfig) -> list[RunConfig]:
    """The study's runs, task by task, methods in order."""
    shared = {name: getattr(config, name) for name in Shared.model_fields}
    return [
        RunConfig(method=method, task=task, **shared)
        for task in config.tasks
        for method in config.methods
    ]


def label_of(method: MethodConfig) -> str:
    """The method's name, and the hyperparameters that the config gives."""
    if isinstance(method, str):
        return method
    return _label(method_name(method), {k: v for k, v in method.items() if k != "name"})


def task_label(single: RunConfig) -> str:
    """How a table calls the run's task."""
    task = task_config(single.task)
    given = task.model_dump(mode="json", exclude={"name", "path"}, exclude_defaults=True)
    return _label(task.name or task.path, given)


def _label(name: str, given: Mapping[str, Json]) -> str:
    """A name with what the config says besides it."""
    pairs = (f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in given.items())
    shown = clip(", ".join(pairs), 60)
    return f"{name} ({shown})" if shown else name


def worst(outcomes: Sequence[Outcome]) -> int:
    """The exit code of a study: that of its worst run."""
    order = (0, 2, 3, 130, 1)
    return max((o.exit_code for o in outcomes), key=order.index, default=0)


def _reason(error: RequirementError) -> str:
    """The problems of a refusal without its heading."""
    heading, _, below = str(error).partition("\n")
    return "; ".join(line.strip() for line in below.splitlines()) if below else heading
