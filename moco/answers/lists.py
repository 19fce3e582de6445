"""Reads lists: numbers, words or brackets in an order."""

from __future__ import annotations

import json
import re
from collections import deque

from moco.answers import latex, numbers
from moco.answers.boxes import Claim
from moco.answers.claims import claims
from moco.answers.cleaning import Found, Text, fold
from moco.answers.hedging import abstains
from moco.answers.values import last_claim, missing

MAX_CHARACTERS = 5_000
"""A longer value is no list."""
_BRACKETS = "()[]{}<> "
_PAIRS = frozenset({("[", "]"), ("(", ")"), ("{", "}"), ("<", ">")})


def list_items(value: str, depth: int = 0) -> list[object] | None:
    """The items of a list: brackets of any sort or none, commas, semicolons or spaces."""
    text = _plain_list(value)
    if text and all(c in _BRACKETS for c in text):
        return [c for c in text if c != " "]
    wrapped = len(text) > 1 and (text[0], text[-1]) in _PAIRS
    inner = text[1:-1] if wrapped and latex.split_top(text, "") == [text] else text
    if depth > 4:
        return None
    parts = _parts(inner, wrapped)
    if (
        len(parts) == 1
        and inner != text
        and text[0] in "(<{"
        and parts[0].strip()[:1] in ("[", "(")
    ):
        return list_items(parts[0], depth + 1)
    items: list[object] = []
    for part in parts:
        item = part.strip().strip("\"'`")
        if item[:1] in ("[", "(") and item[-1:] in ("]", ")"):
            items.append(list_items(item, depth + 1))
        elif item:
            items.append(_item(item))
    return items or None


def _plain_list(value: str) -> str:
    """A list without LaTeX: vectors with commas, set braces bare."""
    text = value.strip().rstrip(".").strip().strip("$`").strip()
    text = re.sub(r"\\(?:left|right)(?![a-z])|\\[!,;: ]", "", latex.words(text))
    text = re.sub(r"\\begin\{\w+\}|\\end\{\w+\}", "", text)
    text = text.replace("\\\\", ",").replace("&", ",").strip()
    text = text.replace("\\{", "{").replace("\\}", "}")
    return text.replace("\\langle", "(").replace("\\rangle", ")")


def _parts(inner: str, wrapped: bool) -> list[str]:
    """The items as written: between commas or semicolons, else between "and", else between
    spaces.
    """
    plain = inner
    if ", " in inner and not wrapped:
        plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", inner)
    if re.search(r"[,;]", plain):
        parts = [re.sub(r"^\s*and\s+", "", part) for part in latex.split_top(plain, ",;")]
        return [*parts[:-1], *re.split(r"\s+and\s+", parts[-1])]
    return re.split(r"\s+and\s+", plain) if re.search(r"\s+and\s+", plain) else plain.split()


def _item(item: str) -> str:
    number = numbers.whole(item)
    if number is not None:
        return number.canonical
    return item if all(c in _BRACKETS for c in item) else fold(item)


def _bare(value: str) -> str:
    """The value without LaTeX around all of it; the angles around brackets are told apart later."""
    text = value.strip()
    return latex.unwrapped(text) if text[:1] in ("$", "\\") else text


def read_list(value: str) -> Found | None:
    """The list that a value is."""
    text = re.split(r",?\s(?:because|since)\s", _bare(value), maxsplit=1)[0]
    text = text.strip().rstrip(".").strip()
    if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    bracket = re.match(
        r"(?:[a-zA-Z]\w?\s*=\s*)?(\[[^\n]*\]|\([^\n]*\)|\\\{[^\n]*\\\}|\{[^\n]*\})", text
    )
    if _only_brackets(text):
        text = _within_angles(text)
    elif bracket:
        text = bracket[1]
    if len(text) > MAX_CHARACTERS or _says_nothing(text):
        return None
    items = list_items(text)
    return Found(json.dumps(items, ensure_ascii=False), "parsed", text) if items else None


_FUNCTION_WORD = re.compile(
    r"\b(?:i|it|is|are|be|no|not|to|of|there|we|you|can|cannot|could|\w+n't)\b", re.IGNORECASE
)


