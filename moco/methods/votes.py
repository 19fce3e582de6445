"""Voting in one place: answers cluster by the scorer's own equivalence; who gave no answer has no
vote.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from moco.tasks.answers import Answer, cluster, extract
from moco.types import Generation, Query


def read(generations: Sequence[Generation], query: Query) -> list[Answer]:
    """Each text's answer to the query."""
    return [extract(g.text, query, g.stop) for g in generations]


def winners(answers: Sequence[Answer], weights: Sequence[float]) -> list[int]:
    """The leaders (first voters) of the clusters of greatest weight; several on a tie, none if
    nobody answered.
    """
    groups = cluster(answers)
    if not groups:
        return []
    totals = [round(math.fsum(weights[i] for i in group), 9) for group in groups]
    best = max(totals)
    return [group[0] for group, total in zip(groups, totals, strict=True) if total == best]


def supporters(answers: Sequence[Answer], leader: int) -> list[int]:
    """Everyone in the leader's cluster."""
    return next((group for group in cluster(answers) if leader in group), [leader])


def agree(answers: Sequence[Answer]) -> bool:
    """Whether everybody gave an answer and all are the same."""
    groups = cluster(answers)
    return len(groups) == 1 and len(groups[0]) == len(answers)


def medoid(texts: Sequence[str]) -> int:
    """The text most like the others (mean token F1), the first on ties: a vote for open answers."""
    tokens = [Counter(text.lower().split()) for text in texts]

    def likeness(a: Counter[str], b: Counter[str]) -> float:
        total = a.total() + b.total()
        return 2 * (a & b).total() / total if total else 1.0

    sums = [
        round(math.fsum(likeness(own, other) for j, other in enumerate(tokens) if j != i), 9)
        for i, own in enumerate(tokens)
    ]
    return max(range(len(texts)), key=lambda i: (sums[i], -i))
