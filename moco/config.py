"""The run and study configuration: typed, strict, every unknown key an error with the nearest
known one. `moco.inputs` reads it from a file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from moco.documents import parse_yaml
from moco.errors import ConfigError, clip, nearest
from moco.types import AnswerKind, Json

Name = Annotated[str, Field(min_length=1, max_length=300)]


class Strict(BaseModel):
    """Base of all config objects."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Price(Strict):
    """Money per million tokens."""

    prompt: float = Field(ge=0)
    generated: float = Field(ge=0)


class TeamConfig(Strict):
    """Models that write each answer together, as one member."""

    method: str | dict[str, Json]
    """A joint method that learns nothing on dev, such as logit_fusion, with its hyperparameters."""
    pool: list[Name | MemberConfig] = Field(min_length=1)
    """Its members, which are local models."""


class MemberConfig(Strict):
    """One model of the pool."""

    model: str = Field(default="", max_length=300)
    """Reference: a folder, zoo://, hf://, pypi:// or a catalogue name; of a hosted model, the
    server's name for it.
    """
    team: TeamConfig | None = None
    """Instead of one model: several that write each answer together."""
    name: str = Field(default="", max_length=100, pattern=r"^[^#\x00-\x1f]*$")
    """Alias; empty = the last part of the reference."""
    adapter: str = ""
    """Reference of a LoRA adapter on that model."""
    backend: str = ""
    """How it answers: hf, openai or fake; empty = hf."""
    base_url: str = ""
    """Root of a hosted model's API, usually ending in /v1; empty = OpenAI's own."""
    key_env: str = ""
    """Environment variable that holds the key of a hosted model's server; empty = no key."""
    dtype: Literal["", "auto", "float32", "bfloat16", "float16"] = ""
    """Empty = the engine's."""
    price: Price | None = None
    """Money per million tokens, for costs."""
    description: str = ""
    """What it is good at, shown to routers."""
    options: dict[str, Json] = Field(default_factory=dict)
    """Settings of the back end."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if bool(self.model) == (self.team is not None):
            raise ValueError("needs a model, or a team, and not both")
        return self

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        try:
            url = urlsplit(value)
        except ValueError:
            raise ValueError("is no URL") from None
        if value and (url.scheme not in ("http", "https") or not url.hostname):
            raise ValueError("must start with http:// or https:// and name a server")
        # a secret here would be written into the run folder
        if "@" in url.netloc or url.query or url.fragment:
            raise ValueError("must hold no password, ? or #; a key goes into key_env's variable")
        return value

    @field_validator("key_env")
    @classmethod
    def _variable(cls, value: str) -> str:
        # capitals only, so that a key written here by mistake is found before it is stored
        if value and not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,99}", value):
            raise ValueError(
                "must be the name of an environment variable in capitals, never the key itself"
            )
        return value


Member = Name | MemberConfig


class TaskConfig(Strict):
    """Which questions, and how many."""

    name: str = ""
    """A data set of the catalogue."""
    path: str = ""
    """A file of your own: JSONL, or the peer's JSON."""
    kind: AnswerKind | None = None
    """Answer kind of your own file's items, where they do not say."""
    scorer: str = ""
    """Scorer of your own file; empty = by kind."""
    source: Literal["", "modelco", "official"] = ""
    """Where a catalogue data set comes from: the peer's rows (default) or the hub."""
    dev: int | None = Field(default=None, ge=0)
    """Dev questions, a seeded sample; unset = all."""
    test: int | None = Field(default=None, ge=1)
    """Test questions, a seeded sample; unset = all."""
    dev_ratio: float | None = Field(default=None, gt=0, le=1)
    """Share of dev to keep, a seeded sample; never cuts test."""

    @model_validator(mode="after")
    def _one_source(self) -> TaskConfig:
        if bool(self.name) == bool(self.path):
            raise ValueError(
                "give either name (a data set of the catalogue) or path (a file of your own)"
            )
        return self


