"""Which of two answers is better, in one place for rankers, judges and duels: asked in both orders,
so that no position wins; what cannot be read is missing, never a made-up score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from moco import prompts
from moco.access import Access
from moco.model import Model
from moco.types import Choice, Prompt, Query, Sampling

LABELS = ("A", "B")
ROOM = Sampling(max_tokens=40)
"""What a judge's label and a retry may take of its context."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one question."""

    query: Query
    first: str
    second: str

    @property
    def equal(self) -> bool:
        """Whether there is nothing to compare."""
        return self.first.strip() == self.second.strip()


@dataclass(frozen=True, slots=True)
class Preference:
    """What a judge thinks of a pair."""

    share: float | None
    """1 = the first is better, 0 = the second, 0.5 = a tie; None = missing."""
    margin: float | None = None
    """How much better the first is (nats), where the judge gives log-probabilities: half the
    difference of the two orders' log-odds, in which a liking for a position cancels.
    """


TIE = Preference(0.5, 0.0)


def room_of(judge: Model) -> Callable[[Prompt], int]:
    """How many tokens a prompt leaves free in the judge's context, room for its label taken off."""
    return lambda prompt: judge.spare(prompt, ROOM)


def compare(judge: Model, pairs: Sequence[Pair], *, stage: str = "compare") -> list[Preference]:
    """One preference per pair, from both orders in one job.

    By the log-probabilities of the labels; a judge that gives text only names a label, strictly
    read and asked for once more, and wins where both orders agree, else ties. Equal texts tie
    without a call.
    """
    open_ = [i for i, pair in enumerate(pairs) if not pair.equal]
    asked, ids = [], []
    for i in open_:
        pair = pairs[i]
        for texts in ((pair.first, pair.second), (pair.second, pair.first)):
            asked.append(prompts.pick(pair.query, texts, spare=room_of(judge)))
            ids.append(pair.query.id)
    picks = judge.choose(asked, LABELS, stage=stage, query_ids=ids)
    scored = judge.gives(Access.LOGPROBS)
    found = [TIE] * len(pairs)
    for place, i in enumerate(open_):
        one, other = picks[2 * place], picks[2 * place + 1]
        found[i] = _by_margin(one, other) if scored else _by_labels(one, other)
    return found


def _by_margin(one: Choice, other: Choice) -> Preference:
    margin = (one.scores[0] - one.scores[1] - other.scores[0] + other.scores[1]) / 2
    margin = round(margin, 4)
    return Preference(1.0 if margin > 0 else 0.0 if margin < 0 else 0.5, margin)


def _by_labels(one: Choice, other: Choice) -> Preference:
    if one.index is None or other.index is None:
        return Preference(None)
    return Preference((1 - one.index + other.index) / 2)
