"""The commands: what they print, what they write, how they end, and how fast they start."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import scripted

from moco import registry
from moco.commands import terminal
from moco.progress import Display
from moco.report.report import Report
from moco.report.tables import Sheet, run_sheet

START = "import sys, moco.cli; sys.exit(moco.cli.main())"


def shell(*arguments: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START, *arguments],
        cwd=cwd, input=stdin, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config in the current folder."""
    monkeypatch.chdir(tmp_path)
    return scripted.write_config(tmp_path, scripted.run_config(tmp_path))


@pytest.fixture
def finished(config: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a finished run."""
    assert scripted.call(capsys, "run", config, "-q")[0] == 0
    return scripted.only_folder(config.parent / "runs")


def test_run_prints_its_table_and_folder(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = scripted.call(capsys, "run", config, "-l", "logs", "sampling.max_tokens=9")
    assert code == 0 and err.count("loaded") == 3
    for word in ("majority_vote on quiz: 12 questions", "a alone", "best single on dev: b",
                 "best single on test: b", "oracle", "would fall back", "95% interval", "calls",
                 "tokens", "seconds", "run folder: logs/majority_vote-quiz-"):  # fmt: skip
        assert word in out, word
    assert "\x1b" not in out
    code, out, err = scripted.call(capsys, "run", config, "-l", "logs", "sampling.max_tokens=9")
    assert "54 cached" in out and "0.0 now" in out and not err


def test_the_papers_form_and_its_alias(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = scripted.call(capsys, "-c", config, "-l", "logs")
    assert code == 0 and "run folder: logs/" in out
    code, out, _ = scripted.call(capsys, "--config_file", config, "--log_dir", "logs")
    assert code == 0 and "54 cached" in out
    from importlib.metadata import entry_points

    scripts = {p.name: p.value for p in entry_points(group="console_scripts")}
    assert scripts["moco"] == scripts["logmoco"] == "moco.cli:main"


def test_check_writes_nothing_and_is_quick(
    config: Path, capsys: pytest.CaptureFixture[str], own_cache: Path
) -> None:
    before = sorted(config.parent.rglob("*"))
    scripted.call(capsys, "check", config)
    start = time.process_time()
    code, out, err = scripted.call(capsys, "check", config, config, "--all")
    assert time.process_time() - start < 2
    assert code == 0 and not err and out.count("c.yaml: fits") == 2
    assert sorted(config.parent.rglob("*")) == before and not own_cache.exists()
    for name in registry.names("method"):
        assert name in out
    assert "does not give logits" in out


def test_help_and_check_import_nothing_heavy(config: Path) -> None:
    code = (
        "import sys, moco.cli; code = moco.cli.main(sys.argv[1:]);"
        "heavy = {'torch', 'scipy', 'transformers', 'pandas'} & {*sys.modules};"
        "sys.exit(code or (f'imported {heavy}' if heavy else 0))"
    )
    for arguments in (["--help"], ["check", str(config), "--all"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_help_starts_quickly(tmp_path: Path) -> None:
    def seconds() -> float:
        before = os.times()
        assert "Usage" in shell("--help", cwd=tmp_path).stdout
        after = os.times()
        return (after.children_user + after.children_system) - (
            before.children_user + before.children_system
        )

    assert min(seconds() for _ in range(3)) < 0.5


@pytest.mark.parametrize("kind", ["methods", "tasks", "pools", "models", "scorers"])
def test_list(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = scripted.call(capsys, "list", kind)
    assert code == 0 and not err
    known = {
        "methods": "majority_vote", "tasks": "gsm8k", "pools": "zoo://mini",
        "models": "smollm2-135m", "scorers": "choice",
    }  # fmt: skip
    assert known[kind] in out


def test_show_a_method_says_everything(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = scripted.call(capsys, "show", "cascade")
    assert code == 0
    for word in (
        "2305.05176",
        "models: 2 or more",
        "logprobs",
        "cost_weight: number = 0.0",
        "preset: paper",
        "dev questions: needed",
    ):
        assert word in out


@pytest.mark.parametrize(
    ("name", "word"),
    [("gsm8k", "MIT"), ("f1", "F1"), ("zoo://real", "gemma3-270m"), ("smollm2-135m", "8,192")],
)
def test_show_other_names(name: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = scripted.call(capsys, "show", name)
    assert code == 0 and word in out


def test_show_suggests(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = scripted.call(capsys, "show", "majority_votes")
    assert code == 2 and "Did you mean 'majority_vote'" in err


def test_show_a_run_and_one_question(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = scripted.call(capsys, "show", finished)
    assert code == 0 and "best single on dev: b" in out
    code, out, _ = scripted.call(capsys, "show", finished, "test-3")
    assert code == 0
    assert out.count("Which one is test 3?") == 3 and "score: " in out and "read as: " in out
    code, _, err = scripted.call(capsys, "show", finished, "test-99")
    assert code == 2 and "unknown question 'test-99'" in err
    (finished / "report.json").unlink()
    code, _, err = scripted.call(capsys, "show", finished)
    assert code == 2 and "not finished" in err
    assert scripted.call(capsys, "show", finished.parent)[0] == 2


def test_foreign_text_cannot_steer_the_terminal(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b[31mred\x1b]0;title\x07 [bold]x[/bold] [link=http://x]y[/link] \u202e Answer: A"
    data = scripted.run_config(config.parent, pool=[scripted.member("a", evil), scripted.POOL[1]])
    path = scripted.write_config(config.parent, data, "evil.yaml")
    assert scripted.call(capsys, "run", path, "-l", "logs")[0] == 0
    _, out, _ = scripted.call(capsys, "show", scripted.only_folder(Path("logs")), "test-0")
    assert "\x1b" not in out and "\x07" not in out and "\u202e" not in out
    assert "[bold]x[/bold]" in out and "\\x1b[31mred" in out


def test_tables_on_a_terminal_are_escaped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Tty()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "dumb")
    terminal.sheet(Sheet("[red]t", ("a", "b"), (("[bold]x", "\x1b[2J"),), ("[i]note",)))
    shown = stream.getvalue()
    assert "[bold]x" in shown and "\x1b[2J" not in shown and "[i]note" in shown


def test_pool(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = scripted.call(capsys, "pool", config)
    assert code == 0 and "logprobs" in out and all(f"\n{n} " in out for n in "abc")
    code, out, _ = scripted.call(capsys, "pool", "zoo://real")
    assert code == 0 and "apache-2.0" in out


def test_report_over_folders_and_regrade(
    finished: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scripted.call(capsys, "run", config, "method=best_single", "-q")[0] == 0
    code, out, _ = scripted.call(capsys, "report", "runs")
    assert code == 0 and "2 finished runs" in out and "best_single" in out
    samples = finished / "samples.jsonl"
    text = samples.read_text().replace('"prediction": "Answer: B"', '"prediction": "Answer: Z"')
    samples.write_text(text)
    score = scripted.report_of(finished)["score"]
    code, out, _ = scripted.call(capsys, "report", "runs", "--regrade")
    line = next(x for x in out.splitlines() if x.startswith("majority_vote"))
    assert code == 0 and f"{score:.3f}" in line and not line.endswith(f"{score:.3f}")
    assert scripted.report_of(finished)["score"] == score
    assert scripted.call(capsys, "report", "nowhere")[0] == 2
    (finished / "report.json").write_text("{")
    code, out, err = scripted.call(capsys, "report", "runs")
    assert code == 2 and "damaged" in err and "1 finished" in out


def test_grade(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = {"question": "Which?", "choices": {"A": "x", "B": "y"}, "answer": "B"}
    rows = [item, {**item, "answer": "A"}, {**item, "answer": "Q"}]
    data = scripted.write_config(tmp_path, {"name": "x", "test": rows}, "data.json")
    outputs = tmp_path / "out.jsonl"
    outputs.write_text("".join(json.dumps({"text": "Answer: B"}) + "\n" for _ in rows))
    common = ["grade", data, "--task-type", "multiple_choice", "--split", "test"]
    code, out, err = scripted.call(capsys, *common, "--outputs", outputs, "--json")
    assert code == 0 and json.loads(out) == {"scores": [1.0, 0.0, None]} and "item 2" in err
    code, out, _ = scripted.call(capsys, *common, "--outputs", outputs)
    assert code == 0 and "2 of 3 items graded, mean score 0.5000" in out
    outputs.write_text("{}\n")
    assert scripted.call(capsys, *common, "--outputs", outputs)[0] == 2


def test_cache(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = scripted.call(capsys, "cache", "info")
    assert code == 0 and "generate" in out and "54" in out
    code, out, _ = scripted.call(capsys, "cache", "gc")
    assert code == 0 and out.startswith("0 calls")
    code, out, _ = scripted.call(capsys, "cache", "gc", "--older-than", "0")
    assert code == 0 and out.startswith("54 calls")
    assert finished.exists()


def test_cache_that_is_not_there_is_not_made(
    capsys: pytest.CaptureFixture[str], own_cache: Path
) -> None:
    assert scripted.call(capsys, "cache", "info")[0] == 0
    assert scripted.call(capsys, "cache", "gc")[0] == 0
    assert not own_cache.exists()


def test_pull_names(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = scripted.call(capsys, "model", "pull", "smollm2-135")
    assert code == 2 and "Did you mean 'smollm2-135m'" in err
    code, _, err = scripted.call(capsys, "data", "pull", "gsm8")
    assert code == 2 and "Did you mean 'gsm8k'" in err
    code, _, err = scripted.call(capsys, "model", "pull", "gemma3-270m")
    assert code == 3 and "--accept-licence" in err


def test_new_files_work_as_they_are(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scripted.call(capsys, "new", "method", "my_way")[0] == 0
    code, out, _ = scripted.call(capsys, "new", "task", "my_quiz")
    assert code == 0 and "./my_quiz.py:TASK" in out
    for name in ("my_way.py", "my_quiz.py"):
        assert 25 <= len(Path(name).read_text().splitlines()) <= 50
    own = {"method": "./my_way.py:MyWay", "task": "./my_quiz.py:TASK"}
    path = scripted.write_config(config.parent, scripted.run_config(config.parent) | own)
    assert scripted.call(capsys, "check", path)[0] == 0
    code, out, _ = scripted.call(capsys, "run", path, "-l", "logs")
    assert code == 0 and "my_way on my_quiz: 2 questions" in out
    first = scripted.only_folder(Path("logs"))
    code, out, _ = scripted.call(capsys, "show", "./my_way.py:MyWay")
    assert code == 0 and "min_words" in out
    Path("my_way.py").write_text(Path("my_way.py").read_text() + "\n# changed\n")
    assert scripted.call(capsys, "run", path, "-l", "logs")[0] == 0
    assert {p.name for p in Path("logs").iterdir()} > {first.name}
    assert scripted.call(capsys, "new", "method", "my_way")[0] == 2
    for bad in ("My Way", "../x", "class", "x" * 200):
        assert scripted.call(capsys, "new", "task", bad)[0] == 2


def test_a_users_faulty_file_is_bad_input(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.py").write_text("import nothing_like_this\n")
    path = scripted.write_config(config.parent, {"method": "./broken.py:X", "task": "mini"} | {
        "pool": list(scripted.POOL)})  # fmt: skip
    code, _, err = scripted.call(capsys, "check", path)
    assert code == 2 and "nothing_like_this" in scripted.message_of(err)


FAULTY = "raise KeyError('secret place')"


@pytest.mark.parametrize("debug", [False, True])
def test_a_fault_of_ours_is_one_message(config: Path, debug: bool) -> None:
    assert shell("new", "method", "bad_way", cwd=config.parent).returncode == 0
    text = (config.parent / "bad_way.py").read_text()
    place = '        best = state["best"]'
    (config.parent / "bad_way.py").write_text(text.replace(place, f"        {FAULTY}\n{place}"))
    arguments = ["run", str(config), "method=./bad_way.py:BadWay", *["--debug"] * debug]
    done = shell(*arguments, cwd=config.parent)
    assert done.returncode == 1
    assert ("Traceback" in done.stderr) == debug
    folder = scripted.only_folder(config.parent / "runs")
    if not debug:
        assert "KeyError" in done.stderr and str(Path("runs") / folder.name) in done.stderr
    assert "KeyError" in (folder / "log.txt").read_text()


def test_a_closed_pipe_is_no_fault(config: Path) -> None:
    command = f"{sys.executable} -c '{START}' list tasks | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr and "fault" not in done.stderr


def test_version_and_bare_call(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = scripted.call(capsys, "--version")
    assert code == 0 and out[0].isdigit()
    code, out, _ = scripted.call(capsys)
    assert code == 0 and "Usage" in out


def test_table_of_a_run_without_comparison() -> None:
    report = Report(
        method="m", task="t", pool=["a"], n=3, n_invalid=1, n_unparsed=2, n_truncated=0,
        n_skipped=0, score=None, ci95=None, singles={}, singles_dev={}, best_single_dev=None,
        best_single_test=None, oracle=None, difference=None, would_fall_back=None,
        fell_back=False, usage={}, usage_comparison={},
    )  # fmt: skip
    text = run_sheet(report).plain()
    assert "m on t: 3 questions" in text and "–" in text and "1 invalid, 2 unparsed" in text


def test_progress_without_a_terminal_is_quiet() -> None:
    stream = io.StringIO()
    with Display(stream) as display:
        display.asked("answer", 10, 4)
        for _ in range(6):
            display.finished("answer", 5)
        display.loaded("model\x1b[0m", 1.0)
        display.download("file", 5, 10)
    assert stream.getvalue() == "loaded model?[0m in 1.0 s\n"


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream: Any = Tty()
    with Display(stream) as display:
        display.asked("[bold]round 1", 4, 0)
        display.finished("[bold]round 1", 50)
        display.loaded("m", 0.5)
        assert display._bars is not None
        (task,) = display._bars.tasks
        assert (task.completed, task.total) == (1, 4)
    assert "loaded m in 0.5 s" in stream.getvalue()
