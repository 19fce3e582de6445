"""A language model that is taught, on dev, which member to name: SFT of the router's labels.

A dev question on which all members do alike teaches nothing and is left out; several best members
are taught in equal parts. Every question is shown in all cyclic orders of the members. One fold of
questions, alike ones together, is held out: it chooses the checkpoint, tells how much score a
certain choice is worth, and whether the router is to be followed at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from moco.access import Access
from moco.choosing import Ballot
from moco.errors import DataError, RequirementError
from moco.pool import Model, Pool
from moco.routing.asking import ROLE, ballot, lines_of
from moco.routing.decide import DIGITS, Estimates
from moco.routing.folds import folds
from moco.routing.graph import LEAST
from moco.routing.residuals import careful, contrasts, evidence
from moco.routing.table import DevTable
from moco.train.base import Recipe
from moco.types import Json, Query


def base(pool: Pool, means: Mapping[str, float]) -> Model:
    """The model that is taught: the role `router`, else the best dev member among those that are
    full checkpoints on this machine.
    """
    own = [m for m in pool if m.gives(Access.TRAIN | Access.LOGPROBS) and not m.facts.adapter]
    asked = pool.roles.get(ROLE)
    if asked is not None:
        if not asked.gives(Access.TRAIN | Access.LOGPROBS) or asked.facts.adapter:
            raise RequirementError(
                f"roles.router: '{asked.name}' cannot be trained; give a full checkpoint on this"
                " machine, or another kind of router"
            )
        return asked
    if not own:
        raise RequirementError(
            "no member is a full checkpoint on this machine that could be trained as the router;"
            " give one in the role router, or another kind of router"
        )
    return max(own, key=lambda m: round(means.get(m.name, 0.0), DIGITS))


def learn(
    pool: Pool, table: DevTable, router: Model, recipe: Recipe, vectors_QE: np.ndarray, seed: int
) -> dict[str, Json]:
    """The trained router as a state holds it; `vectors_QE` only say which questions are alike.

    `model`: reference to the adapter and its base; `slope`: score that a member gains by the whole
    probability of the router; `gap`: standard error of each member's difference to the best;
    `caution`: standard errors that a gain has to exceed, None = no gain is enough.
    """
    lines = lines_of(pool, table, scores=False)
    means = [float(x) for x in table.means]
    held_Q = np.zeros(len(table.queries), dtype=bool)
    if len(held_Q) >= LEAST:
        held_Q = folds(vectors_QE, table.scores_QM, seed) == 0
    if held_Q.all():  # all questions are alike
        held_Q[:] = False
    ballots = [ballot(router, query, lines, means) for query in table.queries]
    rows = [
        {**row, "held": bool(held)}
        for own, scores_M, held in zip(ballots, table.scores_QM, held_Q, strict=True)
        if own is not None
        for row in lessons(own, scores_M)
    ]
    if not any(not row["held"] for row in rows):
        raise DataError(
            "kind lm: on no dev question does one member do better than another, so the router has"
            " nothing to learn; give more dev questions, or other members"
        )
    trained = pool.train(router, rows, recipe, f"{router.name}+routing")
    found: dict[str, Json] = {
        "model": pool.keep_model(trained, router),
        "lines": lines, "means": means, "slope": 1.0, "gap": [1.0] * len(means), "caution": 1.0,
        "rows": len(rows), "held": int(held_Q.sum()),
    }  # fmt: skip
    if held_Q.any():
        queries = [q for q, held in zip(table.queries, held_Q, strict=True) if held]
        found |= _judged(probabilities(trained, queries, lines, means), table, held_Q)
    return found


def lessons(own: Ballot, scores_M: np.ndarray) -> list[dict[str, Any]]:
    """A prompt and a label for each cyclic order and each best member; none where all do alike."""
    known_M = np.isfinite(scores_M)
    if not known_M.any() or np.ptp(np.round(scores_M[known_M], DIGITS)) == 0:
        return []
    top = np.round(np.nanmax(scores_M), DIGITS)
    best = {own.options[m] for m in np.flatnonzero(np.round(scores_M, DIGITS) == top)}
    return [
        {"prompt": own.show(order), "completion": own.labels[place]}
        for order in own.orders
        for place, member in enumerate(order)
        if own.options[member] in best
    ]


def probabilities(
    router: Model, queries: Sequence[Query], lines: Sequence[str], means: Sequence[float]
) -> np.ndarray:
    """Probability of each member, from its label's log-probability averaged over the orders; NaN
    where the prompt does not fit the router's context; shape [queries, members].
    """
    ballots = [ballot(router, query, lines, means) for query in queries]
    open_ = [i for i, own in enumerate(ballots) if own is not None]
    picks = router.choose_among([own for own in ballots if own is not None], stage="route")
    found_QM = np.full((len(queries), len(lines)), np.nan)
    for i, pick in zip(open_, picks, strict=True):
        scores_M = np.asarray(pick.scores or [0.0] * len(lines))
        weights_M = np.exp(scores_M - scores_M.max())
        found_QM[i] = weights_M / weights_M.sum()
    return found_QM


def estimate(pool: Pool, learnt: Mapping[str, Json], queries: Sequence[Query]) -> Estimates:
    """Every member's score: its dev mean, moved by what the router says of the question."""
    router = pool.kept_model(learnt["model"])
    means = np.asarray(learnt["means"])
    share_QM = probabilities(router, queries, learnt["lines"], learnt["means"])
    caution = np.inf if learnt["caution"] is None else float(learnt["caution"])
    errors_QM = np.broadcast_to(np.asarray(learnt["gap"]), share_QM.shape)
    return Estimates(
        _scores(share_QM, means, float(learnt["slope"])),
        careful(errors_QM, np.full(len(means), caution)),
    )


def _scores(share_QM: np.ndarray, means_M: np.ndarray, slope: float) -> np.ndarray:
    moved_QM = np.nan_to_num(share_QM - 1 / len(means_M))
    found: np.ndarray = np.round(means_M + slope * moved_QM, 6)
    return found


def _judged(share_QM: np.ndarray, table: DevTable, held_Q: np.ndarray) -> dict[str, Json]:
    """Slope, errors and caution from held-out questions."""
    known_QM = table.scores_QM[held_Q]
    means_M = np.nanmean(table.scores_QM[~held_Q], axis=0)
    moved_QM = np.nan_to_num(share_QM - 1 / len(means_M))
    wanted_QM = np.nan_to_num(contrasts(known_QM - means_M))
    power = float((moved_QM**2).sum())
    slope = max(0.0, float((moved_QM * wanted_QM).sum()) / power) if power > 0 else 0.0
    found = evidence(_scores(share_QM, means_M, slope), known_QM, table.best)
    caution = float(found["caution_M"][0])
    error_M = found["gap_M"] / np.sqrt(len(known_QM))
    return {
        "slope": round(slope, 6),
        "gap": [float(x) for x in error_M],
        "caution": None if np.isinf(caution) else caution,
    }
