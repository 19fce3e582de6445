"""What the scorers that ask a model share: the reply without its reasoning, the model of a role,
prompts that fit its context, and yes-or-no verdicts with one retry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from moco.answers.cleaning import characters, drop_reasoning
from moco.choosing import retry_prompt
from moco.errors import RequirementError
from moco.model import Model
from moco.tasks.reading import well_formed
from moco.types import Generation, Prediction, Prompt, Sampling, Status

VERDICTS = ("Yes", "No")
REASON_TOKENS = 512
"""Room for a judge's reasons and verdict; of a small context at most a quarter."""
RETRY_TOKENS = 32
"""Room for the stricter request of a retry."""
MIN_CHARACTERS = 100
"""Of a text that is shortened to fit a context so much is kept, or the item is not judged."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a prediction says, its reasoning dropped."""

    text: str
    status: Status
    """`parsed`, or why there is nothing to judge: `empty`, `truncated`."""
    why: str = ""


def reply_of(prediction: Prediction) -> Reply:
    """The text to judge; reasoning that never closes means that the answer never came."""
    kept, unclosed = drop_reasoning(prediction.text)
    text = well_formed(kept).strip()
    if unclosed:
        return Reply("", "truncated", "the reasoning was not closed")
    if text:
        return Reply(text, "parsed")
    if prediction.stop == "length":
        return Reply("", "truncated", "cut off before an answer")
    return Reply("", "empty", "the call failed" if prediction.stop == "error" else "empty output")


def optional(roles: Mapping[str, object], role: str) -> Model | None:
    """The model of a role, None where nobody has it."""
    model = roles.get(role)
    if model is not None and not isinstance(model, Model):
        raise TypeError(f"role '{role}' must be a moco.Model, is a {type(model).__name__}")
    return model


def required(roles: Mapping[str, object], role: str, scorer: str) -> Model:
    """The model of a role; RequirementError where nobody has it."""
    model = optional(roles, role)
    if model is None:
        raise RequirementError(
            f"roles.{role}: the scorer '{scorer}' needs a model in this role; add one to the"
            f" config, as in roles: {{{role}: MODEL}}, or choose another task.scorer"
        )
    return model


def longest_fit(
    build: Callable[[int], Prompt], longest: int, spare: Callable[[Prompt], int]
) -> int | None:
    """The greatest number of characters up to `longest` with which the prompt leaves the context no
    less than nothing (`spare` ≥ 0); None where `MIN_CHARACTERS` are too many.
    """
    if spare(build(longest)) >= 0:
        return longest
    low, high = min(MIN_CHARACTERS, longest), longest
    if spare(build(low)) < 0:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if spare(build(middle)) >= 0 else (low, middle)
    return low


@dataclass(frozen=True, slots=True)
class Case:
    """One question for a judge."""

    query_id: str
    build: Callable[[int], str]
    """The prompt with at most so many characters of each long text."""
    longest: int
    """The limit that the scorer itself sets, in characters."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge decided."""

    yes: bool | None
    """None: it could not be asked, or could not be read after one retry."""
    why: str


def decide(judge: Model, cases: Sequence[Case], stage: str) -> list[Verdict]:
    """One verdict per case, greedy; a reply that cannot be read is asked for once more."""
    context = judge.facts.context
    room = min(REASON_TOKENS, context // 4) if context else REASON_TOKENS
    asked = Sampling(max_tokens=room)
    reserved = Sampling(max_tokens=room + RETRY_TOKENS)
    limits = [longest_fit(c.build, c.longest, lambda p: judge.spare(p, reserved)) for c in cases]
    prompts = {
        i: case.build(limit)
        for i, (case, limit) in enumerate(zip(cases, limits, strict=True))
        if limit is not None
    }
    found = _ask(judge, cases, prompts, stage, asked)
    again = {i: retry_prompt(prompts[i], VERDICTS) for i, yes in found.items() if yes is None}
    found |= _ask(judge, cases, again, stage, asked)
    return [_verdict(judge, i in prompts, found.get(i), i in again) for i in range(len(cases))]


def _ask(
    judge: Model, cases: Sequence[Case], prompts: Mapping[int, Prompt], stage: str, used: Sampling
) -> dict[int, bool | None]:
    ids = [cases[i].query_id for i in prompts]
    replies = judge.ask(list(prompts.values()), stage=stage, sampling=used, query_ids=ids)
    return {i: read_verdict(reply) for i, reply in zip(prompts, replies, strict=True)}


def _verdict(judge: Model, fits: bool, yes: bool | None, retried: bool) -> Verdict:
    if not fits:
        return Verdict(None, f"the item does not fit the context of '{judge.name}'")
    retry = ", asked again" if retried else ""
    if yes is None:
        return Verdict(None, f"no verdict of '{judge.name}' could be read{retry}")
    return Verdict(yes, f"'{judge.name}' says {'yes' if yes else 'no'}{retry}")


_VERDICT = re.compile(
    r"^[\s*_`#]*(?:(?:final|my)\s+)?(?:verdict|decision|judge?ment)[\s*_`]*[:=][\s*_`]*(.*)$",
    re.IGNORECASE | re.MULTILINE,
)


def read_verdict(reply: Generation) -> bool | None:
    """The last line that is a verdict and nothing else, or a reply that is only "yes" or "no".

    A verdict with a condition, in quotation marks or on a quoted line is none, and neither is one
    that was cut off.
    """
    kept, unclosed = drop_reasoning(reply.text)
    if unclosed or reply.stop in ("length", "error"):
        return None
    text = characters(kept).strip()
    marks = list(_VERDICT.finditer(text))
    if not marks:
        return _yes_or_no(text)
    value = marks[-1][1]
    rest = text[marks[-1].end() :].strip().split("\n")
    return _yes_or_no(value if value.strip() else rest[0])


def _yes_or_no(text: str) -> bool | None:
    word = text.strip(" \t\r\n*_`.!").casefold()
    return {"yes": True, "no": False}.get(word)
