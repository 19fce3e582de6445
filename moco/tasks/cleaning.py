"""Takes a model's text apart: reasoning blocks, Markdown and LaTeX dress, sentences, folded words.

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
    0x3010: "[", 0x3011: "]", 0x300C: '"', 0x300D: '"', 0x3002: ".", 0x2212: "-",
}  # fmt: skip
_MATH_LETTERS = re.compile("[\U0001d400-\U0001d7ff\u24b6-\u24cf]")
_STRUCK = re.compile(r"~~[^~\n]{0,500}~~|<(s|del|strike)>[^<]{0,500}</\1>", re.IGNORECASE)
_HTML = re.compile(r"</?(?:b|i|u|em|strong|sup|sub|p|span|div|center|code)>")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_STAR = re.compile(r"(?<![\w*])\*([^\s*](?:[^*\n]{0,300}[^\s*])?)\*(?![\w*])")
_LOW = re.compile(r"(?<!\w)_([^\s_](?:[^_\n]{0,300}[^\s_])?)_(?!\w)")
_FENCE = re.compile(r"^[ \t]*```[\w+-]*[ \t]*$", re.MULTILINE)
_WRAP = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|mathbb|mathcal|mbox|emph|bold|operatorname)\*?"
    r"\s*\{([^{}]*)\}"
)
_DELIMITERS = re.compile(r"\\[()\[\]]|\\(?:left|right)(?![a-z])|\$")


_BLANK_LINES = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*){2,}")
_BLANKS = re.compile(r"[^\S\n]{3,}")


def characters(text: str) -> str:
    """One spelling for look-alikes: full-width letters, quotes, minus signs, circled and styled
    letters.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_CHARACTERS)
    return _MATH_LETTERS.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)


def undress(text: str, *, keep_math: bool = False) -> str:
    """The text without Markdown, HTML and LaTeX dress; `\\boxed` stays, and all mathematics if
    `keep_math`.
    """
    text = _FENCE.sub("", _BREAK.sub("\n", _HTML.sub("", _STRUCK.sub("", text))))
    text = text.replace("**", "").replace("`", "")
    text = _BLANKS.sub("  ", _BLANK_LINES.sub("\n\n", text))
    if keep_math:
        return text
    text = _LOW.sub(r"\1", _STAR.sub(r"\1", text.replace("__", "")))
    for _ in range(4):
        text, changed = _WRAP.subn(r"\1", text)
        if not changed:
            break
    return _BLANKS.sub("  ", _BLANK_LINES.sub("\n\n", _DELIMITERS.sub("", text)))


_SENTENCE_END = re.compile(r"[.!?][\"')\]]*\s+|\n+|[。！？]")
_ABBREVIATION = re.compile(
    r"(?:\b[A-Za-z]|\b(?:st|dr|mr|mrs|ms|jr|sr|vs|no|inc|ltd|co|mt|ft|prof|gen|col|capt|etc|approx|fig|eq)"
    r"|\be\.g|\bi\.e|\ba\.k\.a)$",
    re.IGNORECASE,
)


class Sentence(NamedTuple):
    """A stretch of text and where it starts."""

    start: int
    text: str


def sentences(text: str) -> list[Sentence]:
    """The sentences in order; line ends separate, abbreviations and initials do not."""
    found: list[Sentence] = []
    start = 0
    for mark in _SENTENCE_END.finditer(text):
        dotted = text[mark.start()] == "." and "\n" not in mark[0]
        if dotted and _ABBREVIATION.search(text[max(start, mark.start() - 8) : mark.start()]):
            continue
        found.append(Sentence(start, text[start : mark.end()].rstrip()))
        start = mark.end()
    found.append(Sentence(start, text[start:].rstrip()))
    return [s for s in found if any(c.isalnum() for c in s.text)]


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


def fold(text: str) -> str:
    """Words for comparison: case, accents, dashes, punctuation and articles folded; empty if
    nothing is left.
    """
    plain = unicodedata.normalize("NFKD", text).casefold().translate(_DASHED_LETTERS)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = _NOT_WORD.sub(" ", _INNER_MARK.sub("", plain))
    words = _SPACE.sub(" ", plain).strip()
    without = _SPACE.sub(" ", _ARTICLES.sub(" ", words)).strip()
    kept = without or words
    return kept if any(c.isalnum() for c in kept) else ""


def squash(text: str) -> str:
    """Only the letters and digits, folded: `Compare-or Contrast` = `compareorcontrast`."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in plain if c.isalnum())


_ABSTAIN = re.compile(
    r"\bi\s+(?:\w+\s+)?(?:do\s+not|don'?t|didn'?t|did\s+not)\s+(?:\w+\s+)?know\b(?!\s+(?:why|how|much|what\s+else))"
    r"|\b(?:i(?:'m|\s+am)\s+(?:not\s+able|unable)\s+to|i\s+(?:cannot|can\s?not|can't|could\s+not|couldn't))\s+(?:\w+\s+)?"
    r"(?:answer|determine|tell|say|decide|choose|identify|provide|help|assist|find|select|verify|solve)\b"
    r"|\b(?:cannot|can\s?not|can't|could\s+not)\s+be\s+(?:determined|answered|known|inferred|decided)\b"
    r"|\b(?:not\s+enough|insufficient)\s+(?:information|context|data|evidence)\b"
    r"|\bnone\s+of\s+(?:the|these|those)\s+(?:\w+\s+){0,3}(?:is|are|seems?|looks?|fits?|apply|applies|match(?:es)?)\b"
    r"|\bnone\s+of\s+the\s+above\b|\b(?:there\s+is\s+)?no\s+(?:correct|right|valid|suitable)\s+(?:answer|option|choice)\b"
    r"|\bi(?:\s+have|'ve)\s+no\s+idea\b|\bi(?:'m|\s+am)\s+not\s+(?:sure|certain)\b|\bmatter\s+of\s+(?:debate|opinion|taste)\b",
    re.IGNORECASE,
)
_ABSTAIN_WORD = re.compile(
    r"(?:actually|sorry|honestly|well|hmm|ok|okay)?[\s,.]*"
    r"(?:unknown|n/?a|none|unsure|uncertain|unclear|undetermined|indeterminate|idk|no\s+(?:answer|idea)|unanswerable"
    r"|not\s+(?:sure|known|available|given|applicable|specified|provided|mentioned)|debatable|it\s+depends|depends|nothing)?"
    r"[\s.!?]*",
    re.IGNORECASE,
)


def abstains(text: str) -> bool:
    """Whether a sentence or a value says that no answer is given."""
    words = text.strip(" \t\n\"'()[]{}$.!?,")
    return bool(words) and bool(_ABSTAIN.search(text) or _ABSTAIN_WORD.fullmatch(words))


_ABSTAIN_LEAD = re.compile(
    r"(?:actually|sorry|honestly|well|hmm|but|however|wait|in\s+fact)?[\s,.]*", re.IGNORECASE
)


def gives_up(sentence: str) -> bool:
    """Whether a whole sentence is nothing but an abstention."""
    lead = _ABSTAIN_LEAD.match(sentence.strip())
    rest = sentence.strip()[lead.end() if lead else 0 :]
    match = _ABSTAIN.match(rest)
    return bool(match) and len(rest) - (match.end() if match else 0) < 40
