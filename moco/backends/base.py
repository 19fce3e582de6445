"""What a worker asks of a loaded model, and how rows reach it.

A back end is made by a worker, never by a method. One back end may serve several models: a base,
its LoRA adapters and compositions of them are *variants* of one loaded base, and their rows share
its batches. Which verbs exist follows from the variant's `Access`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from moco.access import ModelFacts
from moco.types import Generation, Json, Prompt, Request, Usage

if TYPE_CHECKING:
    from moco.methods.base import JointMethod
    from moco.methods.merging import MergeMethod


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How a back end runs what it loads."""

    max_batch_tokens: int = 65536
    """Token positions that the rows of a running batch may hold together."""
    compile: bool = False
    """Whether a local model's layers are compiled."""


AS_USUAL = LoadSettings()


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything that makes a model what it is: picklable, loads nothing, has one fingerprint."""

    name: str
    """Alias in the pool; not part of the identity."""
    ref: str
    """The reference as the user wrote it, or a derived model's recipe in words."""
    path: Path | None = None
    """Local folder of the base checkpoint; None for hosted, scripted and derived models."""
    adapter: Path | None = None
    """Local folder of a PEFT adapter on that base."""
    backend: str = "hf"
    dtype: str = "auto"
    """float32, bfloat16, float16 or auto (as stored; float32 for the bundled pool)."""
    facts: ModelFacts | None = None
    fingerprint: str = ""
    """SHA-256 over the content of weights, adapter, tokenizer, template, dtype and back end."""
    copy: int = 0
    """Index among equal members of a pool; goes into `draw`."""
    options: Mapping[str, Json] = field(default_factory=dict)
    """Back-end settings (base_url, key_env, script …)."""
    description: str = ""
    price: tuple[float, float] | None = None
    """Price per million prompt and generated tokens."""
    parents: tuple[ModelSpec, ...] = ()
    """A derived model's parents, in order."""
    weights: tuple[float, ...] = ()
    """Coefficient of each parent in a composition of adapters, or of a linear merge of
    checkpoints.
    """
    derive: Literal["", "compose", "linear", "merge", "team"] = ""
    """How it follows from its parents: adapters composed in delta space, checkpoints added up
    tensor by tensor, merged by a rule, or a team that writes each answer together.
    """
    team: JointMethod[Any] | None = None
    """The method by which a team writes."""
    rule: MergeMethod[Any] | None = None
    """The method by which parents are merged."""
    over: ModelSpec | None = None
    """The base of a merge of full checkpoints, where one is named."""
    seed: int = 0
    """Of a merge's random numbers."""

    @property
    def family(self) -> str:
        """Sums and merges of the same checkpoints have equal families: a loaded one can become any
        other in place; empty = none.
        """
        if self.derive not in ("linear", "merge"):
            return ""
        over = "" if self.over is None else self.over.fingerprint
        return " ".join([self.backend, self.dtype, *(p.fingerprint for p in self.parents), over])

    @property
    def base_key(self) -> str:
        """Models with equal keys share one loaded base."""
        if self.derive == "compose":
            return self.parents[0].base_key
        if self.derive:
            return self.fingerprint
        return f"{self.backend}:{self.path}:{self.dtype}" if self.path else self.fingerprint


@dataclass(frozen=True, slots=True)
class Row:
    """One generation request as a back end sees it."""

    request: Request
    spec: ModelSpec
    seed: bytes
    """32 bytes that key the row's random stream; equal requests have equal seeds."""


class Feed(Protocol):
    """Where a running batch gets its rows and leaves its results; thread-safe."""

    def take(self, room: int) -> list[Row]:
        """At most `room` rows that may join now (empty = none waiting); longest prompts are not
        preferred here.
        """
        ...

    def done(self, row: Row, generation: Generation) -> None:
        """A row has finished; called as soon as it has."""
        ...

    def failed(self, row: Row, error: Exception) -> None:
        """A row cannot be answered (too long a prompt, a template that raises)."""
        ...

    def cancelled(self, row: Row) -> bool:
        """Whether the row should leave the batch at the next step."""
        ...

    def token(self, row: Row, text: str) -> None:
        """Text that the row has just gained, for listeners; only complete characters."""
        ...

    def listens(self, row: Row) -> bool:
        """Whether anybody wants this row's tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt and a continuation to be judged."""

    prompt: Prompt
    text: str
    spec: ModelSpec
    prefix: str = ""
    """Started answer before `text`."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-probabilities (nats, temperature 1) of each token of a pair's continuation."""

    logprobs: tuple[float, ...]
    greedy: bool
    """Whether greedy decoding would have produced the continuation."""
    usage: Usage = field(default_factory=Usage)

    @property
    def total(self) -> float:
        """Sum over tokens."""
        return float(sum(self.logprobs))


@dataclass(frozen=True, slots=True)
class Vector:
    """An embedding or hidden state, shape [width], with its cost."""

    values: np.ndarray
    usage: Usage = field(default_factory=Usage)


class Backend(Protocol):
    """One loaded base with its variants."""

    device: str

    def rendered(self, spec: ModelSpec, prompt: Prompt, prefix: str) -> tuple[int, ...]:
        """Token ids of the prompt as this back end will read it."""
        ...

    def run(self, feed: Feed) -> None:
        """Generate for every row the feed gives, until it gives none."""
        ...

    def loglikelihood(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """Log-probabilities of given continuations, in order."""
        ...

    def embed(self, spec: ModelSpec, texts: Sequence[str]) -> list[Vector]:
        """One vector per text."""
        ...

    def hidden(
        self, spec: ModelSpec, texts: Sequence[str], at: Literal["last", "mean"]
    ) -> list[Vector]:
        """Final-layer hidden state of each text: of its last token, or their mean."""
        ...

    def reward(self, pairs: Sequence[Pair]) -> list[tuple[float, Usage]]:
        """One number per (prompt, answer)."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


@dataclass(slots=True)
class ListFeed:
    """A feed over a fixed list of rows, for direct use, benches and tests."""

    rows: Sequence[Row]
    listener: Callable[[Row, str], None] | None = None
    results: dict[int, Generation] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)
    _next: int = 0

    def take(self, room: int) -> list[Row]:
        taken = list(self.rows[self._next : self._next + room])
        self._next += len(taken)
        return taken

    def done(self, row: Row, generation: Generation) -> None:
        self.results[id(row)] = generation

    def failed(self, row: Row, error: Exception) -> None:
        self.errors[id(row)] = error

    def cancelled(self, row: Row) -> bool:
        return False

    def token(self, row: Row, text: str) -> None:
        if self.listener is not None:
            self.listener(row, text)

    def listens(self, row: Row) -> bool:
        return self.listener is not None

    def in_order(self) -> list[Generation]:
        """The generations in input order; raises the first error."""
        for error in self.errors.values():
            raise error
        return [self.results[id(row)] for row in self.rows]


def generate(backend: Backend, rows: Iterable[Row]) -> list[Generation]:
    """Generate for a list of rows and return their generations in order."""
    feed = ListFeed(list(rows))
    backend.run(feed)
    return feed.in_order()
