"""Bad input of every sort: one short message, the right exit code, nothing lost, nothing loaded."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path
from typing import Any

import pytest
import scripted

from moco import registry, sources
from moco.documents import parse_yaml
from moco.engine.cache import Cache
from moco.store import records
from moco.store.run_dir import RunDir

SECRET = "S3cr3t" * 400
"""A long value; no message may repeat it as a whole."""


@pytest.fixture
def nothing_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model may be loaded and nothing downloaded."""
    load, resolve = registry.load, sources.resolve

    def loads(kind: Any, name: str, **options: Any) -> Any:
        found = load(kind, name, **options)
        if kind != "backend":
            return found

        def refuse(*_: Any) -> None:
            raise AssertionError("a model was loaded")

        refuse.__globals__.update(facts_of=found.__globals__["facts_of"])
        return refuse

    def resolves(ref: str, *, pull: bool = True, **options: Any) -> Path | None:
        assert not pull, f"{ref} was to be downloaded"
        return resolve(ref, pull=False, **options)

    monkeypatch.setattr(registry, "load", loads)
    monkeypatch.setattr(sources, "resolve", resolves)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 2) -> str:
    """The message of a command that must fail, checked for length, echo and time."""
    start = time.process_time()
    given, out, err = scripted.call(capsys, *arguments)
    assert given == code, err
    assert time.process_time() - start < 5
    text = err if err.strip() else out
    assert SECRET not in text and "Traceback" not in text
    assert 10 < len(text.strip()) <= 2000
    return text


DEEP = "[" * 200 + "]" * 200
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)

