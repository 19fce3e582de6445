"""What a method is: a frozen model of its hyperparameters with `fit` and `predict`.

A method is a pure function of (pool, queries, state). It never loads, batches, caches, seeds,
prints or writes files; every model call goes through the pool. Its file's name is its registered
name.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from moco import registry
from moco.access import ModelFacts, Problem, Requires
from moco.pool import Dev, Pool
from moco.types import Json, OperatingPoint, Prediction, Query, Request, Sampling

if TYPE_CHECKING:
    import torch

    from moco.decoding.joint import JointSession

Level = Literal["baseline", "api", "text", "logit", "weight"]
StateT = TypeVar("StateT")


@dataclass(frozen=True, slots=True)
class Route:
    """Which member answers a query, and why."""

    member: str
    """Its alias."""
    notes: Mapping[str, Json] = field(default_factory=dict)
    """What the decision rests on; goes into the prediction's notes."""


class Method(BaseModel, ABC, Generic[StateT]):
    """A way for models to work together. Hyperparameters are the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    level: ClassVar[Level]
    paper: ClassVar[str]
    """Reference: authors, year, arXiv id; 'none' for baselines without one."""
    requires: ClassVar[Requires] = Requires()
    version: ClassVar[int] = 1
    """Raised when the same hyperparameters would give other predictions than before."""
    idempotent: ClassVar[bool] = False
    """Whether clones of one model at temperature 0 give exactly that model's texts."""

    paper_preset: ClassVar[Mapping[str, Json]] = {}
    """Hyperparameters of the paper where they differ from our defaults."""

    preset: Literal["ours", "paper"] = "ours"
    """Where unset hyperparameters come from: our recommended defaults, or the paper."""

    def model_post_init(self, context: Any) -> None:
        """Fill hyperparameters that are not given from the preset."""
        if self.preset == "paper":
            unset = {k: v for k, v in self.paper_preset.items() if k not in self.model_fields_set}
            self.__dict__.update(unset)

    def __reduce__(self) -> tuple[Any, ...]:
        """Methods travel to worker processes as module, class and hyperparameters."""
        module = inspect.getmodule(type(self))
        file = getattr(module, "__file__", None) or ""
        own = (type(self).__module__, file, type(self).__name__, self.model_dump_json())
        return _rebuilt, own

    @classmethod
    def name(cls) -> str:
        """The registered name: the file's."""
        return cls.__module__.rpartition(".")[2].removeprefix(registry.USER_PREFIX)

    @classmethod
    def summary(cls) -> str:
        """First sentence of the docstring."""
        return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())

    def needs(self) -> Requires:
        """What these hyperparameters require; by default the class's declaration."""
        return self.requires

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Further problems and notes of these hyperparameters with this pool; nothing is loaded."""
        return []

    def fit(self, pool: Pool, dev: Dev) -> StateT | None:
        """What is learnt or chosen on dev, as JSON; None where there is nothing."""
        return None

    @abstractmethod
    def predict(
        self, pool: Pool, queries: Sequence[Query], state: StateT | None
    ) -> list[Prediction]:
        """One prediction per query, in order."""

    def points(
        self, pool: Pool, queries: Sequence[Query], state: StateT | None
    ) -> list[OperatingPoint]:
        """Other settings of the accuracy-cost knob, as plans over the members' own answers, which
        reports draw as a curve; none where a method has no such knob.
        """
        return []


def _rebuilt(module: str, file: str, cls: str, parameters: str) -> Method[Any]:
    found = registry.in_module(module, file, cls)
    method: Method[Any] = found.model_validate_json(parameters)
    return method


class Router(Method[StateT]):
    """Picks, for each question, the member that answers it."""

    @abstractmethod
    def choose(self, pool: Pool, queries: Sequence[Query], state: StateT | None) -> list[Route]:
        """One route per query, in order; a route depends on its own query only."""

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: StateT | None
    ) -> list[Prediction]:
        """Each chosen member answers its questions by the task's plain prompt."""
        routes = self.choose(pool, queries, state)
        sampling = pool.context.sampling
        requests = [
            Request(route.member, query.prompt, sampling, query_id=query.id, stage="answer")
            for query, route in zip(queries, routes, strict=True)
        ]
        return [
            Prediction(query.id, given.text, (route.member,), given.stop, route.notes)
            for query, route, given in zip(queries, routes, pool.generate(requests), strict=True)
        ]


class JointMethod(Method[StateT]):
    """Several models write one answer together, token by token."""

    @abstractmethod
    def write(self, session: JointSession, state: Json) -> None:
        """Write every row's answer; runs on the worker that holds the models."""

    def draws(self, state: Json) -> bool:
        """Whether `write` draws numbers of its own, so that answers depend on the run's seed at
        temperature 0 too.
        """
        return False

    def seats(self, names: Sequence[str], state: StateT | None) -> tuple[list[str], Json]:
        """Which of these members write, in the session's order, and the state that `write` is
        given; by default all, and the state as it is.
        """
        return list(names), state

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: StateT | None
    ) -> list[Prediction]:
        """The members that take part write each answer."""
        names, shown = self.seats(pool.names, state)
        texts = pool.of(names).joint(queries, self, shown)
        return [
            Prediction(q.id, g.text, by=tuple(names), stop=g.stop, notes=g.notes)
            for q, g in zip(queries, texts, strict=True)
        ]


class LogitMethod(JointMethod[StateT]):
    """The lock-step case: at each step one distribution is made of the members' next-token
    logits.
    """

    @abstractmethod
    def combine(self, logits: Sequence[torch.Tensor], state: Json) -> torch.Tensor:
        """Logits [rows, vocabulary], made of one such tensor per member."""

    def write(self, session: JointSession, state: Json) -> None:
        """Draw each token from the combined distribution until every row has ended."""
        session.lock_step(lambda logits: self.combine(logits, state))


def dev_best(pool: Pool, dev: Dev) -> tuple[str, dict[str, float]]:
    """The member of the best mean dev score (first in pool order on ties), and every member's
    score.

    Without dev questions the first member stands in and there are no scores.
    """
    if not len(dev):
        return pool.names[0], {}
    answers = pool.ask_all(dev.queries)
    scores: dict[str, float] = {}
    for name, given in zip(pool.names, answers, strict=True):
        scores[name] = dev.mean([g.text for g in given])
    return max(scores, key=lambda name: scores[name]), scores


def hyperparameters(cls: type[Method[Any]]) -> dict[str, dict[str, Json]]:
    """Name → {type, default, description} of a method's fields, for pages and messages."""
    schema = cls.model_json_schema()
    result: dict[str, dict[str, Json]] = {}
    for name, entry in schema.get("properties", {}).items():
        kind = (
            entry.get("type")
            or entry.get("enum")
            or [o.get("type") for o in entry.get("anyOf", [])]
        )
        result[name] = {
            "type": kind,
            "default": entry.get("default"),
            "description": entry.get("description", ""),
        }
    return result
