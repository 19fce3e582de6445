"""Reads the JSON config of the `modelco` package as one of our runs.

Every hyperparameter of that form is a row of a table: its type and range, and what it becomes here:
a field of ours, or nothing, which a note says. A hyperparameter that is not set has the meaning it
has there. In this form 0 and 1 are also false and true.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from moco.compat.keys import Key
from moco.compat.tables import ALIASES, GENERIC, METHODS, PEERS, TASK_TYPES
from moco.config import RunConfig, parse
from moco.errors import ConfigError, UnknownNameError, clip, nearest
from moco.types import Json

MARKS = ("model_names", "task_type", "gpu_ids", "hyperparameters")
"""A file with any of these keys is in the peer's form."""
KEYS = ("method", "task", *MARKS)
SAMPLED = ("slm_mux", "sparta", "sparta_stackelberg", "agglm")
KIND_BY_TASK_TYPE = {"multiple_choice": "choice", "f1_match": "span"}


def is_peer(data: Mapping[str, Any]) -> bool:
    """Whether a config's top level is in the peer's form."""
    return any(key in data for key in MARKS)


def owns(change: str) -> bool:
    """Whether a `key=value` change names a key of the peer's form."""
    key = change.partition("=")[0].strip()
    return key in KEYS or key.startswith("hyperparameters.")


def translate(data: Mapping[str, Any], where: str = "config") -> RunConfig:
    """The run that a config in the peer's form describes; its notes say what has no effect here."""
    found = _Problems()
    _check_top(data, found)
    found.settle(where)
    name = _method(data["method"])
    models: list[str] = data["model_names"]
    values = _values(name, data.get("hyperparameters") or {}, found)
    devices = _devices(data.get("gpu_ids"), found)
    fields = _fields(name, values, models, found)
    found.settle(where)
    method = {"name": name, **PEERS[name].fixed, **fields.pop("method", {})}
    if name in SAMPLED:  # there samples are drawn like all other answers
        method["temperature"] = fields["sampling"]["temperature"] or 0.7
    if name == "switch_generation":  # there rollouts are counted for all members together
        method["rollouts"] = max(1, round(method["rollouts"] / len(models)))
        if values.get("selector_model_name"):
            method |= {"train": False, "use": "switcher"}
            for trained in ("rollouts", "training_instances"):
                del method[trained]
    if name == "sparta_stackelberg":
        method.setdefault("num_instructions", 128 if method["training"] == "grpo" else 500)
    if name == "graph_routing":  # there a task without a description is described by its name
        method.setdefault("task_description", data["task"])
    described = fields.pop("members", {}).get("description", [""] * len(models))
    run: dict[str, Any] = {
        "method": method,
        "task": _task(data, fields.pop("task", {})),
        "pool": [
            _member(ref, alias, text)
            for ref, alias, text in zip(models, names_of(models), described, strict=True)
        ],
        "engine": {"devices": devices},
        **fields,
        "notes": found.notes,
    }
    parsed: RunConfig = parse(RunConfig, run, where)
    return parsed


class _Problems:
    """What is wrong with a config, all of it, and what has no effect."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []

    def add(self, line: str) -> None:
        self.lines.append(line)

    def settle(self, where: str) -> None:
        """Raise ConfigError if there is anything."""
        if self.lines:
            shown = "\n".join(f"  {line}" for line in self.lines[:8])
            more = f"\n  (+{len(self.lines) - 8} more)" if len(self.lines) > 8 else ""
            raise ConfigError(f"{where}:\n{shown}{more}")


def _check_top(data: Mapping[str, Any], found: _Problems) -> None:
    for key in data:
        if key not in KEYS:
            found.add(
                f"{clip(key, 200)}: unknown key of this form (which has "
                f"{', '.join(k for k in KEYS if k in data)}).{nearest(key, KEYS)}"
            )
    for key in ("method", "task"):
        if not isinstance(data.get(key), str) or not data[key].strip():
            found.add(f"{key}: must be a name" if key in data else f"{key}: is missing")
    models = data.get("model_names")
    if "model_names" not in data:
        found.add("model_names: is missing")
    elif not isinstance(models, list) or not models:
        found.add("model_names: must be a list of at least one model reference")
    elif bad := [i for i, m in enumerate(models) if not isinstance(m, str) or not m.strip()]:
        found.add(f"model_names.{bad[0]}: must be a model reference, a string")
    if not isinstance(data.get("hyperparameters") or {}, dict):
        found.add("hyperparameters: must be a mapping of names to values")
    _check_task_type(data, found)


def _check_task_type(data: Mapping[str, Any], found: _Problems) -> None:
    task_type = data.get("task_type")
    if task_type is None and "task_type" not in data:
        return
    if not isinstance(task_type, str):
        found.add("task_type: must be a name")
    elif task_type not in TASK_TYPES:
        found.add(
            f"task_type: '{clip(task_type)}' is unknown.{nearest(task_type, TASK_TYPES)}"
            f" It is one of: {', '.join(TASK_TYPES)}"
        )


def _method(given: str) -> str:
    """Our name of a method of theirs, with or without its level's prefix."""
    if given not in METHODS:
        raise UnknownNameError("method", given, METHODS, " `moco list methods` shows all.")
    return METHODS[given]


