"""JSON lines that survive a kill: appended and flushed one by one, repaired when opened again."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from moco.types import Json


class JsonLines:
    """An append-only file of JSON objects, one per key; a key that is there is not written
    again.
    """

    def __init__(self, path: Path, key_of: Callable[[Mapping[str, Json]], Any]) -> None:
        self.path = path
        self._key_of = key_of
        self._keys = {key_of(record) for record in repair(path)}
        self._file = path.open("a", encoding="utf-8", newline="\n")

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def append(self, record: Mapping[str, Json]) -> bool:
        """Write and flush a record unless its key is there; returns whether it was written."""
        key = self._key_of(record)
        if key in self._keys:
            return False
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
        self._file.write(line.encode("utf-8", "replace").decode("utf-8") + "\n")
        self._file.flush()
        self._keys.add(key)
        return True

    def close(self) -> None:
        """Flush to the disk and close."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


def read(path: Path) -> Iterator[dict[str, Json]]:
    """The records of a file, damaged lines left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for raw in file:
            record = _parse(raw)
            if record is not None:
                yield record


def _parse(raw: bytes) -> dict[str, Json] | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def repair(path: Path) -> list[dict[str, Json]]:
    """The file's good records; a torn last line is dropped, a damaged earlier one sets the old
    file aside as .bad.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    parsed = [_parse(raw) for raw in lines]
    good = [record for record in parsed if record is not None]
    if len(good) == len(lines):
        return good
    if any(record is None for record in parsed[:-1]):
        bad = path.with_name(path.name + ".bad")
        bad.write_bytes(b"".join(lines))
        warnings.warn(f"{path} had damaged lines; the old file is kept as {bad.name}", stacklevel=2)
    kept = b"".join(raw for raw, record in zip(lines, parsed, strict=True) if record is not None)
    write_atomic(path, kept)
    return good


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a whole file so that readers see the old or the new content, never a part."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "replace"))
    part.replace(path)


def write_json(path: Path, value: Json) -> None:
    """Write a JSON file, indented, whole or not at all."""
    write_atomic(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Json:
    """A JSON file's value, or None where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
