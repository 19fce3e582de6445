"""The merges of mergekit 0.1.5 and their parameters, and what each becomes here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from moco.types import Json


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a merge of mergekit."""

    ours: str = ""
    """Our hyperparameter; empty = there is none, so only the default can be had."""
    default: Json = None
    """mergekit's; None = it has to be given."""
    kind: Literal["number", "flag"] = "number"
    """Numbers may go over the layers and have filters."""
    words: Mapping[bool, Json] = field(default_factory=dict)
    """What a flag becomes where our hyperparameter is no flag."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A merge of mergekit."""

    method: str
    """Ours."""
    base: Literal["differences", "first", "member"] = "differences"
    """What `base_model` is: what differences are taken to, the first of two members, or a member
    like the others.
    """
    shared: Mapping[str, Parameter] = field(default_factory=dict)
    """Parameters of the merge as a whole."""
    each: Mapping[str, Parameter] = field(default_factory=dict)
    """Parameters of every model."""
    fixed: Mapping[str, Json] = field(default_factory=dict)
    """Hyperparameters of ours that make it this merge."""


WEIGHT = Parameter("weights")
DENSITY = Parameter("density", 1.0)
SCALE = Parameter("scale", 1.0)
NORM: Mapping[bool, Json] = {True: "norm", False: "none"}


def _flag(name: str, default: bool, words: Mapping[bool, Json] | None = None) -> Parameter:
    return Parameter(name, default, "flag", words or {})


def _vectors(
    method: str,
    normalize: bool,
    rescale: Parameter | None = None,
    each: Mapping[str, Parameter] | None = None,
    fixed: Mapping[str, Json] | None = None,
) -> Rule:
    """A sum of task vectors."""
    shared = {"normalize": _flag("normalize", normalize), "lambda": SCALE}
    if rescale is not None:
        shared["rescale"] = rescale
    return Rule(method, shared=shared, each={"weight": WEIGHT, **(each or {})}, fixed=fixed or {})


_KEPT = {"density": DENSITY}
_BANDS = {"density": DENSITY, "gamma": Parameter("gamma", 0.01)}
_RANKS = {"density": DENSITY, "epsilon": Parameter("epsilon", 0.15)}
_NONE = _flag("", False)

RULES: Mapping[str, Rule] = {
    "linear": Rule(
        "linear", "member", {"normalize": _flag("normalize", True)}, {"weight": WEIGHT}
    ),
    "slerp": Rule("slerp", "first", {"t": Parameter("t")}),
    "task_arithmetic": _vectors("task_arithmetic", False),
    "ties": _vectors("ties", True, _NONE, _KEPT),
    "dare_ties": _vectors("dare_ties", False, _flag("rescale", True, NORM), _KEPT),
    "dare_linear": _vectors("dare_linear", False, _flag("rescale", True, NORM), _KEPT),
    "della": _vectors("della", True, _flag("rescale", True, NORM), _RANKS, {"consensus": True}),
    "della_linear": _vectors(
        "della", False, _flag("rescale", True, NORM), _RANKS, {"consensus": False}
    ),
    "breadcrumbs": _vectors("breadcrumbs", False, _NONE, _BANDS, {"consensus": False}),
    "breadcrumbs_ties": _vectors("breadcrumbs", False, _NONE, _BANDS, {"consensus": True}),
    "model_stock": Rule("model_stock", shared={"filter_wise": _flag("filter_wise", False)}),
    "sce": Rule(
        "sce",
        shared={"select_topk": Parameter("select_topk", 1.0)},
        fixed={"least_energy": 1e-6},
    ),
    "karcher": Rule(
        "karcher", "member",
        {"max_iter": Parameter("max_iter", 10), "tol": Parameter("tol", 1e-5)},
    ),
}  # fmt: skip
"""By mergekit's name."""

ELSEWHERE = (
    "nuslerp", "multislerp", "nearswap", "passthrough", "arcee_fusion", "ram", "ramplus_tl",
)  # fmt: skip
"""Merges of mergekit that are not had here."""
SILENT = ("int8_mask",)
"""Parameters that change how mergekit computes and not what."""
FOREIGN = ("nuslerp_row_wise", "nuslerp_flatten", "eps", "r", "alpha")
"""Parameters of merges that are not had here, which mergekit leaves unread elsewhere."""


def parameter_names() -> tuple[str, ...]:
    """Every parameter that a file of mergekit may hold."""
    own = (name for rule in RULES.values() for name in (*rule.shared, *rule.each))
    return tuple(dict.fromkeys((*own, *SILENT, *FOREIGN)))


INSIDE = (".layers.", ".h.")
"""Parts of the names of tensors that lie in a layer; `.h.` also fits a name that begins with h."""


def is_number(value: Any) -> bool:
    """Whether a value is a number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def parts_of(value: Any) -> list[dict[str, Json]] | None:
    """A setting as values with filters, in order: a number, numbers over the layers, or one or
    several {value, filter}; None where it is something else.
    """
    if _is_value(value):
        return _over_layers(value)
    found: list[dict[str, Json]] = []
    for one in value if isinstance(value, list) else [value]:
        if (
            not isinstance(one, dict)
            or {*one} - {"value", "filter"}
            or not _is_value(one.get("value"))
        ):
            return None
        fits = one.get("filter")
        if not isinstance(fits, str | None):
            return None
        own = one["value"]
        found += _over_layers(own) if fits in (None, "*") else [{"filter": fits, "value": own}]
    return found or None


def _is_value(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(is_number, value))
    return is_number(value)


def _over_layers(value: Json) -> list[dict[str, Json]]:
    """A value for every tensor; of numbers over the layers, the first one is also that of what
    follows the last layer, as in mergekit.
    """
    if not isinstance(value, list):
        return [{"filter": "*", "value": value}]
    inside: list[dict[str, Json]] = [{"filter": part, "value": value} for part in INSIDE]
    return [*inside, {"filter": "*", "value": value[0]}]
