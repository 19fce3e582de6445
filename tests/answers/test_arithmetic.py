"""Arithmetic as it is written in answers, and what is too large to be computed."""

from __future__ import annotations

import math
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moco.answers.arithmetic import evaluate


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2^{10}", 1024),
        ("-2^2", -4),
        ("(-2)^2", 4),
        ("2^3^2", 512),
        ("2^{-3}", Fraction(1, 8)),
        ("\\frac12", Fraction(1, 2)),
        ("\\dfrac{1+2}{4}", Fraction(3, 4)),
        ("2\\frac{1}{2}", Fraction(5, 2)),
        ("3 \\times 10^{8}", 300_000_000),
        ("1,234 \\cdot 2", 2468),
        ("2(3+4)", 14),
        ("7 \\div 2", Fraction(7, 2)),
        ("\\sqrt{16}", 4),
        ("\\sqrt[3]{27}", 3),
        ("5!", 120),
        ("\\binom{9}{3}", 84),
        ("\\left( 1 + 2 \\right) 3", 9),
        ("0.1+0.2", Fraction(3, 10)),
    ],
)
def test_rational_values_are_exact(text: str, value: Fraction) -> None:
    assert evaluate(text) == value
    assert isinstance(evaluate(text), Fraction)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2\\sqrt{3}", 2 * math.sqrt(3)),
        ("√2", math.sqrt(2)),
        ("\\pi/4", math.pi / 4),
        ("e^2", math.e**2),
        ("\\frac{\\sqrt{3}}{2}", math.sqrt(3) / 2),
        ("\\ln 2", math.log(2)),
    ],
)
def test_other_values_are_floats(text: str, value: float) -> None:
    assert evaluate(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "x+1", "12 34", "1/0", "(1", "1)", "5!!", "5-", "a", "1e400", "\\frac{1}{0}",
        "(-8)^{1/3}", "12:30", "1..2", "\\foo{1}",
    ],
)  # fmt: skip
def test_what_is_no_expression_has_no_value(text: str) -> None:
    assert evaluate(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "10^{10^{10}}", "9^9^9", "99999!", "2^{99999999}", "\\binom{100000}{50000}", "10^{5000}",
        "(((((((((((((((((((1)))))))))))))))))))", "1" * 300, "2^{-99999999}", "1+" * 99 + "1",
        "(9^{999})^{999}",
    ],
)  # fmt: skip
def test_nothing_large_is_computed(text: str) -> None:
    start = time.process_time()
    assert evaluate(text) is None
    assert time.process_time() - start < 0.2


def test_letters_have_the_values_given() -> None:
    assert evaluate("2x^2+1", {"x": 3.0}) == 19.0
    assert evaluate("2x^2+1") is None


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789+-*/^!(){}[].,\\ frac sqrt binom pi e", max_size=60))
def test_no_text_raises(text: str) -> None:
    value = evaluate(text)
    assert value is None or isinstance(value, Fraction) or math.isfinite(value)
