"""What a back end gives, what a method needs, and whether the two fit: decided from facts, with
nothing loaded.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from moco.types import AnswerKind


class Access(enum.Flag):
    """What may be asked of a model. A set, not a ladder."""

    TEXT = enum.auto()
    """Answer a prompt."""
    PREFIX = enum.auto()
    """Continue a started answer."""
    LOGPROBS = enum.auto()
    """Log-probabilities of given and of emitted tokens."""
    LOGITS = enum.auto()
    """The full next-token distribution, step by step (joint decoding)."""
    HIDDEN = enum.auto()
    """Hidden states."""
    EMBED = enum.auto()
    """One vector per text."""
    REWARD = enum.auto()
    """One number per (prompt, answer)."""
    WEIGHTS = enum.auto()
    """Its parameters (merging, composition)."""
    TRAIN = enum.auto()
    """Gradients."""

    @property
    def words(self) -> str:
        """The flags by name, for messages."""
        return (
            ", ".join(flag.name.lower() for flag in Access if flag in self and flag.name)
            or "nothing"
        )


NONE = Access(0)
CAUSAL = (
    Access.TEXT
    | Access.PREFIX
    | Access.LOGPROBS
    | Access.LOGITS
    | Access.HIDDEN
    | Access.EMBED
    | Access.WEIGHTS
    | Access.TRAIN
)
"""What a local causal language model gives."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model without loading it: read from its files' headers or from the
    catalogue.
    """

    access: Access
    architecture: str = ""
    """Architecture class and every shape that decides whether weights can be combined, as one
    string.
    """
    tokenizer: str = ""
    """Digest of the vocabulary (token string → id) and special ids."""
    base: str = ""
    """For an adapter: digest of the base it was trained on; for a full model its own digest."""
    adapter: bool = False
    num_parameters: int = 0
    """Adapter members: those of the base and the adapter together."""
    context: int = 0
    """Longest sequence in tokens; 0 = unknown."""
    vocab_size: int = 0
    hidden_size: int = 0
    dtype: str = ""
    """Data type of the stored weights: float32, bfloat16, float16."""
    template: bool = False
    """Whether the tokenizer has a chat template."""
    stop_ids: tuple[int, ...] = ()
    num_bytes: int = 0
    """Memory that the loaded weights take in their stored type."""
    licence: str = ""


SameFact = Literal["architecture", "tokenizer", "base"]


@dataclass(frozen=True, slots=True)
class RoleNeed:
    """A role that a method gives to a model: `default` says who takes it when the config names
    nobody.
    """

    access: Access = Access.TEXT
    required: bool = False
    default: Literal["none", "dev-best", "first", "last", "embedder"] = "none"
    same: frozenset[SameFact] = frozenset()
    """Facts that it must share with the members."""
    adapters_bring: bool = False
    """Whether members that are adapters come with it: it is required of full checkpoints only."""


@dataclass(frozen=True, slots=True)
class Requires:
    """What a method needs of its pool, roles and data."""

    access: Access = Access.TEXT
    """Every member must give all of this."""
    optional: Access = NONE
    """Used where a member gives it."""
    min_models: int = 1
    max_models: int | None = None
    same: frozenset[SameFact] = frozenset()
    """Facts that all members must share."""
    roles: Mapping[str, RoleNeed] = field(default_factory=dict)
    answers: frozenset[AnswerKind] | None = None
    """Answer kinds it can work with; None = all."""
    dev: bool = False
    """Whether it learns or chooses on dev."""
    transductive: bool = False
    """Whether a prediction may depend on the other queries."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a run cannot start, or (`note`) something worth knowing about it."""

    where: str
    what: str
    fix: str = ""
    note: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.fix})" if self.fix else "")


def check(
    needs: Requires,
    facts: Mapping[str, ModelFacts | None],
    roles: Mapping[str, ModelFacts | None] | None = None,
    kinds: Sequence[AnswerKind] = (),
    has_dev: bool = True,
) -> list[Problem]:
    """Every way in which the pool breaks `needs`, in words; unknown facts give notes, not problems.

    `facts` maps member aliases, in pool order, to their facts (None = not on this machine and not
    in the catalogue); `roles` does the same for the roles that the config names; `kinds` are the
    task's answer kinds.
    """
    return [
        *check_size(needs, list(facts)),
        *_check_members(needs, facts),
        *_check_same(needs, facts),
        *_check_roles(needs, roles or {}, [f for f in facts.values() if f is not None]),
        *_check_task(needs, kinds, has_dev),
    ]