def names_of(models: Sequence[str]) -> list[str]:
    """Aliases of model references: their last parts, with the part before where two differ only
    there. Copies of one model share a name here; the pool numbers them.
    """
    last = [_last(ref) for ref in models]
    clashes = {
        name
        for name in last
        if len({m for m, n in zip(models, last, strict=True) if n == name}) > 1
    }
    return [
        name if name not in clashes else re.sub(r"[^\w.-]+", "_", ref.rstrip("/"))[-80:].strip("_")
        for ref, name in zip(models, last, strict=True)
    ]


def _last(ref: str) -> str:
    return re.split("[@#]", ref.rstrip("/").rpartition("/")[2])[0] or ref


def _member(ref: str, alias: str, description: str) -> Json:
    member = {"model": ref}
    if alias != _last(ref):
        member["name"] = alias
    if description:
        member["description"] = description
    return member if len(member) > 1 else ref


def _copy_names(models: Sequence[str]) -> list[str]:
    """The aliases as the pool will give them: x, x#2, x#3 for copies."""
    names, seen = [], dict[str, int]()
    for name in names_of(models):
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return names


def _values(method: str, given: Mapping[str, Any], found: _Problems) -> dict[str, Any]:
    """Checked values of the hyperparameters that this method or every method has, by their first
    name.
    """
    own = {**GENERIC, **PEERS[method].keys}
    values: dict[str, Any] = {}
    for written, value in given.items():
        key = ALIASES.get(written, written)
        owners = [own] if key in own else [p.keys for p in PEERS.values() if key in p.keys]
        if not owners:
            known = {*own, *ALIASES, *(k for peer in PEERS.values() for k in peer.keys)}
            near = nearest(written, sorted(known))
            found.add(f"hyperparameters.{clip(written, 100)}: unknown key.{near}")
            continue
        checked = [_checked(table[key], value) for table in owners]
        good = next((c for c in checked if not isinstance(c, _Wrong)), None)
        if good is None and any(isinstance(c, _Wrong) for c in checked):
            wrong = next(c for c in checked if isinstance(c, _Wrong))
            found.add(f"hyperparameters.{clip(written, 100)}: {wrong.why}")
        elif key in values:
            found.add(
                f"hyperparameters.{clip(written, 100)}: the same as '{key}', give one of them"
            )
        elif owners == [own]:
            values[key] = good
        else:
            found.notes.append(
                f"hyperparameters.{written} belongs to another method; no effect here"
            )
    return values


class _Wrong:
    """Why a value is not accepted."""

    def __init__(self, why: str) -> None:
        self.why = why


def _checked(key: Key, value: Any) -> Any:
    """The value in its own type, or why it is not accepted."""
    shown = "" if isinstance(value, dict | list) else f", not {clip(repr(value), 60)}"
    if value is None:
        return None if key.nullable else _Wrong("must not be null")
    if key.type == "bool":
        if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
            return bool(value)
        return _Wrong(f"must be true or false{shown}")
    if key.type == "choice":
        if isinstance(value, str) and value in key.choices:
            return value
        near = nearest(value, key.choices) if isinstance(value, str) else ""
        return _Wrong(f"must be one of {', '.join(key.choices)}{shown}.{near}")
    if key.type in ("text", "texts", "members", "numbers", "shares", "matrix"):
        return _listed(key, value)
    whole = key.type in ("int", "whole")
    if key.type == "whole" and isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return _Wrong(f"must be a {'whole ' if whole else ''}number{shown}")
    if (
        (isinstance(value, float) and not math.isfinite(value))
        or not key.low <= value <= key.high
        or (key.open and value <= key.low)
    ):
        low = f"above {key.low:g}" if key.open else f"at least {key.low:g}"
        high = "" if math.isinf(key.high) else f" and at most {key.high:g}"
        return _Wrong(f"must be {low}{high}{shown}")
    return value if whole else float(value)


