"""How a language model is asked who should answer a question: members stand in labelled lines."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from moco.choosing import MAX_TOKENS, Ballot
from moco.pool import Model, Pool
from moco.prompts import labels_for, shorten
from moco.routing.describe import describe
from moco.routing.table import DevTable
from moco.scorers.judging import longest_fit
from moco.types import Query, Sampling

ROLE = "router"
"""The role of the model that is asked."""
TASK = (
    "Your job is to hand a question to the right assistant. Do not answer the question; decide"
    " which of the assistants below is the likeliest to answer it correctly."
)
QUESTION = "Question:\n{question}"
ASSISTANTS = "Assistants:\n{lines}"
DEV_SCORE = "{description} Mean score on sample questions: {score:.2f}."
ASK = "Which assistant should get the question? Reply with its label alone: {labels}"
NO_QUESTION = "N/A"
"""Stands for the question in the content-free prompt."""
RETRY_TOKENS = 32
"""Room for the stricter request of a retry."""


def lines_of(pool: Pool, table: DevTable, *, scores: bool) -> list[str]:
    """How each member is described: by its config (with its mean dev score if `scores`), else by
    its dev answers; never by its alias.
    """
    return [_line(pool, table, member, scores) for member in range(len(table.names))]


def _line(pool: Pool, table: DevTable, member: int, scores: bool) -> str:
    own = " ".join(pool.named(table.names[member]).spec.description.split())
    if not own:
        return describe(table, member)
    if not scores:
        return own
    sentence = own if own[-1] in ".!?" else f"{own}."
    return DEV_SCORE.format(description=sentence, score=table.means[member])


def ballot(
    router: Model,
    query: Query,
    lines: Sequence[str],
    standing: Sequence[float],
    prior: Sequence[float] = (),
    *,
    calibrated: bool = False,
) -> Ballot | None:
    """The question and the members; long texts are shortened to the router's context, None where
    that cannot be enough. With `calibrated` the scores without a question are taken off.
    """
    question = query.body or query.text
    limit = max(len(text) for text in (question, *lines))
    reserved = Sampling(max_tokens=MAX_TOKENS + RETRY_TOKENS)

    def show(order: Sequence[int], text: str = question, most: int | None = None) -> str:
        return _prompt(text, [lines[member] for member in order], limit if most is None else most)

    made = Ballot(
        options=tuple(lines),
        show=show,
        blank=(lambda order: show(order, NO_QUESTION)) if calibrated else None,
        prior=tuple(prior),
        standing=tuple(standing),
        query_id=query.id,
    )
    for order in made.orders:
        build = functools.partial(show, order, question)
        fits = longest_fit(build, limit, lambda prompt: router.spare(prompt, reserved))
        if fits is None:
            return None
        limit = fits
    return made


def _prompt(question: str, lines: Sequence[str], limit: int) -> str:
    """The question, the members as labelled lines, what to do; texts of at most `limit`
    characters.
    """
    labels = labels_for(len(lines))
    shown = [shorten(line, limit).replace("\n", " ") for line in lines]
    listed = "\n".join(f"{label}. {line}" for label, line in zip(labels, shown, strict=True))
    parts = [
        TASK,
        QUESTION.format(question=shorten(question, limit)),
        ASSISTANTS.format(lines=listed),
        ASK.format(labels=", ".join(labels)),
    ]
    return "\n\n".join(parts)
