"""Takes a model's text apart: reasoning blocks, Markdown and LaTeX dress, folded words.

Helpers of the answer parser; nothing here knows about answer kinds.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from moco.types import Status

MAX_CHARACTERS = 50_000
"""Of a longer text only this many last characters are read."""


class Found(NamedTuple):
    """What one reader made of a text: `value` is None unless `status` is `parsed`."""

    value: str | None
    status: Status
    raw: str = ""
    why: str = ""
    unit: str = ""


def nothing(why: str, status: Status = "empty", raw: str = "") -> Found:
    """A reading without a value."""
    return Found(None, status, raw, why)


_REASONING = re.compile(
    r"<\s*(?P<xml>/?)\s*(?:think|thinking|thought|reasoning|scratchpad)\s*>|\[(?P<bracket>/?)THINK\]",
    re.IGNORECASE,
)


def drop_reasoning(text: str) -> tuple[str, bool]:
    """The text without its reasoning blocks, and whether the last block was left open.

    A closing tag without an opening one means that the chat template opened the block: all before
    it is reasoning.
    """
    if "<" not in text and "[" not in text:
        return text, False
    kept: list[str] = []
    start, inside = 0, False
    for mark in _REASONING.finditer(text):
        closing = bool(mark["xml"] or mark["bracket"])
        if closing and not inside:
            kept.clear()
        elif not closing and not inside:
            kept.append(text[start : mark.start()])
        inside = not closing
        start = mark.end()
    if not inside:
        kept.append(text[start:])
    return "".join(kept), inside


_CHARACTERS: dict[int, str | None] = {
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x00AD, 0xFE0F), None),
    0x3000: " ",
    0x2018: "'", 0x2019: "'", 0x02BC: "'", 0x201C: '"', 0x201D: '"',
    0x201E: '"', 0xAB: '"', 0xBB: '"', 0x300C: '"', 0x300D: '"',
    0x3010: "[", 0x3011: "]", 0x3002: ".", 0x2212: "-",
}  # fmt: skip
_APPLAUSE = re.compile("[\u2705\u2713\u2714\u2611\u2b50\U0001f300-\U0001f64f\U0001f900-\U0001f9ff]")
"""Ticks, stars and faces beside an answer; crosses stay, they turn it down."""
_MATH_LETTERS = re.compile("[\U0001d400-\U0001d7ff\u24b6-\u24cf]")
_STRUCK = re.compile(r"~~[^~\n]{0,500}~~|<(s|del|strike)>[^<]{0,500}</\1>", re.IGNORECASE)
_HTML = re.compile(r"</?(?:b|i|u|em|strong|sup|sub|p|span|div|center|code)>")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_STAR = re.compile(r"(?<![\w*])\*([^\s*](?:[^*\n]{0,300}[^\s*])?)\*(?![\w*])")
_LOW = re.compile(r"(?<!\w)_([^\s_](?:[^_\n]{0,300}[^\s_])?)_(?!\w)")
_FENCE = re.compile(r"^[ \t]*```[\w+-]*[ \t]*$", re.MULTILINE)
_ITEM = re.compile(
    r"^[ \t]*(?:[-*•‣◦·]|>(?=[ \t]+[\w$\\\"'-])|(?P<number>\d{1,2})[.)])[ \t]+(?=\S)",
    re.MULTILINE,
)
_WRAP = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|mathbb|mathcal|mbox|emph|bold|operatorname)\*?"
    r"\s*\{([^{}]*)\}"
)
_DELIMITERS = re.compile(r"\\[()\[\]]|\\(?:left|right)(?![a-z])|\$")


_BLANK_LINES = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*){2,}")
_BLANKS = re.compile(r"[^\S\n]{3,}")


class Text:
    """A text as written and in the dresses that readers want, each made once."""

    __slots__ = ("_math", "_plain", "raw")

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self._plain: str | None = None
        self._math: str | None = None

    @property
    def plain(self) -> str:
        """Without any dress."""
        if self._plain is None:
            self._plain = undress(self.raw)
        return self._plain

    @property
    def math(self) -> str:
        """Without Markdown, its mathematics as written."""
        if self._math is None:
            self._math = undress(self.raw, keep_math=True)
        return self._math


def characters(text: str) -> str:
    """One spelling for look-alikes: full-width letters, quotes, minus signs, circled and styled
    letters.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text
    plain = _APPLAUSE.sub("", text.translate(_CHARACTERS))
    return _MATH_LETTERS.sub(lambda m: unicodedata.normalize("NFKC", m[0]), plain)


def undress(text: str, *, keep_math: bool = False, keep_marks: bool = False) -> str:
    """The text without Markdown, HTML and LaTeX dress; `\\boxed` stays, all mathematics if
    `keep_math`, the marks of list items if `keep_marks`.
    """
    if "~~" in text or "<" in text:
        text = _BREAK.sub("\n", _HTML.sub("", _STRUCK.sub("", text)))
    if "`" in text:
        text = _FENCE.sub("", text).replace("`", "")
    text = text.replace("**", "")
    text = _narrow(text if keep_marks else _unlist(text))
    if keep_math:
        return text
    if "*" in text:
        text = _STAR.sub(r"\1", text)
    if "_" in text:
        text = _LOW.sub(r"\1", text.replace("__", ""))
    if "\\" in text or "$" in text:
        text = _narrow(_DELIMITERS.sub("", _upright(text)))
    return text


def _upright(text: str) -> str:
    """The text without the commands that only set words upright or bold."""
    for _ in range(4):
        text, changed = _WRAP.subn(r"\1", text)
        if not changed:
            break
    return text


def _narrow(text: str) -> str:
    """The text without long stretches of blanks, which would make searching slow."""
    if "\n\n\n" in text or "   " in text or "\t" in text or not text.isascii():
        return _BLANKS.sub("  ", _BLANK_LINES.sub("\n\n", text))
    return text


def _unlist(text: str) -> str:
    """The text without bullets, quotation marks of e-mail, and numbers that count lines from 1."""
    count = 0

    def strip(mark: re.Match[str]) -> str:
        nonlocal count
        if mark["number"] is None:
            return ""
        if int(mark["number"]) != count + 1:
            return mark[0]
        count += 1
        return ""

    return _ITEM.sub(strip, text)


_INNER_MARK = re.compile(r"(?<!\d)[.](?!\d)|['’`´]|(?<=\d),(?=\d{3}(?!\d))")
_NOT_WORD = re.compile(r"[^\w.%+#]|_|(?<!\d)\.|\.(?!\d)")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_DASHED_LETTERS = {
    0x00DF: "ss",
    0x00F8: "o",
    0x0142: "l",
    0x0111: "d",
    0x00E6: "ae",
    0x0153: "oe",
    0x0131: "i",
}
_SPACE = re.compile(r"\s+")


def bare(text: str) -> str:
    """The text in lower case and without accents."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in plain if not unicodedata.combining(c))


def fold(text: str) -> str:
    """Words for comparison: case, accents, dashes, punctuation and articles folded; empty if
    nothing is left.
    """
    plain = bare(text).translate(_DASHED_LETTERS)
    plain = _NOT_WORD.sub(" ", _INNER_MARK.sub("", plain))
    words = _SPACE.sub(" ", plain).strip()
    without = _SPACE.sub(" ", _ARTICLES.sub(" ", words)).strip()
    kept = without or words
    return kept if any(c.isalnum() for c in kept) else ""


def squash(text: str) -> str:
    """Only the letters and digits, folded: `Compare-or Contrast` = `compareorcontrast`."""
    return "".join(filter(str.isalnum, bare(text)))
