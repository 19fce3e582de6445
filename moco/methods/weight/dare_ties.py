"""Drop entries of task vectors at random, rescale the others, elect signs, average what agrees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from moco.methods.task_vectors import Dropped
from moco.types import Json


class DareTies(Dropped):
    """Entries of each task vector are dropped at random and the others rescaled; then the sign of
    their weighted sum is elected, and the entries of that sign are averaged.
    """

    paper: ClassVar[str] = "Yu et al. 2023, arXiv 2311.03099 (DARE); Yadav et al. 2023, 2306.01708"
    plain: ClassVar[Mapping[str, Json]] = {"density": 1.0}
    elects: ClassVar[bool] = True

    normalize: bool = True
    """Whether agreeing entries are averaged (as published for TIES) or added (mergekit)."""
