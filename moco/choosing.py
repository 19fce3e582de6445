"""Reading a pick among labelled options: from scores, or strictly from text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from moco.prompts import replace_last_user
from moco.types import Choice, Prompt, messages

RETRY = "\n\nReply with exactly one of: {labels}. Nothing else."


def by_score(scores: Sequence[float]) -> Choice:
    """The option of highest log-likelihood, the first on ties; scores are rounded to 4 decimals
    before comparing.
    """
    rounded = tuple(round(s, 4) for s in scores)
    return Choice(max(range(len(rounded)), key=lambda i: (rounded[i], -i)), rounded, "logprob")


def by_text(text: str, labels: Sequence[str], *, retry: bool = False) -> Choice:
    """The label that a short text names.

    Accepted: a first line that is the label, perhaps after `model`, `option` or `answer` and
    before punctuation; else exactly one distinct label in the whole text, standing free. Anything
    else is no choice.
    """
    rule = "retry" if retry else ""
    lines = text.strip().splitlines()
    first = re.sub(r"[*`_$]", "", lines[0]).strip() if lines else ""
    escaped = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    whole = re.fullmatch(
        rf"(?:(?:model|option|answer|choice)\s*(?:is)?\s*[:#=]?\s*)?[(\[]?({escaped})[)\].:,]?",
        first,
        re.IGNORECASE,
    )
    if whole is None:
        leading = re.match(rf"({escaped})[.):]\s", first)
        chosen = re.search(
            rf"\b(?:choose|pick|select|best(?: \w+)? is)\s+"
            rf"(?:(?:model|option|answer)\s+)?({escaped})\b",
            first,
            re.IGNORECASE,
        )
        whole = leading or chosen
    if whole is not None:
        return Choice(_position(whole.group(1), labels), rule=rule or "line")
    named = {m.group(1) for m in re.finditer(rf"(?<![\w.])({escaped})(?![\w]|\.\d)", text)}
    if len(named) == 1:
        return Choice(_position(named.pop(), labels), rule=rule or "mention")
    return Choice(None, rule="none")


def _position(label: str, labels: Sequence[str]) -> int:
    return next(i for i, known in enumerate(labels) if known.lower() == label.lower())


def retry_prompt(prompt: Prompt, labels: Sequence[str]) -> Prompt:
    """The same prompt with a stricter request at its end."""
    last = next((m.content for m in reversed(messages(prompt)) if m.role == "user"), "")
    return replace_last_user(prompt, last + RETRY.format(labels=", ".join(labels)))
