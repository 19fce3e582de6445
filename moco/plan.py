"""From a config to everything a run needs, and to every reason why it cannot start; loads no
model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moco import access, config, members, paths, registry
from moco.access import Problem
from moco.analysis.units import EVERY_ITEM, Counting
from moco.config import RunConfig, Shared, TaskConfig
from moco.errors import DataError, PromptTooLongError, RequirementError, clip
from moco.members import Members
from moco.methods.base import Method
from moco.scorers.base import Scorer
from moco.tasks import base as tasks
from moco.tasks import jsonl, opening
from moco.tasks.base import Task
from moco.types import AnswerKind, Sample, Sampling

UNKNOWN = ("unknown until pulled",)
"""The note on a task whose data is not on this machine."""


@dataclass(frozen=True)
class TaskData:
    """A task's questions as this run uses them."""

    name: str
    source: str
    sha256: str
    scorer: Scorer
    dev: tuple[Sample, ...]
    test: tuple[Sample, ...]
    notes: tuple[str, ...] = ()
    skipped: int = 0
    """Test questions left out because they do not fit a context."""
    counting: Counting = EVERY_ITEM


@dataclass(frozen=True)
class Plan:
    """One run, resolved."""

    config: RunConfig
    method: Method[Any]
    members: Members
    task: TaskData | None
    problems: tuple[Problem, ...]

    def require(self) -> None:
        """Raise RequirementError with every problem at once."""
        refuse(self.problems)


def sampling_of(shared: Shared) -> Sampling:
    """The run's sampling as a value."""
    s = shared.sampling
    return Sampling(s.temperature, s.top_p, s.max_tokens, s.stop)


def build_method(entry: config.MethodConfig, *, files: bool = True) -> Method[Any]:
    """The method with its hyperparameters, strictly validated."""
    name = config.method_name(entry)
    cls = registry.load("method", name, files=files)
    given = {} if isinstance(entry, str) else {k: v for k, v in entry.items() if k != "name"}
    method: Method[Any] = config.parse(cls, given, where=f"method {clip(name)}")
    return method


def plan(run: RunConfig, *, pull: bool, accept_licence: bool = False, files: bool = True) -> Plan:
    """Resolve a config; with `pull=False` nothing is written or downloaded and the task may stay
    unloaded. With `pull` everything that can be known before a download is checked first.
    """
    method = build_method(run.method, files=files)
    entry = task_entry(run, files=files)
    config.memory_bytes(run.engine.memory)
    scorer = scorer_of(run, entry)
    early = _early(run, method, scorer)
    if pull:
        refuse(early)
    asked = with_roles(run, needs_of(method, scorer))
    data = load_task(run, entry, pull=False)
    found = members.resolve(asked, pull=False)
    planned = _planned(run, method, found, entry, data, early)
    if not pull:
        return planned
    planned.require()
    if scorer is not None:
        scorer.ready()
    found = members.resolve(asked, pull=True, accept_licence=accept_licence)
    data = data or load_task(run, entry, pull=True, accept_licence=accept_licence)
    return _planned(run, method, found, entry, data, early)


def _planned(
    run: RunConfig,
    method: Method[Any],
    found: Members,
    entry: Task | None,
    data: TaskData | None,
    early: Sequence[Problem],
) -> Plan:
    """The plan with every problem, each told once."""
    told = {p.where for p in early}
    scorer = data.scorer if data is not None else scorer_of(run, entry)
    later = check(run, method, scorer, found, kinds_of(entry, data), data)
    problems = (*early, *(p for p in later if p.where not in told))
    return Plan(run, method, found, data, problems)


