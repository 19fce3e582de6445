"""Reads mathematical expressions."""

from __future__ import annotations

import re

from moco.answers import latex, numbers, units
from moco.answers.claims import claims
from moco.answers.cleaning import Found, Text, nothing
from moco.answers.hedging import abstains
from moco.answers.sentences import last_sentence, sentences
from moco.answers.values import DENIED, last_claim, missing

_INLINE = re.compile(
    r"\$\$?((?:[^$\n\\]|\\.){1,500})\$\$?|\\\((.{1,500}?)\\\)|\\\[(.{1,500}?)\\\]", re.DOTALL
)
_REASON = re.compile(r",?\s(?:because|since|which|where|as)\s")
_COMES_TO = re.compile(
    r".*\b(?:is|are|be|equals?|gives?|get|have|obtain|yields?|makes?|to|says?)\b[\s:]+(?=\S)",
    re.DOTALL,
)
_PROSE = re.compile(r"(?:[^\W\d_]{2,}[\s,;:'’.!?-]+){3,}[^\W\d_]+[\s.!?\"']*")
MAX_WORDS = 100
"""Characters of a text that may be the expression as a whole."""


def _formulas(text: str) -> list[str]:
    return [next(g for g in mark.groups() if g is not None) for mark in _INLINE.finditer(text)]


def _unquoted(text: str) -> str:
    """The text without a pair of quotation marks around all of it."""
    plain = text.strip()
    quoted = len(plain) > 2 and plain[0] == plain[-1] and plain[0] in "\"'"
    return plain[1:-1].strip() if quoted and plain[0] not in plain[1:-1] else plain


def _read(raw: str) -> Found | None:
    """The normal form of an expression, and its unit where it is a number."""
    normal = latex.canonical(raw)
    if not normal:
        return None
    plain = numbers.simplify(raw.strip("$ "))
    number = numbers.leading(plain.lstrip())
    unit = ""
    if number is not None:
        unit = units.before(plain) or units.after(plain.lstrip()[number.end :])
    return Found(normal, "parsed", raw, unit=unit)


def read_math(value: str) -> Found | None:
    """The expression that a value is: its own first formula where it has one, else its words."""
    text = _unquoted(value.strip().rstrip("."))
    inline = _INLINE.search(text)
    single = inline and (text.startswith(("$", "\\(", "\\[")) or len(_INLINE.findall(text)) == 1)
    if inline and single and not DENIED.search(text):
        raw = _formulas(text)[0]
        after = text[inline.end() :]
        if inline.start() == 0 and not re.fullmatch(r"[\s.]*(?:\\?\w[\w\s]*)?[.\s]*", after):
            raw = raw if re.match(r"\s*(?:[.,;]|\w)", after) else text
    else:
        head = sentences(text)[0].text if sentences(text) else text
        cut = _REASON.search(head)
        raw = head[: cut.start()] if cut else head
    raw = _unquoted(raw.strip().rstrip(".").strip())
    return None if abstains(raw) or re.match(r"not\b", raw) else _read(raw)


def read_boxed(value: str) -> Found | None:
    """The expression that fills a box or a field."""
    return None if abstains(value) else _read(_unquoted(value))


def _is_expression(value: str) -> bool:
    """Whether a value looks like more than a remark."""
    return len(value.split()) <= 2 or bool(re.search(r"[\d\\$]", value))


def committed_math(text: Text, skip: int = 0, *, strong: bool = False) -> Found | None:
    """The expression that a text presents as its answer: its last box or field, a later line with a
    label before it, else its last label; `strong` asks for a box or a field only.
    """
    plain = text.math
    every = [claim for claim in claims(plain) if claim.label >= skip]
    boxed = [c for c in every if c.form in ("box", "tag", "field")]
    lines = [c for c in every if c.form == "line"]
    if boxed and lines and lines[-1].start > boxed[-1].end and _is_expression(lines[-1].value):
        boxed = []
    found = last_claim(boxed, read_boxed, plain)
    if found is not None or strong:
        return found
    return last_claim(lines, read_math, plain) or last_claim(every, read_math, plain)


def suggested_math(text: Text) -> Found:
    """The expression that the last line comes to, where none is presented."""
    plain = text.math
    tail = last_sentence(plain)
    if tail is None or abstains(tail.text):
        return missing(plain, "expression")
    line = plain.rstrip().rsplit("\n", 1)[-1].strip()
    source = latex.unwrapped(line if len(line) < MAX_WORDS else tail.text)
    formulas = _formulas(source)
    if formulas:
        source = latex.unwrapped(formulas[-1])
    elif _PROSE.fullmatch(source):
        return missing(plain, "expression")
    else:
        source = _outcome(source)
    if "\\boxed" in source:
        return nothing("the box is not closed")
    reading = read_boxed(_right(source))
    return reading._replace(why="the last line") if reading else missing(plain, "expression")


def _outcome(source: str) -> str:
    """What a sentence comes to: what follows its last verb, where that is short."""
    if len(re.findall(r"[^\W\d_]{2,}", source)) < 3:
        return source
    verb = _COMES_TO.match(source)
    rest = source[verb.end() :].strip().rstrip(".") if verb else ""
    return rest if rest and len(re.findall(r"[^\W\d_]{2,}", rest)) < 3 else source


def _right(source: str) -> str:
    """The right side of a chain of equations; a single variable on the left is left to stay."""
    if "=" not in source or re.match(r"\s*\\?[a-zA-Z](?:\([a-z]\))?\s*=[^=]+$", source):
        return source
    return source.rsplit("=", 1)[1]
