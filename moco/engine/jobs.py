"""What travels between the engine and its workers: batches of work one way, events the other; all
picklable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from moco.backends.base import AS_USUAL, LoadSettings, ModelSpec
from moco.types import Json, Prompt, Sampling

Kind = Literal["generate", "loglikelihood", "embed", "reward", "joint", "train"]


@dataclass(frozen=True, slots=True)
class Embedding:
    """One text to embed, or to read a hidden state of."""

    spec: ModelSpec
    text: str
    at: Literal["embed", "last", "mean"] = "embed"


@dataclass(frozen=True, slots=True)
class JointRow:
    """One query that several models answer together, token by token."""

    query_id: str
    prompts: tuple[Prompt, ...]
    """One prompt per member, each rendered with that member's own template."""
    sampling: Sampling
    seed: bytes
    """32 bytes that key the row's random stream."""


@dataclass(frozen=True, slots=True)
class Call:
    """One unit of work with its identity."""

    key: str
    """SHA-256 over everything that can change the result."""
    payload: Any
    """Row, Pair, Embedding, JointRow or a training item, by kind."""
    spec: ModelSpec
    """The model; for a joint call the first of `specs`."""
    specs: tuple[ModelSpec, ...] = ()
    size: int = 0
    """Prompt tokens, for batches of like length."""
    query_id: str = ""
    stage: str = ""
    shown: Json = None
    """The call as the log writes it (prompt and settings)."""


class Meter(Protocol):
    """Who counts and records a job's calls."""

    def on_call(self, kind: Kind, call: Call, data: Mapping[str, Json], *, cached: bool) -> None:
        """A call has its result, fresh or from the cache."""
        ...

    def on_job(self, kind: Kind, calls: Sequence[Call]) -> None:
        """Calls are asked for together: one step in a row for each question among them."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """Calls of one kind that are asked for together."""

    kind: Kind
    calls: tuple[Call, ...]
    extra: Any = None
    """Joint: the method and its state; train: the recipe."""
    meter: Meter | None = None
    listener: Callable[[str, str], None] | None = None
    """Called with (query id, new text) as tokens arrive."""
    cancelled: Callable[[], bool] | None = None
    serve: Callable[[Any], Any] | None = None
    """Train: answers what the training asks for while it waits, on this side, where models may be
    asked.
    """


@dataclass(frozen=True, slots=True)
class Batch:
    """Work for one worker: rows that share a loaded base, or a joint or training job."""

    id: int
    kind: Kind
    specs: tuple[ModelSpec, ...]
    payloads: tuple[Any, ...]
    closed: bool = False
    """Whether its rows may share their batch with no others (batch-dependent numerics)."""
    listens: bool = False
    extra: Any = None

    @property
    def base_key(self) -> str:
        """The loaded base that this batch needs first."""
        return self.specs[0].base_key


@dataclass(frozen=True, slots=True)
class Event:
    """Something a worker has to say."""

    kind: Literal["done", "failed", "token", "loaded", "asked"]
    batch: int = -1
    index: int = -1
    """Position in the batch; −1 with `failed` = the whole batch."""
    value: Any = None
    """With `asked`: (ticket, question), to be replied to under that ticket."""


Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker loads and batches."""

    devices: tuple[str, ...] = ("cpu",)
    load: LoadSettings = AS_USUAL
    memory_bytes: int | None = None
    """Loaded weights above this are unloaded, least recently used first; None = no limit."""
    threads: int = 0
    """CPU threads of a worker process; 0 = torch's own choice."""
