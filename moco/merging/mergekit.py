"""Reads the YAML of mergekit 0.1.5 as one of our merges.

A parameter that is not set has mergekit's default. What cannot be had here is refused by name; what
has no effect is told in a note.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from moco import paths, registry
from moco.compat import translation
from moco.errors import clip, nearest
from moco.merging.mergekit_keys import (
    ELSEWHERE,
    RULES,
    SILENT,
    Parameter,
    Rule,
    parameter_names,
    parts_of,
)
from moco.merging.mergekit_layout import MARKS, Faults, Models, mapping, read_models
from moco.types import Json
from moco.zoo import catalogue

KEYS = (
    *MARKS, "parameters", "dtype", "out_dtype", "tokenizer_source", "tokenizer", "chat_template",
)  # fmt: skip
DTYPES = ("float32", "bfloat16", "float16")


def is_mergekit(data: Mapping[str, Any]) -> bool:
    """Whether a config's top level is in mergekit's form."""
    return any(key in data for key in MARKS)


def owns(change: str) -> bool:
    """Whether a `key=value` change names a key of mergekit's form."""
    return change.partition("=")[0].strip().partition(".")[0] in KEYS


def translate(data: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The merge that a config in mergekit's form describes, in our form."""
    faults = Faults(where or "config")
    made = _Translation(data, faults).result()
    faults.settle()
    return {**made, "notes": faults.notes}


class _Translation:
    """One config under way: what it becomes, what is wrong with it, what has no effect."""

    def __init__(self, data: Mapping[str, Any], faults: Faults) -> None:
        self.data = data
        self.faults = faults
        self.wrong, self.notes = faults.wrong, faults.notes
        self.globals = mapping(data.get("parameters"), "parameters", faults)

    def result(self) -> dict[str, Any]:
        """Our form."""
        for key in self.data:
            if key not in KEYS:
                self.wrong.append(f"{clip(key)}: unknown key of this form.{nearest(key, KEYS)}")
        rule, models = self._rule(), read_models(self.data, self.faults)
        self.faults.settle()
        assert rule is not None
        members, base = self._members(rule, models)
        self.faults.settle()
        names = translation.names_of([ref for ref, _ in members])
        scopes = (models.parameters, self.globals)
        method = {"name": rule.method, **rule.fixed, **self._shared(rule, scopes)}
        own = {name: pair[1] for name, pair in zip(names, members, strict=True)}
        method |= self._each(rule, own, scopes)
        made: dict[str, Any] = {
            "method": method,
            "pool": [
                self._member(ref, name) for (ref, _), name in zip(members, names, strict=True)
            ],
            "newest": True,
            **self._texts(dict(zip([ref for ref, _ in members], names, strict=True)), base),
        }
        if base and rule.base == "differences":
            made["roles"] = {"base": self._member(base, "")}
        if dtype := self._dtype():
            made["engine"] = {"dtype": dtype}
        if models.layers:
            made["layers"] = models.layers
        return made

    def _rule(self) -> Rule | None:
        name = self.data.get("merge_method")
        here = [n for n, rule in RULES.items() if rule.method in registry.names("method")]
        if not isinstance(name, str):
            what = "is missing; it" if name is None else "must be a name; it"
            self.wrong.append(f"merge_method: {what} is one of {', '.join(here)}")
        elif name in here:
            return RULES[name]
        elif name in ELSEWHERE or name in RULES:
            self.wrong.append(f"merge_method: {name} is not had here; these are: {', '.join(here)}")
        else:
            self.wrong.append(
                f"merge_method: '{clip(name)}' is unknown.{nearest(name, RULES)} It is one of"
                f" {', '.join(here)}"
            )
        return None

    def _members(
        self, rule: Rule, models: Models
    ) -> tuple[list[tuple[str, Mapping[str, Any]]], str]:
        """The members with their parameters in the order of our method, and the base."""
        base = models.base or self.data.get("base_model")
        if base is not None and (not isinstance(base, str) or not base.strip()):
            self.wrong.append("base_model: must be a model reference, a string")
            return [], ""
        listed = list(models.listed)
        if rule.base == "differences":
            if not base:
                self.wrong.append(f"base_model: is missing; {rule.method} takes differences to it")
            return [pair for pair in listed if pair[0] != base], base or ""
        if base and base not in [ref for ref, _ in listed]:  # it takes part, as in mergekit
            listed.append((base, {}))
        if rule.base == "first":
            if not base:
                self.wrong.append("base_model: is missing; slerp starts at it")
            listed.sort(key=lambda pair: pair[0] != base)
        return listed, base or ""

    def _shared(self, rule: Rule, scopes: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
        """Hyperparameters of the merge as a whole."""
        made: dict[str, Json] = {}
        for name, parameter in rule.shared.items():
            value = self._value(name, parameter, scopes, f"parameters.{name}")
            self._set(made, rule, name, parameter, value)
        for scope in scopes:
            self._leftover(scope, rule, (*rule.shared, *rule.each))
        return made

    def _each(
        self,
        rule: Rule,
        given: Mapping[str, Mapping[str, Any]],
        scopes: Sequence[Mapping[str, Any]],
    ) -> dict[str, Json]:
        """Hyperparameters that every member has its own value of."""
        made: dict[str, Json] = {}
        for name, parameter in rule.each.items():
            values = {
                alias: self._value(name, parameter, (own, *scopes), f"{name} of {alias}")
                for alias, own in given.items()
            }
            same = len({repr(v) for v in values.values()}) == 1 and parameter.ours != "weights"
            chosen: Json = next(iter(values.values())) if same else values
            self._set(made, rule, name, parameter, chosen)
        for own in given.values():
            self._leftover(own, rule, tuple(rule.each))
        return made

    def _set(
        self, made: dict[str, Json], rule: Rule, name: str, parameter: Parameter, value: Json
    ) -> None:
        known = registry.load("method", rule.method).model_fields
        if parameter.ours and parameter.ours in known:
            made[parameter.ours] = value
        elif value != parameter.default:
            self.wrong.append(
                f"parameters.{name}: {rule.method} has no such setting here; leave it at"
                f" {str(parameter.default).lower()}"
            )

    def _leftover(self, scope: Mapping[str, Any], rule: Rule, read: Sequence[str]) -> None:
        """Parameters that this merge does not read: a note, or an error for unknown names."""
        names = parameter_names()
        for key in scope:
            where = getattr(key, "where", key)
            if key in read:
                continue
            if key in SILENT:
                self.notes.append(f"{where}: has no effect here, all arithmetic is in float32")
            elif key in names:
                self.notes.append(f"{where}: is not read there, as in mergekit")
            else:
                self.wrong.append(f"{clip(where)}: unknown parameter.{nearest(key, names)}")

    def _value(
        self, name: str, parameter: Parameter, scopes: Sequence[Mapping[str, Any]], where: str
    ) -> Json:
        """What a parameter is, from the narrowest scope that settles it."""
        given = [scope[name] for scope in scopes if name in scope]
        if parameter.kind == "flag":
            value = given[0] if given else parameter.default
            if not isinstance(value, bool):
                self.wrong.append(f"{where}: must be true or false")
                return parameter.default
            return parameter.words.get(value, value)
        parts: list[dict[str, Json]] = []
        for value in given:
            own = parts_of(value)
            if own is None:
                self.wrong.append(
                    f"{where}: must be a number, a list of numbers over the layers, or a list of"
                    " {value, filter}"
                )
                return parameter.default
            parts += own
            if any(part["filter"] == "*" for part in parts):
                break
        else:
            if parameter.default is None:
                what = "its filters leave tensors out; add a last value without a filter"
                self.wrong.append(f"{where}: {what if given else 'is missing'}")
                return None
            parts.append({"filter": "*", "value": parameter.default})
        return parts[0]["value"] if len(parts) == 1 else parts

    def _texts(self, aliases: Mapping[str, str], base: str) -> dict[str, Json]:
        """Tokenizer, template and the model whose files the result gets."""
        made: dict[str, Json] = {}
        source, longer = self.data.get("tokenizer_source"), self.data.get("tokenizer")
        if isinstance(longer, dict) and source is None:
            source = longer.get("source", "union")
            self._check_tokenizer(longer)
        elif longer is not None:
            what = "must be {source: …}" if source is None else "stands beside tokenizer_source"
            self.wrong.append(f"tokenizer: {what}; write one of the two, as tokenizer_source: base")
        if source is None and base:
            made["files"] = aliases.get(base, "base")
        elif source is not None and (not isinstance(source, str) or not source.strip()):
            self.wrong.append("tokenizer_source: must be union, base or a model reference")
        elif source is not None:
            made["tokenizer"] = self._tokenizer(source, aliases, base)
        template = self.data.get("chat_template")
        if template is not None:
            made["chat_template"] = self._template(template)
        return made

    def _tokenizer(self, source: str, aliases: Mapping[str, str], base: str) -> str:
        """Whose tokens the result gets, as our form says it."""
        if source == "union":
            return source
        chosen = source if source != "base" else base or next(iter(aliases), "")
        if chosen == base and chosen not in aliases:
            return "base"
        alias = aliases.get(chosen, "")
        if alias == next(iter(aliases.values()), ""):
            return "first"
        return alias if alias and alias not in ("first", "base", "union") else _reference(chosen)

    def _check_tokenizer(self, longer: Mapping[str, Any]) -> None:
        known = ("source", "tokens", "pad_to_multiple_of")
        for key, value in longer.items():
            if key not in known:
                self.wrong.append(f"tokenizer.{clip(key)}: unknown key.{nearest(key, known)}")
            elif key == "tokens" and value:
                self.wrong.append(
                    "tokenizer.tokens: is not had here; a token that a model lacks takes the mean"
                    " of those that have it"
                )
            elif key == "pad_to_multiple_of" and value:
                self.wrong.append(
                    "tokenizer.pad_to_multiple_of: is not had here; rows beyond the vocabulary are"
                    " kept as the tokenizer's model has them"
                )

    def _template(self, value: Any) -> str:
        if value == "auto":
            return "auto"
        if not isinstance(value, str) or "{" not in value:
            self.wrong.append(
                f"chat_template: '{clip(value)}' is neither auto nor a template; write its text"
            )
            return ""
        return value

    def _dtype(self) -> str:
        """Type of the result; arithmetic is in float32 whatever `dtype` says."""
        found = {key: self.data[key] for key in ("out_dtype", "dtype") if self.data.get(key)}
        for key, value in found.items():
            name = value.removeprefix("torch.") if isinstance(value, str) else value
            if name not in DTYPES and not (key == "dtype" and "out_dtype" in found):
                self.wrong.append(f"{key}: '{clip(value)}' is none of {', '.join(DTYPES)}")
                return ""
        if found.get("dtype") not in (None, "float32"):
            self.notes.append(f"dtype: arithmetic is in float32 here, not in {found['dtype']}")
        chosen = next(iter(found.values()), "")
        return str(chosen).removeprefix("torch.")

    def _member(self, ref: str, name: str) -> dict[str, str]:
        """A member of ours."""
        model, found, adapter = ref.partition("+")
        if not found or paths.present(Path(ref).expanduser()):
            model, adapter = ref, ""
        member = {"model": _reference(model)}
        if adapter:
            member["adapter"] = _reference(adapter)
        return {**member, "name": name} if name else member


def _reference(ref: str) -> str:
    """mergekit's reference as ours: what is neither here nor in our catalogue is on the hub."""
    if "://" in ref or catalogue.find(ref) or paths.present(Path(ref).expanduser()):
        return ref
    return f"hf://{ref}" if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w.-]+)?", ref, re.ASCII) else ref
