"""Every method passes the same checks; a new method is checked by being there."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from conformance.harness import (
    BASE,
    METHODS,
    build,
    config_of,
    opened,
    parameters_of,
    samples_of,
    write_task,
)
from folders import save_model
from pydantic import ValidationError

from moco import registry
from moco.access import NONE, Access, ModelFacts
from moco.config import RunConfig, parse
from moco.documents import read_file
from moco.errors import ConfigError, EnvironmentProblem, RequirementError
from moco.plan import plan
from moco.runner import run

ROOT = Path(__file__).parents[2]
NAMES = ("one", "two", "three")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three tiny siblings: one architecture, one vocabulary; a fourth may be their base."""
    root = tmp_path_factory.mktemp("pool")
    made = [save_model(root / name, "llama", seed) for seed, name in enumerate((*NAMES, BASE))]
    return made[: len(NAMES)]


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return write_task(tmp_path)


def smallest(name: str, folders: list[Path]) -> list[str]:
    """The smallest pool that the method's requirements allow."""
    return [str(f) for f in folders[: build(name).needs().min_models]]


@pytest.mark.parametrize("name", METHODS)
def test_constructs_with_defaults_and_refuses_unknown_keys(name: str) -> None:
    cls = registry.load("method", name)
    assert cls().name() == name
    with pytest.raises(ValidationError):
        cls(no_such_key=1)
    with pytest.raises(ConfigError, match="unknown key"):
        parse(cls, {"no_such_key": 1})


@pytest.mark.parametrize("name", METHODS)
def test_runs_on_the_smallest_pool_and_again_without_a_model_call(
    name: str, folders: list[Path], task: Path, tmp_path: Path
) -> None:
    config = config_of(name, smallest(name, folders), task)
    first = run(config, tmp_path / "runs")
    assert first.n == 8
    assert [s["query_id"] for s in samples_of(first.path)] == [f"test-{i}" for i in range(8)]
    before = (first.path / "samples.jsonl").read_bytes(), (first.path / "calls.jsonl").read_bytes()
    second = run(config, tmp_path / "runs")
    after = (second.path / "samples.jsonl").read_bytes(), (second.path / "calls.jsonl").read_bytes()
    assert second.path == first.path
    assert before == after
    assert second.usage["cached_calls"] == second.usage["calls"] > 0
    assert second.usage["model_loads"] == 0
    assert second.score == first.score


@pytest.mark.parametrize("name", METHODS)
def test_every_broken_requirement_is_reported_with_nothing_loaded(
    name: str, folders: list[Path], task: Path
) -> None:
    needs = build(name).needs()
    if needs.min_models > 1:
        with pytest.raises(RequirementError, match="at least"):
            plan(config_of(name, [str(folders[0])], task), pull=False).require()
    if needs.dev:
        config = config_of(name, smallest(name, folders), task, dev=0)
        with pytest.raises(RequirementError, match="dev"):
            plan(config, pull=False).require()
    deaf = {"model": "deaf", "backend": "fake", "options": {"access": ["reward"]}}
    members: list[Any] = [dict(deaf, name=n) for n in NAMES[: max(needs.min_models, 1)]]
    found = plan(config_of(name, members, task), pull=False)
    broken = [p for p in found.problems if not p.note]
    assert len(broken) >= len(members)
    assert all(f"pool.{m['name']}" in {p.where for p in broken} for m in members)


@pytest.mark.parametrize("name", METHODS)
def test_each_shared_fact_is_required(name: str) -> None:
    """Facts that members must share are checked one by one."""
    from moco.access import check

    needs = build(name).needs()
    for fact in needs.same:
        texts = ("x", *["y"] * max(needs.min_models - 1, 1))
        facts = [ModelFacts(access=~NONE, **{fact: text}) for text in texts]  # type: ignore[arg-type]
        members = dict(zip(NAMES, facts, strict=False))
        found = [p.where for p in check(needs, members) if p.where.startswith("pool")]
        assert found == [f"pool.{n}" for n in list(members)[1:]]
    assert isinstance(needs.access, Access)


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_result_and_queries_may_be_permuted(
    name: str, folders: list[Path], task: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = config_of(
        name, smallest(name, folders), task, sampling={"max_tokens": 12, "temperature": 0.8}
    )
    method = build(name)
    with opened(config) as bench:
        state = method.fit(bench.pool, bench.dev)
        first = method.predict(bench.pool, bench.queries, state)
    assert [p.query_id for p in first] == [q.id for q in bench.queries]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "fresh"))
    with opened(config) as bench:
        again = method.fit(bench.pool, bench.dev)
        order = [5, 2, 7, 0, 3, 6, 1, 4]
        moved = method.predict(bench.pool, [bench.queries[i] for i in order], again)
        assert bench.calls.cached == 0
    assert again == state
    if not method.needs().transductive:
        assert [p.query_id for p in moved] == [bench.queries[i].id for i in order]
        by_id = {p.query_id: p.text for p in moved}
        assert [by_id[p.query_id] for p in first] == [p.text for p in first]


