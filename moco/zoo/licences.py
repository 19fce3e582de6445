"""Licences that have to be accepted before a model is fetched; acceptance is recorded in the cache
folder.
"""

from __future__ import annotations

import json
import time

from moco import paths
from moco.errors import LicenceError
from moco.zoo.catalogue import Entry


def accepted(entry: Entry) -> bool:
    """Whether the model needs no acceptance or has it."""
    return not entry.terms or (paths.cache_dir() / "licences" / f"{entry.name}.json").is_file()


def require(entry: Entry, accept: bool) -> None:
    """Records the acceptance, or raises `LicenceError` that says where the terms are and how to
    accept them.
    """
    if accepted(entry):
        return
    if not accept:
        raise LicenceError(
            f"{entry.name} comes under {entry.licence}, to be read and accepted first: "
            f"{entry.terms} ; then: moco model pull {entry.name} --accept-licence"
        )
    record = {
        "model": entry.name,
        "licence": entry.licence,
        "terms": entry.terms,
        "accepted_at": time.time(),
    }
    target = paths.cache_dir() / "licences" / f"{entry.name}.json"
    with paths.disk_errors("cannot record the acceptance"), paths.atomic_file(target) as handle:
        handle.write(json.dumps(record).encode())
