"""How well a router does on dev questions that it did not learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from moco.routing.decide import DIGITS, Standing, decide
from moco.routing.folds import folds
from moco.types import Json

if TYPE_CHECKING:
    from moco.routing.base import SoftRouter

MOST = 2000
"""Questions that are used."""


def cross_validated(
    kind: Any, vectors_QE: np.ndarray, scores_QM: np.ndarray, router: SoftRouter, seed: int
) -> dict[str, Json]:
    """Mean score by seeded folds, costs apart: of the router, of the member that is best on the
    other folds, and of the best member per question.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(vectors_QE))[:MOST])
    fold_R = folds(vectors_QE[rows], scores_QM[rows], seed)
    count = int(fold_R.max(initial=0)) + 1
    if count < 2:
        return {}
    routed: list[float] = []
    single: list[float] = []
    oracle: list[float] = []
    for fold in range(count):
        held, rest = rows[fold_R == fold], rows[fold_R != fold]
        means = scores_QM[rest].mean(axis=0)
        best = int(np.argmax(np.round(means, DIGITS)))
        arrays = kind.fit(vectors_QE[rest], scores_QM[rest], best, seed)
        found = kind.estimate(arrays, vectors_QE[held])
        picks = decide(found, Standing(means, np.zeros(len(means))), guard=router.guard)
        routed += scores_QM[held, picks].tolist()
        single += scores_QM[held, best].tolist()
        oracle += scores_QM[held].max(axis=1).tolist()
    return {
        "folds": count,
        "router": float(np.mean(routed)),
        "best_single": float(np.mean(single)),
        "oracle": float(np.mean(oracle)),
    }
