"""A pick among labelled options, in one place for routers, verifiers and judges: from scores that
do not depend on the order in which options are shown, or strictly from text.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from moco.prompts import labels_for, replace_last_user
from moco.types import Choice, Prompt, messages

RETRY = "\n\nReply with exactly one of: {labels}. Nothing else."
MAX_TOKENS = 8
"""Room for a label that is asked for in words."""

Show = Callable[[Sequence[int]], Prompt]
"""The prompt that shows options in this order under `labels_for`: option `order[k]` has label k."""


@dataclass(frozen=True)
class Ballot:
    """One choice among options, such that the order in which they are given does not matter.

    They are put into a canonical order by their texts and shown in all its cyclic orders. Options
    of equal text cannot be told apart and are shown once; the one of them with the best prior, then
    the best standing, stands for them.
    """

    options: tuple[str, ...]
    """The text by which each option is shown."""
    show: Show
    """The prompt of an order; an order may leave out options of equal text."""
    blank: Show | None = None
    """The same prompt without its content, whose scores are taken off; None = nothing is."""
    prior: tuple[float, ...] = ()
    """Added to the options' scores (nats); empty = none. Has no part in a choice by text."""
    standing: tuple[float, ...] = ()
    """Who wins a tie, such as dev scores; higher is better, empty = all alike."""
    query_id: str = ""

    @functools.cached_property
    def order(self) -> tuple[int, ...]:
        """The canonical order: one option of each text, sorted by text."""
        first: dict[str, int] = {}
        for option in sorted(range(len(self.options)), key=self._rank):
            first.setdefault(self.options[option], option)
        return tuple(first[text] for text in sorted(first))

    @property
    def labels(self) -> tuple[str, ...]:
        """The label at each place of an order."""
        return labels_for(len(self.order))

    @property
    def orders(self) -> list[tuple[int, ...]]:
        """The cyclic orders of the canonical one."""
        return [self.order[i:] + self.order[:i] for i in range(len(self.order))]

    def prompts(self) -> tuple[list[Prompt], list[Prompt]]:
        """(prompts, their content-free twins), one per cyclic order; no twins without `blank`."""
        blank = self.blank
        shown = [self.show(order) for order in self.orders]
        return shown, [] if blank is None else [blank(order) for order in self.orders]

    def _rank(self, option: int) -> tuple[float, float, int]:
        prior = self.prior[option] if self.prior else 0.0
        return -prior, -(self.standing[option] if self.standing else 0.0), option

    def result(self, totals: Sequence[Sequence[float]]) -> Choice:
        """The choice from the log-probability of each label (nats): a row per prompt of `prompts`,
        then a row per twin, a column per label.

        An option's score is the mean over the orders of log p(its label | prompt) − log p(the same
        label | twin), plus its prior, rounded to 4 decimals. Ties go to the better standing, then
        to the earlier text.
        """
        n = len(self.order)
        places = {option: place for place, option in enumerate(self.order)}
        scores: list[float] = []
        for text in self.options:
            option = next(o for o in self.order if self.options[o] == text)
            found = []
            for turn in range(n):
                label = (places[option] - turn) % n
                twin = totals[n + turn][label] if self.blank is not None else 0.0
                found.append(totals[turn][label] - twin)
            prior = self.prior[option] if self.prior else 0.0
            scores.append(round(math.fsum(found) / n + prior, 4))
        best = min(self.order, key=lambda o: (-scores[o], self._rank(o)[1], places[o]))
        return Choice(best, tuple(scores), "orders")


def by_score(scores: Sequence[float]) -> Choice:
    """The option of highest log-likelihood, the first on ties; scores are rounded to 4 decimals
    before comparing.
    """
    rounded = tuple(round(s, 4) for s in scores)
    return Choice(max(range(len(rounded)), key=lambda i: (rounded[i], -i)), rounded, "logprob")


WORD = r"(?:(?:model|option|answer|choice|assistant|number)\s*(?:is)?\s*[:#=]?\s*)"
NEGATED = re.compile(
    r"\b(?:no|not|none|neither|nor|never|nobody|cannot|except|but)\b|n['’]t\b", re.I
)
"""Words by which a label may be named without being chosen."""


def by_text(text: str, labels: Sequence[str], *, retry: bool = False) -> Choice:
    """The label that a short text names; anything that leaves a doubt is no choice.

    In this order: the first line is the label, perhaps after a word such as `option` and before
    punctuation (rule `line`); it starts with the label and a full stop, bracket or colon (`start`);
    it says that this label is chosen or best (`phrase`); exactly one label stands free in the text
    (`mention`). The last two do not hold where something is negated, and none but the first where
    two labels are joined or listed.
    """
    lines = text.strip().splitlines()
    first = re.sub(r"[*`_$]", "", lines[0]).strip() if lines else ""
    label = "|".join(re.escape(known) for known in sorted(labels, key=len, reverse=True))
    found, rule = _in_line(first, text, label)
    if found is None and not NEGATED.search(text) and not _joined(text, label):
        named = {m.group(1).upper() for m in re.finditer(_free(label), text)}
        found, rule = (named.pop(), "mention") if len(named) == 1 else (None, "none")
    if found is None:
        return Choice(None, rule="none")
    place = next(i for i, known in enumerate(labels) if known.lower() == found.lower())
    return Choice(place, rule="retry" if retry else rule)


def _in_line(first: str, text: str, label: str) -> tuple[str | None, str]:
    """What the first line says, by its form."""
    whole = re.fullmatch(rf"{WORD}?[(\[]?({label})[)\].:,!]*", first, re.I)
    if whole is not None:
        return whole.group(1), "line"
    alone = rf"(?!\W*(?:(?:or|and|to|through|versus|vs)\b|[,/&–-])?\s*{WORD}?[(\[]?(?:{label})\b)"
    item = rf"{WORD}?[(\[]?({label})[)\]]?(?:[.):]|\s[—–-])\s"
    leading = re.match(item + alone, first, re.I)
    listed = {m.group(1).lower() for m in re.finditer(rf"(?:^|[\s,;]){item}", text, re.I)}
    if leading is not None and len(listed) == 1:
        return leading.group(1), "start"
    said = r"\b(?:choose|pick|select|best(?: \w+)? is)\s+(?:the\s+)?"
    chosen = re.search(rf"{said}{WORD}?[(\[]?({label})\b(?!\.\d){alone}", first, re.I)
    if chosen is not None and not NEGATED.search(first):
        return chosen.group(1), "phrase"
    return None, ""


def _joined(text: str, label: str) -> bool:
    """Whether two labels are named together, as in `A or B` (where A is no article)."""
    other = rf"\s*(?:,|/|&|\b(?:or|and|vs|versus)\b)\s*{WORD}?[(\[]?(?:{label})\b"
    return re.search(rf"(?<!\w)(?:{label})[)\]]?{other}", text) is not None


def _free(label: str) -> str:
    """A label that is no part of a word, number, range, ratio or list without spaces, and no
    English word (`A dog`, `I think`).
    """
    article = r"(?!(?<=[AI])\s+[a-z])"
    return rf"(?<!\w[-–/.,:])(?<![\w.–-])({label})(?![\w%]|[-–/.,:]\w){article}"


def retry_prompt(prompt: Prompt, labels: Sequence[str]) -> Prompt:
    """The same prompt with a stricter request at its end."""
    last = next((m.content for m in reversed(messages(prompt)) if m.role == "user"), "")
    return replace_last_user(prompt, last + RETRY.format(labels=", ".join(labels)))
