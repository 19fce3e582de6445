"""Which of a text's claims is its answer, for every kind but choices; and the reader of numbers."""

from __future__ import annotations

import re
from collections.abc import Callable

from moco.tasks import numbers
from moco.tasks.claims import Claim, claims
from moco.tasks.cleaning import Found, abstains, gives_up, nothing, sentences

Reader = Callable[[str], Found | None]
"""Reads a value that the text presents as its answer; None where it is nothing of this kind."""

CLOSED = ("box", "tag", "field")

_FILLER = re.compile(
    r"""(?:[\s"'(\[=:~≈*]|\b(?:approximately|approx\.?|about|around|roughly|exactly|only|just|nearly|almost|equal\s+to|equals|a\s+total\s+of
    |is|usd|rs\.?|therefore|simply|the\s+number|the\s+value|an?\s+average\s+of)(?=[\s:$]))*""",
    re.IGNORECASE | re.VERBOSE,
)
_OR_NUMBER = re.compile(r"\s*(?:[a-z%]+\s+){0,2}(?:or|and/or|and)\s+(?=[-$\d.])", re.IGNORECASE)
DENIED = re.compile(r"\b(?:not|never|n't|neither|cannot)\b|n't\b", re.IGNORECASE)
_WRONG = re.compile(
    r"[^.\n]{0,20}\b(?:is|was|would\s+be)\s+(?:wrong|incorrect|not\s+(?:right|correct))\b",
    re.IGNORECASE,
)


def last_claim(
    found: list[Claim], read: Reader, text: str, *, closed: Reader | None = None
) -> Found | None:
    """The last claim that reads as this kind; two boxes joined by "or" are a hedge.

    `closed` reads what stands in a box, a tag or a field, where nothing but the answer can be.
    """
    readings: list[tuple[Claim, Found]] = []
    for claim in found:
        if _WRONG.match(text[claim.end : claim.end + 60]):
            continue
        reader = closed if closed is not None and claim.form in CLOSED else read
        reading = reader(claim.value)
        if reading is None and abstains(claim.value):
            reading = nothing("no answer is given", "abstained", claim.value.strip()[:200])
        if reading is not None:
            readings.append((claim, reading))
    if not readings:
        return None
    claim, last = readings[-1]
    if len(readings) > 1:
        before, other = readings[-2]
        joined = re.fullmatch(
            r"[\s$})\].,]*(?:or|and/or)[\s$({\[\\]*", text[before.end : claim.label], re.IGNORECASE
        )
        if joined and last.value != other.value:
            return nothing(
                "several answers at once", "ambiguous", f"{before.value} / {claim.value}"
            )
    tail = sentences(text)
    if last.status == "parsed" and tail and tail[-1].start >= claim.end and gives_up(tail[-1].text):
        return nothing("gives up after an answer", "abstained", tail[-1].text)
    return last._replace(why=last.why or claim.form)


def missing(text: str, what: str, complete: bool) -> Found:
    if not complete:
        return nothing("cut off before an answer", "truncated")
    last = sentences(text)
    if abstains(last[-1].text if last else text):
        return nothing("no answer is given", "abstained", (last[-1].text if last else text)[:200])
    return nothing(f"no {what} found")


def read_number(value: str) -> Found | None:
    """The number that a value is: at its start, else after its last equals sign, else the only one
    in it.
    """
    plain = numbers.simplify(value.strip())
    lead = _FILLER.match(plain)
    start = plain[lead.end() if lead else 0 :]
    number = numbers.leading(start)
    if number is None and "=" in plain:
        start = plain.rsplit("=", 1)[1]
        lead = _FILLER.match(start)
        start = start[lead.end() if lead else 0 :]
        number = numbers.leading(start)
    if number is not None:
        more = _OR_NUMBER.match(start, number.end)
        other = numbers.leading(start[more.end() :].lstrip(" $")) if more else None
        if other is not None and other.canonical != number.canonical:
            return nothing("several numbers at once", "ambiguous", value.strip()[:200])
        return Found(number.canonical, "parsed", start[: number.end].strip())
    head = sentences(plain)[0].text if sentences(plain) else plain
    every = {n.canonical: n for n in numbers.find_all(head)}
    if (
        len(every) == 1
        and not DENIED.search(head)
        and not re.search(r"\d\s*[-+*/^×]\s*[\d(]", head)
    ):
        return Found(next(iter(every)), "parsed", head.strip()[:200])
    return None


_BOLD = re.compile(r"(?:\*\*|__)([^*_\n]{1,80})(?:\*\*|__)")


def extract_number(text: str, dressed: str, complete: bool) -> Found:
    """The number a text gives: its last claim, else the one its last sentence with numbers comes
    to.
    """
    found = last_claim(claims(text), read_number, text)
    if found is not None:
        return found
    if not complete:
        return nothing("cut off before an answer", "truncated")
    if sentences(text) and abstains(sentences(text)[-1].text):
        return missing(text, "number", complete)
    alone = read_number(text) if len(text) < 80 and "\n" not in text.strip() else None
    if alone is not None and alone.value is not None:
        return alone._replace(why="the whole text")
    for sentence in reversed(sentences(numbers.simplify(text))):
        every = numbers.find_all(sentence.text)
        if not every:
            continue
        if "=" in sentence.text:
            right = numbers.leading(sentence.text.rsplit("=", 1)[1].lstrip(" ~≈($"))
            if right is not None:
                return Found(
                    right.canonical, "parsed", sentence.text[-200:], "right of the last equals sign"
                )
        bold = [
            numbers.leading(numbers.simplify(b[1]).strip(" $=")) for b in _BOLD.finditer(dressed)
        ]
        marked = [b for b in bold if b is not None and b.canonical in {n.canonical for n in every}]
        choices = {n.canonical for n in every}
        if len(choices) == 1 and not DENIED.search(sentence.text):
            return Found(
                next(iter(choices)),
                "parsed",
                sentence.text[-200:],
                "the only number of the last sentence",
            )
        if marked:
            return Found(
                marked[-1].canonical,
                "parsed",
                sentence.text[-200:],
                "emphasised in the last sentence",
            )
        return nothing("several numbers in the last sentence", "ambiguous", sentence.text[-200:])
    return missing(text, "number", complete)
