"""Reads numbers as people and models write them, into exact fractions with one canonical spelling.

Understood: thousands separators (`1,200`, `1{,}200`, thin spaces), currency, percent, `1/2`,
`\\frac12`, `½`, mixed numbers, `3.5e-7`, `3.5 \\times 10^{-7}`, Unicode minus, number words up to
ninety-nine, `million`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

MAX_DIGITS = 80
MAX_EXPONENT = 400
"""Beyond these a text is no number: nothing here may cost more than a moment."""


class Number(NamedTuple):
    """A number and the stretch of (simplified) text it was read from."""

    value: Fraction
    percent: bool
    start: int
    end: int

    @property
    def canonical(self) -> str:
        """One spelling per value: a plain decimal where there is a finite one, else `p/q`; percent
        keeps its sign.
        """
        return spell(self.value) + ("%" if self.percent else "")


def spell(value: Fraction) -> str:
    """The shortest exact spelling: an integer, a finite decimal, else a reduced fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, places = value.denominator, 0
    for prime in (2, 5):
        count = 0
        while rest % prime == 0:
            rest //= prime
            count += 1
        places = max(places, count)
    if rest != 1 or places > MAX_DIGITS:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


_VULGAR = dict(
    zip(
        "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞",
        [
            "1/2", "1/3", "2/3", "1/4", "3/4", "1/5", "2/5", "3/5", "4/5", "1/6", "5/6", "1/8",
            "3/8", "5/8", "7/8",
        ],
        strict=True,
    )
)  # fmt: skip
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_STEPS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[−‒﹣]|–(?=\d)"), "-"),
    (re.compile(r"\{,\}|\\[,!;: ](?=\d)|(?<=,)\\!"), ""),
    (re.compile(r"(?<=\d)[\u2009\u202f\u00a0](?=\d{3}(?!\d))"), ""),
    (re.compile(r"(?<![\d.,])(\d{1,3}) (?=\d{3}(?: \d{3})*(?![\d.,]?\d))"), r"\1"),
    (re.compile(r"(?<=\d)'(?=\d{3}(?!\d))"), ""),
    (re.compile(r"(?<![\d)] )\b(?:[Nn]egative|[Mm]inus)\s+(?=[$€£]?\d)"), "-"),
    (re.compile(r"\\(?:times|cdot)\b|×|·"), "×"),
    (re.compile(r"\\%|％"), "%"),
    (re.compile(r"\s?\^\s*\{?\s*(?:\\circ|[°º])\s*\}?|\\degrees?(?![a-z])|[°º]"), " degrees"),
    (re.compile(r"\\\$|\$"), " $"),
    (re.compile(r"(?<=\d)\s*\\[dtc]?frac"), " \\\\frac"),
    (re.compile(r"\\[dtc]?frac\s*\{\s*(-?[\d.,]+)\s*\}\s*\{\s*([\d.,]+)\s*\}"), r"\1/\2"),
    (re.compile(r"\\[dtc]?frac\s*(\d)\s*\{?(\d)\}?"), r"\1/\2"),
    (re.compile(r"\((-?\d+)\)\s*/\s*\((\d+)\)"), r"\1/\2"),
)
_RAISED = re.compile(r"(?<=10)[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,4}")


def simplify(text: str) -> str:
    """The text with number spellings brought to plain ASCII; other text is left as it is."""
    text = _RAISED.sub(lambda m: "^" + m[0].translate(_SUPERSCRIPT), text)
    for char, fraction in _VULGAR.items():
        if char in text:
            text = re.sub(rf"(?<=\d)\s*{char}", f" {fraction}", text).replace(char, fraction)
    for pattern, replacement in _STEPS:
        text = pattern.sub(replacement, text)
    return text


_BODY = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?!,\d)|\d+)(?:\.\d+|\.(?!\d))?|\.\d+"
_NUMBER = re.compile(
    rf"""(?<![\w.])(?P<sign>-|\+)?\s?(?:[$€£¥₹]\s?)?(?P<sign2>-)?
    (?:(?P<body>{_BODY})
       (?:\s?[×x*]\s?10\s?(?:\^|\*\*)\s?[{{(]?(?P<pow>[+-]?\d{{1,4}})[)}}]?(?!\s?[\d.^])|[eE](?P<exp>[+-]?\d{{1,4}})(?!\w))?
       (?:\s?/\s?(?P<den>\d+(?:\.\d+)?)(?!\s?/)|\s(?P<top>\d{{1,6}})/(?P<bottom>\d{{1,6}})(?!\s?/))?
    )
    (?:\s?(?P<pct>%|percent\b))?(?:\s(?P<big>hundred|thousand|million|billion|trillion)\b)?""",
    re.VERBOSE | re.IGNORECASE,
)  # fmt: skip
_POWER_OF_TEN = re.compile(
    r"(?P<sign>-)?10\s?(?:\^|\*\*)\s?[{(]?(?P<pow>[+-]?\d{1,4})[)}]?(?!\s?[\d.^])"
)
_BIG = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_JOINED = re.compile(r"[.,:]?\d|[\^]|[-/]\d|[eE][-+]?\d|\s?(?:√|π|\\sqrt|\\pi)|[xyzni](?![a-zA-Z])")
"""What a number is glued to when it is only a part of something."""
_OPERATOR = re.compile(r"\s*[-+*/^×]\s*[\d(\\]")