def check(
    run: RunConfig,
    method: Method[Any],
    scorer: Scorer | None,
    found: Members,
    kinds: Sequence[AnswerKind],
    data: TaskData | None,
) -> list[Problem]:
    """Every problem and note of a method with these members and this task."""
    has_dev = bool(data.dev) if data is not None else config.task_config(run.task).dev != 0
    facts = found.facts()
    needs = needs_of(method, scorer)
    return [
        *access.check(needs, facts, found.role_facts(), kinds, has_dev),
        *method.problems(facts, sampling_of(run)),
        *_copies(run, found),
        *(Problem("config", note, note=True) for note in run.notes),
        *(Problem("task", note, note=True) for note in (data.notes if data else UNKNOWN)),
    ]


def _copies(run: RunConfig, found: Members) -> list[Problem]:
    twins = [s.name for s in found.pool if s.copy]
    if twins and run.sampling.temperature == 0:
        return [
            Problem(
                "sampling.temperature",
                f"is 0, so the copies {', '.join(twins)} answer like their originals",
                "set it above 0 to let copies differ",
                note=True,
            )
        ]
    return []


def _early(run: RunConfig, method: Method[Any], scorer: Scorer | None) -> list[Problem]:
    """What the config alone shows."""
    count = len(run.pool) if isinstance(run.pool, list) else None
    needs = method.needs()
    problems = [] if count is None else access.check_size(needs, [str(i) for i in range(count)])
    task = config.task_config(run.task)
    if scorer is not None and scorer.runs_code and not run.allow_code:
        fix = "it runs in a sandbox; allow it with allow_code: true or --allow-code"
        problems.append(Problem("allow_code", "scoring this task runs code that models wrote", fix))
    if needs.dev and task.dev == 0:
        problems.append(
            Problem(
                "task.dev",
                "this method chooses or learns on dev, and dev is 0",
                "set it to 1 or more",
            )
        )
    return problems


def refuse(problems: Sequence[Problem]) -> None:
    """Raise RequirementError with every problem that is no note, if there is one."""
    found = [str(p) for p in problems if not p.note]
    if found:
        lines = "\n".join(f"  {line}" for line in found[:12])
        more = f"\n  (+{len(found) - 12} more)" if len(found) > 12 else ""
        raise RequirementError(f"this configuration cannot run:\n{lines}{more}")


def with_roles(run: RunConfig, needs: access.Requires) -> RunConfig:
    """The config with the embedder role filled where the method or the scorer uses one and nobody
    is named.
    """
    roles = dict(run.roles)
    for role, need in needs.roles.items():
        if need.default == "embedder" and role not in roles:
            roles[role] = members.default_embedder(run)
    return run.model_copy(update={"roles": roles})


def task_entry(run: RunConfig, *, files: bool = True) -> Task | None:
    """The entry of the run's task; None for a data file of the user's own.

    `files` allows a task written `./file.py:NAME`.
    """
    task = config.task_config(run.task)
    if task.path:
        path = Path(task.path).expanduser()
        if not paths.present(path):
            raise DataError(f"task.path: {clip(str(path), 300)}: no such file or folder")
        return None
    entry: Task = registry.load("task", task.name, files=files)
    return entry


def kinds_of(entry: Task | None, data: TaskData | None) -> list[AnswerKind]:
    if data is not None:
        return list(dict.fromkeys(s.query.kind for s in (*data.dev, *data.test)))
    return list(entry.kinds) if entry is not None else []


def load_task(
    run: RunConfig, entry: Task | None, *, pull: bool, accept_licence: bool = False
) -> TaskData | None:
    """The task's questions, sampled; None where its data is not on this machine and `pull` is
    off.
    """
    task = config.task_config(run.task)
    if entry is None:
        return _own(run, task)
    found = opening.open_task(entry, task.source, pull=pull, accept_licence=accept_licence)
    if found is None:
        return None
    grader = scorer(task.scorer or entry.scorer, run.allow_code)
    return _cut(task, run.seed, entry.name, found.ref, found.data, grader, _counting(entry))