def check_size(needs: Requires, aliases: Sequence[str]) -> list[Problem]:
    """What is wrong with the number of members."""
    n = len(aliases)
    if n < needs.min_models:
        fix = "add members to the pool; one model may be listed several times"
        return [Problem("pool", f"needs at least {needs.min_models} models, has {n}", fix)]
    if needs.max_models is not None and n > needs.max_models:
        return [
            Problem("pool", f"takes at most {needs.max_models} models, has {n}", "remove members")
        ]
    return []


def _check_members(needs: Requires, facts: Mapping[str, ModelFacts | None]) -> list[Problem]:
    problems = []
    for alias, known in facts.items():
        if known is None:
            problems.append(Problem(f"pool.{alias}", "unknown until pulled", note=True))
            continue
        missing = needs.access & ~known.access
        if missing:
            problems.append(
                Problem(
                    f"pool.{alias}",
                    f"does not give {missing.words}",
                    f"it gives {known.access.words}",
                )
            )
    return problems


SAME_WORDS: Mapping[SameFact, str] = {
    "architecture": "architecture (type and tensor shapes)",
    "tokenizer": "vocabulary",
    "base": "base model",
}


def _check_same(needs: Requires, facts: Mapping[str, ModelFacts | None]) -> list[Problem]:
    problems = []
    for fact in sorted(needs.same):
        known = {alias: getattr(f, fact) for alias, f in facts.items() if f is not None}
        first = next(iter(known), None)
        for alias, value in known.items():
            if first is not None and value != known[first]:
                problems.append(
                    Problem(
                        f"pool.{alias}",
                        f"differs from '{first}' in its {SAME_WORDS[fact]}",
                        "this method combines only members that share it",
                    )
                )
    return problems


def _check_roles(
    needs: Requires, roles: Mapping[str, ModelFacts | None], members: Sequence[ModelFacts]
) -> list[Problem]:
    problems = []
    brought = bool(members) and all(own.adapter for own in members)
    for name, known in roles.items():
        if name not in needs.roles:
            problems.append(
                Problem(
                    f"roles.{name}",
                    "neither the method nor the task's scorer has such a role",
                    "known here: " + (", ".join(needs.roles) or "none"),
                )
            )
        elif known is None:
            problems.append(Problem(f"roles.{name}", "unknown until pulled", note=True))
        elif missing := needs.roles[name].access & ~known.access:
            problems.append(Problem(f"roles.{name}", f"does not give {missing.words}"))
        elif needs.roles[name].adapters_bring and known.adapter:
            problems.append(
                Problem(
                    f"roles.{name}",
                    "is an adapter on a checkpoint; differences are taken to whole checkpoints",
                    "merge it into its base first (`moco merge`)",
                )
            )
        elif (
            brought
            and needs.roles[name].adapters_bring
            and any(own.base != known.base for own in members)
        ):
            problems.append(
                Problem(
                    f"roles.{name}",
                    "is not the base that the adapters were made for",
                    "leave it out: adapters bring their base",
                )
            )
        else:
            problems += [
                Problem(
                    f"roles.{name}",
                    f"differs from the members in its {SAME_WORDS[fact]}",
                    "name the model that they were made from",
                )
                for fact in sorted(needs.roles[name].same)
                if any(getattr(own, fact) != getattr(known, fact) for own in members)
            ]
    for name, need in needs.roles.items():
        if brought and need.adapters_bring:
            continue
        if need.required and need.default == "none" and name not in roles:
            problems.append(
                Problem(
                    f"roles.{name}",
                    "is required and has no default",
                    f"name a model, as in roles: {{{name}: MODEL}}",
                )
            )
    return problems


def _check_task(needs: Requires, kinds: Sequence[AnswerKind], has_dev: bool) -> list[Problem]:
    problems = []
    if needs.answers is not None:
        for kind in dict.fromkeys(kinds):
            if kind not in needs.answers:
                problems.append(
                    Problem(
                        "task",
                        f"answers of kind '{kind}' are not supported by this method",
                        "it works on: " + ", ".join(sorted(needs.answers)),
                    )
                )
    if needs.dev and not has_dev:
        problems.append(
            Problem(
                "task.dev",
                "this method chooses or learns on dev, and dev is empty",
                "set task.dev to at least 1",
            )
        )
    return problems
