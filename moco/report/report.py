"""What a run found, as report.json holds it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from moco.types import Json


@dataclass(frozen=True)
class Report:
    """The result of one run."""

    method: str
    task: str
    pool: list[str]
    n: int
    """Test questions scored; `n_invalid` without a usable answer key are left out of the mean."""
    n_invalid: int
    n_unparsed: int
    n_truncated: int
    n_skipped: int
    score: float | None
    ci95: tuple[float, float] | None
    singles: dict[str, float | None]
    """Every member alone on test."""
    singles_dev: dict[str, float | None]
    best_single_dev: str | None
    """The member that is best on dev: the honest baseline."""
    best_single_test: str | None
    """The member that is best on test: known only afterwards."""
    oracle: float | None
    """Mean of the best member's score per question."""
    difference: tuple[float, float, float] | None
    """Score minus that of best-single-on-dev on the same questions, with its 95% interval."""
    would_fall_back: bool | None
    """Whether the dev gate prefers the best single model; None without dev."""
    fell_back: bool
    usage: dict[str, Json]
    usage_comparison: dict[str, Json]
    by_model: dict[str, Json] = field(default_factory=dict)
    n_groups: int = 0
    """Groups of questions that belong together, as which the intervals are resampled; 0 where
    results are independent.
    """
    scorer: str = ""
    metric: str = ""
    """What `score` is the mean of, in words."""
    bounded: bool = True
    """Whether scores lie in [0, 1]; rewards do not."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Further figures of the scorer."""
    slices: dict[str, dict[str, Json]] = field(default_factory=dict)
    """Metadata key → value → {n, score}."""
    macro: dict[str, float] = field(default_factory=dict)
    """Metadata key → mean of its slices' scores."""
    usage_scoring: dict[str, Json] = field(default_factory=dict)
    """What judges and reward models cost."""
    costs: dict[str, Json] = field(default_factory=dict)
    """Cost per question in the pool's unit, calls in a row, the accuracy-cost curve and its area,
    regret, and gains at equal cost.
    """
    emergence: dict[str, Json] = field(default_factory=dict)
    """Questions that no member solves alone and how many of them the method solves (`emergent`),
    those that some member solves and how many of them it does not (`lost`).
    """
    data_sha256: str = ""
    """Fingerprint of the data that was read."""
    notes: tuple[str, ...] = ()
    path: Path = Path()
    """The run folder; not part of report.json."""

    def to_json(self) -> dict[str, Json]:
        """The content of report.json."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "path"}
        return data | {
            "ci95": _list(self.ci95),
            "difference": _list(self.difference),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: dict[str, Json], path: Path) -> Report:
        """A report read back."""
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        values |= {
            "ci95": tuple(data["ci95"]) if data.get("ci95") else None,
            "difference": tuple(data["difference"]) if data.get("difference") else None,
            "notes": tuple(data.get("notes", ())),
            "path": path,
        }
        return cls(**values)


def _list(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)