class SamplingConfig(Strict):
    """How tokens are drawn."""

    temperature: float = Field(default=0.0, ge=0, le=10)
    """0 = greedy decoding."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=512, ge=1, le=1_000_000)
    stop: tuple[str, ...] = ()
    """Strings that end an answer."""


Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")]


class EngineConfig(Strict):
    """Where and how models run; nothing here changes what is asked."""

    executor: Literal["inline", "process"] = "inline"
    """All models in this process, or one worker process per device group."""
    devices: tuple[Device, ...] = Field(default=("auto",), min_length=1)
    """`auto`, `cpu`, `cuda`, `cuda:0` …; with executor process, one worker per entry."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto = as stored; float32 for the bundled pool."""
    max_batch_tokens: int = Field(default=65536, ge=256)
    """Token positions that the rows of a running batch may hold together."""
    compile: bool = False
    """Local models' layers go through `torch.compile` when they are loaded, which takes half a
    minute per architecture; measure before you use it (`bench/joint.py compiled`).
    """
    memory: str | int | None = None
    """Loaded weights above this are unloaded, least recently used first: bytes, or like 8GB."""
    max_calls: int | None = Field(default=None, ge=0)
    """Stop with exit code 3 after this many new model calls; the same command goes on later."""


MethodConfig = Name | dict[str, Json]


class Shared(Strict):
    """What runs and studies have in common."""

    pool: Name | list[Member] = Field(min_length=1)
    """Members in order, or a ready pool such as zoo://mini."""
    roles: dict[str, Member] = Field(default_factory=dict)
    """Who plays a role: a member's alias, or a model of its own."""
    sampling: SamplingConfig = SamplingConfig()
    engine: EngineConfig = EngineConfig()
    seed: int = Field(default=0, ge=0, lt=2**63)
    samples: int = Field(default=1, ge=1, le=1000)
    """Predictions per question."""
    on_too_long: Literal["error", "skip"] = "error"
    """A question that does not fit a member's context stops the run, or is skipped and counted."""
    on_bad_item: Literal["error", "skip"] = "error"
    """An item of your own file without an answer stops the run, or is skipped and counted."""
    fallback: Literal["none", "report", "best_single"] = "none"
    """The dev gate: unused; only reported; or the best single model answers if the method is not
    better on dev.
    """
    compare: bool = True
    """Whether every member also answers alone, for best single and oracle."""
    allow_code: bool = False
    """Whether a scorer may run what models wrote, in a sandbox without files or network."""
    notes: tuple[str, ...] = ()
    """Remarks of a translated config, shown by check and kept in the manifest."""


class RunConfig(Shared):
    """One method on one task."""

    method: MethodConfig
    task: Name | TaskConfig


class StudyConfig(Shared):
    """Many methods on many tasks, over one cache."""

    methods: list[MethodConfig] = Field(min_length=1)
    tasks: list[Name | TaskConfig] = Field(min_length=1)


def method_name(config: MethodConfig) -> str:
    """The method's name in either form."""
    if isinstance(config, str):
        return config
    name = config.get("name")
    if not isinstance(name, str):
        raise ConfigError("method.name: is missing; give the method's name")
    return name


def task_config(task: str | TaskConfig) -> TaskConfig:
    """The task in its long form."""
    return TaskConfig(name=task) if isinstance(task, str) else task


def memory_bytes(value: str | int | None, where: str = "engine.memory") -> int | None:
    """`8GB`, `512MB` or a number of bytes; `where` is what a message names."""
    if value is None or isinstance(value, int):
        return value
    text = value.strip().upper().removesuffix("B").removesuffix("I")
    factor = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}.get(text[-1:], 1)
    digits = text.rstrip("KMGT").strip()
    try:
        number = float(digits)
    except ValueError:
        number = -1.0
    if not 0 < number < math.inf:
        raise ConfigError(f"{where}: '{clip(value)}' is no size; write bytes, or like 8GB")
    return int(number * factor)


