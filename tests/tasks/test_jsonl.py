"""Users' own JSON lines, and samples drawn from a task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moco.errors import ConfigError, DataError
from moco.tasks.base import kinds_in, scorer_for, take
from moco.tasks.jsonl import read_task
from moco.types import Query, Sample


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_every_sort_of_item(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.jsonl",
        {"question": "a?", "choices": ["red", "blue"], "answer": "B", "topic": "x"},
        {"question": "b?", "choices": ["red", "blue"], "answer": "red", "split": "dev"},
        {"question": "c?", "answer": 12, "id": "c"},
        {"question": "d?", "answer": "1,200", "kind": "number"},
        {"question": "e?", "answer": True},
        {"question": "f?", "answer": "maybe", "labels": ["yes", "no", "maybe"]},
        {"question": "g?", "answer": [1, 2], "kind": "list"},
    )
    task, data = read_task(path, name="mine")
    assert [s.query.kind for s in data.test] == [
        "choice", "number", "number", "boolean", "label", "list",
    ]  # fmt: skip
    assert data.dev[0].target == ("A",)
    assert data.test[0].target == ("B",)
    assert data.test[0].meta == {"topic": "x"}
    assert data.test[1].meta == {"id": "c"}
    assert data.test[1].target == ("12",)
    assert data.test[5].target == ("[1, 2]",)
    assert task.scorer == "exact"
    assert set(task.kinds) == {"choice", "number", "boolean", "label", "list"}
    assert [s.query.id for s in data.test][:2] == ["test-0", "test-1"]


def test_kind_and_aliases_from_the_config(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", {"question": "?", "answer": ["Rome", "Roma"]})
    task, data = read_task(path, name="m", kind="span")
    assert data.test[0].target == ("Rome", "Roma")
    assert task.scorer == "f1"
    assert read_task(path, name="m", kind="span", scorer="exact")[0].scorer == "exact"
    with pytest.raises(ConfigError, match="unknown answer kind 'spam'"):
        read_task(path, name="m", kind="spam")  # type: ignore[arg-type]


def test_a_folder_of_both_splits(tmp_path: Path) -> None:
    write(tmp_path / "dev.jsonl", {"question": "a?", "answer": 1})
    write(tmp_path / "test.jsonl", {"question": "b?", "answer": 2}, {"question": "a?", "answer": 1})
    _, data = read_task(tmp_path, name="folder")
    assert (len(data.dev), len(data.test)) == (1, 2)
    assert data.notes == ("test questions that dev asks too: 1",)
    (tmp_path / "dev.jsonl").unlink()
    assert read_task(tmp_path, name="folder")[1].dev == ()
    (tmp_path / "test.jsonl").unlink()
    with pytest.raises(DataError, match=r"neither dev\.jsonl nor test\.jsonl"):
        read_task(tmp_path, name="folder")


def test_a_file_in_the_package_format(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"dev": [], "test": [{"input": "?", "output": "12"}]}))
    task, data = read_task(path, name="x")
    assert (task.scorer, data.test[0].query.kind) == ("exact", "number")
    path.write_text(json.dumps({"test": [{"input": "?", "output": '["a b", "c"]'}]}))
    task, data = read_task(path, name="x")
    assert (task.scorer, data.test[0].target) == ("f1", ("a b", "c"))


BAD: list[tuple[str, str]] = [
    ('{"question": "?", "answer"', "malformed JSON"),
    ("[1]", "no JSON object"),
    ('{"answer": 1}', "no 'question'"),
    ('{"question": " ", "answer": 1}', "'question' is empty"),
    ('{"question": "?"}', "no 'answer'"),
    ('{"question": "?", "answer": "x", "kind": "number"}', "'answer' is not a number"),
    ('{"question": "?", "answer": "C", "choices": ["a", "b"]}', "not one of the choices"),
    ('{"question": "?", "answer": "A", "choices": ["a"]}', "2 to 26 'choices'"),
    ('{"question": "?", "answer": "A", "choices": "ab"}', "'choices' must be a list"),
    ('{"question": "?", "answer": 1, "split": "train"}', "'split' must be"),
    ('{"question": "?", "answer": 1, "kind": "numbr"}', "Did you mean 'number'"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_lines_are_named_or_skipped(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"question": "?", "answer": 1}\n\n' + line + "\n")
    with pytest.raises(DataError, match=message) as caught:
        read_task(path, name="m")
    assert "m.jsonl line 3" in str(caught.value)
    assert caught.value.exit_code == 2
    _, data = read_task(path, name="m", on_bad_item="skip")
    assert len(data.test) == 1 and sum(data.excluded.values()) == 1


def test_only_the_first_five_bad_rows_are_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", *({"question": "?"} for _ in range(9)))
    with pytest.raises(DataError, match="9 items") as caught:
        read_task(path, name="m")
    assert "line 5" in str(caught.value) and "line 6" not in str(caught.value)


def test_duplicate_ids(tmp_path: Path) -> None:
    row = {"question": "?", "answer": 1, "id": 7}
    path = write(tmp_path / "m.jsonl", row, row)
    with pytest.raises(DataError, match="the id 7 occurs twice"):
        read_task(path, name="m")


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"question": "?", "answer": 1}\r\n{"question": "!", "answer": 2}'
    )
    assert len(read_task(path, name="m")[1].test) == 2
    path.write_bytes(b'{"question": "\xff", "answer": 1}\n')
    with pytest.raises(DataError, match="not UTF-8"):
        read_task(path, name="m")
    path.write_bytes(b"\n \n")
    with pytest.raises(DataError, match="no items"):
        read_task(path, name="m")


def test_kinds_and_scorers() -> None:
    assert scorer_for(("choice",)) == "choice"
    assert scorer_for(("number", "label")) == "exact"
    assert scorer_for(("choice", "math")) == "exact"
    with pytest.raises(DataError, match="no scorer"):
        scorer_for(("choice", "span"))
    with pytest.raises(DataError):
        scorer_for(())


def grouped(*groups: str | None) -> list[Sample]:
    return [
        Sample(Query(f"test-{i}", "?"), ("x",), {} if g is None else {"group": g})
        for i, g in enumerate(groups)
    ]


def test_samples_are_seeded_and_keep_their_order() -> None:
    samples = grouped(*[None] * 50)
    some = take(samples, 10, 3)
    rows = [int(s.query.id.split("-")[1]) for s in some]
    assert len(some) == 10 and rows == sorted(rows)
    assert take(samples, 10, 3) == some
    assert take(samples, 10, 4) != some
    assert take(samples, None, 3) == tuple(samples) == take(samples, 99, 3)
    assert kinds_in(some) == ("free",)
    with pytest.raises(DataError):
        take(samples, 0, 3)


def test_groups_come_whole() -> None:
    samples = grouped(*[str(i // 4) for i in range(40)], None, None)
    for seed in range(5):
        some = take(samples, 10, seed, group="group")
        counts = [
            sum(s.meta.get("group") == g for s in some)
            for g in {s.meta.get("group") for s in some if s.meta}
        ]
        assert counts and set(counts) == {4}
        assert len(some) <= 10
    with pytest.raises(DataError, match="whole groups"):
        take(grouped("a", "a", "b", "b"), 1, 0, group="group")
