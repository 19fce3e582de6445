"""grade, pull, cache and new."""

from __future__ import annotations

import json
from pathlib import Path

from moco import grade, paths, registry, scaffold, sources
from moco.commands import terminal
from moco.engine.cache import Cache
from moco.errors import UnknownNameError
from moco.progress import Display
from moco.report.tables import Sheet
from moco.zoo import catalogue, pools


def grade_outputs(
    file: Path, outputs: Path, split: str, task_type: str, task: str, as_json: bool
) -> int:
    """Score a file of outputs against a data file."""
    texts = grade.read_outputs(outputs)
    scores = grade.grade_file(
        file,
        texts,
        split=split,
        task_type=task_type,
        task=task or None,
        warn=lambda line: terminal.err(f"moco: {line}"),
    )
    if as_json:
        terminal.out(json.dumps({"scores": scores}))
        return 0
    valid = [s for s in scores if s is not None]
    mean = f"{sum(valid) / len(valid):.4f}" if valid else "none"
    terminal.out(f"{len(valid)} of {len(scores)} items graded, mean score {mean}")
    return 0


def pull_data(name: str) -> int:
    """Fetch a data set."""
    task = registry.load("task", name)
    if not task.source:
        terminal.out(f"{name}: is bundled, nothing to fetch")
        return 0
    with Display() as display:
        path = sources.resolve(task.source, pull=True, progress=display.download)
    terminal.out(f"{name}: {path}")
    return 0


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
