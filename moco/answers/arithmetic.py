"""Evaluates arithmetic as it is written in answers: fractions, powers, products, roots, factorials,
in LaTeX or plain.

A rational result is exact, any other a float. Nothing is computed that could cost more than a
moment: bounds on length, steps and digits come before the operation, and beyond them there is no
value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType

MAX_CHARACTERS = 200
MAX_TOKENS = 80
MAX_DEPTH = 12
MAX_DIGITS = 4_000
"""Of any number on the way; Python itself turns no longer one into text."""
_MAX_BITS = int(MAX_DIGITS * 3.3)
_MAX_FACTORIAL = 1_000

Value = Fraction | float

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?|\.\d+)
    |(?P<command>\\[a-zA-Z]+)|(?P<name>(?:pi|sqrt|ln|log|exp)(?![a-zA-Z])|[a-zA-Zπ√])
    |(?P<op>\*\*|[-+*/^!(){}\[\]×·÷:−]))""",
    re.VERBOSE,
)
_SCIENTIFIC = re.compile(r"\de[-+]?\d", re.IGNORECASE)
_DROPPED = re.compile(r"\\(?:left|right|,|;|!|:|\s|quad|displaystyle|limits)(?![a-zA-Z])|[$~]")
_SAME: Mapping[str, str] = {
    "\\times": "*", "\\cdot": "*", "\\ast": "*", "×": "*", "·": "*", "\\div": "/", "÷": "/",
    "**": "^", "−": "-", "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\cfrac": "\\frac",
    "\\dbinom": "\\binom", "\\tbinom": "\\binom", "\\pi": "π", "pi": "π", "√": "\\sqrt",
    "sqrt": "\\sqrt", "ln": "\\ln", "log": "\\log", "exp": "\\exp", "\\lbrace": "{",
}  # fmt: skip
_CLOSES = {"(": ")", "{": "}", "[": "]"}
_NO_VARIABLES: Mapping[str, float] = MappingProxyType({})
_CONSTANTS: Mapping[str, float] = {"π": math.pi, "e": math.e}
_FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "\\ln": math.log, "\\log": math.log10, "\\exp": math.exp, "\\sin": math.sin,
    "\\cos": math.cos, "\\tan": math.tan,
}  # fmt: skip


class _NoValueError(Exception):
    """The text is no expression, or one beyond the bounds."""


def evaluate(text: str, variables: Mapping[str, float] = _NO_VARIABLES) -> Value | None:
    """The value of a text that is one arithmetic expression, None where it is none, is undefined or
    lies beyond the bounds. Letters have the values given.
    """
    if len(text) > MAX_CHARACTERS or _SCIENTIFIC.search(text):
        return None
    try:
        tokens = _tokens(_DROPPED.sub(" ", text))
        parser = _Parser(tokens, variables)
        value = parser.sum(0)
    except (_NoValueError, ZeroDivisionError, OverflowError, ValueError):
        return None
    if parser.at < len(tokens) or isinstance(value, complex):
        return None
    return value if isinstance(value, Fraction) or math.isfinite(value) else None


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or len(tokens) >= MAX_TOKENS:
            raise _NoValueError
        token = match[match.lastgroup or 0]
        tokens.append(_SAME.get(token, token).replace(",", ""))
        at = match.end()
    return tokens


