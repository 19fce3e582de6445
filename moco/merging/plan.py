"""From a merge's configuration to everything it needs, and to every reason why it cannot start; no
weights are read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moco import access, checkpoint, config, members, registry, vocabulary
from moco.access import Problem, Requires
from moco.backends.base import ModelSpec
from moco.config import Member, MemberConfig
from moco.errors import ConfigError, MissingExtraError, ModelFormatError, clip
from moco.members import Members
from moco.merging import alignment
from moco.merging.alignment import Alignment
from moco.merging.config import ALIGNED, MergeConfig
from moco.methods.merging import MergeMethod
from moco.methods.task_vectors import TaskVectors
from moco.plan import refuse
from moco.sources import hub
from moco.types import Sampling

MEANING = (
    "rope_theta", "rope_scaling", "rope_parameters", "rms_norm_eps", "layer_norm_epsilon",
    "layer_norm_eps", "sliding_window", "tie_word_embeddings", "attention_bias",
    "final_logit_softcapping", "attn_logit_softcapping",
)  # fmt: skip
"""Settings that change what weights compute without changing their shapes; a note where they
differ.
"""
SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")
UNUSED = ("executor", "max_batch_tokens", "compile", "max_calls")
"""Settings of the engine that a merge has no use for."""


@dataclass(frozen=True)
class MergePlan:
    """One merge, resolved."""

    config: MergeConfig
    method: MergeMethod[Any]
    members: Members
    parts: tuple[ModelSpec, ...]
    """What is merged, in order: the pool without the base itself."""
    base: ModelSpec | None
    """What differences are taken to; None where the rule takes none, or adapters bring theirs."""
    donor: ModelSpec
    """Whose configuration, tokenizer and template the result has."""
    alignment: Alignment | None
    """How vocabularies are lined up, where they have to be."""
    problems: tuple[Problem, ...]

    def require(self) -> None:
        """Raise RequirementError with every problem at once."""
        refuse(self.problems)

    @property
    def models(self) -> tuple[ModelSpec, ...]:
        """Every model whose weights take part, each once."""
        found = {(m.path, m.adapter): m for m in (*self.parts, *([self.base] if self.base else []))}
        return tuple(found.values())

    @property
    def adapters(self) -> bool:
        """Whether adapters are merged."""
        return all(part.adapter is not None for part in self.parts)


def plan(
    given: MergeConfig, *, pull: bool, accept_licence: bool = False, files: bool = True
) -> MergePlan:
    """Resolve a merge; with `pull=False` nothing is written or downloaded, so that what is wrong
    may be told before anything is.
    """
    method = build_method(given, files=files)
    config.memory_bytes(given.engine.memory)
    return _planned(given, method, pull=pull, accept=accept_licence)


def build_method(given: MergeConfig, *, files: bool = True) -> MergeMethod[Any]:
    """The merge with its hyperparameters. Raises `ConfigError` for methods that merge nothing, or
    only after they have seen a task.
    """
    name = config.method_name(given.method)
    cls = registry.load("method", name, files=files)
    if not issubclass(cls, MergeMethod):
        if cls.level == "weight":
            raise ConfigError(_needs_dev(name))
        raise ConfigError(
            f"method {clip(name)}: works on answers, not on weights; moco merge takes"
            f" {', '.join(_merges())}"
        )
    own = {} if isinstance(given.method, str) else {**given.method}
    own.pop("name", None)
    method: MergeMethod[Any] = config.parse(cls, own, where=f"method {clip(name)}")
    if method.needs().dev:
        raise ConfigError(_needs_dev(name))
    return method


def _needs_dev(name: str) -> str:
    return (
        f"method {clip(name)}: learns or chooses on dev with these settings, so it needs a task:"
        " `moco run` is the way; `moco merge` takes rules that need none"
    )


def _merges() -> list[str]:
    found = {name: registry.load("method", name) for name in registry.names("method")}
    return [n for n, cls in found.items() if issubclass(cls, MergeMethod) and not cls.requires.dev]


def _planned(
    given: MergeConfig, method: MergeMethod[Any], *, pull: bool, accept: bool
) -> MergePlan:
    pinned, pins = _pinned(given, pull)
    found = members.resolve(pinned.shared(), pull=pull, accept_licence=accept)
    named = found.roles.get("base")
    parts = _parts(method, found.pool, named)
    adapters = all(part.adapter is not None for part in parts)
    base = named if method.on == "deltas" and not adapters else None
    aligned = bool(given.tokenizer) and not adapters
    donor, problems = _donor(given, found, parts, base)
    taking = [*parts, *([base] if base is not None else [])]
    alignments = _alignment(given, taking, donor) if aligned else None
    notes = [*pins, *given.notes, *(alignments.notes if alignments else ())]
    problems += [
        *_unfit(given, method, found, parts),
        *_mismatches([*taking, *([] if donor in taking else [donor])], aligned),
        *_layers(given, taking),
        *_template_faults(given),
        *_differences(taking, donor, given),
        *_unused(given),
        *(Problem("config", line, note=True) for line in notes),
    ]
    kept = alignments if alignments is not None and _needed(alignments, taking) else None
    return MergePlan(pinned, method, found, tuple(parts), base, donor, kept, tuple(problems))


def _parts(
    method: MergeMethod[Any], pool: Sequence[ModelSpec], base: ModelSpec | None
) -> list[ModelSpec]:
    """The pool; of a rule on differences without the base itself, which has none."""
    if method.on != "deltas" or base is None:
        return list(pool)

    def same(part: ModelSpec) -> bool:
        if part.fingerprint and base.fingerprint:
            return part.fingerprint == base.fingerprint
        return (part.ref, part.path, part.adapter) == (base.ref, base.path, base.adapter)

    return [part for part in pool if not same(part)] or list(pool)


def _unfit(
    given: MergeConfig, method: MergeMethod[Any], found: Members, parts: Sequence[ModelSpec]
) -> list[Problem]:
    """What breaks the rule's requirements, apart from what must be the same."""
    needs = method.needs()
    if isinstance(method, TaskVectors):  # one task vector may be scaled, or taken away
        needs = replace(needs, min_models=1)
    roles = {role: replace(need, same=frozenset()) for role, need in needs.roles.items()}
    bare: Requires = replace(needs, same=frozenset(), roles=roles)
    asked = {role: own for role, own in found.role_facts().items() if role != "tokenizer"}
    if "base" not in roles and "base" in (given.tokenizer, given.files):
        asked.pop("base", None)  # it lends its files
    return [
        *access.check(bare, {own.name: own.facts for own in parts}, asked, [], has_dev=False),
        *method.problems(found.facts(), Sampling()),
    ]


