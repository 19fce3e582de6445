"""From config to report with scripted members: what a run leaves, and that it survives trouble."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import scripted

from moco import runner
from moco.analysis import stats
from moco.config import RunConfig, parse
from moco.errors import EnvironmentProblem, PromptTooLongError
from moco.report.report import Report
from moco.report.tables import run_sheet


@pytest.fixture
def calls(own_cache: Path) -> Path:
    """The test's call cache."""
    return own_cache / "moco" / "calls.sqlite"


def go(folder: Path, logs: str = "runs", **changes: Any) -> Report:
    config: RunConfig = parse(RunConfig, scripted.run_config(folder, **changes))
    return runner.run(config, folder / logs)


def test_report_holds_what_is_promised(tmp_path: Path) -> None:
    report = go(tmp_path)
    data = scripted.report_of(report.path)
    promised = (
        "method task pool n n_invalid n_unparsed score ci95 singles best_single_dev"
        " best_single_test oracle usage usage_comparison"
    )
    assert set(promised.split()) <= set(data)
    counted = "calls cached_calls prompt_tokens generated_tokens flops seconds model_loads"
    assert set(counted.split()) <= set(data["usage"])
    assert set(counted.split()) <= set(data["usage_comparison"])
    assert (data["method"], data["task"]) == ("majority_vote", "quiz")
    assert data["pool"] == ["a", "b", "c"]
    assert data["n"] == 12 and data["usage"]["model_loads"] == 3
    assert data["singles"] == {"a": 4 / 12, "b": 7 / 12, "c": 4 / 12}
    assert data["best_single_dev"] == data["best_single_test"] == "b"
    assert data["oracle"] == 11 / 12
    assert data["usage"]["calls"] == 3 * (6 + 12)
    assert Report.from_json(data, report.path) == report


PAIRED = """
import dataclasses
from moco.tasks.mini import TASK as MINI

@dataclasses.dataclass(frozen=True, kw_only=True)
class Paired(type(MINI)):
    def load(self, path):
        data = super().load(path)
        test = [
            dataclasses.replace(s, meta={"pair": i // 2}) for i, s in enumerate(data.test[:40])
        ]
        return dataclasses.replace(data, dev=data.dev[:4], test=tuple(test))

TASK = Paired(name="paired", scorer="choice", kinds=("choice",), group="pair")
"""


