"""Runs without models: scripted members, a small data file, the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from moco.cli import main
from moco.errors import LIMIT

Json = Any


def write_data(folder: Path, *, dev: int = 6, test: int = 12, name: str = "quiz.jsonl") -> Path:
    """Questions with three options; the right one goes round A, B, C."""
    rows = [
        {
            "id": f"{split}{i}", "split": split, "question": f"Which one is {split} {i}?",
            "choices": ["red", "green", "blue"], "answer": "ABC"[i % 3],
        }
        for split, count in (("dev", dev), ("test", test))
        for i in range(count)
    ]  # fmt: skip
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def member(name: str, reply: str = "Answer: A", **options: Json) -> dict[str, Json]:
    """A scripted member."""
    return {"model": name, "backend": "fake", "options": {"reply": reply, **options}}


POOL = (
    member("a", "Answer: A"),
    member("b", "Answer: B", rules=[{"match": r"[258]\?", "reply": "Answer: C"}]),
    member("c", "Answer: B"),
)


def run_config(folder: Path, **changes: Json) -> dict[str, Json]:
    """A majority vote of three on the small data file, which is written."""
    base: dict[str, Json] = {
        "method": "majority_vote",
        "task": {"path": str(write_data(folder))},
        "pool": list(POOL),
    }
    return base | changes


def write_config(
    folder: Path, content: Mapping[str, Json] | str | bytes, name: str = "c.yaml"
) -> Path:
    """A config file; JSON is YAML too."""
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def call(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of a command line."""
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def only_folder(logs: Path) -> Path:
    """The one run folder below `logs`."""
    (found,) = [p for p in logs.iterdir() if p.is_dir()]
    return found


def lines_of(path: Path) -> list[dict[str, Json]]:
    """The records of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def report_of(folder: Path) -> dict[str, Json]:
    """report.json, without what a replay may change."""
    data: dict[str, Json] = json.loads((folder / "report.json").read_text())
    return data


def without_cost(data: Mapping[str, Json]) -> dict[str, Json]:
    """A report without counts of cached calls, loads and seconds of this run."""
    gone = ("cached_calls", "fresh_generated_tokens", "fresh_seconds", "model_loads", "seconds")
    kept: dict[str, Json] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            kept[key] = without_cost(value)
        elif key not in gone:
            kept[key] = value
    return kept


def message_of(err: str) -> str:
    """The one message on standard error, checked for what every message must be."""
    assert "Traceback" not in err
    err = "".join(line for line in err.splitlines(True) if not line.startswith("loaded "))
    found = [line for line in err.split("moco: ") if line.strip()]
    assert len(found) == 1, err
    assert 10 < len(err.strip()) <= LIMIT
    return found[0]


def replies(answers: Sequence[str]) -> list[dict[str, str]]:
    """Lines of an outputs file."""
    return [{"text": text} for text in answers]
