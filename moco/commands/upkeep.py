"""grade, pull, cache and new."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from moco import grade, paths, registry, scaffold, sources
from moco.commands import terminal
from moco.engine.cache import Cache
from moco.errors import EnvironmentProblem, InputError, LicenceError, UnknownNameError
from moco.progress import Display
from moco.report.tables import Sheet
from moco.sources.rows import Found
from moco.tasks import opening
from moco.tasks.opening import TaskSource
from moco.tasks.paper import PAPER
from moco.zoo import catalogue, pools

ALL, ALL_PAPER = "all", "all-paper"
"""Stand for every data set of the catalogue that has a file, and for those of the MoCo paper."""


def grade_outputs(
    file: Path,
    outputs: Path,
    split: str,
    task_type: str,
    task: str,
    roles: Mapping[str, str],
    allow_code: bool,
    as_json: bool,
) -> int:
    """Score a file of outputs against a data file."""
    texts = grade.read_outputs(outputs)
    with grade.opened_roles(roles) as models:
        scores = grade.grade_file(
            file,
            texts,
            split=split,
            task_type=task_type,
            task=task or None,
            roles=models,
            allow_code=allow_code,
            warn=lambda line: terminal.err(f"moco: {line}"),
        )
    if as_json:
        terminal.out(json.dumps({"scores": scores}))
        return 0
    valid = [s for s in scores if s is not None]
    mean = f"{sum(valid) / len(valid):.4f}" if valid else "none"
    terminal.out(f"{len(valid)} of {len(scores)} items graded, mean score {mean}")
    return 0


def pull_data(name: str, accept: bool = False, source: TaskSource = "") -> int:
    """Fetch a data set, all of the paper's, or all there are."""
    with Display() as display:
        if name in (ALL, ALL_PAPER):
            return _pull_many(_listed() if name == ALL else PAPER, accept, source, display)
        terminal.out(f"{name}: {_pull_one(name, accept, source, display)}")
    return 0


def _pull_one(name: str, accept: bool, source: TaskSource, display: Display) -> str:
    """Fetches a data set and says where it is."""
    task = registry.load("task", name)
    if not task.source and source != "official":
        return "is bundled, nothing to fetch"
    place = opening.locate(
        task, source, pull=True, accept_licence=accept, progress=display.download
    )
    if isinstance(place, Found):
        return f"{place.ref} ({len(place.files)} files)"
    return str(place)


def _listed() -> list[str]:
    """The catalogue without the data sets that bring their own data."""
    return [name for name in registry.names("task") if registry.load("task", name).source]


def _pull_many(names: Sequence[str], accept: bool, source: TaskSource, display: Display) -> int:
    """Fetches what can be had, then says of each data set where it is or why it is not."""
    rows, asked = [], 0
    for name in names:
        try:
            rows.append((name, "here", _pull_one(name, accept, source, display)))
        except (InputError, EnvironmentProblem) as problem:
            asked += isinstance(problem, LicenceError)
            rows.append((name, "missing", str(problem)))
    missing = sum(state == "missing" for _, state, _ in rows)
    notes = [f"{len(names) - missing} of {len(names)} files are here"]
    if asked:
        notes.append(f"{asked} more have licences to accept: read them, then add --accept-licence")
    terminal.sheet(Sheet("", ("data set", "state", "where, or why not"), tuple(rows), tuple(notes)))
    return EnvironmentProblem.exit_code if missing else 0


def pull_model(name: str, accept: bool) -> int:
    """Fetch a model, or every member of a ready pool."""
    ready = pools.find(name)
    if ready is None and catalogue.find(name) is None and "://" not in name:
        known = [*catalogue.names(), *pools.names()]
        raise UnknownNameError("model", name, known, " `moco list models` shows all.")
    with Display() as display:
        for ref in ready.members if ready is not None else (name,):
            path = sources.resolve(ref, pull=True, accept_licence=accept, progress=display.download)
            terminal.out(f"{ref}: {path}")
    return 0


def _cache_path() -> Path:
    return paths.cache_dir() / "calls.sqlite"


def cache_info() -> int:
    """Print what the cache folder holds."""
    root, path = paths.cache_dir(), _cache_path()
    rows = []
    if path.is_file():
        cache = Cache(path)
        info = cache.info()
        cache.close()
        rows += [(f"calls: {kind}", f"{n:,}", "") for kind, n in info["entries"].items()]
        rows.append(("calls.sqlite", "", f"{info['bytes'] / 1e6:,.1f} MB"))
    for folder in sorted(p for p in root.glob("*") if p.is_dir()):
        files = [p for p in folder.rglob("*") if p.is_file()]
        size = sum(p.stat().st_size for p in files)
        rows.append((f"{folder.name}/", f"{len(files):,}", f"{size / 1e6:,.1f} MB"))
    terminal.sheet(Sheet(str(root), ("what", "entries", "size"), tuple(rows)))
    return 0


def cache_gc(days: float) -> int:
    """Drop old calls."""
    if not _cache_path().is_file():
        terminal.out("the call cache is empty")
        return 0
    cache = Cache(_cache_path())
    gone = cache.gc(days)
    cache.close()
    terminal.out(f"{gone:,} calls older than {days:g} days dropped")
    return 0


def new(kind: str, name: str) -> int:
    """Write a starter file into the current folder."""
    path, use = scaffold.write(kind, name, Path())
    terminal.out(f"{path} written; use it in a config as\n  {kind}: {use}")
    return 0
