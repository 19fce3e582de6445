"""YAML and JSON files as plain values: size, depth and aliases bounded, no objects made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from moco.errors import ConfigError, clip

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
MAX_NODES = 100_000


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses duplicate keys, or lists them where it is given a list."""

    twice: list[str] | None = None


def _mapping(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise ConfigError(
                f"line {key_node.start_mark.line + 1}: a key must be text, not {clip(repr(key))}"
            )
        if key in seen:
            what = f"line {key_node.start_mark.line + 1}: the key '{clip(key)}' stands twice"
            if loader.twice is None:
                raise ConfigError(what)
            loader.twice.append(what)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# numbers such as 1e-6, which YAML 1.2 and JSON read as numbers and the library as text
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def parse_yaml(text: str, twice: list[str] | None = None) -> Any:
    """A YAML (or JSON) document as plain values; depth, size and aliases are bounded. A key that
    stands twice is an error, or is noted in the list `twice`, and the last one counts.
    """
    depth = nodes = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            nodes += 1
            if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                depth += 1
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else "?"
                raise ConfigError(f"line {line}: nested deeper than {MAX_DEPTH} levels")
            if nodes > MAX_NODES:
                raise ConfigError(f"more than {MAX_NODES:,} values; this is no configuration")
        loader = _Loader(text)
        loader.twice = twice
        value = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(
            f"{where}not valid YAML: {clip(error.problem or str(error), 200)}"
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"not valid YAML: {clip(str(error), 200)}") from error
    _check_size(value)
    return value


def _check_size(value: Any) -> None:
    """Refuse values that aliases blow up: each use of an alias counts as if it were written out."""
    nodes = 0
    stack = [(value, 0)]
    while stack:
        here, depth = stack.pop()
        nodes += 1
        if nodes > MAX_NODES or depth > MAX_DEPTH:
            raise ConfigError(
                "its aliases (*name) expand to too many or too deep values; write it out"
            )
        below = here.values() if isinstance(here, dict) else here if isinstance(here, list) else ()
        stack += [(item, depth + 1) for item in below]


def read_file(path: Path, twice: list[str] | None = None) -> dict[str, Any]:
    """A config file's top-level mapping; `twice` as in `parse_yaml`."""
    try:
        if path.is_dir():
            raise ConfigError(f"{clip(str(path), 300)}: is a folder, not a config file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{clip(str(path), 300)}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{clip(str(path), 300)}: cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES:,} bytes; this is no configuration")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a UTF-8 text file (byte {error.start})") from error
    if "\0" in text:
        raise ConfigError(f"{path}: a binary file, not a configuration")
    try:
        data = parse_yaml(text, twice)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if data is None:
        raise ConfigError(f"{path}: is empty; see examples/ for a configuration")
    if not isinstance(data, dict):
        raise ConfigError(
            f"{path}: the top level must be a mapping of keys, not {type(data).__name__}"
        )
    return data
