"""The comparison by `math-verify`: bounded, in its own process, stopped when it takes too long."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator

import pytest

from moco.answers import algebra
from moco.answers.parser import cluster, extract, same
from moco.prompts import plain
from moco.scorers.base import mean
from moco.scorers.math import Math
from moco.types import Prediction, Sample

needs_math_verify = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None, reason="math-verify is not installed"
)

CLEAR = algebra._decided.cache_clear


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No test meets another's cached comparison."""
    CLEAR()
    yield
    CLEAR()


def item(gold: str) -> Sample:
    return Sample(plain("q", "?", "math"), (gold,))


@needs_math_verify
def test_votes_and_scores_share_it() -> None:
    query = item("(x+1)^2").query
    texts = ("\\boxed{(x+1)^2}", "\\boxed{x^2+2x+1}", "\\boxed{x^2+1}", "\\boxed{(1+x)(x+1)}")
    answers = [extract(text, query) for text in texts]
    assert cluster(answers) == [[0, 1, 3], [2]]
    assert same(answers[1], answers[0]) and same(answers[0], answers[1])
    scores = Math().score([item("(x+1)^2")] * 4, [Prediction("q", t) for t in texts], {})
    assert [score.value for score in scores] == [1, 1, 0, 1]
    assert "math-verify" in scores[1].why


@needs_math_verify
def test_what_takes_too_long_is_invalid_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many, right = "(a+b+c+d+x+y+z+1)", "x^2+2x+1"
    slow, other = f"{many}^{{12}}", f"{many}{many}^{{11}}"
    monkeypatch.setattr(algebra, "refuted", lambda one, other: False)
    monkeypatch.setattr(algebra, "CPU_SECONDS", 0.001)
    stopped = Math().score([item(slow)], [Prediction("q", f"\\boxed{{{other}}}")], {})[0]
    assert (stopped.status, stopped.value) == ("invalid", 0.0)
    assert "stopped" in stopped.why
    monkeypatch.setattr(algebra, "CPU_SECONDS", 60.0)
    after = Math().score([item("(x+1)^2")], [Prediction("q", f"\\boxed{{{right}}}")], {})[0]
    assert (after.status, after.value) == ("parsed", 1.0)
    assert mean([stopped, after]) == 1.0


@needs_math_verify
def test_the_clock_stops_it_too_and_on_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts: list[algebra.Verdict] = []

    def ask(limit: float) -> None:
        monkeypatch.setattr(algebra, "LIMIT_SECONDS", limit)
        verdicts.append(algebra.compare("(x+3)^2", "x^2+6x+9"))

    for limit in (0.0, 60.0):
        thread = threading.Thread(target=ask, args=(limit,))
        thread.start()
        thread.join()
    assert [(v.same, v.failed) for v in verdicts] == [(False, True), (True, False)]


def test_different_values_need_no_algebra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algebra, "_decided", lambda one, other: pytest.fail("was asked"))
    for one, other in (
        ("x^2+1", "x^2+2"),
        ("\\sqrt{2}", "\\sqrt{3}"),
        ("999^{300}", "999^{299}"),
        ("\\frac{x}{2}", "2x"),
    ):
        assert algebra.compare(one, other) == algebra.Verdict(False, "different values")


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("10^{10^{10}}", "10^{10^{9}}", "a power of a power"),
        ("x^{9999}", "x^{9998}", "a large power"),
        ("(x+y)^{40}", "1", "large powers of brackets"),
        ("n!", "1", "a factorial above"),
        ("\\binom{n}{9999}", "1", "a binomial"),
        ("x" * 300, "1", "longer than"),
        ("((((((x))))))", "1", "brackets more than"),
        ("about twelve", "12", "words"),
        ("不知道", "5", "words"),
        ("\\frac{1", "5", "no expression"),
        ("\x00", "5", "no expression"),
        ("+1" * 80, "1", "more than"),
    ],
)
def test_past_a_bound_the_texts_are_compared_and_the_reason_told(
    one: str, other: str, reason: str
) -> None:
    verdict = algebra.compare(one, other)
    assert not verdict.same and not verdict.failed
    assert "normalised text" in verdict.rule and reason in verdict.rule


def test_equal_texts_past_a_bound_are_the_same() -> None:
    tower = "10^{10^{10}}"
    score = Math().score([item(tower)], [Prediction("q", f"\\boxed{{{tower}}}")], {})[0]
    assert score.value == 1.0
    far = Math().score([item(tower)], [Prediction("q", "\\boxed{10^{10^{9}}}")], {})[0]
    assert far.value == 0.0 and "a power of a power" in far.why


def test_without_the_library_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "not installed" in algebra.compare("(x+1)^2", "x^2+2x+1").rule
