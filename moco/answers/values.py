"""Which of a text's claims is its answer, for every kind but choices; and the reader of numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from moco.answers import arithmetic, numbers, units
from moco.answers.boxes import Claim
from moco.answers.claims import claims
from moco.answers.cleaning import Found, Text, nothing
from moco.answers.hedging import abstains, evades, gives_up
from moco.answers.sentences import last_sentence, sentences

Reader = Callable[[str], Found | None]
"""Reads a value that the text presents as its answer; None where it is nothing of this kind."""

CLOSED = ("box", "tag", "field")
MAX_SENTENCES = 40
"""Where nothing is announced, so many last sentences are searched for a number."""

_FILLER = re.compile(
    r"""(?:[\s"'(\[=:~≈*<]|\b(?:approximately|approx\.?|about|around|roughly|exactly|only|just|nearly|almost|equal\s+to|equals|a\s+total\s+of
    |is|usd|rs\.?|therefore|simply|the\s+number|the\s+value|an?\s+average\s+of)(?=[\s:$]))*""",
    re.IGNORECASE | re.VERBOSE,
)
_OR_NUMBER = re.compile(r"\s*(?:[a-z%]+\s+){0,2}(?:or|and/or|and)\s+(?=[-$\d.])", re.IGNORECASE)
DENIED = re.compile(r"\b(?:not|never|n't|neither|nor|cannot)\b|n't\b", re.IGNORECASE)
_WRONG = re.compile(
    r"[^.\n]{0,20}\b(?:is|was|would\s+be)\s+(?:wrong|incorrect|not\s+(?:right|correct))\b",
    re.IGNORECASE,
)
_JOINED = re.compile(r"[\s$})\].,]*(?:or|and/or)[\s$({\[\\]*", re.IGNORECASE)


def last_claim(
    found: Sequence[Claim], read: Reader, text: str, *, closed: Reader | None = None
) -> Found | None:
    """The last claim that reads as this kind; two boxes joined by "or" are a hedge.

    `closed` reads what stands in a box, a tag or a field, where nothing but the answer can be.
    """
    last: tuple[Claim, Found] | None = None
    for claim in reversed(found):
        if _WRONG.match(text[claim.end : claim.end + 60]):
            continue
        reading = (closed if closed and claim.form in CLOSED else read)(claim.value)
        if reading is None and evades(claim.value):
            reading = nothing("no answer is given", "abstained", claim.value.strip()[:200])
        if reading is None:
            continue
        if last is None:
            last = claim, reading
            continue
        joined = _JOINED.fullmatch(text, claim.end, max(claim.end, last[0].label))
        if joined and reading.value != last[1].value:
            return nothing(
                "several answers at once", "ambiguous", f"{claim.value} / {last[0].value}"
            )
        break
    if last is None:
        return None
    tail = last_sentence(text) if last[1].status == "parsed" else None
    if tail and tail.start >= last[0].end and gives_up(tail.text):
        return nothing("gives up after an answer", "abstained", tail.text)
    return last[1]._replace(why=last[1].why or last[0].form)


def missing(text: str, what: str) -> Found:
    """What became of a text that announces nothing of this kind."""
    last = last_sentence(text)
    shown = last.text if last else text
    if abstains(shown):
        return nothing("no answer is given", "abstained", shown[:200])
    return nothing(f"no {what} found")


_EXPRESSION = re.compile(r"(?:[\d\s.,+\-*/^×·!(){}\[\]√π−]|\\[a-zA-Z]+|(?:pi|sqrt)\b)+")
_OPERATION = re.compile(r"^-\s*\(|[\d)}\]]\s*[-+*/^×·!(]|\\(?!text|mathrm)[a-z]|[√π]")
_RANGE = re.compile(r"[\s$]*[\d.,]+\s*[-–]\s*[\d.,]+\s*(?:[^-+*/^×\s]|$)|\s*\d+/\d+/\d")


def _expression(text: str) -> Found | None:
    """The value of the arithmetic that a text starts with; a range of two numbers is none."""
    match = _EXPRESSION.match(text[: arithmetic.MAX_CHARACTERS + 1])
    if match is None or not _OPERATION.search(match[0]) or _RANGE.match(text):
        return None
    rest = text[match.end() :]
    if rest and not (rest[0] in ";?\"'%" or match[0][-1].isspace() or match[0][-1] in ".,"):
        return None
    raw = match[0].strip().rstrip(".,").rstrip()
    value = arithmetic.evaluate(raw)
    if value is None:
        return None
    exact = value if isinstance(value, Fraction) else Fraction(f"{value:.12g}")
    return Found(numbers.spell(exact), "parsed", raw, unit=units.after(rest))


def _bare(text: str) -> str:
    """The text without the words that lead up to a number."""
    lead = _FILLER.match(text)
    return text[lead.end() if lead else 0 :]


def _number_at(text: str) -> tuple[numbers.Number, str] | None:
    """The number that a simplified text starts with, and the text from there on."""
    start = _bare(text)
    number = numbers.leading(start)
    return None if number is None else (number, start)


def _found(number: numbers.Number, start: str) -> Found:
    unit = units.before(start) or units.after(start[number.end :])
    raw = start[: number.end].strip()
    return Found(number.canonical, "parsed", raw, unit="%" if number.percent else unit)


_DECIMAL_COMMA = re.compile(r"(?<![\d.,])0,(?=\d+(?![\d,]))")


def read_number(value: str) -> Found | None:
    """The number that a value is: at its start, else after its last equals sign, else what an
    expression comes to, else the only number in it.
    """
    plain = _DECIMAL_COMMA.sub("0.", numbers.simplify(value.strip()))
    right = plain.rsplit("=", 1)[1] if "=" in plain else None
    for text in (plain, right):
        read = None if text is None else _number_at(text)
        if read is not None:
            number, start = read
            more = _OR_NUMBER.match(start, number.end)
            other = numbers.leading(start[more.end() :].lstrip(" $")) if more else None
            if other is not None and other.canonical != number.canonical:
                return nothing("several numbers at once", "ambiguous", value.strip()[:200])
            return _found(number, start)
    for text in (right, plain):
        computed = None if text is None else _expression(text.lstrip()) or _expression(_bare(text))
        if computed is not None:
            return computed
    head = sentences(plain)[0].text if sentences(plain) else plain
    every = {n.canonical: n for n in numbers.find_all(head)}
    if len(every) == 1 and not DENIED.search(head) and not _SUM.search(head):
        only = next(iter(every.values()))
        return _found(only, head)._replace(raw=head.strip()[:200])
    return None


_SUM = re.compile(r"\d\s*[-+*/^×]\s*[\d(]")
_BOLD = re.compile(r"(?:\*\*|__)([^*_\n]{1,80})(?:\*\*|__)")


def committed_number(text: Text, skip: int = 0) -> Found | None:
    """The number that a text presents as its answer."""
    found = [claim for claim in claims(text.plain) if claim.label >= skip]
    return last_claim(found, read_number, text.plain)


_SPELLED = re.compile("[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]")


def suggested_number(text: Text) -> Found:
    """The number that the last sentence with numbers comes to, where none is presented."""
    plain = text.plain
    tail = last_sentence(plain)
    if tail is not None and abstains(tail.text):
        return missing(plain, "number")
    alone = read_number(plain) if len(plain) < 80 and "\n" not in plain.strip() else None
    if alone is not None and alone.value is not None:
        return alone._replace(why="the whole text")
    for sentence in reversed(sentences(plain[-5_000:])[-MAX_SENTENCES:]):
        if not any(map(str.isdigit, sentence.text)) and not _SPELLED.search(sentence.text):
            continue
        simple = numbers.simplify(sentence.text)
        every = numbers.find_all(simple)
        if every:
            return _from_sentence(simple, every, text.raw)
    first = re.match(r"\s*(\d{1,2})[.)]\s", text.raw)
    if first:
        return Found(str(int(first[1])), "parsed", first[1], "the text starts with it")
    return missing(plain, "number")


def _from_sentence(sentence: str, every: list[numbers.Number], dressed: str) -> Found:
    """What a sentence comes to: right of its last equals sign, its only number, or the one in
    bold.
    """
    raw = sentence[-200:]
    right = _number_at(sentence.rsplit("=", 1)[1]) if "=" in sentence else None
    if right is not None:
        return _found(*right)._replace(raw=raw, why="right of the last equals sign")
    known = {number.canonical: number for number in every}
    if len(known) == 1 and not DENIED.search(sentence):
        only = _found(every[0], sentence)
        return only._replace(raw=raw, why="the only number of the last sentence")
    bold = [
        numbers.leading(numbers.simplify(mark[1]).strip(" $="))
        for mark in _BOLD.finditer(dressed[-5_000:])
    ]
    marked = [number.canonical for number in bold if number and number.canonical in known]
    if marked:
        return Found(marked[-1], "parsed", raw, "emphasised in the last sentence")
    return nothing("several numbers in the last sentence", "ambiguous", raw)
