"""Scorers: what they give for right, wrong, unreadable and ungradable."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from moco import registry
from moco.answers.algebra_bounds import too_much
from moco.prompts import plain
from moco.scorers.base import mean
from moco.scorers.choice import Choice
from moco.scorers.exact import Exact
from moco.scorers.f1 import F1, token_f1
from moco.scorers.math import Math
from moco.types import AnswerKind, Prediction, Sample, Score


def item(
    kind: AnswerKind, *target: str, choices: Sequence[str] = (), labels: Sequence[str] = ()
) -> Sample:
    return Sample(plain("q", "?", kind, choices=choices, labels=labels), target)


def say(text: str) -> list[Prediction]:
    return [Prediction("q", text)]


def test_the_registry_finds_them_by_file_name() -> None:
    for name, scorer in (("choice", Choice), ("exact", Exact), ("f1", F1), ("math", Math)):
        assert registry.load("scorer", name) is scorer
        assert scorer.version >= 1 and scorer.kinds and not scorer.roles


def test_choice() -> None:
    sample = item("choice", "B", choices=("red", "blue", "green"))
    scores = {
        text: Choice().score([sample], say(text), {})[0]
        for text in ("Answer: B", "Answer: C", "A or B", "", "I don't know.", "<think>B")
    }
    assert [s.value for s in scores.values()] == [1, 0, 0, 0, 0, 0]
    assert [s.status for s in scores.values()] == [
        "parsed", "parsed", "ambiguous", "empty", "abstained", "truncated",
    ]  # fmt: skip
    assert scores["Answer: C"].answer == "C"


@pytest.mark.parametrize("target", [(), ("",), ("Z",)])
def test_an_item_without_usable_target_is_invalid(target: tuple[str, ...]) -> None:
    sample = item("choice", *target, choices=("red", "blue"))
    score = Choice().score([sample], say("Answer: A"), {})[0]
    assert (score.status, score.value) == ("invalid", 0.0)
    assert mean([score, Score(1.0)]) == 1.0
    assert mean([score]) is None


@pytest.mark.parametrize(
    ("kind", "target", "text", "value"),
    [
        ("number", "18", "\\boxed{18 \\text{ dollars}}", 1),
        ("number", "6,600", "6660", 0),
        ("number", "3.30", "3.33", 0),
        ("number", "3.30", "3.3", 1),
        ("number", "0.5", "The answer is \\frac12.", 1),
        ("boolean", "True", "Yes, it is.", 1),
        ("boolean", "False", "", 0),
        ("list", ") ) }", "Answer: ))}", 1),
        ("list", ") ) }", "Answer: }))", 0),
        ("list", ") ) }", "", 0),
        ("list", "abel cain", "Answer: abel, cain", 1),
        ("list", "abel cain", "Answer: cain, abel", 0),
        ("list", "[1, 2]", "(1, 2)", 1),
        ("span", "Victor Hugo", "Answer: victor hugo", 1),
        ("span", "Victor Hugo", "Answer: Hugo", 0),
        ("choice", "A", "", 0),
        ("choice", "A", "the", 0),
        ("choice", "A", "...", 0),
        ("choice", "A", "Answer: (A)", 1),
    ],
)
def test_exact(kind: AnswerKind, target: str, text: str, value: int) -> None:
    labels = ("True", "False") if kind == "boolean" else ()
    choices = ("red", "blue") if kind == "choice" else ()
    sample = item(kind, target, choices=choices, labels=labels)
    assert Exact().score([sample], say(text), {})[0].value == value


def test_f1_takes_the_best_whole_alias() -> None:
    sample = item("span", "Paris, Île-de-France", "Paris")
    assert F1().score([sample], say("Answer: Paris"), {})[0].value == 1.0
    assert F1().score([sample], say("France"), {})[0].value < 0.5
    score = F1().score([sample], say("It is the city of Paris, I believe."), {})[0]
    assert 0 < score.value < 1 and "contains=1" in score.why and "exact=0" in score.why
    assert F1().score([sample], say(""), {})[0].status == "empty"
    assert F1().score([sample], say("I do not know."), {})[0].status == "abstained"


def test_f1_folds_accents_dashes_and_plurals_of_spelling() -> None:
    sample = item("span", "Jean-Paul Belmondo", "São Paulo")
    assert F1().score([sample], say("jean paul belmondo"), {})[0].value == 1.0
    assert F1().score([sample], say("Sao Paulo"), {})[0].value == 1.0
    assert F1().score([sample], say("not Jean-Paul Belmondo"), {})[0].value == 0.0
    assert token_f1("東京都", "東京") == pytest.approx(0.8)
    assert token_f1("", "x") == 0.0


def test_an_alias_without_words_is_no_alias() -> None:
    sample = item("span", "…", "🇫🇷")
    assert F1().score([sample], say(""), {})[0].status == "invalid"


@pytest.mark.parametrize(
    ("target", "text", "value"),
    [
        ("\\frac{1}{2}", "\\boxed{0.5}", 1),
        ("(4,1)", "\\boxed{41}", 0),
        ("60^\\circ", "\\boxed{60}", 1),
        ("\\text{Friday}", "The answer is Friday.", 1),
        ("x^2+1", "\\boxed{1+x^2}", 1),
        ("18", "I do not know.", 0),
    ],
)
def test_math(target: str, text: str, value: int) -> None:
    score = Math().score([item("math", target)], say(text), {})[0]
    assert score.value == value
    assert value == 0 or "normal form" in score.why


@pytest.mark.parametrize(
    "text",
    [
        "10^{10^{10}}",
        "9^9^9",
        "99999!",
        "(30)!",
        "2^{99999}",
        "1" * 50,
        "x" * 500,
        "",
        "1e999",
        "about twelve",
        "\\binom{9}{3}",
    ],
)
def test_nothing_large_goes_to_an_algebra_system(text: str) -> None:
    assert too_much(text)


@pytest.mark.parametrize("text", ["x^2+1", "\\frac{1}{2}", "5!", "2^{10}", "\\sqrt{2}\\pi"])
def test_ordinary_expressions_do(text: str) -> None:
    assert not too_much(text)


def test_math_verify_decides_what_normal_forms_leave_open() -> None:
    pytest.importorskip("math_verify")
    score = Math().score([item("math", "(x+1)^2")], say("\\boxed{x^2+2x+1}"), {})[0]
    assert score.value == 1.0 and "math-verify" in score.why


def test_scores_do_not_depend_on_company() -> None:
    samples = [item("number", str(i)) for i in range(5)]
    predictions = [Prediction("q", f"Answer: {i % 3}") for i in range(5)]
    together = Exact().score(samples, predictions, {})
    alone = [Exact().score([s], [p], {})[0] for s, p in zip(samples, predictions, strict=True)]
    assert together == alone
    assert together[::-1] == Exact().score(samples[::-1], predictions[::-1], {})
