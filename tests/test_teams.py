"""Several models that write together are one member: in votes, alone, resumed, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import scripted

from moco import runner
from moco.config import RunConfig, parse
from moco.errors import ConfigError, MocoError
from moco.report.report import Report

PAIR = ["zoo://mini/words", "zoo://mini/facts"]
DUO = {"name": "duo", "team": {"method": {"name": "logit_fusion", "mode": "mixture"}, "pool": PAIR}}


def run(folder: Path, method: Any, pool: list[Any]) -> Report:
    config: RunConfig = parse(
        RunConfig,
        {
            "method": method, "pool": pool, "task": {"name": "mini", "dev": 8, "test": 16},
            "sampling": {"max_tokens": 24},
        },
    )  # fmt: skip
    return runner.run(config, folder / "r")


def texts(report: Report) -> list[str]:
    return [str(line["prediction"]) for line in samples(report)]


def samples(report: Report) -> list[Any]:
    return scripted.lines_of(report.path / "samples.jsonl")


def test_a_team_alone_is_its_method(tmp_path: Path) -> None:
    alone = run(tmp_path, "single_model", [DUO])
    fused = run(tmp_path, {"name": "logit_fusion", "mode": "mixture"}, PAIR)
    assert texts(alone) == texts(fused)
    assert any(line["notes"].get("spans") for line in samples(alone))
    again = run(tmp_path, "single_model", [DUO])
    assert texts(again) == texts(alone)
    usage = scripted.report_of(again.path)["usage"]
    assert usage["cached_calls"] == usage["calls"]


def test_teams_of_any_vocabularies_vote(tmp_path: Path) -> None:
    other = {"team": {"method": "unite", "pool": ["zoo://mini/base", "zoo://mini/outsider_a"]}}
    report = run(tmp_path, "majority_vote", ["zoo://mini/arithmetic", DUO, other])
    assert scripted.report_of(report.path)["pool"] == [
        "arithmetic", "duo", "unite(base+outsider_a)",
    ]  # fmt: skip
    assert report.singles["duo"] > 0
    manifest = (report.path / "manifest.json").read_text()
    assert '"team"' in manifest and "outsider_a" in manifest


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"name": "x"}, "needs a model, or a team"),
        ({**DUO, "model": "zoo://mini/base"}, "and not both"),
        ({"team": {"method": "majority_vote", "pool": PAIR}}, "does not write answers"),
        ({"team": {"method": "logit_contrastive", "pool": PAIR}}, "learns on dev"),
        ({"team": {"method": "logit_fusion", "pool": PAIR[:1]}}, "at least 2"),
        ({"team": {"method": "unite", "pool": [DUO, PAIR[0]]}}, "are models, not teams"),
        ({"team": {"method": {"name": "unite", "top": 3}, "pool": PAIR}}, "top"),
        (
            {"team": {"method": "logit_fusion", "pool": [PAIR[0], "zoo://mini/outsider_a"]}},
            "differs from 'words' in its vocabulary",
        ),
        ({"team": {"method": "unite", "pool": [scripted.member("a"), PAIR[0]]}}, "logits"),
    ],
)
def test_what_cannot_be_a_team_is_said(tmp_path: Path, member: Any, message: str) -> None:
    with pytest.raises(MocoError, match=message) as caught:
        run(tmp_path, "majority_vote", ["zoo://mini/arithmetic", member])
    assert isinstance(caught.value, ConfigError) or "cannot run" in str(caught.value)


def test_another_method_is_another_team(tmp_path: Path) -> None:
    geometric = {"name": "duo", "team": {"method": "logit_fusion", "pool": PAIR}}
    one, other = (run(tmp_path, "single_model", [member]) for member in (DUO, geometric))
    assert one.path.name != other.path.name


def test_questions_have_to_fit_every_model_of_a_team(tmp_path: Path) -> None:
    path = scripted.write_data(tmp_path)
    path.write_text(path.read_text().replace("Which one is test 3", "word " * 20_000))
    config = {
        "method": "single_model", "pool": [DUO], "task": {"path": str(path)},
        "sampling": {"max_tokens": 8},
    }  # fmt: skip
    with pytest.raises(MocoError, match="too long for model 'duo'"):
        runner.run(parse(RunConfig, config), tmp_path / "r")
