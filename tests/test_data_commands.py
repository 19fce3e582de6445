"""Data sets on the command line: what can be had, what cannot and why, licences in lists."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from moco import registry
from moco.commands import listing, upkeep
from moco.errors import ConfigError, LicenceError
from moco.sources import fetch
from tests.indexserver import Index, sdist, serving

DATA = json.dumps({"dev": [], "test": [{"input": "2+2?", "output": "4"}]}).encode()
CHOICES = json.dumps(
    {"dev": [], "test": [{"question": "?", "choices": {"A": "x", "B": "y"}, "answer": "A"}]}
).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index whose package has two of the paper's files, one of them under a licence."""
    for key in [k for k in os.environ if k.startswith("PIP_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(fetch, "PAUSE_SECONDS", 0.0)
    with serving() as found:
        folder = "modelco-1.1.2/model_collaboration/data/"
        files = {folder + "gsm8k.json": DATA, folder + "gpqa_main.json": CHOICES}
        found.files["modelco-1.1.2.tar.gz"] = sdist(files)
        monkeypatch.setenv("PIP_INDEX_URL", found.url + "/simple")
        yield found


def test_all_of_the_paper(
    server: Index, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "PAPER", ("gsm8k", "mmlu_redux", "gpqa_main"))
    assert upkeep.pull_data("all-paper") == 3
    out = capsys.readouterr().out
    state = {line.split()[0]: line.split()[1] for line in out.splitlines() if line[:1].isalpha()}
    assert state["gsm8k"] == "here" and state["gpqa_main"] == state["mmlu_redux"] == "missing"
    assert "has no file model_collaboration/data/mmlu_redux.json" in out
    assert "moco data pull gpqa_main --accept-licence" in out
    assert "1 of 3 files are here" in out
    assert upkeep.pull_data("all-paper", True) == 3
    assert "2 of 3 files are here" in capsys.readouterr().out


def test_all_there_are(
    server: Index, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "names", lambda kind: ["gsm8k", "kaleidoscope", "mini"])
    assert upkeep.pull_data("all") == 3
    out = capsys.readouterr().out
    assert "1 of 2 files are here" in out and "kaleidoscope" in out
    monkeypatch.setattr(registry, "names", lambda kind: ["gsm8k", "mini"])
    assert upkeep.pull_data("all") == 0


def test_one_data_set_under_a_licence(server: Index, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LicenceError, match=r"datasets/Idavidrein/gpqa .*--accept-licence"):
        upkeep.pull_data("gpqa_main")
    assert server.log == []
    assert upkeep.pull_data("gpqa_main", True) == 0
    assert upkeep.pull_data("gpqa_main") == 0
    assert capsys.readouterr().out.count("gpqa_main.json") == 2
    assert upkeep.pull_data("mini") == 0
    with pytest.raises(ConfigError, match="'wikidyk' has no official source"):
        upkeep.pull_data("wikidyk", False, "official")


def test_licences_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    listing.list_names("tasks")
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["task"].split()[-2:] == ["licence", "data"]
    assert "MIT" in lines["gsm8k"] and lines["gsm8k"].endswith("to be pulled")
    assert "not to publish" in lines["gpqa_main"]
    assert lines["gpqa_main"].endswith("licence to accept")
    assert lines["mini"].endswith("here")


def test_a_task_shows_its_sources(capsys: pytest.CaptureFixture[str]) -> None:
    listing.show("gpqa_main", "")
    shown = capsys.readouterr().out
    assert "(to be accepted: https://huggingface.co/datasets/Idavidrein/gpqa)" in shown
    assert "hf://datasets/Idavidrein/gpqa@90b8e5be2b1d3d2dbfe016cdab47981150600c4a" in shown
    listing.show("culturebench", "")
    shown = capsys.readouterr().out
    assert "question_id, 4 items each, right when all items are" in shown
    assert "kellycyy/CulturalBench, pinned by the first pull (to be pulled)" in shown
    listing.show("wikidyk", "")
    assert "official source" not in capsys.readouterr().out
