"""Steer a base model at decoding time by what tuning did to a smaller one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires
from moco.methods.base import Level, LogitMethod
from moco.methods.logit.logit_contrastive import plausible
from moco.methods.parts import unknown_members
from moco.types import Json, Sampling

if TYPE_CHECKING:
    import torch


class ProxyTuning(LogitMethod[None]):
    """Every token is drawn from the base's logits plus the difference that tuning made to a small
    model: base + α (expert − anti-expert).

    The expert is a small tuned model, the anti-expert the same model untuned. Logits of tokens that
    the base does not have are left out.
    """

    level: ClassVar[Level] = "logit"
    paper: ClassVar[str] = "Liu et al. 2024, arXiv 2401.08565 (proxy-tuning)"
    requires: ClassVar[Requires] = Requires(
        access=Access.TEXT | Access.LOGITS, min_models=3, same=frozenset({"tokenizer"})
    )

    base: str = ""
    """Alias of the model that is steered; empty = the first member that has no other part."""
    expert: str = ""
    """Alias of the tuned small model; empty = the next one."""
    antiexpert: str = ""
    """Alias of the untuned small model; empty = the next one."""
    alpha: float = Field(default=1.0, ge=-100, le=100)
    """Strength of the difference; 0 = the base alone."""
    plausibility: float = Field(default=0.0, ge=0, le=1)
    """Tokens that the base gives less than this share of its likeliest token's probability are
    never written; 0 = no limit.
    """

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """The three have to be members, and different ones."""
        given = {"base": self.base, "expert": self.expert, "antiexpert": self.antiexpert}
        found = unknown_members(facts, **given)
        named = [name for name in given.values() if name]
        if len(set(named)) < len(named):
            found.append(Problem("method", "one member has two parts", "name three members"))
        return found

    def seats(self, names: Sequence[str], state: None) -> tuple[list[str], Json]:
        """Base, expert and anti-expert."""
        given = [self.base, self.expert, self.antiexpert]
        free = iter([name for name in names if name not in given])
        return [name or next(free) for name in given], None

    def combine(self, logits: Sequence[torch.Tensor], state: Json) -> torch.Tensor:
        """Logits [rows, V] of base + α (expert − anti-expert)."""
        width = min(part.shape[-1] for part in logits)
        base, expert, anti = (part[..., :width] for part in logits)
        return plausible(
            base + self.alpha * (expert - anti), base.log_softmax(-1), self.plausibility
        )
