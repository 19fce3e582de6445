"""Reads numbers, labels, lists, spans and mathematics out of an answer's text: one reader per answer kind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from moco.tasks import latex, numbers
from moco.tasks.claims import Claim, claims
from moco.tasks.cleaning import Found, abstains, fold, gives_up, nothing, sentences, squash

Reader = Callable[[str], Found | None]
"""Reads a value that the text presents as its answer; None where it is nothing of this kind."""

CLOSED = ("box", "tag", "field")

_FILLER = re.compile(
    r"""(?:[\s"'(\[=:~≈*]|\b(?:approximately|approx\.?|about|around|roughly|exactly|only|just|nearly|almost|equal\s+to|equals|a\s+total\s+of
    |is|usd|rs\.?|therefore|simply|the\s+number|the\s+value|an?\s+average\s+of)(?=[\s:$]))*""",
    re.IGNORECASE | re.VERBOSE,
)
_OR_NUMBER = re.compile(r"\s*(?:[a-z%]+\s+){0,2}(?:or|and/or|and)\s+(?=[-$\d.])", re.IGNORECASE)
_NOT = re.compile(r"\b(?:not|never|n't|neither|cannot)\b|n't\b", re.IGNORECASE)
_WRONG = re.compile(
    r"[^.\n]{0,20}\b(?:is|was|would\s+be)\s+(?:wrong|incorrect|not\s+(?:right|correct))\b",
    re.IGNORECASE,
)


def _last_claim(
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


def _missing(text: str, what: str, complete: bool) -> Found:
    if not complete:
        return nothing("cut off before an answer", "truncated")
    last = sentences(text)
    if abstains(last[-1].text if last else text):
        return nothing("no answer is given", "abstained", (last[-1].text if last else text)[:200])
    return nothing(f"no {what} found")


# numbers


def read_number(value: str) -> Found | None:
    """The number that a value is: at its start, else after its last equals sign, else the only one in it."""
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
        and not _NOT.search(head)
        and not re.search(r"\d\s*[-+*/^×]\s*[\d(]|\d[a-z\\^]", head)
    ):
        return Found(next(iter(every)), "parsed", head.strip()[:200])
    return None


_BOLD = re.compile(r"(?:\*\*|__)([^*_\n]{1,80})(?:\*\*|__)")


def extract_number(text: str, dressed: str, complete: bool) -> Found:
    """The number a text gives: its last claim, else the one its last sentence with numbers comes to."""
    found = _last_claim(claims(text), read_number, text)
    if found is not None:
        return found
    if not complete:
        return nothing("cut off before an answer", "truncated")
    if sentences(text) and abstains(sentences(text)[-1].text):
        return _missing(text, "number", complete)
    alone = read_number(text) if len(text) < 80 and "\n" not in text.strip() else None
    if alone is not None:
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
        if len(choices) == 1 and not _NOT.search(sentence.text):
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
    return _missing(text, "number", complete)


# labels and booleans

TRUTH: Mapping[str, str] = {"true": "true", "yes": "true", "false": "false", "no": "false"}
_DETERMINERS = frozenset(("no", "none", "uses", "may", "other"))
_EITHER = re.compile(r"[\s\"',)]*(?:or|and|/|,)\s*[\"'(]*", re.IGNORECASE)
_STOPS = re.compile(
    r"[\"')\]}>*]*\s*(?:$|[.,;:!()\[\]\"'\n|]|[-–—]\s|(?:because|since|as|which|due|for|and|but|or|is|given)\b)",
    re.IGNORECASE,
)


class Labels:
    """The words an answer may be, each with its canonical spelling."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self.words = words
        spelled = sorted(words, key=len, reverse=True)
        self._pattern = re.compile(
            "|".join(rf"(?P<w{i}>{_spaced(word)})" for i, word in enumerate(spelled)), re.IGNORECASE
        ) if words else re.compile(r"(?!)")  # fmt: skip
        self._spelled = spelled

    def at(self, text: str, at: int) -> tuple[str, int] | None:
        """The label that stands at a position and where it ends."""
        match = self._pattern.match(text, at)
        if match is None or text[match.end() : match.end() + 1].isalnum():
            return None
        word = next(
            self._spelled[int(name[1:])]
            for name, value in match.groupdict().items()
            if value is not None
        )
        return self.words[word], match.end()

    def inside(self, text: str) -> list[tuple[str, int, int]]:
        """Every free-standing label in a sentence with its stretch."""
        found = []
        for match in self._pattern.finditer(text):
            free = not text[max(0, match.start() - 1) : match.start()].isalnum()
            here = self.at(text, match.start()) if free else None
            if here is not None:
                found.append((here[0], match.start(), here[1]))
        return found

    def read(self, value: str) -> Found | None:
        """The label that a value starts with."""
        exact = {squash(word): name for word, name in self.words.items()}.get(squash(value))
        if exact is not None:
            return Found(exact, "parsed", value.strip())
        lead = re.match(
            r"[\s\"'(\[{<=:*]*(?:(?:clearly|definitely|probably|likely|most likely|simply|option|label|class|category)\b[\s:]*)*",
            value,
            re.I,
        )
        start = lead.end() if lead else 0
        here = self.at(value, start)
        if here is None or not _STOPS.match(value, here[1]):
            return None
        joined = _EITHER.match(value, here[1])
        other = self.at(value, joined.end()) if joined else None
        if other is not None and other[0] != here[0] and _STOPS.match(value, other[1]):
            return nothing("several labels at once", "ambiguous", value.strip()[:200])
        return Found(here[0], "parsed", value[start : here[1]])


