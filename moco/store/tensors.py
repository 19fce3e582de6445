"""Arrays of a method's state, in safetensors files named by their content: nothing is pickled."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from moco import paths
from moco.errors import DataError, clip
from moco.store.records import write_atomic
from moco.types import Json

KEPT_OPEN = 8
"""Files whose arrays stay in memory."""
KEY = "tensors"
"""A state holds `{"tensors": <SHA-256>}` where its arrays stand."""


def keep(folder: Path, tensors: Mapping[str, np.ndarray]) -> dict[str, Json]:
    """Write arrays into `folder` under the SHA-256 of their content; what a state says of them."""
    from safetensors.numpy import save

    data = save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})
    name = hashlib.sha256(data).hexdigest()
    path = _path(folder, name)
    if not path.is_file():
        with paths.disk_errors(f"cannot write {path}"):
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data)
    return {KEY: name}


def kept(folder: Path, ref: Mapping[str, Json]) -> dict[str, np.ndarray]:
    """The arrays that `keep` wrote, read-only; DataError where they are gone or were changed.

    They are read and checked once per process as long as the file stays as it is, so that a router
    can answer one question at a time.
    """
    name = ref.get(KEY)
    if not isinstance(name, str) or not re.fullmatch("[0-9a-f]{64}", name):
        raise DataError(f"a state's tensors are named by a SHA-256, not by {clip(repr(name), 80)}")
    path = _path(folder, name)
    try:
        stamp = path.stat()
    except OSError:
        return dict(_read(path, name, 0, 0))
    return dict(_read(path, name, stamp.st_mtime_ns, stamp.st_size))


@functools.lru_cache(maxsize=KEPT_OPEN)
def _read(path: Path, name: str, changed_ns: int, size: int) -> dict[str, np.ndarray]:
    """The arrays of a file that has this name, time and size."""
    from safetensors.numpy import load

    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != name:
        what = "is damaged" if data else "is missing"
        raise DataError(f"{clip(str(path), 300)}: {what}; run the config again to learn it anew")
    arrays = dict(load(data))
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"