def test_intervals_resample_the_groups_of_a_task(tmp_path: Path) -> None:
    (tmp_path / "paired.py").write_text(PAIRED)
    report = go(tmp_path, task=f"{tmp_path / 'paired.py'}:TASK")
    values = [line["score"] for line in scripted.lines_of(report.path / "samples.jsonl")]
    assert report.n == 40 and report.n_groups == 20
    assert report.ci95 == stats.interval(values, [i // 2 for i in range(40)])
    assert report.ci95 != stats.interval(values)
    assert "intervals: 20 groups of questions resampled whole" in run_sheet(report).notes
    assert go(tmp_path).n_groups == 0


def test_run_folder_holds_everything(tmp_path: Path) -> None:
    folder = go(tmp_path).path
    names = {p.name for p in folder.iterdir()}
    assert {"config.yaml", "manifest.json", "state.json", "samples.jsonl", "calls.jsonl"} <= names
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "done" and folder.name.endswith(manifest["digest"][:8])
    assert folder.name.startswith("majority_vote-quiz-")
    samples = scripted.lines_of(folder / "samples.jsonl")
    assert len(samples) == 12
    needed = {"query_id", "prediction", "answer", "status", "score", "by"}
    assert needed <= set(samples[0])
    logs = scripted.lines_of(folder / "calls.jsonl")
    assert len(logs) == len({c["key"] for c in logs}) == 54
    logged = "key kind model query_id stage prompt text stop prompt_tokens generated_tokens seconds"
    assert set(logged.split()) <= set(logs[0])


def test_written_config_runs_again_into_the_same_folder(tmp_path: Path) -> None:
    from moco import inputs

    report = go(tmp_path)
    again = runner.run(inputs.read_run(report.path / "config.yaml"), tmp_path / "runs")
    assert again.path == report.path


def test_a_rerun_asks_nothing_and_gives_the_same(tmp_path: Path) -> None:
    first = go(tmp_path)
    kept = scripted.report_of(first.path), (first.path / "calls.jsonl").read_bytes()
    samples = (first.path / "samples.jsonl").read_bytes()
    second = go(tmp_path)
    data = scripted.report_of(second.path)
    assert data["usage"]["cached_calls"] == data["usage"]["calls"]
    assert data["usage"]["model_loads"] == data["usage"]["fresh_seconds"] == 0
    assert scripted.without_cost(data) == scripted.without_cost(kept[0])
    assert (second.path / "calls.jsonl").read_bytes() == kept[1]
    assert (second.path / "samples.jsonl").read_bytes() == samples


def test_a_limit_on_calls_stops_and_a_raised_one_goes_on(tmp_path: Path, own_cache: Path) -> None:
    whole = scripted.report_of(go(tmp_path, logs="whole").path)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    own_cache.rename(tmp_path / "old-cache")
    with pytest.raises(EnvironmentProblem, match=r"limit of 10 .*engine\.max_calls"):
        go(fresh, engine={"max_calls": 10})
    folder = scripted.only_folder(fresh / "runs")
    assert not (folder / "report.json").exists()
    assert len(scripted.lines_of(folder / "calls.jsonl")) == 10
    done = scripted.report_of(go(fresh, engine={"max_calls": 44}).path)
    assert scripted.only_folder(fresh / "runs") == folder
    assert done["usage"]["cached_calls"] == 10
    assert scripted.without_cost(done) == scripted.without_cost(whole)


@pytest.mark.parametrize("torn", ["calls.jsonl", "samples.jsonl"])
def test_a_torn_last_line_is_written_again(tmp_path: Path, torn: str) -> None:
    folder = go(tmp_path).path
    whole = (folder / torn).read_bytes()
    (folder / torn).write_bytes(whole[:-20])
    go(tmp_path)
    assert sorted((folder / torn).read_bytes().splitlines()) == sorted(whole.splitlines())
    assert not (folder / f"{torn}.bad").exists()


def test_a_damaged_earlier_line_is_set_aside(tmp_path: Path) -> None:
    folder = go(tmp_path).path
    path = folder / "calls.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([whole[0], b"\x00\xff garbage\n", *whole[2:]]))
    with pytest.warns(UserWarning, match="damaged"):
        go(tmp_path)
    assert (folder / "calls.jsonl.bad").exists()
    assert sorted(path.read_bytes().splitlines(keepends=True)) == sorted(whole)


def test_a_corrupt_cache_is_set_aside(tmp_path: Path, calls: Path) -> None:
    first = scripted.report_of(go(tmp_path).path)
    calls.write_bytes(b"no database at all" * 500)
    with pytest.warns(UserWarning, match="set aside"):
        again = scripted.report_of(go(tmp_path).path)
    assert list(calls.parent.glob("*.bad"))
    assert again["usage"]["cached_calls"] == 0
    assert scripted.without_cost(again) == scripted.without_cost(first)


def test_a_damaged_entry_of_the_cache_is_made_anew(tmp_path: Path, calls: Path) -> None:
    first = scripted.report_of(go(tmp_path).path)
    with sqlite3.connect(calls) as db:
        db.execute("update calls set value = '{' where key = (select min(key) from calls)")
    with pytest.warns(UserWarning, match="damaged entry"):
        again = scripted.report_of(go(tmp_path).path)
    assert again["usage"]["cached_calls"] == again["usage"]["calls"] - 1
    assert scripted.without_cost(again) == scripted.without_cost(first)


def test_copies_differ_when_sampled_and_agree_when_greedy(tmp_path: Path) -> None:
    many = scripted.member("x", [f"Answer: {c}" for c in "ABC"])  # type: ignore[arg-type]
    greedy = go(tmp_path, pool=[many] * 3)
    assert greedy.pool == ["x", "x#2", "x#3"]
    assert len(set(greedy.singles.values())) == 1
    assert greedy.usage["calls"] == 18
    warm = go(tmp_path, pool=[many] * 3, sampling={"temperature": 1.0})
    assert warm.usage["calls"] == 54 and len(set(warm.singles.values())) > 1


def test_fallback_answers_with_the_best_single_model(tmp_path: Path) -> None:
    pool = [scripted.member("bad1", "Answer: A"), scripted.member("bad2", "Answer: A"),
            scripted.POOL[1]]  # fmt: skip
    plain = go(tmp_path, pool=pool)
    assert plain.would_fall_back and not plain.fell_back
    safe = go(tmp_path, pool=pool, fallback="best_single")
    assert safe.fell_back and safe.score == safe.singles["b"]


def test_several_draws_count_once_per_question(tmp_path: Path) -> None:
    many = scripted.member("x", [f"Answer: {c}" for c in "ABC"])  # type: ignore[arg-type]
    pool = [many, scripted.POOL[0]]
    report = go(tmp_path, pool=pool, samples=4, sampling={"temperature": 1.0})
    assert report.n == 12
    assert len(scripted.lines_of(report.path / "samples.jsonl")) == 48


def test_ctrl_c_loses_nothing(tmp_path: Path, calls: Path) -> None:
    slow = [scripted.member("a", delay_seconds=0.05), scripted.member("b", delay_seconds=0.05)]
    config = scripted.write_config(tmp_path, scripted.run_config(tmp_path, pool=slow))
    command = [sys.executable, "-c", "import sys, moco.cli; sys.exit(moco.cli.main())", "run"]
    process = subprocess.Popen(
        [*command, str(config), "-l", str(tmp_path / "runs")],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not _stored(calls) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "stopped" in err and "Traceback" not in err
    before = _stored(calls)
    assert 0 < before < 36
    folder = scripted.only_folder(tmp_path / "runs")
    assert len(scripted.lines_of(folder / "calls.jsonl")) == before
    done = go(tmp_path, pool=slow)
    assert done.path == folder and done.usage["cached_calls"] == before


def _stored(cache: Path) -> int:
    if not cache.exists():
        return 0
    db = sqlite3.connect(cache)
    try:
        return int(db.execute("select count(*) from calls").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        db.close()


def test_questions_that_do_not_fit_an_aggregator_are_known_before_anything_is_asked(
    tmp_path: Path, calls: Path
) -> None:
    path = scripted.write_data(tmp_path, name="long.jsonl")
    long = {
        "id": "long", "split": "test", "question": "word " * 20_000, "choices": ["red", "green"],
        "answer": "A",
    }  # fmt: skip
    path.write_text(path.read_text() + json.dumps(long) + "\n")
    changes = {
        "task": {"path": str(path)}, "method": "moa", "roles": {"aggregator": "zoo://mini/base"},
        "sampling": {"max_tokens": 16},
    }  # fmt: skip
    with pytest.raises(
        PromptTooLongError, match=r"'test-12' is \d+ tokens too long for model 'base'"
    ):
        runner.run(parse(RunConfig, {**scripted.run_config(tmp_path), **changes}), tmp_path / "r")
    assert not calls.exists()
    config = {**scripted.run_config(tmp_path), **changes, "on_too_long": "skip"}
    report = runner.run(parse(RunConfig, config), tmp_path / "r")
    assert report.n == 12 and any("1 questions do not fit" in note for note in report.notes)