def _donor(
    given: MergeConfig, found: Members, parts: Sequence[ModelSpec], base: ModelSpec | None
) -> tuple[ModelSpec, list[Problem]]:
    """Whose files the result gets."""
    key = "tokenizer" if given.tokenizer else "files"
    name = given.tokenizer or given.files
    named = base or found.roles.get("base")
    if name == "base":
        own = next((part for part in parts if part.name == "base"), None)
        if named is not None or own is not None or parts[0].adapter is not None:
            return named or own or parts[0], []
        fix = "name one, as in roles: {base: MODEL}"
        return parts[0], [Problem(key, "is 'base', and no base is named", fix)]
    if name in ALIGNED:
        return parts[0], []
    if key == "tokenizer":
        return found.roles["tokenizer"], []
    spec = next((own for own in found.pool if own.name == name), None)
    wrong = [Problem("files", f"'{clip(name)}' is no member", "write first, base or a member")]
    return spec or parts[0], [] if spec is not None else wrong


def _mismatches(models: Sequence[ModelSpec], aligned: bool) -> list[Problem]:
    """Models whose weights do not match the first one's, each with the reason."""
    first = models[0]
    problems = []
    for other in models[1:]:
        if first.facts is None or other.facts is None or other.adapter is not None:
            continue  # adapters have one base, which is checked apart
        if reason := _architecture(first, other, aligned):
            what = f"differs from '{first.name}' in its architecture: {reason}"
            fix = "only models of one architecture merge"
            if not aligned and not _architecture(first, other, aligned=True):
                fix = "line the vocabularies up by token with tokenizer: first, base or union"
            problems.append(Problem(f"pool.{other.name}", what, fix))
        elif not aligned and first.facts.tokenizer != other.facts.tokenizer:
            what = f"differs from '{first.name}' in its vocabulary"
            if first.path is not None and other.path is not None:
                what += f": {alignment.why_not_the_same_words(first.path, other.path)}"
            fix = "line them up by token with tokenizer: first, base or union"
            problems.append(Problem(f"pool.{other.name}", what, fix))
    return problems


def _architecture(first: ModelSpec, other: ModelSpec, aligned: bool) -> str:
    if first.path is not None and other.path is not None:
        return alignment.why_not_equal(first.path, other.path, rows_may_differ=aligned)
    assert first.facts is not None and other.facts is not None
    same = first.facts.architecture == other.facts.architecture
    return "" if same or aligned else "type or tensor shapes"


def _alignment(
    given: MergeConfig, models: Sequence[ModelSpec], donor: ModelSpec
) -> Alignment | None:
    """The rows of every model; None where something is not on this machine."""
    folders = [own.path for own in (*models, donor)]
    if any(folder is None for folder in folders):
        return None
    words = [alignment.words_of(folder) for folder in dict.fromkeys(folders) if folder is not None]
    own = {found.folder: found for found in words}
    taking = [own[m.path] for m in models if m.path is not None]
    assert donor.path is not None
    target = own[donor.path]
    if given.tokenizer == "union":
        return alignment.union(target, [found for found in words if found is not target])
    return alignment.align(target, taking)


