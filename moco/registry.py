"""Names → classes, found lazily: a file's name is the registered name, so adding a file registers
it.

A name may also come from an installed package's entry point (groups `moco.methods`, `moco.tasks`,
`moco.scorers`, `moco.backends`), or be `./file.py:Name` in a config that the user passes; a run
folder's config never loads code.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from moco.errors import ConfigError, UnknownNameError, clip

RegistryKind = Literal["method", "task", "scorer", "backend"]

ROOT = Path(__file__).parent
USER_PREFIX = "moco_user_"
"""Module names of files that users load."""
MARKS: dict[RegistryKind, str] = {
    "method": r"^class \w+\(",
    "task": r"^TASK\b",
    "scorer": r"^class \w+\(",
    "backend": r"^def load\(",
}
"""What a registered file has at its left margin; other files beside it are helpers."""


@functools.cache
def _files(kind: RegistryKind) -> dict[str, str]:
    """Registered name → module name, from the package's own files."""
    found = {}
    for path in sorted((ROOT / f"{kind}s").rglob("*.py")):
        name = path.stem
        if name in ("base", "__init__") or name.startswith("_"):
            continue
        if kind == "method" and path.parent == ROOT / "methods":  # methods are in their levels
            continue
        if re.search(MARKS[kind], path.read_text(encoding="utf-8"), re.MULTILINE):
            found[name] = ".".join(("moco", *path.relative_to(ROOT).with_suffix("").parts))
    return found


@functools.cache
def _entry_points(kind: RegistryKind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"moco.{kind}s")}


def names(kind: RegistryKind) -> list[str]:
    """All names registered under a kind, sorted."""
    return sorted({*_files(kind), *_entry_points(kind)})


def hosted(backend: str) -> bool:
    """Whether a back end's models run on a server: its module says `HOSTED = True`."""
    return bool(load("backend", backend).__globals__.get("HOSTED"))


def load(kind: RegistryKind, name: str, *, files: bool = False) -> Any:
    """What is registered under a name: a Method or Scorer class, a Task, or a back end's `load`
    function.

    `files` allows `./file.py:Name`. UnknownNameError carries the nearest known name.
    """
    if ".py:" in name:
        if not files:
            raise ConfigError(
                f"{kind} '{clip(name)}' names a Python file; files load only from a config you pass"
            )
        return _from_file(kind, name)
    if name in _entry_points(kind):
        return _entry_points(kind)[name].load()
    module_name = _files(kind).get(name)
    if module_name is None:
        raise UnknownNameError(kind, name, names(kind), f" `moco list {kind}s` shows all.")
    return pick(kind, importlib.import_module(module_name))


def pick(kind: RegistryKind, module: ModuleType) -> Any:
    """The registered object of a module."""
    if kind == "task":
        return module.TASK
    if kind == "backend":
        return module.load
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and value.__module__ == module.__name__
        and _registers(kind)(value)
    ]
    if len(classes) != 1:
        raise ConfigError(
            f"{module.__name__} must define exactly one public {kind} class, has {len(classes)}"
        )
    return classes[0]


def _registers(kind: RegistryKind) -> Callable[[type], bool]:
    if kind == "method":
        from moco.methods.base import Method as Base
    else:
        from moco.scorers.base import Scorer as Base  # type: ignore[assignment]

    def registers(value: type) -> bool:
        name = value.__name__
        return issubclass(value, Base) and name.isidentifier() and not name.startswith("_")

    return registers


def in_module(module: str, file: str, attribute: str) -> Any:
    """A class by its module, loading a user's file where the module came from one."""
    if module.startswith(USER_PREFIX) and module not in sys.modules:
        return _from_file("method", f"{file}:{attribute}")
    return getattr(importlib.import_module(module), attribute)


def _from_file(kind: RegistryKind, name: str) -> Any:
    file, _, attribute = name.rpartition(":")
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise ConfigError(f"{kind} '{clip(name)}': no such file {clip(str(path), 200)}")
    module_name = USER_PREFIX + path.stem
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{kind} '{clip(name)}' is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, NameError, AttributeError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {clip(str(error), 300)}"
        raise ConfigError(f"{kind} '{clip(name)}' cannot be loaded: {what}") from error
    if not hasattr(module, attribute):
        raise ConfigError(f"{path} defines no '{clip(attribute)}'")
    return getattr(module, attribute)