def _is_bit(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in (0, 1)


def _listed(key: Key, value: Any) -> Any:
    """A text, several, numbers, rows of 0 and 1, or three shares; or why it is not."""
    if key.type == "text":
        return value if isinstance(value, str) and value.strip() else _Wrong("must be a text")
    if not isinstance(value, list):
        return _Wrong("must be a list")
    if key.type in ("texts", "members"):
        good = all(isinstance(text, str) and text.strip() for text in value)
        which = "texts, one per model" if key.type == "texts" else "models of model_names"
        return value if good else _Wrong(f"must be a list of {which}")
    if key.type == "numbers":
        each = [_checked(replace(key, type="float"), number) for number in value]
        wrong = next((own for own in each if isinstance(own, _Wrong)), None)
        return each if value and wrong is None else wrong or _Wrong("must not be empty")
    if key.type == "matrix":
        good = all(isinstance(row, list) and row and all(_is_bit(v) for v in row) for row in value)
        return value if good and value else _Wrong("must be rows of 0 and 1")
    numbers = [v for v in value if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) != 3 or len(value) != 3 or not all(0 <= v <= 1 for v in numbers):
        return _Wrong("must be three shares from 0 to 1")
    if abs(math.fsum(numbers) - 1) > 1e-6 or numbers[1] > key.high:
        return _Wrong(f"must make 1, with at most {key.high:g} for validation")
    return value


def _fields(
    method: str, values: Mapping[str, Any], models: Sequence[str], found: _Problems
) -> dict[str, Any]:
    """Our fields, as nested values: those given, else their defaults."""
    fields: dict[str, Any] = {}
    for name, key in {**GENERIC, **PEERS[method].keys}.items():
        value = values.get(name, key.default)
        if name in values and not key.target:
            found.notes.append(f"hyperparameters.{name} has no effect here: {key.why}")
        if value is None or not key.target or not _holds(method, key, name, values, found):
            continue
        if key.type == "shares":
            value = float(value[1])
        if key.type == "texts" and len(value) != len(models):
            found.add(
                f"hyperparameters.{name}: has {len(value)} texts for {len(models)} models; give one"
                " for each, in the order of model_names"
            )
            continue
        if key.type == "members":
            value = _members(name, value, models, found)
        if key.rename:
            value = key.rename.get(str(value), value)
        if key.member:
            if not 0 <= value < len(models):
                if name in values:
                    last = len(models) - 1
                    found.add(f"hyperparameters.{name}: no model {value}, only 0 to {last}")
                continue
            value = _copy_names(models)[value]
        section, _, field = key.target.partition(".")
        if field:
            fields.setdefault(section, {})[field] = value
        else:
            fields[section] = value
    _greedy(method, values, fields, found)
    return fields


def _members(name: str, given: Sequence[str], models: Sequence[str], found: _Problems) -> list[str]:
    """The aliases of models that a hyperparameter lists, each time the next copy."""
    left = list(zip(models, _copy_names(models), strict=True))
    aliases = []
    for ref in given:
        place = next((i for i, (model, _) in enumerate(left) if model == ref), None)
        if place is None:
            found.add(f"hyperparameters.{name}: '{clip(ref)}' is none of model_names")
            continue
        aliases.append(left.pop(place)[1])
    return aliases


def _holds(method: str, key: Key, name: str, values: Mapping[str, Any], found: _Problems) -> bool:
    """Whether the value of the other key with which alone this one has an effect is set."""
    other, wanted = key.when
    if not other or values.get(other, PEERS[method].keys[other].default) == wanted:
        return True
    if name in values:
        found.notes.append(f"hyperparameters.{name} has no effect: {other} is not {wanted}")
    return False


def _greedy(
    method: str, values: Mapping[str, Any], fields: dict[str, Any], found: _Problems
) -> None:
    """Sampling that is switched off is greedy decoding: temperature 0."""
    if values.get("do_sample") is False and "do_sample" in PEERS[method].keys:
        fields["sampling"]["temperature"] = 0.0
        found.notes.append("hyperparameters.do_sample is false: temperature 0, greedy decoding")


def _devices(given: Any, found: _Problems) -> list[str]:
    """GPU numbers as devices; the CPU stands in for those that are not here."""
    if given is None:
        return ["auto"]
    if not isinstance(given, list) or any(
        isinstance(i, bool) or not isinstance(i, int) or not 0 <= i < 1024 for i in given
    ):
        found.add("gpu_ids: must be a list of GPU numbers such as [0, 1]")
        return ["auto"]
    here = {int(p.name[6:]) for p in Path("/dev").glob("nvidia[0-9]*") if p.name[6:].isdigit()}
    missing = [i for i in dict.fromkeys(given) if i not in here]
    if missing:
        gone = clip(", ".join(map(str, missing)), 60)
        found.notes.append(
            f"gpu_ids: there is no GPU {gone} on this machine; the CPU is used instead"
        )
    return [f"cuda:{i}" for i in dict.fromkeys(given)] or ["cpu"]


def _task(data: Mapping[str, Any], fields: Mapping[str, Any]) -> Json:
    """A data set of the catalogue by its name, or a file of the user's own."""
    name: str = data["task"]
    if "/" in name or Path(name).suffix in (".json", ".jsonl"):
        kind = KIND_BY_TASK_TYPE.get(str(data.get("task_type", "")))
        return {"path": name, **({"kind": kind} if kind else {}), **fields}
    return {"name": name, **fields} if fields else name
