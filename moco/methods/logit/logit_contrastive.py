"""Decode from the best members' distribution pushed away from the worst members'."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict

from pydantic import Field

from moco.access import Access, Requires
from moco.methods.base import Level, LogitMethod, dev_best
from moco.pool import Dev, Pool
from moco.types import Json, Prediction, Query

if TYPE_CHECKING:
    import torch

GRID = (0.0, 0.1, 0.2, 0.5, 1.0)
"""Strengths that the dev search tries."""


class State(TypedDict):
    """Who pulls, who pushes, and how strongly."""

    top: list[str]
    """The best members on dev, the best first."""
    bottom: list[str]
    """The worst members on dev."""
    strength: float
    trials: list[list[float]]
    """[strength, mean dev score] of the search."""


class LogitContrastive(LogitMethod[State]):
    """Every token is drawn from the best member's distribution, moved towards the k best members on
    dev and away from the k worst: log p_best + λ (mean log p_top − mean log p_bottom).

    Only tokens that the best member finds plausible are moved at all, so that nothing is written
    because the worst find it even less likely. λ is chosen on dev, 0 (the best member alone) among
    the candidates; the smaller wins ties.
    """

    level: ClassVar[Level] = "logit"
    paper: ClassVar[str] = (
        "Liu et al. 2021, arXiv 2105.03023 (DExperts); plausibility: Li et al. 2022, arXiv"
        " 2210.15097; MoCo, arXiv 2601.21257"
    )
    requires: ClassVar[Requires] = Requires(
        access=Access.TEXT | Access.LOGITS, min_models=2, same=frozenset({"tokenizer"}), dev=True
    )
    paper_preset: ClassVar[Mapping[str, Json]] = {
        "strength": 0.2, "plausibility": 0.0, "reduce": "sum",
    }  # fmt: skip

    k: int = Field(default=1, ge=1, le=1000)
    """Members that pull, and members that push; at most half of the pool each."""
    strength: float | None = Field(default=None, ge=0, le=100)
    """λ; unset = the best of 0, 0.1, 0.2, 0.5 and 1 on dev."""
    plausibility: float = Field(default=0.1, ge=0, le=1)
    """Tokens that the best member gives less than this share of its likeliest token's probability
    are never written; 0 = no limit.
    """
    reduce: Literal["mean", "sum"] = "mean"
    """Whether the k members' log-probabilities are averaged or added up."""

    def fit(self, pool: Pool, dev: Dev) -> State:
        """The order of the members on dev, and λ."""
        best, scores = dev_best(pool, dev)
        order = sorted(pool.names, key=lambda name: (-scores[name], pool.names.index(name)))
        k = min(self.k, len(pool) // 2)
        state: State = {
            "top": order[:k], "bottom": order[len(order) - k :],
            "strength": self.strength or 0.0, "trials": [],
        }  # fmt: skip
        if self.strength is not None:
            return state
        state["trials"] = [[0.0, scores[best]]]
        for strength in GRID[1:]:
            written = self.predict(pool, dev.queries, {**state, "strength": strength})
            state["trials"].append([strength, dev.mean([p.text for p in written])])
        state["strength"] = max(state["trials"], key=lambda trial: (trial[1], -trial[0]))[0]
        return state

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """The best and the worst members write each answer; the best alone where λ is 0."""
        if state is None:
            raise ValueError("logit_contrastive: needs the state that fit() returns")
        if state["strength"] == 0:
            (given,) = pool.of(state["top"][:1]).ask_all(queries)
            by = (state["top"][0],)
            return [
                Prediction(q.id, g.text, by, g.stop) for q, g in zip(queries, given, strict=True)
            ]
        shown: Json = {"top": len(state["top"]), "strength": state["strength"]}
        team = pool.of([*state["top"], *state["bottom"]])
        written = team.joint(queries, self, shown)
        return [
            Prediction(q.id, g.text, tuple(team.names), g.stop, g.notes)
            for q, g in zip(queries, written, strict=True)
        ]

    def combine(self, logits: Sequence[torch.Tensor], state: Json) -> torch.Tensor:
        """Log-probabilities [rows, V] before normalisation; the best member comes first."""
        import torch

        count, width = state["top"], min(part.shape[-1] for part in logits)
        logp = torch.stack([torch.log_softmax(part[..., :width], -1) for part in logits])
        pull, push = logp[:count].sum(0), logp[count:].sum(0)
        share = state["strength"] / (count if self.reduce == "mean" else 1)
        moved = logp[0] + share * (pull - push)
        return plausible(moved, logp[0], self.plausibility)


def plausible(moved: torch.Tensor, own: torch.Tensor, share: float) -> torch.Tensor:
    """The scores `moved` without tokens to which log-probabilities `own` give less than this share
    of the likeliest token's probability.
    """
    import torch

    if share <= 0:
        return moved
    floor = own.max(-1, keepdim=True).values + math.log(share)
    return moved.masked_fill(own < floor, -torch.inf)