def _needed(found: Alignment, models: Sequence[ModelSpec]) -> bool:
    """Whether any model's rows are not those of the result already."""
    rows = {alignment.words_of(m.path).rows for m in models if m.path is not None}
    return rows != {found.rows} or found.changes or bool(found.files)


def _layers(given: MergeConfig, models: Sequence[ModelSpec]) -> list[Problem]:
    """Models of another number of layers than the config says."""
    problems = []
    for own in models if given.layers is not None else ():
        data = checkpoint.read_json(own.path / "config.json") if own.path is not None else {}
        keys = ("num_hidden_layers", "n_layer", "num_layers")
        count = next((data[key] for key in keys if isinstance(data.get(key), int)), given.layers)
        if count != given.layers:
            what = f"has {count} layers, the slice covers {given.layers}"
            problems.append(Problem(f"pool.{own.name}", what, "only whole models are merged"))
    return problems


def _template_faults(given: MergeConfig) -> list[Problem]:
    if given.chat_template in ("", "auto"):
        return []
    try:
        from moco.templates import ChatTemplate
    except ImportError as error:
        raise MissingExtraError("a chat template", "hf") from error
    try:
        ChatTemplate(given.chat_template, "chat_template")
    except ModelFormatError as error:
        return [Problem("chat_template", str(error).partition(": ")[2])]
    return []


def _differences(
    models: Sequence[ModelSpec], donor: ModelSpec, given: MergeConfig
) -> list[Problem]:
    """Notes on what differs harmlessly, and which one the result gets."""
    known = {own.name: own.path for own in (*models, donor) if own.path is not None}
    if donor.path is None or len(known) < 2:
        return []
    configs = {name: checkpoint.read_json(path / "config.json") for name, path in known.items()}
    told = {
        "type of the stored numbers": {own.name: own.facts.dtype for own in models if own.facts},
        "chat template": {n: vocabulary.template_of(p).strip() for n, p in known.items()},
        **{key: {n: _special(p, key) for n, p in known.items()} for key in SPECIAL},
        **{key: {n: repr(c.get(key)) for n, c in configs.items()} for key in MEANING},
    }
    if given.chat_template:
        del told["chat template"]
    if given.engine.dtype != "auto":
        del told["type of the stored numbers"]
    notes = []
    for what, values in told.items():
        apart = [n for n, value in values.items() if value != values.get(donor.name, value)]
        if apart:
            line = f"the {what} of {', '.join(apart)} is not that of '{donor.name}', which the"
            notes.append(Problem("pool", f"{line} result has", note=True))
    return notes


def _special(folder: Path, key: str) -> str:
    settings = checkpoint.read_json(folder / "tokenizer_config.json")
    named = settings.get(key) or checkpoint.read_json(folder / "special_tokens_map.json").get(key)
    return str(named.get("content") if isinstance(named, dict) else named)


def template_of(planned: MergePlan) -> str:
    """The chat template that a config asks for beside its tokenizer's; empty = none."""
    if planned.config.chat_template != "auto":
        return planned.config.chat_template
    found = [vocabulary.template_of(own.path) for own in planned.models if own.path is not None]
    counts = Counter(template.strip() for template in found if template.strip())
    return counts.most_common(1)[0][0] if counts else ""


def _unused(given: MergeConfig) -> list[Problem]:
    set_here = [key for key in UNUSED if key in given.engine.model_fields_set]
    if len(given.engine.devices) > 1:
        set_here.append("devices")
    return [
        Problem(f"engine.{key}", "has no effect on a merge, which uses one device", note=True)
        for key in set_here
    ]


MOVING = re.compile(r"hf://([\w.-]+/[\w.-]+)", re.ASCII)


def _pinned(given: MergeConfig, pull: bool) -> tuple[MergeConfig, list[str]]:
    """The config with every hub model without a revision at the newest one, and what that is."""
    if not given.newest or isinstance(given.pool, str):
        return given, []
    pins: dict[str, str] = {}

    def pin(ref: str) -> str:
        match = MOVING.fullmatch(ref)
        if match is None:
            return ref
        if ref not in pins:
            pins[ref] = hub.newest(match[1], pull=pull) or "newest"
        return f"{ref}@{pins[ref]}"

    def pinned(member: Member) -> Member:
        if isinstance(member, str):
            return pin(member)
        changes: Mapping[str, Any] = {"model": pin(member.model), "adapter": pin(member.adapter)}
        return MemberConfig.model_copy(member, update=changes)

    made = given.model_copy(
        update={
            "pool": [pinned(member) for member in given.pool],
            "roles": {role: pinned(member) for role, member in given.roles.items()},
            "tokenizer": pin(given.tokenizer),
        }
    )
    lines = [
        f"{ref}: no revision is named, so {sha if sha != 'newest' else 'the newest'} is taken"
        for ref, sha in pins.items()
    ]
    return made, lines