class _Parser:
    """Recursive descent; a power binds tighter than a sign, and `2(3)` is a product."""

    def __init__(self, tokens: list[str], variables: Mapping[str, float]) -> None:
        self.tokens = tokens
        self.variables = variables
        self.at = 0

    @property
    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.next
        self.at += 1
        return token

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise _NoValueError

    def sum(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise _NoValueError
        value = self.product(depth)
        while self.next in ("+", "-"):
            sign = self.take()
            term = self.product(depth)
            value = _bounded(value + term if sign == "+" else value - term)
        return value

    def product(self, depth: int) -> Value:
        value = self.signed(depth)
        while (token := self.next) and (token in "*/" or token not in "+-^!)}]:"):
            if token in "*/":
                self.take()
            elif token[0].isdigit() and self.tokens[self.at - 1][-1].isdigit():
                raise _NoValueError  # two numbers side by side are no product
            mixed = token == "\\frac" and self.tokens[self.at - 1].isdigit()
            factor = self.signed(depth) if token in "*/" else self.power(depth)
            value = _mixed(value, factor) if mixed else _product(value, token, factor)
        return value

    def signed(self, depth: int) -> Value:
        if self.next in ("+", "-"):
            if depth > MAX_DEPTH:
                raise _NoValueError
            return -self.signed(depth + 1) if self.take() == "-" else self.signed(depth + 1)
        return self.power(depth)

    def power(self, depth: int) -> Value:
        base = self.atom(depth)
        if self.next == "!":
            self.take()
            base = _factorial(base)
        if self.next == "!":
            raise _NoValueError
        if self.next != "^":
            return base
        self.take()
        if depth > MAX_DEPTH:
            raise _NoValueError
        return _power(base, self.signed(depth + 1))

    def atom(self, depth: int) -> Value:
        token = self.take()
        if token[:1].isdigit() or token[:1] == ".":
            return _bounded(Fraction(token)) if len(token) <= MAX_DIGITS else 0
        if token in self.variables:
            return self.variables[token]
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        if token in _CLOSES:
            value = self.sum(depth + 1)
            self.expect(_CLOSES[token])
            return value
        if token == "\\frac":
            above, below = self.argument(depth), self.argument(depth)
            return _bounded(above / below)
        if token == "\\binom":
            return _binomial(self.argument(depth), self.argument(depth))
        if token == "\\sqrt":
            index: Value = Fraction(2)
            if self.next == "[":
                index = self.atom(depth)
            return _power(self.argument(depth), 1 / index)
        if token in _FUNCTIONS:
            return self.function(_FUNCTIONS[token], depth)
        raise _NoValueError

    def known(self, token: str) -> bool:
        return token in _CONSTANTS or token in self.variables

    def function(self, function: Callable[[float], float], depth: int) -> Value:
        """A function of what is in brackets, or of one number or constant."""
        if self.next not in _CLOSES and not self.next[:1].isdigit() and not self.known(self.next):
            raise _NoValueError
        return function(float(self.atom(depth + 1)))

    def argument(self, depth: int) -> Value:
        """A braced group, or one digit: `\\\\frac12`."""
        token = self.next
        if len(token) > 1 and token.isdigit():
            self.tokens[self.at : self.at + 1] = list(token)
            return self.atom(depth)
        return self.atom(depth + 1)


def _product(value: Value, token: str, factor: Value) -> Value:
    return _bounded(value / factor if token == "/" else value * factor)


def _mixed(whole: Value, part: Value) -> Value:
    """A whole number with a proper fraction behind it is their sum, anything else a product."""
    if isinstance(part, float) or isinstance(whole, float) or not 0 < part < 1:
        return whole * part
    return whole - part if whole < 0 else whole + part


def _bounded(value: Value) -> Value:
    if isinstance(value, Fraction):
        bits = max(value.numerator.bit_length(), value.denominator.bit_length())
        if bits > _MAX_BITS:
            raise _NoValueError
    return value


def _power(base: Value, exponent: Value) -> Value:
    """Exact for a whole exponent and for the root of a perfect power, else a float."""
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if abs(exponent.numerator) * bits > 2 * _MAX_BITS and abs(base) != 1:
            raise _NoValueError
        if exponent.denominator == 1:
            return _bounded(base**exponent.numerator)
        root = _root(base, exponent.denominator)
        if root is not None:
            return _bounded(root**exponent.numerator)
    if base < 0:
        raise _NoValueError
    return math.pow(base, exponent)


def _root(base: Fraction, degree: int) -> Fraction | None:
    """The exact root of a perfect power."""
    if base < 0 or degree > 64 or max(base.numerator, base.denominator).bit_length() > 900:
        return None
    parts = [round(part ** (1 / degree)) for part in (base.numerator, base.denominator)]
    root = Fraction(*parts) if parts[1] else None
    return root if root is not None and root**degree == base else None


def _factorial(value: Value) -> Fraction:
    if isinstance(value, float) or value.denominator != 1 or not 0 <= value <= _MAX_FACTORIAL:
        raise _NoValueError
    return Fraction(math.factorial(int(value)))


def _binomial(above: Value, below: Value) -> Fraction:
    if isinstance(above, float) or isinstance(below, float) or not 0 <= above <= _MAX_FACTORIAL:
        raise _NoValueError
    if above.denominator != 1 or below.denominator != 1 or below < 0:
        raise _NoValueError
    return Fraction(math.comb(int(above), int(below)))
