"""list, show and pool: what there is, with its facts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from moco import inputs, members, paths, registry, sources
from moco.access import Access, ModelFacts, Requires
from moco.backends.base import ModelSpec
from moco.commands import folders, terminal
from moco.config import MemberConfig, RunConfig, StudyConfig
from moco.errors import UnknownNameError, clip
from moco.methods.base import Method, hyperparameters
from moco.report.tables import NONE, Sheet
from moco.study import runs_of
from moco.tasks import opening
from moco.tasks.base import Task
from moco.tasks.opening import TaskSource
from moco.zoo import catalogue, licences, pools

HERE, ELSEWHERE, ASKS = "here", "to be pulled", "licence to accept"


def list_names(kind: str) -> int:
    """Print a table of everything of a kind."""
    terminal.sheet(TABLES[kind]())
    return 0


def _methods() -> Sheet:
    found = [registry.load("method", name) for name in registry.names("method")]
    order = ("baseline", "api", "text", "logit", "weight")
    found.sort(key=lambda cls: (order.index(cls.level), cls.name()))
    rows = tuple((cls.level, cls.name(), cls.summary()) for cls in found)
    return Sheet("", ("level", "method", "what it does"), rows)


def _tasks() -> Sheet:
    rows = []
    for name in registry.names("task"):
        task: Task = registry.load("task", name)
        kinds, where = ", ".join(task.kinds), _where_data(task)
        rows.append((name, task.title, kinds, task.domain, task.licence or NONE, where))
    return Sheet("", ("task", "title", "answers", "domain", "licence", "data"), tuple(rows))


def _where_data(task: Task, source: TaskSource = "") -> str:
    if not task.source and source != "official":
        return HERE
    if opening.locate(task, source, pull=False) is not None:
        return HERE
    return ELSEWHERE if licences.accepted(task, "data") else ASKS


def _where(ref: str) -> str:
    return HERE if not ref or sources.resolve(ref, pull=False) is not None else ELSEWHERE


def _pools() -> Sheet:
    rows = tuple((pool.name, str(len(pool.members)), pool.description) for pool in pools.POOLS)
    return Sheet("", ("pool", "members", "what it is"), rows)


def _models() -> Sheet:
    rows = [(ref, "bundled", HERE, NONE) for ref in _bundled()]
    rows += [
        (e.name, e.description, _where(e.name), f"{e.num_bytes / 1e6:,.0f} MB")
        for e in catalogue.ENTRIES
    ]
    return Sheet("", ("model", "what it is", "files", "download"), tuple(rows))


def _bundled() -> list[str]:
    root = sources.zoo_dir()
    found = {p.parent.relative_to(root).as_posix() for p in root.glob("*/*/*config.json")}
    return [f"zoo://{name}" for name in sorted(found)]


def _scorers() -> Sheet:
    rows = []
    for name in registry.names("scorer"):
        cls = registry.load("scorer", name)
        rows.append((name, ", ".join(sorted(cls.kinds)), _first_line(cls)))
    return Sheet("", ("scorer", "answers", "what it does"), tuple(rows))


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]


TABLES: Mapping[str, Callable[[], Sheet]] = {
    "methods": _methods,
    "tasks": _tasks,
    "pools": _pools,
    "models": _models,
    "scorers": _scorers,
}


def show(name: str, query_id: str) -> int:
    """Print what is known of a name or of a run folder, or one question of that run."""
    folder = Path(name).expanduser()
    is_folder = paths.present(folder) and folder.is_dir()
    if is_folder and (folders.is_run(folder) or ("/" in name and "://" not in name)):
        return folders.show_run(folder, query_id)
    if name in registry.names("method") or ".py:" in name:
        terminal.out(_about_method(registry.load("method", name, files=True)))
    elif name in registry.names("task"):
        terminal.out(_about_task(registry.load("task", name)))
    elif name in registry.names("scorer"):
        terminal.out(f"{name}\n{inspect.getdoc(registry.load('scorer', name))}")
    elif (ready := pools.find(name)) is not None:
        return _print_pool(MemberConfig(model=m) for m in ready.members)
    elif catalogue.find(name) is not None or "://" in name or is_folder:
        return _print_pool([MemberConfig(model=name)])
    else:
        raise UnknownNameError(
            "method, task, scorer, pool, model or run folder", name, _everything(), ""
        )
    return 0


def _everything() -> list[str]:
    return [
        *registry.names("method"),
        *registry.names("task"),
        *registry.names("scorer"),
        *pools.names(),
        *catalogue.names(),
        *_bundled(),
    ]


def _about_method(cls: type[Method[Any]]) -> str:
    lines = [f"{cls.name()} ({cls.level})", "", inspect.getdoc(cls) or "", ""]
    lines += [f"paper: {cls.paper}", f"version: {cls.version}", "", "requires (by default)"]
    lines += [f"  {line}" for line in _requirements(cls().needs())]
    lines += ["", "hyperparameters"]
    for name, entry in hyperparameters(cls).items():
        kind = entry["type"]
        shown = " | ".join(map(str, kind)) if isinstance(kind, list) else kind or "value"
        default = clip(repr(entry["default"]), 60)
        lines.append(f"  {name}: {shown} = {default}")
        lines.append(f"      {' '.join(str(entry['description']).split())}")
    if cls.paper_preset:
        given = ", ".join(f"{k}={v!r}" for k, v in cls.paper_preset.items())
        lines += ["", f"preset: paper sets {given}"]
    return "\n".join(lines)


def _requirements(needs: Requires) -> list[str]:
    most = f" to {needs.max_models}" if needs.max_models else " or more"
    lines = [f"models: {needs.min_models}{most}", f"of every model: {needs.access.words}"]
    if needs.optional != Access(0):
        lines.append(f"used where given: {needs.optional.words}")
    if needs.same:
        lines.append(f"shared by all: {', '.join(sorted(needs.same))}")
    for name, need in needs.roles.items():
        must = "required" if need.required else f"default {need.default}"
        lines.append(f"role {name}: {need.access.words} ({must})")
    if needs.answers is not None:
        lines.append(f"answers: {', '.join(sorted(needs.answers))}")
    lines.append("dev questions: needed" if needs.dev else "dev questions: not needed")
    return lines


def _about_task(task: Task) -> str:
    terms = f" (to be accepted: {task.terms})" if task.terms else ""
    facts = {
        "title": task.title,
        "domain": task.domain,
        "answers": ", ".join(task.kinds),
        "scorer": task.scorer,
        "paper": f"arXiv {task.paper}" if task.paper else "",
        "licence": task.licence + terms,
        "data": f"{task.source or opening.BUNDLED} ({_where_data(task)})",
        "official source": _official(task),
        "whole groups": _groups(task),
        "notice": task.notice,
    }
    return "\n".join([task.name, *(f"  {k}: {v}" for k, v in facts.items() if v)])


def _official(task: Task) -> str:
    if task.official is None:
        return ""
    source = task.official.source
    commit = f"@{source.commit}" if source.commit else ", pinned by the first pull"
    return f"{source.repo}{commit} ({_where_data(task, 'official')})"


def _groups(task: Task) -> str:
    """What belongs together, and how it is reported."""
    if not task.group:
        return ""
    size = f", {task.group_size} items each" if task.group_size else ""
    reported = {"all": ", right when all items are", "mean": ", reported as their mean"}
    return task.group + size + (reported[task.reducer] if task.reducer else "")


def show_pool(name: str) -> int:
    """Print the members of a config (or of a ready pool), their facts and what they give."""
    ready = pools.find(name)
    if ready is not None:
        return _print_pool(MemberConfig(model=m) for m in ready.members)
    found = inputs.read(Path(name))
    single: RunConfig = runs_of(found)[0] if isinstance(found, StudyConfig) else found
    return _print_members(single)


def _print_pool(listed: Any) -> int:
    return _print_members(RunConfig(method="best_single", task="mini", pool=list(listed)))


def _print_members(single: RunConfig) -> int:
    pool = members.resolve(single, pull=False)
    rows = [_member_row(spec, "") for spec in pool.pool]
    rows += [_member_row(spec, role) for role, spec in pool.roles.items()]
    columns = ("name", "role", "parameters", "context", "dtype", "licence", "reference", "gives")
    terminal.sheet(Sheet(pool.pool_name, columns, tuple(rows)))
    return 0


def _member_row(spec: ModelSpec, role: str) -> tuple[str, ...]:
    ref = f"{spec.ref} + {spec.adapter}" if spec.adapter else spec.ref
    facts = spec.facts
    if facts is None:
        return (spec.name, role, *[NONE] * 4, ref, "unknown until pulled")
    return (spec.name, role, *_shown(facts, spec.dtype), ref, facts.access.words)


def _shown(facts: ModelFacts, dtype: str) -> Sequence[str]:
    size = f"{facts.num_parameters:,}" if facts.num_parameters else NONE
    context = f"{facts.context:,}" if facts.context else NONE
    return size, context, dtype or facts.dtype or NONE, facts.licence or NONE
