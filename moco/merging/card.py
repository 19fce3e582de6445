"""The model card of a merge: where it comes from, what counts for how much, under which terms, and
what was measured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from moco.backends.base import ModelSpec
from moco.config import Member
from moco.errors import clip
from moco.facts import adapter_base
from moco.methods.base import hyperparameters
from moco.types import Json
from moco.zoo import catalogue

if TYPE_CHECKING:
    from moco.merging.plan import MergePlan
    from moco.weights.verify import Verification

UNKNOWN = "unknown"
HUB = re.compile(r"hf://([\w.-]+/[\w.-]+?)(?:@[\w.-]+)?(?:/.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured while a merge was made."""

    seconds: float
    num_read: int
    """Bytes of weights that were read, each as often as it was."""
    num_written: int

    @property
    def rate(self) -> float:
        """Gigabytes (10⁹ bytes) read and written per second."""
        return (self.num_read + self.num_written) / 1e9 / max(self.seconds, 1e-9)

    def __str__(self) -> str:
        return (
            f"{self.seconds:.2f} s: {self.num_read / 1e9:.3g} GB read,"
            f" {self.num_written / 1e9:.3g} GB written, {self.rate:.3g} GB/s"
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card tells beside the plan."""

    weights: Mapping[str, str]
    """Member → its share, in words."""
    figures: Figures
    verification: Verification | None = None
    extra: Sequence[str] = field(default=())
    """Further lines: an adapter's ranks and error."""
    kind: str = "model"
    """What it is: a model, or an adapter."""


def card(planned: MergePlan, facts: Facts, folder: Path) -> str:
    """The whole README.md of what is going to be a folder."""
    sections = [
        _front(planned, facts),
        f"# {_text(folder.name)}\n\n{_summary(planned, facts)}",
        "## Parents\n\n" + _parents(planned, facts),
        "## Terms\n\n" + _terms(planned),
        "## Configuration\n\n" + _config(planned),
        "## Measured\n\n" + _measured(facts),
    ]
    if notes := [p for p in planned.problems if p.note]:
        sections.append("## Notes\n\n" + "\n".join(f"- {_text(str(note))}" for note in notes))
    return "\n\n".join(sections) + "\n"


def _front(planned: MergePlan, facts: Facts) -> str:
    """The part that programs read."""
    data: dict[str, Json] = {}
    parents = [
        match[1]
        for refs in references(planned).values()
        for ref in refs
        if (match := HUB.fullmatch(ref))
    ]
    if parents:
        data["base_model"] = list(dict.fromkeys(parents))
        data["base_model_relation"] = "merge"
    data["library_name"] = "transformers" if facts.kind == "model" else "peft"
    data |= licence_of(planned.models)
    data["tags"] = ["merge", "moco", planned.method.name()]
    return f"---\n{yaml.safe_dump(data, sort_keys=False, allow_unicode=True)}---"


def licence_of(models: Sequence[ModelSpec]) -> dict[str, Json]:
    """The licence fields of a model made of others: the one that all have, else all of theirs."""
    found = list(dict.fromkeys(_licence(own).lower() for own in models))
    if len(found) == 1 and found[0] != UNKNOWN:
        return {"license": found[0]}
    return {"license": "other", "license_name": "-and-".join(re.sub(r"\W+", "-", x) for x in found)}


def _licence(own: ModelSpec) -> str:
    return (own.facts.licence if own.facts is not None else "") or UNKNOWN


def references(planned: MergePlan) -> dict[str, list[str]]:
    """Member → what it was called in the configuration: a model, or a base and an adapter."""
    pool = planned.config.pool
    listed: Sequence[Member] = pool if isinstance(pool, list) else [m.ref for m in planned.parts]
    owners = planned.members.pool if isinstance(pool, list) else planned.parts
    pairs = list(zip(owners, listed, strict=True))
    if planned.base is not None and planned.base not in owners:
        pairs.append((planned.base, planned.config.roles["base"]))
    found = {}
    for own, member in pairs:
        adapter = "" if isinstance(member, str) else member.adapter
        if own.adapter is not None and not adapter:  # its folder alone was named
            adapter = adapter_base(own.adapter)
        found[own.name] = [ref for ref in (own.ref, adapter) if ref]
    return {own.name: found[own.name] for own in planned.models}


def _summary(planned: MergePlan, facts: Facts) -> str:
    method = planned.method
    over = f" over {_code(planned.base.ref)}" if planned.base is not None else ""
    count = len(planned.parts)
    models = "adapter" if planned.adapters else "model"
    made = "A" if facts.kind == "model" else "An adapter, made as a"
    return (
        f"{made} merge of {count} {models}{'s' if count != 1 else ''}{over} by `{method.name()}`"
        f" ({method.paper}), written by moco {metadata.version('moco-collab')}. Arithmetic was in"
        " float32, rounded once."
    )


def _parents(planned: MergePlan, facts: Facts) -> str:
    refs = references(planned)
    rows = ["| | reference | weight | licence | fingerprint |", "|---|---|---|---|---|"]
    for own in planned.models:
        weight = "base" if own is planned.base else facts.weights.get(own.name, "")
        reference = " + ".join(map(_code, refs[own.name]))
        cells = (_text(own.name), reference, weight, _text(_licence(own)), _code(own.fingerprint))
        rows.append("| " + " | ".join(cells) + " |")
    what = "its difference to the base" if planned.method.on == "deltas" else "its tensors"
    rows += [
        "",
        f"The weight is what a member multiplies {what} by, after normalisation and scaling; a span"
        " where tensors differ. A merge that drops entries or elects signs gives single entries"
        " less, or more. The fingerprint is a SHA-256 of weights, configuration, tokenizer and"
        " template.",
    ]
    return "\n".join(rows)


def _terms(planned: MergePlan) -> str:
    """Every parent's licence in plain words."""
    found = list(dict.fromkeys(_licence(own) for own in planned.models))
    if len({name.lower() for name in found}) == 1 and found[0] != UNKNOWN:
        lines = [f"All parents are under {_text(found[0])}, and so is this."]
    else:
        lines = [
            "This is derived from all of its parents, so the terms of every one of them apply"
            " together; what one forbids is forbidden here."
        ]
    for own in planned.models:
        entry = catalogue.find(own.ref)
        where = f" ({entry.terms})" if entry is not None and entry.terms else ""
        lines.append(f"- {_text(own.name)}: {_text(_licence(own))}{where}")
    if any(_licence(own) == UNKNOWN for own in planned.models):
        lines.append("\nWhere a licence is unknown, ask the authors before you pass this on.")
    return "\n".join(lines)


def _config(planned: MergePlan) -> str:
    """The configuration as given, and with every hyperparameter where that says more."""
    given, whole = planned.config.written, resolved(planned)
    if not given:
        return _fenced(whole)
    told = "In full, in moco's own form:"
    return "\n\n".join([_fenced(given), *([told, _fenced(whole)] if given != whole else [])])


def _fenced(data: Mapping[str, Json]) -> str:
    text = yaml.safe_dump(
        dict(data), sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"{fence}yaml\n{text}{fence}"


def resolved(planned: MergePlan) -> dict[str, Json]:
    """The configuration in our form, defaults of the method filled in."""
    data: dict[str, Json] = planned.config.model_dump(mode="json", exclude_defaults=True)
    for key in ("notes", "written"):
        data.pop(key, None)
    names = hyperparameters(type(planned.method))
    own: dict[str, Any] = planned.method.model_dump(mode="json", include=set(names))
    data["method"] = {"name": planned.method.name(), **own}
    return data


def _measured(facts: Facts) -> str:
    lines = [f"- merging: {facts.figures}", *(f"- {line}" for line in facts.extra)]
    found = facts.verification
    if found is None:
        lines.append("- not verified (`--no-verify`)")
        return "\n".join(lines)
    lines.append(
        f"- verified in {found.seconds:.1f} s: loads in transformers, writes"
        f" {_code(repr(found.token))} as its first token"
    )
    others = ", ".join(f"{_text(name)} {value:,.2f}" for name, value in found.parents.items())
    lines.append(f"- perplexity on a short fixed text: {found.perplexity:,.2f} (parents: {others})")
    lines += [f"- **warning**: {warning}" for warning in found.warnings]
    return "\n".join(lines)


def _text(value: str, limit: int = 300) -> str:
    """Foreign text on one line of Markdown."""
    return re.sub(r"([\\`*\[\]<>|#])", r"\\\1", clip(value, limit))


def _code(value: str, limit: int = 300) -> str:
    """The same as code, also in a table."""
    return f"`{clip(value, limit).replace('`', chr(39)).replace('|', chr(92) + '|')}`"
