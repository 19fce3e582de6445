"""What scripts that write a table into a page share."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

from moco.report.report import Report
from moco.store import finished


def stamp() -> str:
    """The commit and the day that a table was made."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return f"commit {commit}, {datetime.date.today()}"


def write_between(path: Path, text: str) -> None:
    """Replaces what stands between the two marks of a page."""
    start, end = "<!-- table -->\n", "<!-- end of table -->"
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{start}\n{text}\n\n{end}{after}", encoding="utf-8")


def shown(value: tuple[float, float, float] | None) -> str:
    """A difference with its interval."""
    return "" if value is None else f"{value[0]:+.3f} [{value[1]:+.3f}, {value[2]:+.3f}]"


def scores_of(report: Report) -> list[float | None]:
    """A run's score per test question, in order."""
    return [sample["score"] for sample in finished.load(report.path).samples()]
