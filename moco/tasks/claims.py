"""Finds the places where a text commits itself to an answer: boxes, tags, JSON fields, labels.

A claim is where the value stands, not yet what it means; each answer kind reads the values in its
own way.
"""

from __future__ import annotations

import json
import re
from typing import Literal, NamedTuple

from moco.tasks.cleaning import characters

Form = Literal["box", "tag", "field", "line", "phrase"]
"""`line` is a label with a colon, `phrase` a label with a verb ("the answer is …")."""


MAX_CLAIMS = 200
"""Of each sort only so many last ones are kept: the last commitment wins anyway."""


class Claim(NamedTuple):
    """A value that the text presents as its answer."""

    start: int
    """Where the value starts."""
    end: int
    value: str
    form: Form
    label: int
    """Where the words that announce the value start."""

    @property
    def strong(self) -> bool:
        """Whether the form is one that only answers have."""
        return self.form != "phrase"


_BOX = re.compile(r"\\(?:boxed|fbox|framebox|box)\s*(?=[{\s\w\\-])")


def boxes(text: str) -> list[Claim]:
    """The balanced boxes; one without braces reaches to the next space, an unclosed one does not
    count.
    """
    found: list[Claim] = []
    closings: dict[int, int] | None = None
    for mark in _BOX.finditer(text):
        at = mark.end()
        if text[at] == "{":
            closings = _braces(text) if closings is None else closings
            if at in closings:
                end = closings[at]
                found.append(Claim(at + 1, end, text[at + 1 : end], "box", mark.start()))
        elif text[mark.end() - 1].isspace():
            line = text[at : at + 200].split("\n", 1)[0].split(" ", 1)[0].rstrip("$.,;")
            if line:
                found.append(Claim(at, at + len(line), line, "box", mark.start()))
    return found


def _braces(text: str) -> dict[int, int]:
    """Opening brace → its closing brace, escaped ones left out."""
    pairs: dict[int, int] = {}
    stack: list[int] = []
    escaped = False
    for i, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "{":
            stack.append(i)
        elif char == "}" and stack:
            pairs[stack.pop()] = i
    return pairs


_TAG = re.compile(r"<\s*(answer|final_answer|final-answer|final)\s*>", re.IGNORECASE)
_FIELD = re.compile(
    r"""["'](?:final[_ ]?answer|answer|choice|option|label)["']\s*:\s*
    (?:"(?P<double>(?:[^"\\\n]|\\.){0,500})"|'(?P<single>[^'\n]{0,500})'
       |(?P<list>\[[^\[\]\n]{0,500}\])|(?P<bare>[\w.+-]{1,100}))""",
    re.IGNORECASE | re.VERBOSE,
)


def _tags(text: str) -> list[Claim]:
    found = []
    for mark in _TAG.finditer(text):
        end = re.compile(rf"<\s*/\s*{mark[1]}\s*>", re.IGNORECASE).search(
            text, mark.end(), mark.end() + 5000
        )
        stop = end.start() if end else len(text)
        if end or stop - mark.end() < 500:
            found.append(Claim(mark.end(), stop, text[mark.end() : stop], "tag", mark.start()))
    return found


def _fields(text: str) -> list[Claim]:
    found = []
    for mark in _FIELD.finditer(text):
        name = mark.lastgroup or "bare"
        value = mark[name]
        if name == "double":
            try:
                value = characters(str(json.loads(f'"{value}"')))
            except ValueError:
                value = mark[name]
        found.append(Claim(mark.start(name), mark.end(name), value, "field", mark.start()))
    return found


