"""Collaborative emergence: questions that no member solves alone but the team does, and the other
way round (MoCo, Feng et al. 2026, arXiv 2601.21257).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from moco.analysis import stats
from moco.analysis.oracle import oracle
from moco.analysis.stats import Value
from moco.types import Json

SOLVED = 0.5
"""Score from which a question counts as solved."""


def emergence(team: Sequence[Value], members: Mapping[str, Sequence[Value]]) -> dict[str, Json]:
    """Of the questions that no member solves how many the team solves (`emergent`), with the rate's
    95% interval; of those that some member solves how many the team does not (`lost`).

    Scores are in [0, 1]; questions that could not be graded do not count.
    """
    best = oracle(members)
    pairs = [(t, b) for t, b in zip(team, best, strict=True) if t is not None and b is not None]
    unsolved = [float(t >= SOLVED) for t, b in pairs if b < SOLVED]
    solvable = [float(t >= SOLVED) for t, b in pairs if b >= SOLVED]
    interval = stats.interval(unsolved) if unsolved else None
    return {
        "unsolved": len(unsolved),
        "emergent": round(sum(unsolved)),
        "rate": stats.mean(unsolved),
        "ci95": None if interval is None else list(interval),
        "solvable": len(solvable),
        "lost": len(solvable) - round(sum(solvable)),
    }
