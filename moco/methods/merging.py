"""Merges: methods that make one model of several, tensor by tensor, by a rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires, RoleNeed
from moco.errors import ConfigError
from moco.methods.base import Level, Method, StateT
from moco.methods.parts import unknown_members
from moco.pool import Model, Pool
from moco.types import Json, Prediction, Query, Sampling
from moco.weights.settings import PerMember, Setting, TensorInfo, numbers_in

if TYPE_CHECKING:
    from torch import Tensor

    from moco.weights.merge import Blocks

WEIGHTS = Requires(
    access=Access.TEXT | Access.WEIGHTS,
    min_models=2,
    same=frozenset({"architecture", "tokenizer"}),
)
"""What a merge of weights as they are needs."""
DELTAS = Requires(
    access=Access.TEXT | Access.WEIGHTS,
    min_models=2,
    same=frozenset({"architecture", "tokenizer"}),
    roles={
        "base": RoleNeed(
            access=Access.WEIGHTS,
            required=True,
            same=frozenset({"architecture", "tokenizer"}),
            adapters_bring=True,
        )
    },
)
"""What a merge of differences to a base needs."""


class MergeMethod(Method[StateT]):
    """Members' weights, or their differences to a base, become one model's by `merge`.

    The merged model answers; it lives in memory (`moco merge` writes it). Adapters of one base are
    merged over that base, full checkpoints over the role `base`.
    """

    level: ClassVar[Level] = "weight"
    requires: ClassVar[Requires] = DELTAS
    idempotent: ClassVar[bool] = True

    on: ClassVar[Literal["weights", "deltas"]] = "deltas"
    """What `merge` is given and returns: weights, or differences to the base."""
    whole: ClassVar[bool] = False
    """Whether it needs whole tensors of two and more dimensions, else blocks of whole rows do."""
    studies: ClassVar[bool] = False
    """Whether `study` looks at the whole models first."""
    random: ClassVar[bool] = False
    """Whether it draws random numbers (`TensorInfo.noise`)."""
    symmetric: ClassVar[bool] = True
    """Whether the order of members, at equal weights, does not matter."""
    plain: ClassVar[Mapping[str, Json]] = {}
    """Hyperparameters under which equal members give that member back, where it is not the
    defaults.
    """

    @property
    def surveys(self) -> bool:
        """Whether `survey` looks at a tensor before its first block is merged."""
        return False

    @abstractmethod
    def merge(self, tensors: Sequence[Tensor], info: TensorInfo, facts: Any) -> Tensor:
        """One block of the result from the members' blocks of equal shape, in float32; the tensors
        may be changed.
        """

    def survey(self, blocks: Blocks, info: TensorInfo) -> Any:
        """What `merge` has to know of a tensor as a whole; blocks may be read several times."""

    def study(self, blocks: Iterator[tuple[TensorInfo, list[Tensor]]]) -> Any:
        """What `merge` has to know of the models as a whole (`TensorInfo.overall`)."""

    def as_sum(self, names: Sequence[str]) -> list[float] | None:
        """The coefficients of members' differences to their base, if the merge is their weighted
        sum and no more, the same in all tensors; adapters are then composed instead of merged.
        """
        return None

    def identity(self, names: Sequence[str]) -> dict[str, Json]:
        """The hyperparameters with what is given by member in the order of these members, so that
        aliases do not matter.
        """
        data: dict[str, Json] = self.model_dump(mode="json", exclude={"preset"})
        for field, value in data.items():
            if isinstance(value, dict):
                data[field] = [value.get(name) for name in names]
        return data

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Adapters merge with adapters of the same base, checkpoints with checkpoints."""
        return [
            *mixed_kinds(facts),
            *(
                problem
                for field in type(self).model_fields
                if isinstance(value := getattr(self, field), dict)
                for problem in unknown_members(facts, **{field: list(value)})
            ),
        ]

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: StateT | None
    ) -> list[Prediction]:
        """The merged model's answers."""
        return answers_of(pool.merge(self), queries, pool.names)


class WeightedMerge(MergeMethod[StateT]):
    """A merge whose members have weights."""

    weights: dict[str, Setting] = Field(default={})
    """Weight by member, 1 where a member is not named: a number, numbers over the layers, or a list
    of {value, filter}.
    """

    @property
    def relative(self) -> bool:
        """Whether weights are divided by their sum, which must not be 0."""
        return True

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Weights that are relative do not add up to 0."""
        found = super().problems(facts, sampling)
        weights = self.plain_weights(list(facts))
        if self.relative and weights and abs(sum(weights)) < 1e-8:
            found.append(Problem("method.weights", "add up to 0", "change one of them"))
        return found

    def plain_weights(self, names: Sequence[str]) -> list[float] | None:
        """The members' weights, where they are numbers."""
        found = [self.weights.get(name, 1.0) for name in names]
        numbers = [float(weight) for weight in found if isinstance(weight, int | float)]
        return numbers if len(numbers) == len(found) else None

    def shares(self, info: TensorInfo) -> list[float]:
        """The members' weights divided by their sum; `ConfigError` where that is 0."""
        weights = info.each(self.weights)
        total = sum(weights)
        if abs(total) < 1e-8:
            raise ConfigError(f"method.weights: add up to 0 at '{info.name}'; change them")
        return [weight / total for weight in weights]


def answers_of(model: Model, queries: Sequence[Query], by: Sequence[str]) -> list[Prediction]:
    """A model's answers to the questions as predictions of these members."""
    given = model.ask(
        [q.prompt for q in queries], stage="answer", query_ids=[q.id for q in queries]
    )
    return [
        Prediction(q.id, g.text, by=tuple(by), stop=g.stop)
        for q, g in zip(queries, given, strict=True)
    ]


def mixed_kinds(facts: Mapping[str, ModelFacts | None]) -> list[Problem]:
    """What is wrong with a pool whose weights are to be combined."""
    known = [f for f in facts.values() if f is not None]
    if len({f.adapter for f in known}) > 1:
        return [Problem("pool", "mixes adapters and full checkpoints", "list only one of the two")]
    if known and known[0].adapter and len({f.base for f in known}) > 1:
        return [Problem("pool", "the adapters have different bases", "list adapters of one base")]
    return []


def out_of_range(field: str, setting: PerMember, low: float, high: float) -> list[Problem]:
    """A problem where a setting may give a number outside [low, high]."""
    wrong = [x for x in numbers_in(setting) if not low <= x <= high]
    if not wrong:
        return []
    return [
        Problem(f"method.{field}", f"is {wrong[0]:g}", f"give numbers from {low:g} to {high:g}")
    ]
