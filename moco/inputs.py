"""A config file as a run or a study, in either form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from moco import config, documents
from moco.compat import translation
from moco.config import RunConfig, StudyConfig
from moco.errors import ConfigError, clip, nearest
from moco.merging import mergekit

STUDY_KEYS = ("methods", "tasks")


def read(path: Path, changes: Sequence[str] = ()) -> RunConfig | StudyConfig:
    """The config of a file with `key=value` changes; nothing is loaded or downloaded.

    In the peer's form a change of one of its own keys is made before the translation, any other
    change after it; of a key that stands twice the last counts, as there.
    """
    twice: list[str] = []
    data = documents.read_file(path, twice)
    where = clip(str(path), 300)
    if translation.is_peer(data):
        own = [c for c in changes if translation.owns(c)]
        translated = translation.translate(config.override(data, own), where)
        told = tuple(f"{line}; the last counts" for line in twice)
        translated = translated.model_copy(update={"notes": (*translated.notes, *told)})
        rest = [c for c in changes if not translation.owns(c)]
        if not rest:
            return translated
        data = config.override(translated.model_dump(mode="json"), rest)
        return _parse(RunConfig, data, where)
    if twice:
        raise ConfigError(f"{where}: {twice[0]}")
    if mergekit.is_mergekit(data):
        raise ConfigError(f"{where}: is a merge: moco merge FILE -o DIR writes its result")
    data = config.override(data, changes)
    if any(key in data for key in STUDY_KEYS):
        study: StudyConfig = config.parse(StudyConfig, data, where)
        return study
    if "method" not in data and "task" not in data:
        keys = clip(", ".join(data), 200)
        hint = "".join(nearest(key, ("method", "task", *STUDY_KEYS)) for key in list(data)[:1])
        raise ConfigError(
            f"{where}: has neither `method` and `task` nor `methods` and `tasks`, but {keys}.{hint}"
        )
    return _parse(RunConfig, data, where)


def _parse(model: type[RunConfig], data: dict[str, Any], where: str) -> RunConfig:
    parsed: RunConfig = config.parse(model, data, where)
    return parsed


def read_run(path: Path, changes: Sequence[str] = ()) -> RunConfig:
    """The config of one run; ConfigError for a study."""
    found = read(path, changes)
    if isinstance(found, StudyConfig):
        raise ConfigError(
            f"{clip(str(path), 300)}: has `methods` and `tasks`, so it is a study: moco study FILE"
        )
    return found


def read_study(path: Path, changes: Sequence[str] = ()) -> StudyConfig:
    """The config of a study; ConfigError for a single run."""
    found = read(path, changes)
    if isinstance(found, RunConfig):
        raise ConfigError(
            f"{clip(str(path), 300)}: has one `method` and one `task`, so it is a run: moco run"
        )
    return found