_FOREIGN = (
    "respuesta|resposta|réponse|reponse|antwort|risposta|ответ|відповідь|одговор|odgovor|odpowiedź"
    "|odpověď|válasz|cevap"
    "|đáp án|câu trả lời|jawaban|jibu|antwoord|svar|vastaus|答案|回答|答え|解答"
    "|答|정답|답변|답|الإجابة|الجواب|إجابة|جواب"
    "|उत्तर|जवाब|উত্তর|సమాధానం|คำตอบ|antwoord|idahun|ìdáhùn|impendulo|tontu|tont|antwoorde"
)
_FOREIGN_IS = (
    "es|est|ist|è|é|это|є|је|to|je|a|olan|là|adalah|ni|är|er|on|是|为|為|は|が|은|는|이|هي|هو|है"
    "|হল|হলো|అనేది|คือ|yw|ke"
)
_IS = (
    r"is|are|(?:will|would|should|must|must\ therefore|might|may|could)\ be"
    r"|(?:has|seems|appears|comes\ out)\ to\ be|equals"
)
_LABEL = re.compile(
    rf"""(?:(?<![\w'])(?P<word>answers?|ans|solution)\b(?!\s+(?:choice|option|key)s\b)
       |(?<![A-Za-zÀ-ɏ])(?P<foreign>{_FOREIGN})(?![A-Za-zÀ-ɏ])
       (?:\s[^\W\d_]{{5,12}}(?=\s(?:{_FOREIGN_IS})\s))?)
    (?:\ (?:choice|option|letter|value))?
    (?:\s?\([^()\n]{{0,40}}\)(?=\s*(?:[:=]|(?:is|are)\b)))?
    (?:\s(?:to|for|of|in|here|then)\b[^.:;=\n?]{{0,80}}?(?=\s*:|\s(?:{_IS})\b))?
    ["'\]]{{0,2}}\s?
    (?:(?P<colon>:|=(?!=)|[=-]{{1,2}}>|→|\s[-–—](?=\s))
       |(?P<is>(?:,?\s?(?:therefore|then|thus|so|hence|clearly),?\s)?(?:{_IS})\b(?!\s*n[o']t\b)\s?:?)
       |(?P<was>(?:{_FOREIGN_IS})(?=[\s:(\d]|(?-i:[A-Z]))\s?:?))""",
    re.IGNORECASE | re.VERBOSE,
)
_CHOICE_LABEL = re.compile(
    rf"""(?<![\w'])(?P<word>choice|option|selection|letter|verdict|pick|response)\b
    (?:\s(?:to|for|of|in|here)\b[^.:;=\n?]{{0,60}}?(?=\s*:|\s(?:{_IS})\b))?\s?
    (?:(?P<colon>:|=(?!=)|[=-]{{1,2}}>|→)|(?P<is>(?:{_IS})\b(?!\s*n[o']t\b)\s?:?))""",
    re.IGNORECASE | re.VERBOSE,
)
_HEADING = re.compile(
    r"^[ \t#>]*(?:\d+[.)]\s*)?(?:the\s+)?(?:final\s+|correct\s+)?answer\s*[:.]?\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_HASHES = re.compile(r"^[ \t]*####[ \t]*(?=\S)", re.MULTILINE)
_DISCARDED = re.compile(
    r"(?:\b(?:if|whether|suppose|supposing|assume|assuming|unless|how|doubt)\b(?:\s+[\w']+){0,4}"
    r"|\b(?:not|n't|longer)\s+(?:true|the\s+case|sure|certain|clear|think|believe|say|mean)\s*(?:that|whether|if)?(?:\s+\w+){0,3}"
    r"|\b(?:false|wrong|incorrect|untrue)\s+(?:that|to\s+say(?:\s+that)?)(?:\s+\w+){0,3}"
    r"|\b(?:wrong|incorrect|tempting|previous|initial|your|their|his|her|common|student's|rejected)(?:\s+(?:final|first))?"
    r"|\bis(?:n't|\s+not)?\s+(?:the|that|this|my|your)(?:\s+(?:correct|right|final|best))?)\s*$",
    re.IGNORECASE,
)


def discarded(text: str, at: int) -> bool:
    """Whether what starts at `at` stands under a negation, a condition or a question."""
    return bool(_DISCARDED.search(text[max(0, at - 80) : at]))


def _value_after(text: str, at: int) -> tuple[int, int]:
    """The rest of the line, or the next line that is not blank where the rest is."""
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    if text[at:end].strip(" \t\"'#*"):
        return at, end
    while end < len(text) and text[end].isspace():
        end += 1
    line_end = text.find("\n", end)
    return end, len(text) if line_end < 0 else line_end


def _labels(text: str, pattern: re.Pattern[str]) -> list[Claim]:
    found: list[Claim] = []
    for mark in pattern.finditer(text):
        if discarded(text, mark.start()):
            continue
        start, end = _value_after(text, mark.end())
        form: Form = "line" if mark["colon"] else "phrase"
        if text[start:end].strip():
            found.append(Claim(start, end, text[start:end], form, mark.start()))
    return found


def _headings(text: str) -> list[Claim]:
    found = []
    for pattern in (_HEADING, _HASHES):
        for mark in pattern.finditer(text):
            start, end = _value_after(text, mark.end())
            if text[start:end].strip():
                found.append(Claim(start, end, text[start:end], "line", mark.start()))
    return found


def claims(text: str, *, choice: bool = False) -> list[Claim]:
    """All claims in reading order; a label whose value holds a box, a tag or a field gives way to
    it.
    """
    inner = [*boxes(text), *_tags(text), *_fields(text)][-MAX_CLAIMS:]
    outer = [*_labels(text, _LABEL), *_headings(text)]
    if choice:
        outer += _labels(text, _CHOICE_LABEL)
    outer.sort(key=lambda c: c.label)
    kept = [c for c in outer[-MAX_CLAIMS:] if not any(_overlap(c, other) for other in inner)]
    return sorted([*inner, *kept], key=lambda c: (c.start, c.label))


def _overlap(outer: Claim, inner: Claim) -> bool:
    return outer.label < inner.end and inner.label < outer.end
