"""Voting in one place: answers cluster by the scorer's own equivalence; who gave no answer has no
vote.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from moco.answers.parser import Answer, cluster, extract
from moco.types import Generation, Query

OPEN = ("free", "code")
"""Answer kinds whose texts are all different answers: they are decided by likeness."""


def read(generations: Sequence[Generation], query: Query) -> list[Answer]:
    """Each text's answer to the query."""
    return [extract(g.text, query, g.stop) for g in generations]


def winners(query: Query, answers: Sequence[Answer], weights: Sequence[float]) -> list[list[int]]:
    """The clusters of greatest weight, each the indices of its voters, the leader first; several on
    a tie, none if nobody answered or the answers are open.
    """
    groups = [] if query.kind in OPEN else cluster(answers)
    totals = [round(math.fsum(weights[i] for i in group), 9) for group in groups]
    return [g for g, total in zip(groups, totals, strict=True) if total == max(totals)]


def strongest(groups: Sequence[list[int]], scores: Sequence[float]) -> list[int]:
    """Of tied clusters the one whose best voter has the highest score, the first on ties."""
    return max(groups, key=lambda group: max(scores[i] for i in group))


def speaker(group: Sequence[int], scores: Sequence[float]) -> int:
    """The voter of a cluster with the highest score, the first on ties."""
    return max(group, key=lambda i: scores[i])


def elect(
    query: Query, given: Sequence[Generation], scores: Sequence[float]
) -> tuple[list[int], int]:
    """(the winning cluster of equal votes, its voter of the best score); ties go to the cluster
    with the better voter. Where nothing is elected, no cluster and the text most like the others.
    """
    groups = winners(query, read(given, query), [1.0] * len(given))
    if not groups:
        return [], medoid([g.text for g in given])
    group = strongest(groups, scores)
    return group, speaker(group, scores)


def plurality(samples: Sequence[Generation], query: Query) -> tuple[int, int]:
    """(the earliest sample of the largest cluster, its size) of equal votes; where nobody answered,
    and of open answers, the text most like the others and 0.
    """
    groups = winners(query, read(samples, query), [1.0] * len(samples))
    if groups:
        return groups[0][0], len(groups[0])
    return medoid([g.text for g in samples]), 0


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
