"""The configuration of a merge, read from a file in our own form or in mergekit's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from moco import config, documents, registry
from moco.config import EngineConfig, Member, MethodConfig, Name, Shared, Strict
from moco.errors import ConfigError, UnknownNameError, clip
from moco.merging import mergekit
from moco.types import Json

ALIGNED = ("first", "base", "union")
"""What `tokenizer` may be, beside a model."""
RUN_KEYS = ("task", "tasks", "methods", "sampling", "samples", "fallback", "compare")
"""Keys of a run or a study that a merge has no use for."""


class MergeConfig(Strict):
    """One merge: a rule, members and, where the rule takes differences, a base."""

    method: MethodConfig
    """A merge by name, with its hyperparameters."""
    pool: Name | list[Member] = Field(min_length=1)
    """Members in order, or a ready pool such as zoo://mini."""
    roles: dict[str, Member] = Field(default_factory=dict)
    """`base`: what the members' differences are taken to."""
    engine: EngineConfig = EngineConfig()
    """Where it is computed (`devices`), in how much `memory`, and the `dtype` of the result; auto =
    as stored.
    """
    seed: int = Field(default=0, ge=0, lt=2**63)
    tokenizer: str = Field(default="", max_length=300)
    """Whose tokens the result has, the others' embeddings aligned to them token by token: first,
    base, union, or a model; empty = all members have the same.
    """
    files: Name = "first"
    """Whose configuration, tokenizer and template the result has where `tokenizer` names nobody:
    first, base, or a member.
    """
    chat_template: str = ""
    """A template's text; `auto` = the one that most members have; empty = that of the tokenizer."""
    layers: int | None = Field(default=None, ge=1)
    """How many layers every model must have."""
    newest: bool = False
    """Whether a hub model without a revision is taken as it is now (the model card says which
    revision that was), else it is refused.
    """
    notes: tuple[str, ...] = ()
    """Remarks of a translated config, shown by check and told in the model card."""
    written: dict[str, Json] = Field(default_factory=dict)
    """The configuration as it was given, for the model card."""

    def shared(self) -> Shared:
        """What a pool is resolved from."""
        roles = dict(self.roles)
        if self.tokenizer and self.tokenizer not in ALIGNED:
            roles["tokenizer"] = self.tokenizer
        # the type of the result does not change what the members are, nor their random numbers
        engine = self.engine.model_copy(update={"dtype": "auto"})
        return Shared(pool=self.pool, roles=roles, engine=engine)


def is_merge(data: Mapping[str, Any]) -> bool:
    """Whether a file's content describes a merge and no run: in mergekit's form, or without a task
    and with a merge for its method.
    """
    if mergekit.is_mergekit(data):
        return True
    if "method" not in data or any(key in data for key in RUN_KEYS):
        return False
    given = data["method"]
    name = given.get("name") if isinstance(given, dict) else given
    try:
        found = registry.load("method", name) if isinstance(name, str) else None
    except (ConfigError, UnknownNameError):
        return False
    return hasattr(found, "merge")


def read(path: Path, changes: Sequence[str] = ()) -> MergeConfig:
    """The merge that a file describes, with `key=value` changes; nothing is loaded or downloaded.

    In mergekit's form a change of one of its own keys is made before the translation, any other
    change after it.
    """
    where = clip(str(path), 300)
    return from_data(documents.read_file(path), changes, where)


def from_data(data: dict[str, Any], changes: Sequence[str] = (), where: str = "") -> MergeConfig:
    """The same from a file's content."""
    peer = mergekit.is_mergekit(data)
    own = [c for c in changes if peer and mergekit.owns(c)]
    written = config.override(data, own)
    data = mergekit.translate(written, where) if peer else written
    data = config.override(data, [c for c in changes if c not in own])
    for key in RUN_KEYS:
        if key in data:
            raise ConfigError(
                f"{where or 'config'}: {key}: a merge has none; `moco run` scores a method on a"
                " task, `moco merge` writes what it merges"
            )
    return parsed(data, where).model_copy(update={"written": written if peer else data})


def parsed(data: Mapping[str, Any], where: str = "") -> MergeConfig:
    """A merge from plain values in our form."""
    found: MergeConfig = config.parse(MergeConfig, data, where)
    config.memory_bytes(found.engine.memory)
    return found
