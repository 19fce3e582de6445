"""One spelling for mathematical answers: enough of LaTeX to compare fractions, roots, tuples, sets
and sums.

It is a normal form for text, not algebra: what it makes equal is equal, what it leaves different
may still be.
"""

from __future__ import annotations

import re
from fractions import Fraction

from moco.answers import arithmetic, numbers
from moco.answers.cleaning import fold

MAX_CHARACTERS = 2_000
"""Longer answers are only stripped of spaces."""

_DROP = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits|quad|qquad|nonumber|hfill)(?![a-zA-Z])\.?|\\[!,;:>\s]|~"
    r"|\\hspace\{[^{}]*\}|\\(?=\$|%|#|&(?!\s*\\))"
)
_DEGREE = re.compile(r"\^\s*\{?\s*(?:\\circ|°)\s*\}?|\\degrees?|°|(?<=\d)\s*degrees?\b")
_FRACTION_NAME = re.compile(r"\\[dtc]frac(?![a-z])")
_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|operatorname|bold)\*?\s*\{([^{}]*)\}"
)
_UNIT = re.compile(
    r"(?<=[\d}])\s*(?:\\(?:text|mathrm|mbox|textrm)\s*\{\s*(?P<word>[^{}]*)\}(?:\^\{?\d\}?)?"
    r"|\s(?!and\b|or\b)(?:[a-zA-Z]{2,}\.?)(?:\s+[a-zA-Z]+\.?)*)\s*\.?$"
)
_FUNCTIONS = frozenset((
    "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "sqrt", "pi", "arcsin",
    "arccos", "arctan", "mod", "and", "or",
))  # fmt: skip
_SYMBOLS = (
    (re.compile(r"\\(?:cdot|times|ast)(?![a-z])|×|·|∗"), "*"),
    (re.compile(r"\\leq?(?![a-z])|≤|\\leqslant"), "<="),
    (re.compile(r"\\geq?(?![a-z])|≥|\\geqslant"), ">="),
    (re.compile(r"\\neq?(?![a-z])|≠"), "!="),
    (re.compile(r"\\infty|∞|\binfinity\b"), "∞"),
    (re.compile(r"\\pi(?![a-z])|(?<![a-zA-Z])pi(?![a-zA-Z])"), "π"),
    (re.compile(r"\\cup(?![a-z])"), "∪"),
    (re.compile(r"\\cap(?![a-z])"), "∩"),
    (re.compile(r"\\pm(?![a-z])"), "±"),
    (re.compile(r"\\(?:emptyset|varnothing)"), "∅"),
    (re.compile(r"\\(?:lbrace|\{)"), "⦃"),
    (re.compile(r"\\(?:rbrace|\})"), "⦄"),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"[−–]"), "-"),
    (re.compile(r"\\div(?![a-z])|÷"), "/"),
    (re.compile(r"√\s*\(?(\w+)\)?|(?<!\\)sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1\2}"),
    (re.compile(r"\\(sin|cos|tan|cot|sec|csc|log|ln|exp|arcsin|arccos|arctan)(?![a-z])"), r"\1"),
    (re.compile(r"\\[dtc]?frac(?![a-z])"), r"\\frac"),
)
_ASSIGNED = re.compile(r"^\\?[a-zA-Z](?:_?\{?\w\}?)?(?:\([a-zA-Z]\))?(?:=|\\in(?![a-z]))(?=[^=]+$)")
_ATOM = re.compile(r"-?(?:\d+(?:\.\d+)?|[a-zA-Zπ])")


def words(text: str) -> str:
    """The text without the commands that only set words upright."""
    return _TEXT.sub(r"\1", text)


def _strip_dollars(text: str) -> str:
    text = text.strip()
    for start, end in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if text.startswith(start) and text.endswith(end) and len(text) > len(start) + len(end):
            inner = text[len(start) : -len(end)]
            if start not in inner.replace("\\$", ""):
                return inner.strip()
    return text


_UPRIGHT = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|bold|operatorname)\*?\s*(?=\{)"
)


def unwrapped(text: str) -> str:
    """The text without dollars, one `\\text{…}` or `<…>` around all of it."""
    text = _strip_dollars(text)
    upright = _UPRIGHT.match(text)
    if upright:
        inner, end = _group(text, upright.end())
        return inner.strip() if end == len(text) else text
    if len(text) > 2 and text[0] == "<" and text[-1] == ">" and not re.search("[<>]", text[1:-1]):
        return text[1:-1].strip()
    return text


def _without_unit(text: str) -> str:
    match = _UNIT.search(text)
    if match is None:
        return text
    words = re.findall(r"[a-zA-Z]+", match["word"] or match[0])
    return (
        text
        if any(w.lower() in _FUNCTIONS for w in words) and not match["word"]
        else text[: match.start()]
    )


def _group(text: str, at: int) -> tuple[str, int]:
    """The LaTeX argument at a position and where it ends: a braced group, a command, or one
    character.
    """
    while at < len(text) and text[at].isspace():
        at += 1
    if at >= len(text):
        return "", at
    if text[at] == "\\":
        match = re.compile(r"\\[a-zA-Z]+").match(text, at)
        return (match[0], match.end()) if match else (text[at], at + 1)
    if text[at] != "{":
        return text[at], at + 1
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return text[at + 1 : i], i + 1
    return text[at + 1 :], len(text)


