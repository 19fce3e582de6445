"""The values that travel through the library: frozen, typed, small.

A `Query` is what a method sees, a `Sample` adds the target that only scorers see. A `Request` is
one call to one model and a `Generation` its answer; a `Prediction` is what a method says about a
query and a `Score` what a scorer says about that prediction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Json: TypeAlias = Any
"""Anything `json.dumps` takes."""

AnswerKind = Literal["choice", "number", "math", "span", "boolean", "label", "list", "code", "free"]
"""How an answer is written, declared by the data set; the answer parser and the scorers go by
it.
"""

Status = Literal["parsed", "ambiguous", "abstained", "truncated", "empty", "invalid"]
"""What became of an answer: only `parsed` can score or vote; `invalid` items have no usable
gold.
"""

Stop = Literal["eos", "stop", "length", "error"]
"""Why a generation ended: the model's own end, a stop string, the token limit, or a failed call."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt: TypeAlias = str | tuple[Message, ...]
"""A conversation for the model's chat template; a plain string is one user turn."""


def messages(prompt: Prompt) -> tuple[Message, ...]:
    """The prompt as a conversation: a plain string becomes one user turn."""
    return (Message("user", prompt),) if isinstance(prompt, str) else prompt


@dataclass(frozen=True, slots=True)
class Query:
    """A question as a method sees it: no target in it."""

    id: str
    """Unique within a run."""
    prompt: Prompt
    """The task's plain prompt, answer-format line included."""
    kind: AnswerKind = "free"
    choices: tuple[str, ...] = ()
    """Option texts in display order; option i is shown under the letter A + i."""
    labels: tuple[str, ...] = ()
    """For `label` and `boolean`: the words an answer may be, in canonical spelling."""
    bare: str = ""
    """The question alone, without options and without the answer-format line."""
    body: str = ""
    """The question with its options, without the answer-format line; empty = the prompt's own
    text.
    """
    format_line: str = ""
    """The sentence that says how to write the answer; repeated last in every prompt whose output
    is parsed.
    """
    tolerance: float = 0.0
    """Relative tolerance of `number` and `list` answers where the data set declares one; 0
    compares exactly.
    """

    @property
    def text(self) -> str:
        """The last user turn of the prompt."""
        return next((m.content for m in reversed(messages(self.prompt)) if m.role == "user"), "")


@dataclass(frozen=True, slots=True)
class Sample:
    """A query with its target, as tasks make it and scorers read it."""

    query: Query
    target: tuple[str, ...]
    """Acceptable answers (a choice item: the letter); empty when the item has no usable gold."""
    meta: Mapping[str, Json] = field(default_factory=dict)
    """The data set's other members (domain, group, original id …), kept for slices."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy decoding."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One call to one model."""

    model: str
    """Alias of the model in its pool."""
    prompt: Prompt
    sampling: Sampling = Sampling()
    prefix: str = ""
    """A started answer that the model continues; the generation's text does not repeat it."""
    draw: int = 0
    """Sample index: different draws of one request are independent at temperature > 0."""
    top_logprobs: int = 0
    """How many alternatives per token to report, where the back end can."""
    query_id: str = ""
    """For the records only; never in a cache key."""
    stage: str = ""
    """For the records only; never in a cache key."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call cost. Token positions read count every position a model's forward pass saw."""

    prompt_tokens: int = 0
    generated_tokens: int = 0
    positions: int = 0
    """Token positions read, prompts and own tokens together."""
    rolled_back: int = 0
    """Positions read and then discarded (drafts, re-tokenised joints)."""
    flops: float = 0.0
    """Forward floating-point operations: 2 × parameters × positions."""
    seconds: float = 0.0
    """This call's share of the batch's wall time."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            *(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(Usage))
        )


@dataclass(frozen=True, slots=True)
class Generation:
    """A model's answer to a request."""

    text: str
    stop: Stop
    usage: Usage = Usage()
    logprobs: tuple[float, ...] = ()
    """Log-probability (nats, temperature 1) of each emitted token, its end token included."""
    token_ids: tuple[int, ...] = ()
    """The emitted tokens in the model's own vocabulary, end token included; empty for hosted
    models.
    """
    top: tuple[tuple[tuple[str, float], ...], ...] = ()
    """For each token the `top_logprobs` most probable (text, log-probability) pairs."""
    reasoning: str = ""
    """What the model thought aloud before its answer, taken out of `text`."""
    notes: Mapping[str, Json] = field(default_factory=dict)
    """Provenance of a joint generation (which model wrote which bytes)."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A method's final text for one query."""

    query_id: str
    text: str
    by: tuple[str, ...] = ()
    """Aliases of the models that wrote or chose it."""
    stop: Stop = "eos"
    """How the final text ended; `length` marks a truncated answer."""
    notes: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Score:
    """A scorer's verdict on one prediction, `value` in [0, 1] unless the scorer says otherwise."""

    value: float
    answer: str | None = None
    """The canonical form of what was understood, None where nothing was."""
    status: Status = "parsed"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A model's pick among labelled options."""

    index: int | None
    """0-based; None when the text could not be read as one option."""
    scores: tuple[float, ...] = ()
    """Score per option (nats, rounded to 4 decimals) where the model gives log-likelihoods."""
    rule: str = ""
    """How it was decided: by scores (`logprob`, `orders`), by a text's form (`line`, `start`,
    `phrase`, `mention`), by the text of a `retry`, with one option `only`, or not at all (`none`).
    """


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One setting of a router's or a cascade's knob, as a plan over the members' own answers: what
    it would have answered and paid, with no model asked.
    """

    knob: float
    """The cost weight of a router, the bound on mean cost of a cascade."""
    by: tuple[str, ...]
    """Whose answer is given, one alias per query."""
    asked: tuple[tuple[str, ...], ...]
    """Who is asked for it, per query: everybody up to the one that answers."""
