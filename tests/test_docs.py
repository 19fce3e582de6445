"""Pages that are made from the code are up to date."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from moco.methods.base import Method
from moco.tasks.items import build

ROOT = Path(__file__).parents[1]


def test_method_pages_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "make_docs.py"), "--check"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def example(heading: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The code block under a heading of CONTRIBUTING.md as a module."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", page.partition(heading)[2], re.DOTALL)
    assert block is not None
    path = folder / "example.py"
    path.write_text(block[1], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("moco_user_example", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_the_method_of_the_contributors_page_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = example("## Add a method", tmp_path, monkeypatch).Shortest
    assert issubclass(cls, Method)
    assert cls().needs().min_models == 2


def test_the_merge_of_the_contributors_page_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from moco.weights.settings import TensorInfo

    rule = example("## Add a merge", tmp_path, monkeypatch).Shy(step=0.5)
    info = TensorInfo("t", (2,), "vector", 1.0, ("a", "b"), ("A", "B"), stop=2)
    found = rule.merge([torch.tensor([4.0, 0.0]), torch.tensor([0.0, 8.0])], info, None)
    assert found.tolist() == [1.0, 2.0]


def test_the_data_set_of_the_contributors_page_reads_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = example("## Add a data set", tmp_path, monkeypatch).TASK
    row = {"country": "Peru", "capital": "Lima", "others": ["Cusco", "Quito"]}
    assert set(task.official.source.columns) == set(row)
    (item,) = task.official.items(row, "default")
    assert sorted(item["choices"].values()) == ["Cusco", "Lima", "Quito"]
    assert item["choices"][item["answer"]] == "Lima"
    sample = build(item, "test", 0, task.reading, Counter())
    assert sample.target == (item["answer"],)