def _fractions(text: str, depth: int = 0) -> str:
    """`\\frac{a}{b}` as `a/b`, with parentheses where they are needed; `\\sqrt3` as `\\sqrt{3}`."""
    out: list[str] = []
    at = 0
    while at < len(text):
        if depth < 12 and text.startswith("\\frac", at):
            above, end = _group(text, at + 5)
            below, end = _group(text, end)
            if "".join(out[-1:]).isdigit():
                out.append("+" if _proper(above, below) else "*")
            out.append("/".join(_atom(_fractions(part, depth + 1)) for part in (above, below)))
            at = end
        elif depth < 12 and text.startswith("\\sqrt", at) and not text.startswith("\\sqrt[", at):
            digits = re.compile(r"\s*(\d+)").match(text, at + 5)
            inner, end = (digits[1], digits.end()) if digits else _group(text, at + 5)
            out.append("\\sqrt{" + _fractions(inner, depth + 1) + "}")
            at = end
        else:
            out.append(text[at])
            at += 1
    return "".join(out)


def _proper(above: str, below: str) -> bool:
    """Whether a fraction behind a whole number makes a mixed number with it."""
    return above.isdecimal() and below.isdecimal() and int(above[:9]) < int(below[:9])


def _atom(text: str) -> str:
    text = re.sub(r"\s+", "", text)
    return text if _ATOM.fullmatch(text) or re.fullmatch(r"\d+[a-zπ]", text) else f"({text})"


_OPEN, _CLOSE = "([{⦃", ")]}⦄"


def split_top(text: str, separator: str = ",") -> list[str]:
    """The parts between top-level separators."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char in _OPEN) - (char in _CLOSE)
        if depth == 0 and char in separator:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def _enclosed(text: str) -> bool:
    if len(text) < 3 or text[0] not in "([⦃" or text[-1] not in ")]⦄":
        return False
    depth = 0
    for i, char in enumerate(text):
        depth += (char in _OPEN) - (char in _CLOSE)
        if depth == 0 and i < len(text) - 1:
            return False
    return True


def _terms(text: str) -> str:
    """A top-level sum with its terms in one order."""
    if not re.search(r"(?<=[^+\-*/^(,{<>=±])[+-]", text) or re.search(r"[,<>=±∪∩&;!]", text):
        return text
    terms, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char in _OPEN) - (char in _CLOSE)
        if depth == 0 and char in "+-" and i > start and text[i - 1] not in "+-*/^(eE":
            terms.append(text[start:i])
            start = i
    terms.append(text[start:])
    signed = sorted(t if t[0] in "+-" else f"+{t}" for t in terms)
    return "".join(signed).removeprefix("+")


def _component(text: str, depth: int) -> str:
    if depth > 6:
        return text
    number = numbers.whole(text)
    if number is not None:
        return numbers.spell(number.value)
    value = arithmetic.evaluate(text) if re.search(r"\d", text) else None
    if isinstance(value, Fraction):
        return numbers.spell(value)
    if _enclosed(text):
        inner = split_top(text[1:-1])
        parts = [_component(part, depth + 1) for part in inner]
        if len(parts) == 1 and text[0] == "(" and text[-1] == ")":
            return parts[0]
        if text[0] == "⦃":
            parts.sort()
        return text[0] + ",".join(parts) + text[-1]
    parts = split_top(text)
    if len(parts) > 1 and all(parts):
        return ",".join(sorted(_component(part, depth + 1) for part in parts))
    return _terms(text)


def trimmed(text: str) -> str:
    """The expression without what is not mathematics: dollars, a unit, degree and percent signs."""
    plain = unwrapped(_strip_dollars(text).strip().rstrip(".,;").strip())
    plain = _DEGREE.sub("", plain.replace("\\\\", "⏎"))
    plain = _without_unit(plain).replace("⏎", "\\\\")
    return re.sub(r"\\?[$%]", "", plain).strip()


def canonical(text: str) -> str:
    """The normal form of an answer; empty when nothing is left of it."""
    if len(text) > MAX_CHARACTERS:
        return re.sub(r"\s+", "", text)
    plain = trimmed(text).replace("\\\\", "⏎")
    plain = re.sub(r"(?<=\d),\\!(?=\d{3})|(?<=\d)\{,\}(?=\d{3})", "", plain)
    plain = _TEXT.sub(lambda m: f" {m[1]} ", _TEXT.sub(r" \1 ", plain))
    plain = _DROP.sub(" ", plain).replace("$", "").replace("%", "").strip().rstrip(".")
    for pattern, replacement in _SYMBOLS:
        plain = pattern.sub(replacement, plain)
    letter = re.fullmatch(r"\(?\s*([A-Za-z])\s*\)?", plain)
    if letter:
        return letter[1] if plain.strip() == letter[1] else letter[1].upper()
    number = numbers.whole(plain)
    if number is not None:
        return numbers.spell(number.value)
    if re.fullmatch(
        r"[^\W\d_][^\d\\^_{}=+*/<>|]*\w{2}[^\d\\^_{}=+*/<>|]*", plain
    ) and not re.search(r"[(\[⦃,]", plain):
        return fold(plain)
    plain = re.sub(r"\s+(?:and|or)\s+", ",", plain)
    plain = re.sub(r"\s+", "", _fractions(plain))
    plain = re.sub(r"([\^_])\{(-?\w|\\[a-z]+)\}", r"\1\2", plain)
    plain = re.sub(r"\*(?=[a-zA-Z\\(π])|(?<=[a-zA-Z)π])\*", "", plain)
    plain = _ASSIGNED.sub("", plain)
    result = _component(plain, 0)
    return result if any(c.isalnum() or c in "∞∅π" for c in result) else ""
