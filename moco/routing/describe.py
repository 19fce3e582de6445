"""A member's description from its dev scores, where the config gives none."""

from __future__ import annotations

import textwrap

import numpy as np

from moco.routing.table import DevTable

EXAMPLES = 3
"""Questions that a description shows."""
WIDTH = 100
"""Characters that a shown question may have."""


def describe(table: DevTable, member: int) -> str:
    """What the member in this column is good at, without its name: its share of right answers and
    the dev questions it got right that fewest others did (first in dev order on ties), shortened.

    An answer is right from half of the best score on; members that were not asked do not count.
    """
    right_QM = _right(table.scores_QM)
    asked_Q = np.isfinite(table.scores_QM[:, member])
    own_Q = np.flatnonzero(right_QM[:, member])
    if not own_Q.size:
        return f"Answered none of {asked_Q.sum()} sample questions right."
    share = f"Answered {own_Q.size / asked_Q.sum():.0%} of {asked_Q.sum()} sample questions right"
    rarest = own_Q[np.argsort(right_QM[own_Q].sum(axis=1), kind="stable")][:EXAMPLES]
    shown = " ".join(f"“{_short(table, int(row))}”" for row in rarest)
    return f"{share}, among them these, which fewest others did: {shown}"


def _right(scores_QM: np.ndarray) -> np.ndarray:
    """Which answers are right; scores are from 0 to 1 unless the scorer says otherwise."""
    known = scores_QM[np.isfinite(scores_QM)]
    low, high = min(0.0, known.min(initial=0.0)), max(1.0, known.max(initial=1.0))
    right_QM: np.ndarray = np.nan_to_num(scores_QM, nan=-np.inf) >= (low + high) / 2
    return right_QM


def _short(table: DevTable, row: int) -> str:
    query = table.queries[row]
    return textwrap.shorten(query.bare or query.body or query.text, WIDTH, placeholder="…")
