"""How well a router does on dev questions that it did not learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from moco.routing.decide import DIGITS, Standing, decide
from moco.types import Json

if TYPE_CHECKING:
    from moco.routing.base import SoftRouter

FOLDS = 5
MOST = 2000
"""Questions that are used."""


def cross_validated(
    kind: Any, vectors_QE: np.ndarray, scores_QM: np.ndarray, router: SoftRouter, seed: int
) -> dict[str, Json]:
    """Mean score by seeded folds, costs apart: of the router, of the member that is best on the
    other folds, and of the best member per question.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(vectors_QE))[:MOST]
    folds = min(FOLDS, len(rows))
    if folds < 2:
        return {}
    routed: list[float] = []
    single: list[float] = []
    oracle: list[float] = []
    for fold in range(folds):
        held, rest = rows[fold::folds], np.delete(rows, np.s_[fold::folds])
        means = scores_QM[rest].mean(axis=0)
        best = int(np.argmax(np.round(means, DIGITS)))
        arrays = kind.fit(vectors_QE[rest], scores_QM[rest], best, seed)
        found = kind.estimate(arrays, vectors_QE[held])
        picks = decide(found, Standing(means, np.zeros(len(means))), guard=router.guard)
        routed += scores_QM[held, picks].tolist()
        single += scores_QM[held, best].tolist()
        oracle += scores_QM[held].max(axis=1).tolist()
    return {
        "folds": folds,
        "router": float(np.mean(routed)),
        "best_single": float(np.mean(single)),
        "oracle": float(np.mean(oracle)),
    }
