"""Decode from the members' combined next-token distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires
from moco.methods.base import Level, LogitMethod
from moco.types import Json, Sampling

if TYPE_CHECKING:
    import torch


class LogitFusion(LogitMethod[None]):
    """Every token is drawn from one distribution made of all members' distributions.

    `product` is the normalised weighted geometric mean (the average of log-probabilities),
    `mixture` the weighted arithmetic mean of probabilities; `confidence` is a product in which each
    member's weight at each step falls with the entropy of its distribution.
    """

    level: ClassVar[Level] = "logit"
    paper: ClassVar[str] = "product of experts / ensemble decoding; MoCo, arXiv 2601.21257"
    requires: ClassVar[Requires] = Requires(
        access=Access.TEXT | Access.LOGITS, min_models=2, same=frozenset({"tokenizer"})
    )
    idempotent: ClassVar[bool] = True

    mode: Literal["product", "mixture", "confidence"] = "product"
    """How distributions are combined."""
    weights: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """One weight per member, in pool order, normalised to sum 1; empty = equal."""

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Weights must match the members."""
        if self.weights and len(self.weights) != len(facts):
            what = f"has {len(self.weights)} values for {len(facts)} members"
            return [Problem("method.weights", what, "give one weight per member, or none")]
        if self.weights and sum(self.weights) <= 0:
            return [Problem("method.weights", "are all 0", "make at least one positive")]
        return []

    def combine(self, logits: Sequence[torch.Tensor], state: Json) -> torch.Tensor:
        """Combined logits [rows, V] from one tensor [rows, V] per member, fp32."""
        import torch

        given = self.weights or (1.0,) * len(logits)
        logits = [part for part, w in zip(logits, given, strict=True) if w]
        share = [w / sum(given) for w in given if w]
        width = min(part.shape[-1] for part in logits)
        logp = [torch.log_softmax(part[..., :width], -1) for part in logits]
        if self.mode == "mixture":
            parts = [p + math.log(w) for p, w in zip(logp, share, strict=True)]
            return torch.logsumexp(torch.stack(parts), 0)
        weights_MB1 = torch.tensor(share, device=logp[0].device)[:, None, None]
        stacked_MBV = torch.stack(logp)
        if self.mode == "confidence":
            entropy_MB1 = -(stacked_MBV.exp() * stacked_MBV).sum(-1, keepdim=True)
            weights_MB1 = weights_MB1 * torch.exp(-entropy_MB1)
            weights_MB1 = weights_MB1 / weights_MB1.sum(0)
        return (weights_MB1 * stacked_MBV).sum(0)
