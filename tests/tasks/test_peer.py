"""The reader of the `modelco` package's data files: every variant that its files have."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from moco.errors import DataError
from moco.tasks import bbh, blend, culturebench, popqa, theoremqa
from moco.tasks.guessing import Form
from moco.tasks.peer import PeerTask, Reading, load, read_file


def write(folder: Path, dev: Any, test: Any, **more: Any) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps({"name": "other", **more, "dev": dev, "test": test}), "utf-8")
    return path


def choice(answer: Any = "A", choices: Any = None, **more: Any) -> dict[str, Any]:
    options = {"A": "red", "B": "blue"} if choices is None else choices
    return {"id": 1, "question": "Which?", "choices": options, "answer": answer, **more}


def question(output: Any, text: str = "What?", **more: Any) -> dict[str, Any]:
    return {"id": 1, "input": text, "output": output, **more}


MULTIPLE = Reading("multiple_choice")


def test_letters_follow_the_order_of_any_keys(tmp_path: Path) -> None:
    rows = [
        choice("3", {"1": "a1", "2": "b1", "3": "c1"}),
        choice("id", {"A": "a1", "B": "b1", "C": "c1", "id": "d1"}),
        choice("A", {"B": "b1", "A": "a1"}),
        choice(2, {"1": "a1", "2": "b1"}),
    ]
    data = load(write(tmp_path, [], rows), MULTIPLE, "error")
    assert [s.target for s in data.test] == [("C",), ("D",), ("B",), ("B",)]
    assert data.test[0].query.choices == ("a1", "b1", "c1")
    assert "A) a1\nB) b1\nC) c1" in data.test[0].query.text
    assert any("keys" in note and "4" in note for note in data.notes)


def test_own_ids_and_metadata(tmp_path: Path) -> None:
    rows = [choice(id="x", domain="law"), choice(id="x"), choice(id=7)]
    data = load(write(tmp_path, [choice()], rows), MULTIPLE, "error")
    assert [s.query.id for s in data.test] == ["test-0", "test-1", "test-2"]
    assert data.dev[0].query.id == "dev-0"
    assert data.test[0].meta == {"id": "x", "domain": "law", "row": 0}
    assert any(note.startswith("ids that repeat") for note in data.notes)


def test_null_options_stay_unless_they_are_the_gold(tmp_path: Path) -> None:
    rows = [
        choice("A", {"A": "red", "B": None, "C": " "}),
        choice("B", {"A": "red", "B": None}),
        choice("A", {"A": "red\n", "B": "red", "C": 3}),
    ]
    data = load(write(tmp_path, [], rows), MULTIPLE, "skip")
    assert [s.query.id for s in data.test] == ["test-0", "test-2"]
    assert data.test[0].query.choices == ("red", "[no text]", "[no text]")
    assert data.test[1].query.choices == ("red", "red", "3")
    assert data.excluded == {"test": 1}
    assert any("gold option is null: 1 left out" in note for note in data.notes)


def test_bad_items_of_a_users_file_are_named(tmp_path: Path) -> None:
    rows = [choice(), {"question": "?"}, "text", choice("Z"), choice(None), choice(question="")]
    path = write(tmp_path, [], rows)
    with pytest.raises(DataError) as caught:
        load(path, MULTIPLE, "error")
    message = str(caught.value)
    assert "5 items cannot be used" in message
    for place in ("test item 1: no 'choices'", "test item 2", "test item 3", "test item 4"):
        assert place in message
    assert len(load(path, MULTIPLE, "skip").test) == 1


def test_no_message_repeats_a_whole_value(tmp_path: Path) -> None:
    path = write(tmp_path, [], [choice("secret " * 500)])
    with pytest.raises(DataError) as caught:
        load(path, MULTIPLE, "error")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
def test_byte_order_mark_and_line_ends(tmp_path: Path, prefix: bytes) -> None:
    text = json.dumps({"dev": [], "test": [choice()]}, indent=1).replace("\n", "\r\n")
    path = tmp_path / "x.json"
    path.write_bytes(prefix + text.encode())
    data = load(path, MULTIPLE, "error")
    assert len(data.test) == 1
    assert data.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"dev": [], "test": ["\xff\xfe"]}', "not UTF-8"),
        (b'{"dev": [', "malformed JSON"),
        (b"[]", "expected an object with 'dev' and 'test', found a list"),
        (b'{"rows": []}', "neither 'dev' nor 'test'"),
        (b'{"test": {"a": 1}}', "'test' must be a list of items"),
        (b'{"dev": [], "test": []}', "no item can be used"),
        (b"[" * 100_000, "malformed JSON"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(path, MULTIPLE, "error")


def test_a_split_may_be_absent(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"test": [choice()], "dev": None}))
    assert read_file(path).dev is None
    assert load(path, MULTIPLE, "error").dev == ()
    with pytest.raises(DataError, match="no such data file"):
        load(tmp_path / "none.json", MULTIPLE, "error")


def test_aliases_are_decoded_and_kept_whole(tmp_path: Path) -> None:
    rows = [
        question('["Paris, France", "Ville Lumi\\u00e8re", ""]'),
        question("[not a list"),
        question(["Rome", "Roma"]),
        question("[]"),
        question(None),
        question(""),
    ]
    data = load(write(tmp_path, [], rows), popqa.TASK.reading, "skip")
    assert [s.target for s in data.test] == [
        ("Paris, France", "Ville Lumière"),
        ("[not a list",),
        ("Rome", "Roma"),
    ]
    assert data.excluded == {"test": 3}


def test_broken_surrogates_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"test": [{"input": "a\\ud800b?", "output": "yes"}]}')
    sample = load(path, Reading("exact_match", Form("span")), "error").test[0]
    sample.query.text.encode()
    assert sample.query.text.startswith("a?b?")


def test_kinds_by_answer_type(tmp_path: Path) -> None:
    listed = "Which? (a) one thing; (b) another. Which option is correct?"
    rows = [
        question("3.54e-07", answer_type="float"),
        question("56", answer_type="integer"),
        question("True", answer_type="bool"),
        question("[1, 2]", answer_type="list of integer"),
        question("[0.5, 2]", answer_type="list of float"),
        question("(b)", listed, answer_type="option"),
        question("12"),
        question("odd"),
    ]
    data = load(write(tmp_path, [], rows), theoremqa.TASK.reading, "error")
    kinds = [(s.query.kind, s.query.tolerance) for s in data.test]
    assert kinds[:6] == [
        ("number", 0.01),
        ("number", 0.0),
        ("boolean", 0.0),
        ("list", 0.0),
        ("list", 0.01),
        ("choice", 0.0),
    ]
    assert [k for k, _ in kinds[6:]] == ["number", "span"]
    assert data.test[5].query.choices == ("one thing", "another")
    assert data.test[5].target == ("B",)
    assert listed in data.test[5].query.text


def test_bbh_kinds_need_no_domain(tmp_path: Path) -> None:
    rows = [
        question("B", "Pick one:\nOptions:\n(A) red\n(B) blue"),
        question("Yes", "Well?\nOptions:\n- Yes\n- No"),
        question("invalid", "Well?\nOptions:\n- valid \n- invalid"),
        question(") ]", "Complete the rest of the sequence, please. Input: [ ("),
        question("abel cain", "Sort the following words alphabetically: List: cain abel"),
        question("False", "not True is", domain="boolean_expressions"),
        question("-3", "(1 - 4) ="),
        question("no", "Is the following sentence plausible?"),
        question("sue", "Pick one:\nOptions:\n(A) red\n(B) blue"),
    ]
    data = load(write(tmp_path, [], rows), bbh.TASK.reading, "skip")
    assert [s.query.kind for s in data.test] == [
        "choice", "boolean", "label", "list", "list", "boolean", "number", "boolean",
    ]  # fmt: skip
    assert data.test[0].query.choices == ("red", "blue")
    assert data.test[0].query.bare == "Pick one:"
    assert data.test[0].query.body == rows[0]["input"]
    assert data.excluded == {"test": 1}


def test_contradicting_instructions_are_settled(tmp_path: Path) -> None:
    text = (
        "Which city? Without any explanation, choose only one from the given alphabet"
        " choices(e.g., A, B, C). A. red\nB. blue\n\nAnswer:"
    )
    data = load(write(tmp_path, [], [choice(question=text)]), blend.TASK.reading, "error")
    query = data.test[0].query
    assert query.bare == "Which city?"
    assert query.text.count("blue") == 1
    judged = question("True", "Answer True or False only. Question: Is it?", question_id="0")
    data = load(write(tmp_path, [], [judged]), culturebench.TASK.reading, "error")
    assert data.test[0].query.text.endswith("Answer with one word: True or False.")


def test_repeated_questions_are_counted(tmp_path: Path) -> None:
    other = choice("A", {"A": "green", "B": "grey"})
    data = load(write(tmp_path, [choice()], [choice(), other]), MULTIPLE, "error")
    note = "test questions that dev asks too: 2, 1 of them with the same options"
    assert note in data.notes


def test_a_catalogue_task_leaves_bad_items_out(tmp_path: Path) -> None:
    task = PeerTask(name="x", scorer="choice", kinds=("choice",), reading=MULTIPLE)
    data = task.load(write(tmp_path, [], [choice(), choice(None)]))
    assert len(data.test) == 1 and data.excluded == {"test": 1}
