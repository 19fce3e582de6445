"""How a hyperparameter or a method of the `modelco` package is described."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from moco.types import Json

NO_LIMIT = math.inf


@dataclass(frozen=True, slots=True)
class Key:
    """One hyperparameter: what it may be, and what it becomes here."""

    type: Literal[
        "int", "whole", "float", "bool", "choice", "text", "texts", "shares", "matrix", "numbers",
        "members",
    ]  # fmt: skip
    """`whole`: an int that may be written 1.0; `texts`: one per model; `shares`: of training,
    validation and test, which make 1; `matrix`: rows of 0 and 1; `numbers`: a list of them;
    `members`: some of model_names.
    """
    target: str = ""
    """Where it goes, such as `sampling.temperature`, `method.tie`, `roles.router` or
    `members.description`; empty = it has no effect.
    """
    default: Json = None
    """Its meaning where it is not set; None = ours."""
    low: float = 0
    high: float = NO_LIMIT
    open: bool = False
    """Whether `low` itself is excluded."""
    choices: tuple[str, ...] = ()
    nullable: bool = False
    rename: Mapping[str, Json] = field(default_factory=dict)
    """Value there → value here."""
    member: bool = False
    """Whether it is a position in model_names, which becomes that member's alias."""
    why: str = ""
    """Why it has no effect."""
    when: tuple[str, str] = ("", "")
    """Another key and the value with which alone this one has an effect."""


@dataclass(frozen=True, slots=True)
class PeerMethod:
    """One method of the package."""

    keys: Mapping[str, Key] = field(default_factory=dict)
    """Its own hyperparameters; one that every method takes has another default here."""
    fixed: Mapping[str, Json] = field(default_factory=lambda: {"preset": "paper"})
    """What it always does, where ours has a choice."""


RECIPE = "fine-tuning has a recipe of its own, with a validation and an early stop"

STARTED: Mapping[str, Key] = {
    "starting_velocity_mode": Key(
        "choice",
        "method.start",
        "random",
        choices=("random", "zero"),
        rename={"zero": "rest"},
    ),
}
"""How particles start."""
FLIGHT: Mapping[str, Key] = {
    "weight_randomness": Key("bool", "method.weight_randomness", True),
    "inertia": Key("float", "method.inertia", 0.2, high=10),
    "cognitive_coeff": Key("float", "method.cognitive_coeff", 0.3, high=10),
    "social_coeff": Key("float", "method.social_coeff", 0.4, high=10),
    "repel_coeff": Key("float", "method.repel_coeff", 0.05, high=10),
    "repel_term": Key("bool", "method.repel_term", True),
    "step_length": Key("float", "method.step_length", 0.5, open=True, high=10),
    "step_length_factor": Key("float", "method.step_length_factor", 0.95, open=True, high=1),
    "minimum_step_length": Key("float", "method.minimum_step_length", 0.1, open=True, high=10),
    "patience": Key("int", "method.patience", 5, low=1, high=1000),
    "restart_patience": Key("int", "method.restart_patience", 3, low=1, high=1000),
}
"""How particles fly."""