FILES: dict[str, tuple[str | bytes, str]] = {
    "malformed": ("method: [majority_vote\ntask: x", "not valid YAML"),
    "empty": ("", "is empty"),
    "comments only": ("# nothing\n", "is empty"),
    "binary": (b"\x00\x01\x02 method", "binary"),
    "not utf-8": ("method: caf\xe9".encode("latin-1"), "not a UTF-8"),
    "utf-16": ("method: majority_vote".encode("utf-16"), "not a UTF-8"),
    "deep": (f"method: {DEEP}", "nested deeper"),
    "alias bomb": (BOMB, "aliases"),
    "huge": (b"#" * 1_100_000, "larger than"),
    "a list": ("[1, 2]", "must be a mapping"),
    "a word": ("hello", "must be a mapping"),
    "twice": ("method: a\nmethod: b\n", "stands twice"),
    "no text key": ("1: a\n", "a key must be text"),
    "python tag": ("method: !!python/object/apply:os.system [echo]", "not valid YAML"),
    "neither": ("modle: x", "neither"),
    "long value": (f"method: {SECRET}\ntask: x\npool: [a]", "at most 300"),
    "date": ("method: majority_vote\ntask: x\npool: [a]\nseed: 2024-01-01", "not allowed"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", ["run", "check", "study"])
@pytest.mark.usefixtures("nothing_loads")
def test_files(name: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, expected = FILES[name]
    path = scripted.write_config(tmp_path, content)
    text = refused(capsys, command, path)
    if command != "study" or name not in ("long value", "date"):
        assert expected in text


LONG = {"name": "majority_vote", "tie": SECRET}
KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown method": ({"method": "majority_votes"}, "Did you mean 'majority_vote'"),
    "unknown task": ({"task": "gsm8"}, "Did you mean 'gsm8k'"),
    "unknown key": ({"samplng": {}}, "Did you mean 'sampling'"),
    "unknown sampling key": ({"sampling": {"temprature": 1}}, "Did you mean 'temperature'"),
    "unknown member key": ({"pool": [{"model": "a", "backnd": "fake"}]}, "'backend'"),
    "unknown hyperparameter": ({"method": {"name": "majority_vote", "ties": "dev"}}, "'tie'"),
    "unknown backend": ({"pool": [{"model": "a", "backend": "fakes"}, "b"]}, "Did you mean 'fake'"),
    "unknown pool": ({"pool": "zoo://mimi"}, "no ready pool"),
    "unknown zoo model": ({"pool": ["zoo://mini/bas", "zoo://mini/base"]}, "zoo://mini/bas"),
    "unknown model": ({"pool": ["smollm2-135", "x"]}, "Did you mean 'smollm2-135m'"),
    "unknown scheme": ({"pool": ["ht://x/y", "a"]}, "unknown kind of reference"),
    "unknown role": ({"roles": {"juge": scripted.member("j")}}, "has such a role"),
    "text for a number": ({"sampling": {"max_tokens": "32"}}, "sampling.max_tokens"),
    "fraction for a seed": ({"seed": 1.5}, "seed"),
    "bool for a number": ({"samples": True}, "samples"),
    "negative": ({"sampling": {"temperature": -1}}, "sampling.temperature"),
    "not a number": ({"sampling": {"temperature": float("nan")}}, "sampling.temperature"),
    "bad size": ({"engine": {"memory": "lots"}}, "engine.memory"),
    "bad device": ({"engine": {"devices": ["gpu0"]}}, "engine.devices"),
    "empty pool": ({"pool": []}, "pool"),
    "list for a mapping": ({"sampling": [1]}, "sampling"),
    "long hyperparameter": ({"method": LONG}, "tie"),
    "no such data": ({"task": {"path": "nowhere.jsonl"}}, "no such file"),
    "name and path": ({"task": {"name": "gsm8k", "path": "x"}}, "either name"),
    "too few models": ({"pool": [scripted.POOL[0]]}, "at least 2 models"),
    "no logits": ({"method": "logit_fusion"}, "does not give logits"),
    "no weights": ({"method": "greedy_soup"}, "does not give"),
    "no dev": ({"method": "best_single", "task": {"name": "gsm8k", "dev": 0}}, "task.dev"),
    "equal aliases": (
        {"pool": [scripted.member("a"), {**scripted.member("b"), "name": "a"}]},
        "two different models",
    ),
    "hash in a name": ({"pool": [{**scripted.member("b"), "name": "a#2"}]}, "name"),
    "cascade of unknowns": ({"method": {"name": "cascade", "order": ["a", "z"]}}, "'z'"),
    "k samples at 0": (
        {"method": {"name": "majority_vote", "k": 3, "temperature": 0}},
        "method.temperature",
    ),
}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.usefixtures("nothing_loads")
def test_keys_and_values(
    name: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, expected = KEYS[name]
    config = scripted.run_config(tmp_path, **change)
    path = scripted.write_config(tmp_path, json.dumps(config).replace("NaN", ".nan"))
    assert expected in refused(capsys, command, path, *_logs(command, tmp_path))
    assert not (tmp_path / "runs").exists()


def _logs(command: str, folder: Path) -> list[str]:
    return ["-l", str(folder / "runs")] if command == "run" else []


PLACES: dict[str, str] = {
    "nowhere.yaml": "no such file",
    "": "is a folder",
    "quiz.jsonl/c.yaml": "cannot be read",
    "x" * 5000: "cannot be read",
}


@pytest.mark.parametrize("place", PLACES)
def test_paths(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scripted.write_data(tmp_path)
    assert PLACES[place] in refused(capsys, "check", tmp_path / place)


ITEM = {"question": "Which?", "choices": ["x", "y"], "answer": "A"}
DATA: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no items"),
    "blank lines": (b"\n \n", "no items"),
    "no answer": (json.dumps({**ITEM, "answer": None}).encode(), "no 'answer'"),
    "no question": (b'{"answer": "A"}', "no 'question'"),
    "answer is no option": (json.dumps({**ITEM, "answer": "Q"}).encode(), "choices"),
    "equal ids": (b"\n".join([json.dumps({**ITEM, "id": 1}).encode()] * 2), "occurs twice"),
    "not utf-8": (json.dumps(ITEM).encode() + b'\n{"question": "\xff"}', "not UTF-8"),
    "torn": (json.dumps(ITEM).encode()[:-5], "malformed JSON"),
    "no object": (b"[1, 2]\n", "no JSON object"),
    "dev only": (json.dumps({**ITEM, "split": "dev"}).encode(), "no test questions"),
    "bad split": (json.dumps({**ITEM, "split": "train"}).encode(), "split"),
    "deep": (b'{"question": ' + b"[" * 100_000, "malformed JSON"),
}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.usefixtures("nothing_loads")
def test_data(name: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, expected = DATA[name]
    config = scripted.run_config(tmp_path)
    (tmp_path / "quiz.jsonl").write_bytes(content)
    path = scripted.write_config(tmp_path, config)
    assert expected in refused(capsys, command, path, *_logs(command, tmp_path))


def test_bad_items_can_be_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = scripted.run_config(tmp_path, on_bad_item="skip")
    with (tmp_path / "quiz.jsonl").open("a") as file:
        file.write('{"question": "none"}\n')
    path = scripted.write_config(tmp_path, config)
    code, out, _ = scripted.call(capsys, "run", path, "-l", tmp_path / "runs")
    assert code == 0 and "1 left out" in out and "12 questions" in out


@pytest.mark.parametrize("change", [b"\xef\xbb\xbf", b"\r\n"])
def test_bom_and_crlf_are_read(
    change: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = scripted.run_config(tmp_path)
    data = (tmp_path / "quiz.jsonl").read_bytes()
    text = json.dumps(config, indent=1).encode()
    if change == b"\r\n":
        data, text = data.replace(b"\n", change), text.replace(b"\n", change)
    else:
        data, text = change + data, change + text
    (tmp_path / "quiz.jsonl").write_bytes(data)
    code, out, _ = scripted.call(capsys, "check", scripted.write_config(tmp_path, text))
    assert code == 0 and "fits" in out


def test_a_question_in_dev_and_test_is_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = scripted.run_config(tmp_path)
    with (tmp_path / "quiz.jsonl").open("a") as file:
        file.write(json.dumps({**ITEM, "question": "Which one is dev 1?"}) + "\n")
    code, out, _ = scripted.call(capsys, "check", scripted.write_config(tmp_path, config))
    assert code == 0 and "dev asks too: 1" in out


def started(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, Path]:
    """A config and its finished run folder, whose call cache is emptied again."""
    path = scripted.write_config(folder, scripted.run_config(folder))
    code, _, err = scripted.call(capsys, "run", path, "-l", folder / "runs")
    assert code == 0, err
    return path, scripted.only_folder(folder / "runs")


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["calls", "files", "cache"])
def test_a_full_disk_loses_nothing(
    where: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    own_cache: Path,
) -> None:
    path = scripted.write_config(tmp_path, scripted.run_config(tmp_path))
    arguments = ["run", path, "-l", tmp_path / "runs", "-q"]
    with monkeypatch.context() as patch:
        if where == "calls":
            _fail_after(patch, 20)
        elif where == "files":
            patch.setattr(records, "write_json", full)
            patch.setattr("moco.store.run_dir.write_json", full)
        else:
            _small_cache(patch)
        text = refused(capsys, *arguments, code=3)
    assert "No space" in text or "full" in text
    code, _, err = scripted.call(capsys, *arguments)
    assert code == 0, err
    folder = scripted.only_folder(tmp_path / "runs")
    assert len(scripted.lines_of(folder / "calls.jsonl")) == 54


def _fail_after(patch: pytest.MonkeyPatch, count: int) -> None:
    append, seen = records.JsonLines.append, list[int]()

    def failing(self: records.JsonLines, record: Any) -> bool:
        seen.append(1)
        if len(seen) > count:
            full()
        return append(self, record)

    patch.setattr(records.JsonLines, "append", failing)


def _small_cache(patch: pytest.MonkeyPatch) -> None:
    """A call cache that is full after a few pages, as SQLite reports it."""
    connect = Cache._connect

    def small(self: Cache) -> Any:
        db = connect(self)
        db.execute("pragma max_page_count=4")
        return db

    patch.setattr(Cache, "_connect", small)


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = scripted.write_config(tmp_path, scripted.run_config(tmp_path))
    text = refused(capsys, "run", path, "-l", path / "runs", code=3)
    assert "cannot write in" in text and "-l" in text


def test_a_read_only_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scripted.write_config(tmp_path, scripted.run_config(tmp_path))

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("moco.store.run_dir._lock", denied)
    text = refused(capsys, "run", path, "-l", tmp_path / "runs", code=3)
    assert "Permission denied" in text and "permissions" in text


def test_a_cache_folder_that_cannot_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scripted.write_config(tmp_path, scripted.run_config(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(path / "cache"))
    text = refused(capsys, "run", path, "-l", tmp_path / "runs", code=3)
    assert "XDG_CACHE_HOME" in text


def test_a_second_process_in_one_run_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = started(tmp_path, capsys)
    before = (folder / "report.json").read_bytes()
    with RunDir(folder):
        text = refused(capsys, "run", path, "-l", tmp_path / "runs", code=3)
    assert "another process" in text
    assert (folder / "report.json").read_bytes() == before


def test_the_command_line_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such command" in refused(capsys, "rnu")
    assert "Missing argument" in refused(capsys, "run")
    refused(capsys, SECRET)
    refused(capsys, "run", SECRET)
    refused(capsys, "show", SECRET)
    refused(capsys, "list", "things")
    path = scripted.write_config(tmp_path, scripted.run_config(tmp_path))
    assert "key=value" in refused(capsys, "run", path, "seed")
    assert "has no keys" in refused(capsys, "run", path, "pool.0.model=a")
    assert "not valid YAML" in refused(capsys, "run", path, "seed=[1")
    assert "seed" in refused(capsys, "run", path, f"seed={SECRET}")


def test_one_bad_config_does_not_hide_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = scripted.write_config(tmp_path, scripted.run_config(tmp_path))
    bad = scripted.write_config(tmp_path, "", "bad.yaml")
    code, out, err = scripted.call(capsys, "check", bad, good)
    assert code == 2 and "is empty" in err and "fits" in out


@pytest.mark.parametrize(
    ("text", "value"), [("1e-6", 1e-6), ("2E5", 2e5), ("1.5e-3", 1.5e-3), ("-3.e2", -300.0)]
)
def test_numbers_with_an_exponent_are_numbers(text: str, value: float) -> None:
    assert parse_yaml(f"rate: {text}") == {"rate": value}
    assert parse_yaml("name: 3e5a") == {"name": "3e5a"}