def override(data: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Apply `dotted.key=value` changes; the value is read as YAML."""
    result: dict[str, Any] = json.loads(json.dumps(data, default=_unknown_value))
    for change in changes:
        key, found, value = change.partition("=")
        parts = key.strip().split(".")
        if not found or not all(parts):
            raise ConfigError(
                f"'{clip(change)}': an override has the form key=value or key.sub=value"
            )
        _set(result, parts, parse_yaml(value) if value else None, key)
    return result


_LONG_FORM = {"method": "name", "task": "name"}


def _set(data: dict[str, Any], parts: Sequence[str], value: Any, shown: str) -> None:
    here = data
    for i, part in enumerate(parts[:-1]):
        below = here.get(part)
        if isinstance(below, str) and i == 0 and part in _LONG_FORM:
            below = {_LONG_FORM[part]: below}
        elif below is None:
            below = {}
        if not isinstance(below, dict):
            raise ConfigError(f"'{clip(shown)}': '{clip(part)}' has no keys of its own")
        here[part] = below
        here = below
    here[parts[-1]] = value


def parse(model: type[Any], data: Mapping[str, Any], where: str = "") -> Any:
    """Validate plain values strictly; the first problems become one ConfigError."""
    try:
        text = json.dumps(data, allow_nan=True, default=_unknown_value)
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        lines = [_explain(model, e) for e in _relevant(error)]
        shown = "\n".join(f"  {line}" for line in lines[:8])
        more = f"\n  (+{len(lines) - 8} more)" if len(lines) > 8 else ""
        raise ConfigError(f"{where or 'config'}:\n{shown}{more}") from None


def _unknown_value(value: Any) -> str:
    raise ConfigError(
        f"a value of type {type(value).__name__} ({clip(str(value))}) is not allowed; quote it"
    )


def _relevant(error: ValidationError) -> list[Any]:
    """Of a union's complaints keep those of the member that fits best (the longest paths)."""
    errors = error.errors(include_url=False, include_input=True)
    kept: dict[tuple[Any, ...], Any] = {}
    for e in errors:
        location = tuple(p for p in e["loc"] if p in _plain(e["loc"]))
        kept.setdefault((location, e["type"]), e)
    deep = [e for e in kept.values() if not _shadowed(e, kept.values())]
    return deep or list(kept.values())


_TAGS = (
    "constrained-str",
    "str",
    "MemberConfig",
    "TaskConfig",
    "function-after",
    "dict[",
    "list[",
    "nullable",
    "int",
)


def _plain(location: Sequence[Any]) -> list[Any]:
    """A location without the names that pydantic gives to union members."""
    return [p for p in location if not (isinstance(p, str) and (p.startswith(_TAGS) or "[" in p))]


def _shadowed(e: Any, others: Any) -> bool:
    """Whether a complaint 'should be a string' stands beside a deeper one about the same value."""
    own = _plain(e["loc"])
    return any(
        other is not e
        and len(_plain(other["loc"])) > len(own)
        and _plain(other["loc"])[: len(own)] == own
        for other in others
    )


def _explain(model: type[Any], e: Any) -> str:
    path = _plain(e["loc"])
    where = ".".join(str(p) for p in path) or "config"
    if e["type"] == "extra_forbidden":
        near = nearest(str(path[-1]), _fields_at(model, path[:-1]))
        return f"{clip(where, 200)}: unknown key.{near}"
    if e["type"] == "missing":
        return f"{clip(where, 200)}: is missing"
    secret = path[-1:] in (["key_env"], ["base_url"])  # may hold a key by mistake
    shown = "" if secret or isinstance(e["input"], dict | list) else clip(repr(e["input"]), 60)
    message = str(e["msg"]).removeprefix("Value error, ")
    return f"{clip(where, 200)}: {message}" + (f", not {shown}" if shown else "")


def _fields_at(model: type[Any], path: Sequence[Any]) -> list[str]:
    """Field names of the config object at a location."""
    known: dict[str, type[BaseModel]] = {
        "sampling": SamplingConfig,
        "engine": EngineConfig,
        "task": TaskConfig,
        "tasks": TaskConfig,
        "pool": MemberConfig,
        "roles": MemberConfig,
        "price": Price,
    }
    owner = next((known[p] for p in reversed(path) if isinstance(p, str) and p in known), model)
    return list(owner.model_fields)