def _spaced(word: str) -> str:
    """A pattern for a label that lets `CompareOrContrast` be written in words."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\w\s]", word) or [word]
    return r"[\s_-]?".join(re.escape(part) for part in parts)


def extract_label(text: str, words: Mapping[str, str], complete: bool) -> Found:
    """The label a text gives: its last claim, a line of its own, else the only one of the last sentence."""
    labels = Labels(words)
    exact = {squash(word): name for word, name in words.items()}
    found = _last_claim(claims(text, choice=True), labels.read, text)
    if found is not None:
        return found
    lines = [line for line in text.split("\n") if line.strip()]
    alone = [exact[squash(line)] for line in lines if squash(line) in exact]
    if alone:
        return Found(alone[-1], "parsed", alone[-1], "a line of its own")
    if not complete:
        return nothing("cut off before an answer", "truncated")
    every = sentences(text)
    if every:
        last = _from_sentence(every[-1].text, labels)
        if last is not None:
            return last
        opening = labels.at(every[0].text.lstrip("\"'(* "), 0)
        if opening is not None and re.match(
            r"[\"')]*\s*(?:[.,;:!]|$|[-–—]\s)", every[0].text.lstrip("\"'(* ")[opening[1] :]
        ):
            return Found(opening[0], "parsed", every[0].text[:200], "the text starts with it")
    return _missing(text, "label", complete)


def _from_sentence(sentence: str, labels: Labels) -> Found | None:
    """The only label of a sentence, not negated; "no" counts only where it is an answer of its own."""
    named: dict[str, str] = {}
    for name, start, end in labels.inside(sentence):
        word = sentence[start:end].casefold()
        before = sentence[:start].casefold()
        if _NOT.search(before[-30:]):
            continue
        if word in _DETERMINERS and not (
            re.match(r"[\"')]*\s*(?:[.,;:!]|$)", sentence[end:])
            and re.search(r"(?:^|[\s\"'(]|\bis|:)$", before)
        ):
            continue
        named.setdefault(name, sentence[start:end])
    if len(named) == 1:
        name, raw = next(iter(named.items()))
        return Found(name, "parsed", raw, "the only label of the last sentence")
    return (
        nothing("several labels in the last sentence", "ambiguous", sentence[:200])
        if named
        else None
    )


# lists


def list_items(value: str, depth: int = 0) -> list[object] | None:
    """The items of a list as written: brackets of any sort or none, commas, semicolons or spaces."""
    text = value.strip().rstrip(".").strip().strip("$`").strip()
    text = re.sub(r"\\(?:left|right)(?![a-z])|\\[!,;: ]", "", latex.words(text))
    text = (
        re.sub(r"\\begin\{\w+\}|\\end\{\w+\}", "", text)
        .replace("\\\\", ",")
        .replace("&", ",")
        .strip()
    )
    text = (
        text.replace("\\{", "{")
        .replace("\\}", "}")
        .replace("\\langle", "(")
        .replace("\\rangle", ")")
    )
    if text and all(c in "()[]{}<> " for c in text):
        return [c for c in text if c != " "]
    wrapped = len(text) > 1 and (text[0], text[-1]) in {
        ("[", "]"),
        ("(", ")"),
        ("{", "}"),
        ("<", ">"),
    }
    inner = text[1:-1] if wrapped and latex.split_top(text, "") == [text] else text
    if depth > 4:
        return None
    plain = (
        re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", inner) if ", " in inner and not wrapped else inner
    )
    if re.search(r"[,;]", plain):
        parts = [re.sub(r"^\s*and\s+", "", part) for part in latex.split_top(plain, ",;")]
        if len(parts) > 1 and re.search(r"\s+and\s+", parts[-1]):
            parts[-1:] = re.split(r"\s+and\s+", parts[-1])
    elif re.search(r"\s+and\s+", plain):
        parts = re.split(r"\s+and\s+", plain)
    else:
        parts = plain.split()
    items: list[object] = []
    if (
        len(parts) == 1
        and inner != text
        and text[0] in "(<{"
        and parts[0].strip()[:1] in ("[", "(")
    ):
        return list_items(parts[0], depth + 1)
    for part in parts:
        item = part.strip().strip("\"'`")
        if item[:1] in ("[", "(") and item[-1:] in ("]", ")"):
            items.append(list_items(item, depth + 1))
        elif item:
            number = numbers.whole(item)
            items.append(
                number.canonical
                if number
                else item
                if all(c in "()[]{}<>" for c in item)
                else fold(item)
            )
    return items or None


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
    found = _last_claim(claims(text), read_list, text)
    if found is not None:
        return found
    if not complete:
        return nothing("cut off before an answer", "truncated")
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines or abstains(lines[-1]):
        return _missing(text, "list", complete)
    brackets = re.findall(r"\[[^\[\]\n]{1,2000}\]|\([^()\n]{1,2000},[^()\n]{1,2000}\)", lines[-1])
    closed = lines[-1].strip()[:1] in "[({" or not brackets
    reading = read_list(lines[-1] if closed else brackets[-1])
    return reading._replace(why="the last line") if reading else _missing(text, "list", complete)


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
    """The words a text gives: its last strong claim, else its last "the answer is", else its last sentence."""
    every = claims(text)
    strong = [c for c in every if c.strong]
    found = _last_claim(strong, read_span, text, closed=read_words)
    found = found or _last_claim(every, read_span, text)
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
        and not _NOT.search(text)
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
    """The expression a text gives: its last box or field, else its last label, else its last formula."""
    every = claims(text)
    boxed = [c for c in every if c.form in ("box", "tag", "field")]
    lines = [c for c in every if c.form == "line"]
    if boxed and lines and lines[-1].start > boxed[-1].end and numbers.whole(lines[-1].value):
        boxed = []
    found = _last_claim(boxed, read_boxed, text)
    found = found or _last_claim(lines, read_math, text) or _last_claim(every, read_math, text)
    if found is not None:
        return found
    if not complete:
        return nothing("cut off before an answer", "truncated")
    last = sentences(text)
    if not last or abstains(last[-1].text):
        return _missing(text, "expression", complete)
    formulas = _INLINE.findall(last[-1].text)
    whole = text.strip()
    source = (
        next(g for g in formulas[-1] if g)
        if formulas
        else whole
        if len(whole) < 100
        else last[-1].text
    )
    if "=" in source:
        source = source.rsplit("=", 1)[1]
    reading = read_boxed(source)
    return (
        reading._replace(why="the last sentence")
        if reading
        else _missing(text, "expression", complete)
    )
