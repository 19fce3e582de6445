"""What may be sent to a computer algebra system: mathematics, and nothing that could grow large."""

from __future__ import annotations

import re

MAX_CHARACTERS = 200
MAX_PARTS = 100
"""Numbers, letters, commands and operators of an expression."""
MAX_DIGITS = 40
"""Of a number as written."""
MAX_POWER_DIGITS = 1_000
"""Of a power of a number; factorials and binomials are small or not sent at all."""
MAX_GROUP_POWERS = 12
"""Of the exponents of brackets the product: such powers are multiplied out."""
MAX_VARIABLE_POWER = 100
MAX_FACTORIAL = 20
MAX_DEPTH = 5
"""Of brackets."""

_POWER = re.compile(r"(?P<base>\d*\.?\d+|.?)\s*(?:\^|\*\*)\s*[{(]*\s*[-+]?\s*(?P<exponent>\d+)")
_NESTED_POWER = re.compile(
    r"(?:\^|\*\*)\s*(?:\{[^{}]*(?:\^|\*\*)|\(?\w+\)?\s*(?:\^|\*\*)|\{[^{}]*\}\s*\^|\([^()]*(?:\^|\*\*))"
)
_FACTORIAL = re.compile(r"(\d+|[)}\]\w])\s*!")
_HEAVY = re.compile(r"\\[dt]?binom|\\choose|\\(?:int|sum|prod|lim)(?![a-z])")
_MATRIX = re.compile(r"\\(?:begin|end)\{[bpvBV]?matrix\}")
_PART = re.compile(r"\\[a-zA-Z]+|\d+|[^\s\w{}]|[a-zA-Z]")
_MATHEMATICAL = re.compile(r"(?=.*[^\W_])[ -~\n∞π√×·÷±≤≥≠∪∩∅−°α-ωΑ-Ω]*", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{4,}")


def too_much(text: str) -> str:
    """Why a text is nothing for a computer algebra system, empty where it may be sent."""
    if not text:
        return "nothing is left of it"
    if len(text) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS} characters"
    words = re.sub(r"\\[a-zA-Z]+", " ", _MATRIX.sub("", text))
    if _WORD.search(words) or re.fullmatch(r"[\s(]*[^\W\d_]{3,}[\s).]*", words):
        return "words"
    if not text.isascii() and re.search(r"[^\W\d_]{2,}", re.sub(r"[\x00-\x7f]", "", text)):
        return "words"
    if _depth(text) < 0 or not _MATHEMATICAL.fullmatch(text):
        return "no expression"
    if len(_PART.findall(text)) > MAX_PARTS:
        return f"more than {MAX_PARTS} parts"
    if _depth(text) > MAX_DEPTH:
        return f"brackets more than {MAX_DEPTH} deep"
    return _too_large(text)


def _too_large(text: str) -> str:
    """Why evaluating the text could grow large, judged before anything is evaluated."""
    if re.search(rf"\d{{{MAX_DIGITS}}}|\d[eE][+-]?\d{{3}}", text):
        return f"a number of more than {MAX_DIGITS} digits"
    if _NESTED_POWER.search(text):
        return "a power of a power"
    if _HEAVY.search(text):
        return "a binomial, sum, product, limit or integral"
    multiplied = 1
    for match in _POWER.finditer(text):
        base, exponent = match["base"], int(match["exponent"])
        if base in (")", "]", "}"):
            multiplied *= max(exponent, 1)
        grown = exponent * max(len(base), 1) if base[-1:].isdigit() else 0
        if grown > MAX_POWER_DIGITS or (not grown and exponent > MAX_VARIABLE_POWER):
            return "a large power"
    if multiplied > MAX_GROUP_POWERS:
        return "large powers of brackets"
    factorials = [mark[1] for mark in _FACTORIAL.finditer(text)]
    if any(not number.isdigit() or int(number) > MAX_FACTORIAL for number in factorials):
        return f"a factorial above {MAX_FACTORIAL}"
    return ""


def _depth(text: str) -> int:
    """How deep brackets nest, below 0 where braces do not match."""
    depth = deepest = braces = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        braces += (char == "{") - (char == "}")
        if braces < 0:
            return -1
        deepest = max(deepest, depth)
    return -1 if braces else deepest
