"""Members that take a part in a method: named by hyperparameters, paired, or trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from moco.access import Access, ModelFacts, Problem
from moco.errors import RequirementError
from moco.pool import Model, Pool


def unknown_members(
    facts: Mapping[str, ModelFacts | None], **fields: str | Sequence[str]
) -> list[Problem]:
    """A problem for each name in these hyperparameters that no member has; a field that holds one
    name may be empty.
    """
    named = [
        (field, name)
        for field, given in fields.items()
        for name in (filter(None, [given]) if isinstance(given, str) else given)
    ]
    members = "members: " + ", ".join(facts)
    return [
        Problem(f"method.{field}", f"no pool member is called '{name[:80]}'", members)
        for field, name in named
        if name not in facts
    ]


def pair_of(first: str, second: str, names: Sequence[str]) -> tuple[str, str]:
    """Two members: those that are named, else the first that is not the other one; twice the same
    where there is no other.
    """
    one = first or next(name for name in names if name != second)
    return one, second or next((name for name in names if name != one), one)


def trainable(
    pool: Pool, scores: Mapping[str, float], method: str, role: str, access: Access = Access.TRAIN
) -> Model:
    """The model of the role, else the best dev member that gives this access."""
    asked = pool.roles.get(role)
    if asked is not None:
        return asked
    own = [model for model in pool if model.gives(access)]
    if not own:
        raise RequirementError(
            f"{method}: no member can be trained; give a model with its files on this machine in"
            f" the role {role}"
        )
    return max(own, key=lambda model: round(scores.get(model.name, 0.0), 9))