@pytest.mark.parametrize("name", METHODS)
def test_stopped_at_half_then_resumed_is_equal(
    name: str, folders: list[Path], task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = smallest(name, folders)
    whole = run(config_of(name, members, task), tmp_path / "whole")
    total = whole.usage["calls"] + whole.usage_comparison["calls"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "half"))
    with pytest.raises(EnvironmentProblem, match="max_calls"):
        run(config_of(name, members, task, max_calls=total // 2), tmp_path / "resumed")
    resumed = run(config_of(name, members, task), tmp_path / "resumed")
    assert samples_of(resumed.path) == samples_of(whole.path)
    assert resumed.score == whole.score
    cached = resumed.usage["cached_calls"] + resumed.usage_comparison["cached_calls"]
    assert cached == total // 2


@pytest.mark.parametrize("name", [n for n in METHODS if registry.load("method", n).idempotent])
def test_clones_at_temperature_zero_give_one_models_texts(
    name: str, folders: list[Path], task: Path
) -> None:
    members = [str(folders[0])] * max(2, build(name).needs().min_models)
    if name == "single_model":
        members = members[:1]
    with opened(config_of(name, members, task)) as bench:
        method = build(name)
        state = method.fit(bench.pool, bench.dev)
        found = method.predict(bench.pool, bench.queries, state)
        alone = bench.pool.of(bench.pool.names[:1]).ask_all(bench.queries)[0]
    assert [p.text for p in found] == [g.text for g in alone]


def test_importing_methods_imports_no_torch() -> None:
    code = (
        "import sys\nfrom moco import registry\n"
        "[registry.load('method', n) for n in registry.names('method')]\n"
        "print([m for m in ('torch', 'scipy', 'transformers') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", METHODS)
def test_paper_docstring_and_example_exist(name: str) -> None:
    cls = registry.load("method", name)
    assert cls.paper
    assert cls.__doc__
    assert cls.level == cls.__module__.split(".")[2]
    assert all(field.description for field in cls.model_fields.values())
    example = parse(RunConfig, read_file(ROOT / "examples" / f"{name}.yaml"))
    entry = example.method
    assert (entry if isinstance(entry, str) else entry["name"]) == name
    assert plan(example, pull=False).method.name() == name


KILLED = ("self_consistency", "cascade", "multiagent_refine", "logit_fusion", "greedy_soup")


def test_one_method_per_level_is_killed() -> None:
    levels = {registry.load("method", n).level for n in KILLED}
    assert levels == {registry.load("method", n).level for n in METHODS}


@pytest.mark.parametrize("name", KILLED)
def test_kill_then_the_same_command_gives_the_same(
    name: str, folders: list[Path], task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = smallest(name, folders)
    whole = run(config_of(name, members, task), tmp_path / "whole")
    home = tmp_path / "killed-cache"
    path = tmp_path / "run.yaml"
    data = {
        "method": {"name": name, **parameters_of(name)}, "task": {"path": str(task)},
        "pool": members, "sampling": {"max_tokens": 12, "temperature": 0},
        "engine": {"devices": ["cpu"]},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(data))
    env = {**os.environ, "XDG_CACHE_HOME": str(home), "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-m", "moco", "run", str(path), "-l", str(tmp_path / "killed")]
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    calls = _wait_for_calls(tmp_path / "killed", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    folder = next((tmp_path / "killed").iterdir())
    assert samples_of(folder) == samples_of(whole.path)
    report = importlib.import_module("json").loads((folder / "report.json").read_text())
    cached = report["usage"]["cached_calls"] + report["usage_comparison"]["cached_calls"]
    assert cached >= calls > 0


def _wait_for_calls(folder: Path, process: subprocess.Popen[bytes]) -> int:
    """How many calls the run has logged when the first are there."""
    for _ in range(600):
        logs = list(folder.glob("*/calls.jsonl"))
        count = logs[0].read_bytes().count(b"\n") if logs else 0
        if count >= 3 or process.poll() is not None:
            return count
        time.sleep(0.02)
    raise AssertionError("the run logged no call in time")
