"""A run folder read back: report, config, predictions and calls; nothing is loaded or run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moco import config
from moco.config import RunConfig
from moco.documents import read_file
from moco.errors import DataError, InputError, clip
from moco.report.report import Report
from moco.store.records import read, read_json
from moco.types import Json


@dataclass(frozen=True)
class FinishedRun:
    """A finished run."""

    path: Path
    config: RunConfig
    report: Report
    state: Json
    """What the method learnt or chose on dev."""

    def samples(self) -> Iterator[dict[str, Json]]:
        """One record per question and draw."""
        return read(self.path / "samples.jsonl")

    def calls(self) -> Iterator[dict[str, Json]]:
        """One record per model call."""
        return read(self.path / "calls.jsonl")


def report_of(folder: Path) -> Report | None:
    """A run folder's report; None where there is none yet, DataError where it is damaged."""
    path = folder / "report.json"
    if not path.is_file():
        return None
    try:
        return Report.from_json(read_json(path), folder)
    except (TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{clip(str(path), 300)}: is damaged; run the config again") from error


def load(folder: Path | str) -> FinishedRun:
    """A finished run's folder; InputError where it is none, DataError where it is damaged."""
    path = Path(folder)
    where = clip(str(path), 300)
    report = report_of(path)
    if report is None:
        raise InputError(f"{where}: is no finished run (it has no report.json)")
    parsed: RunConfig = config.parse(RunConfig, read_file(path / "config.yaml"), where)
    return FinishedRun(path, parsed, report, read_json(path / "state.json"))
