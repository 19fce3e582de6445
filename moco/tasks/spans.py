"""Reads lists, short spans of words and mathematical expressions."""

from __future__ import annotations

import json
import re

from moco.tasks import latex, numbers
from moco.tasks.claims import claims
from moco.tasks.cleaning import Found, abstains, fold, nothing, sentences
from moco.tasks.values import DENIED, last_claim, missing

# lists


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


def read_list(value: str) -> Found | None:
    """The list that a value is."""
    text = re.split(r",?\s(?:because|since)\s", value, maxsplit=1)[0].strip()
    bracket = re.match(
        r"(?:[a-zA-Z]\w?\s*=\s*)?(\[[^\n]*\]|\([^\n]*\)|\\\{[^\n]*\\\}|\{[^\n]*\})", text
    )
    if bracket and not all(c in "()[]{}<> " for c in text):
        text = bracket[1]
    if abstains(text) or len(text) > 5_000:
        return None
    items = list_items(text)
    return Found(json.dumps(items, ensure_ascii=False), "parsed", text) if items else None


def extract_list(text: str, complete: bool) -> Found:
    """The list a text gives: its last claim, else the last bracketed one, else its last line."""
    found = last_claim(claims(text), read_list, text)
    if found is not None:
        return found
    if not complete:
        return nothing("cut off before an answer", "truncated")
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines or abstains(lines[-1]):
        return missing(text, "list", complete)
    brackets = re.findall(r"\[[^\[\]\n]{1,2000}\]|\([^()\n]{1,2000},[^()\n]{1,2000}\)", lines[-1])
    closed = lines[-1].strip()[:1] in "[({" or not brackets
    reading = read_list(lines[-1] if closed else brackets[-1])
    return reading._replace(why="the last line") if reading else missing(text, "list", complete)


# spans

_SPAN_END = re.compile(r",?\s(?:because|since|which)\s|\s\((?=[a-z])")


def read_span(value: str) -> Found | None:
    """The words that a value is: its first sentence, without a reason that follows."""
    head = sentences(value)[0].text if sentences(value) else ""
    cut = _SPAN_END.search(head, 1)
    return read_words(head[: cut.start()] if cut else head)


def read_words(value: str) -> Found | None:
    """All of a value as words."""
    raw = value.strip().strip("\"'`*<>").rstrip(".,;:!").strip("\"'").strip()
    if abstains(raw):
        return nothing("no answer is given", "abstained", raw)
    folded = fold(raw)
    return Found(folded, "parsed", raw) if folded else None


def extract_span(text: str, complete: bool) -> Found:
    """The words a text gives: its last strong claim, else its last "the answer is", else its last
    sentence.
    """
    every = claims(text)
    strong = [c for c in every if c.strong]
    found = last_claim(strong, read_span, text, closed=read_words)
    found = found or last_claim(every, read_span, text)
    if found is not None:
        return found
    if not complete:
        return nothing("cut off before an answer", "truncated")
    whole = text.strip()
    if len(whole.split()) <= 8 and "\n" not in whole:
        reading = read_words(whole)
        return reading._replace(why="the whole text") if reading else nothing("no answer found")
    last = sentences(text)
    reading = read_span(last[-1].text) if last else None
    return reading._replace(why="the last sentence") if reading else nothing("no answer found")


# mathematics

_INLINE = re.compile(
    r"\$\$?([^$\n]{1,500})\$\$?|\\\((.{1,500}?)\\\)|\\\[(.{1,500}?)\\\]", re.DOTALL
)


def read_math(value: str) -> Found | None:
    """The expression that a value is: its own first formula where it has one, else its words."""
    text = value.strip()
    inline = _INLINE.search(text)
    if (
        inline
        and (text.startswith(("$", "\\(", "\\[")) or len(_INLINE.findall(text)) == 1)
        and not DENIED.search(text)
    ):
        raw = next(g for g in inline.groups() if g is not None)
        if inline.start() == 0 and not re.fullmatch(
            r"[\s.]*(?:\\?\w[\w\s]*)?[.\s]*", text[inline.end() :]
        ):
            raw = raw if re.match(r"\s*(?:[.,;]|\w)", text[inline.end() :]) else text
    else:
        head = sentences(text)[0].text if sentences(text) else text
        cut = re.search(r",?\s(?:because|since|which|where|as)\s", head)
        raw = head[: cut.start()] if cut else head
    raw = raw.strip().rstrip(".").strip()
    if abstains(raw) or re.match(r"not\b", raw):
        return None
    normal = latex.canonical(raw)
    return Found(normal, "parsed", raw) if normal else None


def read_boxed(value: str) -> Found | None:
    """The expression that fills a box or a field."""
    if abstains(value):
        return None
    normal = latex.canonical(value)
    return Found(normal, "parsed", value.strip()) if normal else None


def extract_math(text: str, complete: bool) -> Found:
    """The expression a text gives: its last box or field, else its last label, else its last
    formula.
    """
    every = claims(text)
    boxed = [c for c in every if c.form in ("box", "tag", "field")]
    lines = [c for c in every if c.form == "line"]
    if boxed and lines and lines[-1].start > boxed[-1].end and numbers.whole(lines[-1].value):
        boxed = []
    found = last_claim(boxed, read_boxed, text)
    found = found or last_claim(lines, read_math, text) or last_claim(every, read_math, text)
    if found is not None:
        return found
    if not complete:
        return nothing("cut off before an answer", "truncated")
    last = sentences(text)
    if not last or abstains(last[-1].text):
        return missing(text, "expression", complete)
    formulas = _INLINE.findall(last[-1].text)
    whole = text.strip()
    source = (
        next(g for g in formulas[-1] if g)
        if formulas
        else whole
        if len(whole) < 100
        else last[-1].text
    )
    if "\\boxed" in source:
        return nothing("the box is not closed")
    if "=" in source:
        source = source.rsplit("=", 1)[1]
    reading = read_boxed(source)
    return (
        reading._replace(why="the last sentence")
        if reading
        else missing(text, "expression", complete)
    )
