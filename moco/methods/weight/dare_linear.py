"""Drop entries of task vectors at random, rescale the others, and add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from moco.methods.task_vectors import Dropped
from moco.types import Json


class DareLinear(Dropped):
    """base + scale · Σ weight · task vector, after entries of each were dropped at random and the
    others rescaled.
    """

    paper: ClassVar[str] = "Yu et al. 2023, arXiv 2311.03099 (DARE)"
    plain: ClassVar[Mapping[str, Json]] = {"density": 1.0}

    normalize: bool = True
    """Whether the sum is divided by the members' weights."""