def _own(run: RunConfig, task: TaskConfig) -> TaskData:
    path = Path(task.path).expanduser()
    entry, found = jsonl.read_task(
        path,
        name=path.stem,
        kind=task.kind,
        scorer=task.scorer or None,
        on_bad_item=run.on_bad_item,
    )
    grader = scorer(entry.scorer, run.allow_code)
    return _cut(task, run.seed, entry.name, task.path, found, grader, _counting(entry))


def _counting(entry: Task) -> Counting:
    return Counting(entry.group, entry.group_size, entry.reducer, entry.slices)


def scorer_of(run: RunConfig, entry: Task | None) -> Scorer | None:
    """The scorer as far as the config tells it; None where the items of the user's own file do."""
    name = config.task_config(run.task).scorer or (entry.scorer if entry is not None else "")
    return scorer(name, run.allow_code) if name else None


def scorer(name: str, allow_code: bool = False) -> Scorer:
    """The scorer of this name; one that runs code refuses to without the permission."""
    cls = registry.load("scorer", name)
    made: Scorer = cls(allow_code=allow_code) if cls.runs_code else cls()
    return made


def needs_of(method: Method[Any], scorer: Scorer | None) -> access.Requires:
    """The needs of a method and of the scorer of its task together."""
    needs = method.needs()
    if scorer is None:
        return needs
    roles = dict(needs.roles)
    for role, own in scorer.roles.items():
        shared = roles.get(role, own)
        both = shared.access | own.access
        roles[role] = replace(shared, access=both, required=shared.required or own.required)
    return replace(needs, roles=roles)


def _cut(
    task: TaskConfig,
    seed: int,
    name: str,
    source: str,
    found: tasks.Dataset,
    scorer: Scorer,
    counting: Counting,
) -> TaskData:
    dev_count = task.dev
    if dev_count is None and task.dev_ratio is not None:
        dev_count = int(len(found.dev) * task.dev_ratio)
    group = counting.group
    dev = () if dev_count == 0 else tasks.take(found.dev, dev_count, seed, group=group)
    test = tasks.take(found.test, task.test, seed, group=group)
    if not test:
        raise DataError(f"task {name}: has no test questions ({clip(source, 200)})")
    return TaskData(name, source, found.sha256, scorer, dev, test, found.notes, counting=counting)


def fit_context(planned: Plan, sampling: Sampling, on_too_long: str) -> TaskData:
    """The questions that fit the context of every member, and of every model in a role that a
    member takes where nobody is named; others raise, or are left out and counted.
    """
    from moco.engine.keys import spare_tokens

    data, found = planned.task, planned.members
    assert data is not None
    needs = planned.method.needs().roles
    stand_ins = [spec for role, spec in found.roles.items() if _reads(needs.get(role))]

    def too_long(sample: Sample) -> str:
        for spec in (*found.pool, *stand_ins):
            left = spare_tokens(spec, sample.query.prompt, sampling.max_tokens)
            if left is not None and left < 0:
                question = f"question '{sample.query.id}'"
                return f"{question} is {-left} tokens too long for model '{spec.name}'"
        return ""

    reasons = {s.query.id: why for s in (*data.dev, *data.test) if (why := too_long(s))}
    if not reasons:
        return data
    if on_too_long == "error":
        first = next(iter(reasons.values()))
        raise PromptTooLongError(
            f"{first} with room for {sampling.max_tokens} new tokens ({len(reasons)} such"
            " questions); lower sampling.max_tokens, or set on_too_long: skip"
        )
    dev = tuple(s for s in data.dev if s.query.id not in reasons)
    test = tuple(s for s in data.test if s.query.id not in reasons)
    note = f"{len(reasons)} questions do not fit a model's context and were skipped"
    if not test:
        raise PromptTooLongError("no test question fits every model's context")
    return replace(
        data, dev=dev, test=test, notes=(*data.notes, note), skipped=len(data.test) - len(test)
    )


def _reads(need: access.RoleNeed | None) -> bool:
    """Whether a role reads whole questions, as members do."""
    return need is not None and need.default == "dev-best"
