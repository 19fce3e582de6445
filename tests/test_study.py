"""Studies: one table over shared answers; a method that does not fit or fails stops nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import scripted

from moco import study
from moco.config import StudyConfig, parse
from moco.errors import InputError
from moco.report.tables import Entry, study_sheet

METHODS: list[Any] = [
    "majority_vote", "best_single", {"name": "majority_vote", "tie": "order"}, "greedy_soup",
]  # fmt: skip


def config_of(folder: Path, **changes: Any) -> dict[str, Any]:
    data = str(scripted.write_data(folder))
    base = {
        "methods": METHODS,
        "tasks": [{"path": data}, {"path": data, "dev": 3, "test": 5}],
        "pool": list(scripted.POOL),
    }
    return base | changes


def study_of(folder: Path, **changes: Any) -> StudyConfig:
    found: StudyConfig = parse(StudyConfig, config_of(folder, **changes))
    return found


class Count:
    """A progress that counts."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.fresh = 0

    def asked(self, stage: str, calls: int, cached: int) -> None: ...

    def finished(self, stage: str, generated_tokens: int) -> None:
        self.fresh += 1

    def loaded(self, ref: str, seconds: float) -> None:
        self.loads.append(ref)


def test_models_are_loaded_once_and_answers_shared(tmp_path: Path) -> None:
    count = Count()
    outcomes = study.run_study(study_of(tmp_path), tmp_path / "runs", progress=count)
    assert sorted(count.loads) == ["a", "b", "c"]
    assert count.fresh == 3 * (6 + 12)
    assert [o.unfit for o in outcomes] == [False, False, False, True] * 2
    assert all(o.report is not None for o in outcomes if not o.unfit)
    assert "does not give weights" in outcomes[3].why and study.worst(outcomes) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 6
    first = [o.report.score for o in outcomes if o.report is not None]
    again = study.run_study(study_of(tmp_path), tmp_path / "runs")
    assert [o.report.score for o in again if o.report is not None] == first


def test_the_table_has_methods_members_and_oracle(tmp_path: Path) -> None:
    outcomes = study.run_study(study_of(tmp_path), tmp_path / "runs")
    entries = [Entry(o.label, o.report, o.why, o.unfit) for o in outcomes[:4]]
    text = study_sheet("quiz", entries).plain()
    rows = text.splitlines()
    assert rows[0] == "quiz: 12 questions"
    for row, label in zip(rows[2:6], ["majority_vote", "best_single", "majority_vote (tie=order)",
                                      "greedy_soup"], strict=True):  # fmt: skip
        assert row.startswith(label)
    assert rows[5].split()[1] == "/" and "oracle" in text and "best single on test: b" in text
    assert "/ greedy_soup: pool.a: does not give weights" in text


def test_a_failing_run_does_not_lose_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refine = {"name": "multiagent_refine", "stop_on_consensus": False}
    pool = [*scripted.POOL[:2], scripted.member("c", "Answer: B", fails_on="(?i)other|answers")]
    content = config_of(tmp_path, methods=[refine, "majority_vote"], pool=pool)
    path = scripted.write_config(tmp_path, content | {"tasks": content["tasks"][:1]})
    code, out, err = scripted.call(capsys, "study", path, "-l", tmp_path / "runs", "-q")
    assert code == 2
    assert "the scripted model 'c' fails" in scripted.message_of(err)
    rows = out.splitlines()
    assert any(r.startswith("multiagent_refine") and "failed" in r for r in rows)
    assert any(r.startswith("majority_vote ") and "0." in r for r in rows)


def test_a_call_limit_stops_what_is_not_cached(tmp_path: Path) -> None:
    limited = study_of(tmp_path, engine={"max_calls": 20})
    outcomes = study.run_study(limited, tmp_path / "runs")
    assert study.worst(outcomes) == 3
    assert all("engine.max_calls" in o.why for o in outcomes if o.exit_code)
    done = study.run_study(study_of(tmp_path), tmp_path / "runs")
    assert study.worst(done) == 0


def test_bad_input_is_found_before_anything_runs(tmp_path: Path) -> None:
    for methods in (["majority_vote", "majority_votes"], [{"name": "majority_vote", "tie": "x"}]):
        with pytest.raises(InputError):
            study.run_study(study_of(tmp_path, methods=methods), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_dry_run_counts_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own_cache: Path
) -> None:
    path = scripted.write_config(tmp_path, config_of(tmp_path))
    code, out, _ = scripted.call(capsys, "study", path, "--dry-run", "-l", tmp_path / "runs")
    assert code == 0 and "8 runs" in out
    row = next(r for r in out.splitlines() if r.startswith("majority_vote "))
    assert row.split()[-5:] == ["6", "12", "54", "would", "run"]
    assert f"{54 + 3 * 8} calls" in out and "does not give weights" in out
    assert not (tmp_path / "runs").exists() and not own_cache.exists()


def test_check_and_study_tell_runs_and_studies_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = scripted.write_config(tmp_path, config_of(tmp_path), "s.yaml")
    one = scripted.write_config(tmp_path, scripted.run_config(tmp_path), "r.yaml")
    code, _, err = scripted.call(capsys, "run", many)
    assert code == 2 and "moco study" in err
    code, _, err = scripted.call(capsys, "study", one)
    assert code == 2 and "moco run" in err
    code, out, _ = scripted.call(capsys, "check", many)
    assert code == 2 and "greedy_soup: pool.a" in out
    fits = json.loads(many.read_text()) | {"methods": METHODS[:3]}
    code, out, _ = scripted.call(capsys, "check", scripted.write_config(tmp_path, fits, "s.yaml"))
    assert code == 0 and "fits" in out


def test_first_answers_are_counted_by_distinct_calls(tmp_path: Path) -> None:
    twice = [scripted.POOL[0], scripted.POOL[0]]
    greedy = study.preview(study_of(tmp_path, pool=twice, samples=5))[0]
    assert greedy.first_answers == 6 + 12
    warm = study.preview(study_of(tmp_path, pool=twice, samples=5, sampling={"temperature": 1}))[0]
    assert warm.first_answers == 2 * (6 + 12 * 5)
