"""Grading a file of outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moco.errors import ConfigError, DataError, InputError
from moco.grade import grade_file, read_outputs


def write(folder: Path, test: Any, **more: Any) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps({"test": test, **more}), "utf-8")
    return path


def grade(path: Path, outputs: list[str], task_type: str, **more: Any) -> tuple[Any, list[str]]:
    warnings: list[str] = []
    options = {"split": "test", "task": None, **more}
    scores = grade_file(path, outputs, task_type=task_type, warn=warnings.append, **options)
    return scores, warnings


def test_one_bad_item_never_refuses_the_file(tmp_path: Path) -> None:
    good = {"question": "?", "choices": {"1": "red", "id": "blue"}, "answer": "id"}
    null = {"question": "?", "choices": {"A": "red", "B": None}, "answer": "A"}
    gone = {"question": "?", "choices": {"A": "red", "B": None}, "answer": "B"}
    path = write(tmp_path, [good, gone, "text", null, good])
    scores, warnings = grade(path, ["B", "A", "A", "", "Answer: A"], "multiple_choice")
    assert scores == [1.0, None, None, 0.0, 0.0]
    assert len(warnings) == 2 and warnings[0].startswith("test item 1")


def test_exact_match_by_what_the_items_are(tmp_path: Path) -> None:
    rows = [
        {"input": "?", "output": "1,200"},
        {"input": "?", "output": "A"},
        {"input": "?", "output": ") ]"},
        {"input": "?", "output": None},
        {"input": "?", "output": "\\frac{1}{2}"},
        {"input": "?", "output": "yes"},
        {"input": "?", "output": "[1, 2]", "answer_type": "list of integer"},
        {"input": "?", "output": "Background"},
    ]
    path = write(tmp_path, rows)
    outputs = ["$1200", "", "", "x", "0.5", "Yes, it is", "(1,2)", "**Answer:** background"]
    scores, warnings = grade(path, outputs, "exact_match")
    assert scores == [1, 0, 0, None, 1, 1, 1, 1]
    assert len(warnings) == 1 and "no gold answer" in warnings[0]


def test_f1_with_aliases(tmp_path: Path) -> None:
    path = write(tmp_path, [{"input": "?", "output": '["Paris, France", "Paris"]'}])
    assert grade(path, ["Answer: Paris"], "f1_match")[0] == [1.0]
    assert grade(path, ["Answer: France"], "f1_match")[0][0] < 1


def test_a_task_applies_its_kinds_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path, [{"input": "?", "output": "12"}, {"input": "?", "output": "yes"}])
    scores, warnings = grade(path, ["12 apples", "yes"], "exact_match", task="gsm8k")
    assert scores == [1.0, None] and len(warnings) == 1
    scores, warnings = grade(path, ["12", "yes"], "f1_match", task="gsm8k")
    assert scores == [1.0, 1.0] and "do not apply" in warnings[0]
    with pytest.raises(InputError, match="gsm8k"):
        grade(path, ["1", "2"], "exact_match", task="gsm8")


def test_splits_and_counts(tmp_path: Path) -> None:
    path = write(tmp_path, [{"input": "?", "output": "12"}])
    with pytest.raises(DataError, match="2 outputs for the 1 items"):
        grade(path, ["1", "2"], "exact_match")
    with pytest.raises(DataError, match="has no 'dev' split"):
        grade(path, ["1"], "exact_match", split="dev")
    with pytest.raises(ConfigError, match="unknown split"):
        grade(path, ["1"], "exact_match", split="train")
    with pytest.raises(ConfigError, match="cannot grade the task type"):
        grade(path, ["1"], "exact_mach")
    assert grade(write(tmp_path, []), [], "exact_match")[0] == []


def test_reading_outputs(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a\\nb"}\r\n\n{"text": "", "by": ["x"]}\n')
    assert read_outputs(path) == ["a\nb", ""]
    for line in ('{"text": 1}', "[]", "{", '{"t": "x"}'):
        path.write_text('{"text": "a"}\n' + line + "\n")
        with pytest.raises(DataError, match="line 2"):
            read_outputs(path)