def _value(match: re.Match[str]) -> Fraction | None:
    """The value of a number match, None beyond the limits or for a zero denominator."""
    body = match["body"].replace(",", "").rstrip(".")
    exponent = int(match["pow"] or match["exp"] or 0)
    if (
        len(body) > MAX_DIGITS
        or abs(exponent) > MAX_EXPONENT
        or len(match["den"] or "") > MAX_DIGITS
    ):
        return None
    value = Fraction(body) * Fraction(10) ** exponent
    if match["den"]:
        if not Fraction(match["den"]):
            return None
        value /= Fraction(match["den"])
    if match["top"]:
        if not int(match["bottom"]) or "." in body:
            return None
        value += Fraction(int(match["top"]), int(match["bottom"]))
    value *= _BIG.get((match["big"] or "").lower(), 1)
    return -value if (match["sign"] == "-") != (match["sign2"] == "-") else value


def _read(text: str, at: int) -> Number | None:
    power = _POWER_OF_TEN.match(text, at)
    if power and abs(int(power["pow"])) <= MAX_EXPONENT:
        value = Fraction(10) ** int(power["pow"])
        return Number(-value if power["sign"] else value, False, at, power.end())
    match = _NUMBER.match(text, at)
    if match is None or _JOINED.match(text, match.end()):
        return None
    value_or_none = _value(match)
    return (
        None
        if value_or_none is None
        else Number(value_or_none, bool(match["pct"]), at, match.end())
    )


_START = re.compile(r"(?<![\w.])[-+]?\s?[$€£¥₹]?\s?-?(?:\d|\.\d)")
_SKIP = re.compile(r"[^\s=]+")


def find_all(text: str) -> list[Number]:
    """Every number in simplified text, left to right; what is glued to letters or half of a date is
    skipped.
    """
    found: list[Number] = []
    at = 0
    while (start := _START.search(text, at)) is not None:
        number = _read(text, start.start())
        if number is not None and number.end > at:
            found.append(number)
            at = number.end
        else:
            skip = _SKIP.search(text, start.end() - 1)
            at = max(skip.end() if skip else start.end(), start.end())
    return found


_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: value for value, word in enumerate(_ONES)} | {
    w: 10 * (i + 2) for i, w in enumerate(_TENS)
}
_WORD = re.compile(
    rf"({'|'.join(sorted(_WORDS, key=len, reverse=True))})(?:[ -]({'|'.join(_ONES[1:10])}))?\b",
    re.IGNORECASE,
)


_PRONOUN = re.compile(
    r"one\s+(?:can|cannot|could|may|might|must|should|would|will|of|has|is|another)\b",
    re.IGNORECASE,
)
_PART = re.compile(
    r"(?:(?P<count>an?|one|two|three|four|five)[ -])?"
    r"(?P<part>half|thirds?|quarters?|fourths?|fifths?)\b",
    re.IGNORECASE,
)
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5}


def _part(text: str) -> Number | None:
    """A fraction in words: "half", "two thirds"."""
    match = _PART.match(text)
    if match is None or not (match["count"] or match["part"].lower() == "half"):
        return None
    count = (match["count"] or "one").lower()
    above = 1 if count in ("a", "an") else _WORDS[count]
    below = _PARTS[match["part"].lower().removesuffix("s")]
    return Number(Fraction(above, below), False, 0, match.end())


def leading(text: str) -> Number | None:
    """The number that simplified text starts with, None if an expression goes on."""
    if (part := _part(text)) is not None:
        return part
    word = _WORD.match(text)
    if word and not _PRONOUN.match(text):
        first, second = _WORDS[word[1].lower()], _WORDS[(word[2] or "zero").lower()]
        if second == 0 or first >= 20:
            return Number(Fraction(first + second), False, 0, word.end())
    if not _START.match(text):
        return None
    number = _read(text, 0)
    if number is None or _OPERATOR.match(text, number.end):
        return None
    return number


def whole(text: str) -> Number | None:
    """The number that the text is, currency and percent allowed, nothing else."""
    plain = simplify(text).strip().rstrip(".").strip()
    number = leading(plain) if not plain[:1].isalpha() else None
    return number if number is not None and not plain[number.end :].strip() else None


def equal(first: str, second: str, tolerance: float = 0.0) -> bool:
    """Whether two canonical spellings are the same value; `50%` equals both `50` and `0.5`."""
    if first == second:
        return True
    a, b = (Fraction(text.rstrip("%")) for text in (first, second))
    if first.endswith("%") == second.endswith("%"):
        return near(a, b, tolerance)
    bare, percent = (b, a) if first.endswith("%") else (a, b)
    return near(bare, percent, tolerance) or near(bare, percent / 100, tolerance)


def near(a: Fraction, b: Fraction, tolerance: float) -> bool:
    """Equal, or within a relative tolerance of the larger."""
    return a == b or abs(a - b) <= Fraction(tolerance) * max(abs(a), abs(b))
