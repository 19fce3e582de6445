"""A language model reads what each member is good at and picks who answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypedDict

import numpy as np
from pydantic import Field

from moco.access import Access, Requires, RoleNeed
from moco.methods.base import Level, Route, Router
from moco.pool import Dev, Pool
from moco.routing.asking import ROLE, ballot, lines_of
from moco.routing.table import DevTable, observe
from moco.types import Choice, Json, Query

LEAST = 0.02
"""Scores below it have the prior of this one, so that nobody is ruled out."""


class State(TypedDict):
    """What the router is told, and who it is."""

    members: list[str]
    """Aliases, in the order of the lists below."""
    means: list[float]
    """Mean dev scores."""
    lines: list[str]
    """How each member is described; aliases are not shown."""
    prior: list[float]
    """Log-probability of each member before the question is read, times `prior_weight`."""
    best: str
    """The best member on dev."""


class PromptRouting(Router[State]):
    """A router model reads the question and a description of every member and picks one.

    The router is the model in the role `router`, else the best member on dev. Members are
    described by their configs, else by their dev answers, never by their names. A router that gives
    log-probabilities decides by those of the labels, averaged over the orders in which members are
    listed, less what it would say without a question; others are asked for a label, which is read
    strictly. Where none can be read the best member on dev answers, and a note says so.
    """

    level: ClassVar[Level] = "api"
    paper: ClassVar[str] = "Feng et al. 2026, arXiv 2601.21257 (MoCo)"
    requires: ClassVar[Requires] = Requires(
        optional=Access.LOGPROBS,
        min_models=2,
        dev=True,
        roles={ROLE: RoleNeed(Access.TEXT, default="dev-best")},
    )
    paper_preset: ClassVar[Mapping[str, Json]] = {"show_dev_scores": False}

    show_dev_scores: bool = True
    """Whether a member's mean dev score is shown with the description of its config; a description
    made from dev holds the share of right answers anyway.
    """
    prior_weight: float = Field(default=0.0, ge=0, le=100)
    """Weight of log p(member), p being proportional to dev scores, beside the label's
    log-probability; without effect on a router that gives text only.
    """

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Every member answers dev; descriptions and scores are taken down."""
        table = observe(pool, dev)
        return {
            "members": list(table.names),
            "means": [float(x) for x in table.means],
            "lines": lines_of(pool, table, scores=self.show_dev_scores),
            "prior": self._prior(table),
            "best": table.names[table.best],
        }

    def _prior(self, table: DevTable) -> list[float]:
        if not self.prior_weight:
            return [0.0] * len(table.names)
        known = table.scores_QM[np.isfinite(table.scores_QM)]
        low, high = min(0.0, float(known.min())), max(1.0, float(known.max()))
        shares = [max((float(x) - low) / (high - low), LEAST) for x in table.means]
        return [self.prior_weight * math.log(x / math.fsum(shares)) for x in shares]

    def choose(self, pool: Pool, queries: Sequence[Query], state: State | None) -> list[Route]:
        """The member that the router picks, else the best on dev."""
        if state is None:
            raise ValueError("prompt_routing: needs the state that fit() returns")
        router = pool.roles.get(ROLE) or pool.named(state["best"])
        lines, prior, means = state["lines"], state["prior"], state["means"]
        ballots = [ballot(router, q, lines, means, prior, calibrated=True) for q in queries]
        open_ = [i for i, own in enumerate(ballots) if own is not None]
        picks = router.choose_among([own for own in ballots if own is not None], stage="route")
        found = dict(zip(open_, picks, strict=True))
        return [_route(found.get(i), state) for i in range(len(queries))]


def _route(pick: Choice | None, state: State) -> Route:
    """The picked member, or the best on dev where the prompt was too long or no label was read."""
    if pick is None or pick.index is None:
        rule = "too long" if pick is None else pick.rule
        return Route(state["best"], {"rule": rule, "fallback": True})
    notes: dict[str, Json] = {"rule": pick.rule, "fallback": False}
    if pick.scores:
        notes["scores"] = dict(zip(state["members"], pick.scores, strict=True))
    return Route(state["members"][pick.index], notes)
