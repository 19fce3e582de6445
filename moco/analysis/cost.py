"""What an answer costs: money where every member has a price, else parameters times tokens.

A pool has one unit, so that its costs compare: `money` (the members' prices per million tokens),
`parameter tokens` (10⁹ parameters × tokens read and written) where no price is given, or `tokens`
where a member's size is unknown too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from moco.backends.base import ModelSpec
from moco.types import Usage

Unit = Literal["money", "parameter tokens", "tokens"]


@dataclass(frozen=True, slots=True)
class CostRule:
    """How a pool's calls are priced."""

    unit: Unit

    def of(self, spec: ModelSpec, usage: Usage, specs: Sequence[ModelSpec] = ()) -> float:
        """The cost of one call to a model; `specs` names all models of a joint call."""
        specs = spec.parents if spec.derive == "team" else specs
        if self.unit == "money":
            return price(specs or (spec,), usage)
        tokens = usage.prompt_tokens + usage.generated_tokens
        if self.unit == "tokens":
            return float(tokens)
        if len(specs) > 1:
            return usage.flops / 2e9
        size = spec.facts.num_parameters if spec.facts else 0
        return size * tokens / 1e9


def rule_for(specs: Sequence[ModelSpec]) -> CostRule:
    """The unit in which all members of a pool can be priced."""
    if all(spec.price is not None for spec in specs):
        return CostRule("money")
    if all(spec.facts is not None and spec.facts.num_parameters > 0 for spec in specs):
        return CostRule("parameter tokens")
    return CostRule("tokens")


def price(specs: Sequence[ModelSpec], usage: Usage) -> float:
    """Money for a call by prices per million prompt and generated tokens; a joint call's tokens
    are shared equally among its models.
    """
    share = 1e6 * len(specs)
    return sum(
        (s.price[0] * usage.prompt_tokens + s.price[1] * usage.generated_tokens) / share
        for s in specs
        if s.price is not None
    )
