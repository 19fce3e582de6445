"""The audit of the graders, on a few hand-made items of each kind; the whole of it is slow."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

import moco.answers
from moco import registry, sources
from moco.answers.options import MISSING_OPTION
from moco.prompts import plain
from moco.scorers.base import Scorer
from moco.scorers.choice import Choice
from moco.scorers.exact import Exact
from moco.scorers.f1 import F1
from moco.scorers.math import Math
from moco.tasks import guessing
from moco.types import AnswerKind, Sample, Score

audit_graders = importlib.import_module("scripts.audit_graders")
OWN_CACHE = os.environ.get("XDG_CACHE_HOME", "")


def item(
    kind: AnswerKind, *gold: str, choices: Sequence[str] = (), labels: Sequence[str] = ()
) -> Sample:
    return Sample(plain("q", "Well?", kind, choices=choices, labels=labels), gold)


CHOICES = [
    item("choice", "B", choices=("red", "blue", "green", "Both A and B")),
    item("choice", "A", choices=("support", "refute")),
    item("choice", "C", choices=("Support", "Oppose", "Either support or oppose")),
    item("choice", "A", choices=("no", "yes", "it depends")),
    item("choice", "I", choices=[f"the {n}th of them" for n in range(10)]),
    item("choice", "D", choices=("4", "14", "40", "4.0 m")),
    item("choice", "A", choices=("known", MISSING_OPTION, "same", "same")),
    item("choice", "E", choices=("a", "b", "c", "d", "e")),
    item("choice", "B", choices=("San Jose.", "Jose.", "None of the above", "Insufficient data")),
]
EXACT = [
    item("number", "18"),
    item("number", "6,600"),
    item("number", "-3.50"),
    item("number", "\\frac{3}{4}"),
    item("boolean", "True", labels=("True", "False")),
    item("boolean", "no", labels=("yes", "no")),
    item("label", "maybe", labels=("yes", "no", "maybe")),
    item("label", "yes", labels=("yes", "no", "maybe")),
    item("label", "invalid", labels=("valid", "invalid")),
    item("label", "CompareOrContrast", labels=("Background", "Uses", "CompareOrContrast")),
    item("list", "] ) }"),
    item("list", "} >"),
    item("list", "[1, 2.5, 3]"),
    item("list", "alder birch cedar none"),
    item("choice", "A"),
]
SPANS = [
    item("span", "Victor Hugo"),
    item("span", "Not My Responsibility"),
    item("span", "Baby! 1"),
    item("span", "U.S.A.", "United States"),
    item("span", "São Paulo"),
    item("span", "Nobody Knows"),
    item("span", "HMS\n             \n              Chichester"),
    item("span", "東京"),
]
FORMULAS = [
    item("math", "\\frac{1}{2}"),
    item("math", "60^\\circ"),
    item("math", "\\$1.05"),
    item("math", "20\\text{ miles}"),
    item("math", "x^2 + 12x + 35"),
    item("math", "\\text{Friday}"),
    item("math", "(-\\infty, 2) \\cup (3, 5]"),
    item("math", "y = x+2"),
    item("math", "2^{100}"),
]


@pytest.mark.parametrize(
    ("scorer", "samples"),
    [(Choice(), CHOICES), (Exact(), EXACT), (F1(), SPANS), (Math(), FORMULAS)],
    ids=["choice", "exact", "f1", "math"],
)
def test_every_level_is_reached(scorer: Scorer, samples: list[Sample]) -> None:
    rows = audit_graders.audit(scorer, samples, audit_graders.hedges())
    missed = {name: row.misses for name, row in rows.items() if not row.kept}
    assert not missed
    right = [name for name in rows if name.startswith("gold: ")]
    assert len(right) >= 20
    assert rows["nothing: ''"].n == len(samples)


class Generous(Choice):
    """Gives everybody a point."""

    def score(self, samples, predictions, roles):  # type: ignore[no-untyped-def]
        return [Score(1.0)] * len(samples)


class Blind(Choice):
    """Cannot grade anything."""

    def score(self, samples, predictions, roles):  # type: ignore[no-untyped-def]
        return [Score(0.0, None, "invalid")] * len(samples)


def test_a_bad_grader_is_caught() -> None:
    for scorer, names in (
        (Generous(), {"nothing: ''", "nothing: 'I do not know.'", "wrong: the next option"}),
        (Blind(), {"gold: boxed", "gold: JSON", "gold: sentence"}),
    ):
        rows = audit_graders.audit(scorer, CHOICES, audit_graders.hedges())
        missed = {name for name, row in rows.items() if not row.kept}
        assert names <= missed
        assert any("MISSED" in line for line in audit_graders.show("t", rows))


def test_an_option_that_is_said_is_left_out_and_counted() -> None:
    sample = item("choice", "A", choices=("none", "some"))
    row = audit_graders.audit(Choice(), [sample], ["Nothing."])["hedge: 'Other, e.g. none.'"]
    assert (row.n, row.exempt) == (0, 1)


def test_a_missed_level_ends_with_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = {"good": (True, ["good: fine"]), "bad": (False, ["bad: not pulled"])}
    monkeypatch.setattr(audit_graders, "audited", lambda name, every, further: results[name])
    assert audit_graders.main(["good"]) == 0
    assert audit_graders.main(["good", "bad"]) == 1
    assert "levels missed: bad" in capsys.readouterr().out


def test_the_hedges_are_many_and_none_stands_in_the_grader() -> None:
    hedges = audit_graders.hedges()
    assert len(set(hedges)) == len(hedges) >= 30
    assert sum(not hedge.isascii() for hedge in hedges) >= 5
    files = [*Path(moco.answers.__file__).parent.glob("*.py"), Path(guessing.__file__)]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    plain_source = source.casefold().replace(r"\s+", " ").replace(r"\W+", " ")
    phrases = [*hedges, *audit_graders.HEDGED, "matter of debate", "e.g. none", "i do not know"]
    for phrase in phrases:
        assert phrase.casefold().strip(" .!?。") not in plain_source


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", audit_graders.names())
def test_the_whole_audit(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every item of every file; `make test-all` fetches what can be had."""
    if OWN_CACHE:
        monkeypatch.setenv("XDG_CACHE_HOME", OWN_CACHE)
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
    if sources.resolve(registry.load("task", name).source, pull=False) is None:
        pytest.skip(f"{name} is not pulled")
    assert audit_graders.main([name]) == 0, capsys.readouterr().out
