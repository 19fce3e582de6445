"""The oracle: the best member's score per question, an upper bound for anything that picks one
member's answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def oracle(scores_by_member: Mapping[str, Sequence[float]]) -> list[float]:
    """Per question the highest score of any member."""
    return [max(column) for column in zip(*scores_by_member.values(), strict=True)]
