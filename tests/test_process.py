"""The process executor: equal results, and a killed worker is replaced."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from conformance.harness import config_of, opened, samples_of, write_task
from folders import save_model

from moco.engine.lanes import Lanes
from moco.engine.process import ProcessExecutor
from moco.runner import run


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("pair")
    return [str(save_model(root / str(seed), "llama", seed)) for seed in range(2)]


def test_process_equals_inline(
    pair: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text and a joint method over two worker processes give the in-process predictions."""
    task = write_task(tmp_path)
    engine = {"executor": "process", "devices": ["cpu", "cpu"]}
    for name in ("majority_vote", "logit_fusion"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
        inline = run(config_of(name, pair, task), tmp_path / "inline")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
        remote = run(config_of(name, pair, task, engine=engine), tmp_path / "process")
        assert remote.path.name == inline.path.name
        assert samples_of(remote.path) == samples_of(inline.path)


def test_a_killed_worker_is_replaced_and_its_work_sent_again(
    pair: list[str], tmp_path: Path
) -> None:
    task = write_task(tmp_path)
    config = config_of(
        "majority_vote", pair, task, engine={"executor": "process", "devices": ["cpu"]}
    )
    with opened(config) as bench:
        lanes = bench.engine._executor
        assert isinstance(lanes, Lanes)
        executor = lanes._local
        assert isinstance(executor, ProcessExecutor)
        first = executor._children[0].process.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        answers = bench.pool.ask_all(bench.queries)
        assert all(g.text is not None for own in answers for g in own)
        assert executor._children[0].process.pid != first
