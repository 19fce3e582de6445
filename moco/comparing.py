"""Which of two answers is better, and how good one is, in one place for rankers, judges and duels.
Pairs are asked in both orders, so that no position wins; what cannot be read is missing, never a
made-up score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from moco import prompts
from moco.access import Access
from moco.errors import PromptTooLongError
from moco.model import Model
from moco.types import Choice, Prompt, Query, Sampling

LABELS = ("A", "B")
DIGITS = tuple("0123456789")
"""Labels of the marks 1 to 10: no label may be the start of another, as 1 is of 10."""
LOWEST, HIGHEST = 1.0, 10.0
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
    without a call; a pair that does not fit the judge's context is missing.
    """
    found = [TIE] * len(pairs)
    open_, asked, ids = [], list[Prompt](), []
    for i, pair in enumerate(pairs):
        if pair.equal:
            continue
        orders = ((pair.first, pair.second), (pair.second, pair.first))
        try:
            asked += [prompts.pick(pair.query, texts, spare=room_of(judge)) for texts in orders]
        except PromptTooLongError:
            found[i] = Preference(None)
            continue
        open_.append(i)
        ids += [pair.query.id] * 2
    picks = judge.choose(asked, LABELS, stage=stage, query_ids=ids)
    scored = judge.gives(Access.LOGPROBS)
    for place, i in enumerate(open_):
        one, other = picks[2 * place], picks[2 * place + 1]
        found[i] = _by_margin(one, other) if scored else _by_labels(one, other)
    return found


def grade(
    judge: Model, answers: Sequence[tuple[Query, str]], *, stage: str = "grade"
) -> list[float | None]:
    """One mark from 1 (useless) to 10 (right and complete) per (question, answer).

    By log-probabilities the mean of the marks, each weighted by the probability of its label; a
    judge that gives text only names one, strictly read and asked for once more. None = missing, as
    where an answer does not fit the judge's context.
    """
    found: list[float | None] = [None] * len(answers)
    open_, asked = [], list[Prompt]()
    for i, (query, text) in enumerate(answers):
        try:
            asked.append(prompts.grade(query, text, DIGITS, spare=room_of(judge)))
        except PromptTooLongError:
            continue
        open_.append(i)
    ids = [answers[i][0].id for i in open_]
    picks = judge.choose(asked, DIGITS, stage=stage, query_ids=ids)
    read = _expected if judge.gives(Access.LOGPROBS) else _named
    for i, pick in zip(open_, picks, strict=True):
        found[i] = read(pick)
    return found


def _expected(pick: Choice) -> float | None:
    top = max(pick.scores)
    shares = [math.exp(score - top) for score in pick.scores]
    mean = math.fsum(i * share for i, share in enumerate(shares)) / math.fsum(shares)
    return round(LOWEST + mean, 4)


def _named(pick: Choice) -> float | None:
    return None if pick.index is None else LOWEST + pick.index


def _by_margin(one: Choice, other: Choice) -> Preference:
    margin = (one.scores[0] - one.scores[1] - other.scores[0] + other.scores[1]) / 2
    margin = round(margin, 4)
    return Preference(1.0 if margin > 0 else 0.0 if margin < 0 else 0.5, margin)


def _by_labels(one: Choice, other: Choice) -> Preference:
    if one.index is None or other.index is None:
        return Preference(None)
    return Preference((1 - one.index + other.index) / 2)