def _says_nothing(text: str) -> bool:
    """Whether a value is an abstention; a list of words may hold words of doubt."""
    return abstains(text) and (len(text.split()) < 3 or bool(_FUNCTION_WORD.search(text)))


def _only_brackets(text: str) -> bool:
    return bool(text) and all(c in _BRACKETS for c in text)


def _within_angles(text: str) -> str:
    """Closing brackets without the `<…>` of the answer-format line around them."""
    inner = text[1:-1]
    closing = text[0] == "<" and text[-1] == ">" and not any(c in "([{<" for c in inner)
    return inner if closing and inner.strip() else text


MAX_OPENED, MAX_LINE = 20, 300
"""Boxes looked at, and characters of each."""
_OPENED = re.compile(r"\\(?:boxed|fbox|text|mathrm|mathtt)\s*\{")


def _bracket_boxes(text: str) -> list[Claim]:
    """Boxes of closing brackets, where braces do not balance: up to the last brace of the line."""
    found: list[Claim] = []
    for mark in deque(_OPENED.finditer(text) if "{" in text else (), MAX_OPENED):
        end = text.find("\n", mark.end())
        line = text[mark.end() : len(text) if end < 0 else end][:MAX_LINE].rstrip(" .$")
        depth = 1 + len(_OPENED.findall(text, max(0, mark.start() - 12), mark.start()))
        inner = _OPENED.sub("", line)
        if inner.endswith("}" * depth) and _only_brackets(inner[:-depth]):
            value = inner[:-depth]
            found.append(Claim(mark.end(), mark.end() + len(line), value, "box", mark.start()))
    return found


_ITEM = re.compile(r"[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+([^\n,;]{1,60}?)[ \t.]*")


def _vertical(raw: str) -> tuple[str, list[str]]:
    """List items under each other at the end of a text, at least two, and the line above them."""
    lines = [line for line in raw[-2 * MAX_CHARACTERS :].split("\n") if line.strip()]
    items: list[str] = []
    while lines and (item := _ITEM.fullmatch(lines[-1])) is not None:
        items.insert(0, item[1])
        lines.pop()
    return (lines[-1].strip().rstrip("*") if lines else "", items if len(items) > 1 else [])


def committed_list(text: Text, skip: int = 0) -> Found | None:
    """The list that a text presents as its answer."""
    plain = text.math
    lead, items = _vertical(text.raw)
    if items and (lead.endswith(":") or "answer" in lead[-40:].lower()):
        reading = read_list(", ".join(items))
        if reading is not None:
            return reading._replace(why="items under each other")
    brackets = _bracket_boxes(plain)
    found = claims(plain)
    if brackets:
        found = [c for c in found if c.end < brackets[-1].label] + brackets[-1:]
    return last_claim([claim for claim in found if claim.label >= skip], read_list, plain)


_LEAD = re.compile(
    r".*(?::|\b(?:list|order|sequence|words|items|answer|result|brackets)\s+(?:is|are|be))\s+(?=\S)"
    r"|.*\bwe\s+(?:get|have|obtain)\s+(?=\S)|.*\b(?:is|are)\s+(?=\S+,\s)"
)
_SENTENCE = re.compile(r"(?:[^\W\d]+[\s'’-]+){3,}[^\W\d]+[.!?][\"')]*\s*")


def suggested_list(text: Text) -> Found:
    """The last line, what stands behind its colon, or the brackets in it, as a list."""
    plain = text.math
    _, items = _vertical(text.raw)
    lines = [line for line in plain[-2 * MAX_CHARACTERS :].split("\n") if line.strip()]
    last = ", ".join(items) if items else lines[-1].strip() if lines else ""
    lead = _LEAD.match(last) if last[:1] not in "[({" else None
    last = last[lead.end() :] if lead else last
    if not last or _says_nothing(last) or _SENTENCE.fullmatch(last):
        return missing(plain, "list")
    brackets = re.findall(r"\[[^\[\]\n]{1,2000}\]|\([^()\n]{1,2000},[^()\n]{1,2000}\)", last)
    closed = last[:1] in "[({" or not brackets
    reading = read_list(last if closed else brackets[-1])
    return reading._replace(why="the last line") if reading else missing(plain, "list")
