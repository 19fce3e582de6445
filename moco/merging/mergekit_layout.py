"""Which models a file of mergekit lists: `models`, or `slices` with one slice over all layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moco.errors import ConfigError, clip, nearest

MARKS = ("merge_method", "models", "slices", "modules", "base_model")
"""A file with any of these keys is in mergekit's form."""

Entry = tuple[str, Mapping[str, Any]]
"""A model's reference and its parameters."""


@dataclass(slots=True)
class Faults:
    """What is wrong with a config, all of it, and what has no effect."""

    where: str
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def settle(self) -> None:
        """Raise ConfigError if anything is wrong."""
        if self.wrong:
            shown = "\n".join(f"  {line}" for line in self.wrong[:8])
            more = f"\n  (+{len(self.wrong) - 8} more)" if len(self.wrong) > 8 else ""
            raise ConfigError(f"{self.where}:\n{shown}{more}")


@dataclass(frozen=True, slots=True)
class Models:
    """What a file lists."""

    listed: Sequence[Entry] = ()
    layers: int = 0
    """How many layers each model must have; 0 = not said."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Those of the slice."""
    base: Any = None
    """That of the slice."""


class Written(str):
    """A parameter's name that remembers where it was written."""

    where: str

    def __new__(cls, name: str, where: str) -> Written:
        """The name, at a place."""
        made = super().__new__(cls, name)
        made.where = where
        return made


def mapping(value: Any, where: str, faults: Faults) -> Mapping[str, Any]:
    """Parameters by name."""
    if value is not None and not isinstance(value, dict):
        faults.wrong.append(f"{where}: must be a mapping of names to values")
        return {}
    return {Written(key, f"{where}.{key}"): own for key, own in (value or {}).items()}


def read_models(data: Mapping[str, Any], faults: Faults) -> Models:
    """The models of a config."""
    given = [key for key in ("models", "slices", "modules") if key in data]
    if len(given) != 1:
        only = ", not both" if given else ""
        faults.wrong.append(f"models: give `models`, or `slices` with one slice{only}")
    elif given == ["modules"]:
        faults.wrong.append("modules: parts of a model are not merged apart; list `models`")
    elif given == ["models"]:
        return Models(_entries(data["models"], "models", ("model", "parameters"), faults))
    else:
        return _slice(data["slices"], faults)
    return Models()


def _entries(listed: Any, where: str, keys: Sequence[str], faults: Faults) -> list[Entry]:
    """Models in order."""
    if not isinstance(listed, list) or not listed:
        faults.wrong.append(f"{where}: must be a list of models, each {{model: …}}")
        return []
    found: list[Entry] = []
    for i, entry in enumerate(listed):
        ref = entry.get("model") if isinstance(entry, dict) else None
        if not isinstance(ref, str) or not ref.strip():
            faults.wrong.append(f"{where}.{i}.model: must be a model reference, a string")
            continue
        _only(entry, keys, f"{where}.{i}.", faults)
        if ref in (other for other, _ in found):
            faults.wrong.append(f"{where}.{i}.model: '{clip(ref)}' is listed twice")
        found.append((ref, mapping(entry.get("parameters"), f"{where}.{i}.parameters", faults)))
    return found


def _only(entry: Mapping[str, Any], keys: Sequence[str], where: str, faults: Faults) -> None:
    faults.wrong += [
        f"{where}{clip(key)}: unknown key.{nearest(key, keys)}" for key in entry if key not in keys
    ]


def _slice(slices: Any, faults: Faults) -> Models:
    if not isinstance(slices, list) or len(slices) != 1 or not isinstance(slices[0], dict):
        faults.wrong.append(
            "slices: only one slice, over all layers, is merged here; models are not put together"
            " from layers of others"
        )
        return Models()
    own = slices[0]
    _only(own, ("sources", "parameters", "base_model", "residual_weight"), "slices.0.", faults)
    if own.get("residual_weight") is not None:
        faults.wrong.append("slices.0.residual_weight: is not had here; leave it out")
    sources, where = own.get("sources"), "slices.0.sources"
    found = _entries(sources, where, ("model", "layer_range", "parameters"), faults)
    layers = _layers(sources if isinstance(sources, list) else [], where, faults)
    parameters = mapping(own.get("parameters"), "slices.0.parameters", faults)
    return Models(found, layers, parameters, own.get("base_model"))


def _layers(sources: Sequence[Any], where: str, faults: Faults) -> int:
    """How many layers the sources cover: from the first one, all of them alike."""
    ranges: list[Any] = [e.get("layer_range") for e in sources if isinstance(e, dict)]
    for i, given in enumerate(ranges):
        pair: list[Any] = given if isinstance(given, list) and len(given) == 2 else ["", ""]
        if not all(isinstance(x, int) and not isinstance(x, bool) for x in pair):
            faults.wrong.append(f"{where}.{i}.layer_range: must be [0, number of layers]")
            return 0
        if pair[0] != 0 or pair[1] < 1 or pair != ranges[0]:
            faults.wrong.append(
                f"{where}.{i}.layer_range: is {given}; all sources have to cover all layers,"
                " [0, number of layers]: models are not put together from layers of others"
            )
            return 0
    return int(ranges[0][1]) if ranges else 0
