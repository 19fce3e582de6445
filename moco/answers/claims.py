"""Finds the places where a text commits itself to an answer: boxes, tags, JSON fields, labels.

A claim is where the value stands, not yet what it means; each answer kind reads the values in its
own way.
"""

from __future__ import annotations

import re

from moco.answers.boxes import Claim, Form, enclosed

MAX_CLAIMS = 200
"""Of each sort only so many last ones are kept: the last commitment wins anyway."""
MAX_VALUE = 3_000
"""Characters of a labelled value."""

_FOREIGN = (
    "respuesta|resposta|réponse|reponse|antwort|risposta|ответ|відповідь|одговор|odgovor|odpowiedź"
    "|odpověď|válasz|cevap"
    "|đáp án|câu trả lời|jawabannya|jawaban|jibu|antwoord|svar|vastaus|正解|答案|回答|答え|解答"
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
_DENIED = r"(?!\s*(?:n't|(?-i:not|NOT))\b)"
"""A title may begin with "Not"."""
_LABEL = re.compile(
    rf"""(?:(?<![\w'])(?P<word>answers?|ans|solution)\b(?!\s+(?:choice|option|key)s\b)
       |(?<![A-Za-zÀ-ɏ])(?P<foreign>{_FOREIGN.replace(" ", "[ ]")})(?![A-Za-zÀ-ɏ])
       (?:\s[^\W\d_]{{3,12}}(?=\s(?:{_FOREIGN_IS})\s))?)
    (?:\ (?:choice|option|letter|value))?
    (?:\s?\([^()\n]{{0,40}}\)(?=\s*(?:[:=]|(?:is|are)\b)))?
    (?:\s(?:to|for|of|in|here|then)\b[^.:;=\n?]{{0,80}}?(?=\s*:|\s(?:{_IS})\b))?
    ["'\]]{{0,2}}\s?
    (?:(?P<colon>:|=(?!=)|[=-]{{1,2}}>|→|\s[-–—](?=\s))
       |(?P<is>(?:,?\s?(?:therefore|then|thus|so|hence|clearly),?\s)?(?:{_IS})\b{_DENIED}\s?:?)
       |(?P<was>(?:{_FOREIGN_IS})(?=[\s:(\d]|(?-i:[A-Z]))\s?:?)
       |(?P<last>\s?(?=\S{{1,20}}\s(?:है|हैं|आहे|हो|छ)(?:\s|[।.]|$))))""",
    re.IGNORECASE | re.VERBOSE,
)
_CHOICE_LABEL = re.compile(
    rf"""(?<![\w'])(?P<word>choice|option|selection|letter|verdict|pick|response)\b
    (?:\s(?:to|for|of|in|here)\b[^.:;=\n?]{{0,60}}?(?=\s*:|\s(?:{_IS})\b))?\s?
    (?:(?P<colon>:|=(?!=)|[=-]{{1,2}}>|→)|(?P<is>(?:{_IS})\b{_DENIED}\s?:?))""",
    re.IGNORECASE | re.VERBOSE,
)
_CHOICE_WORDS = ("choice", "option", "selection", "letter", "verdict", "pick", "response")
_WORDS = ("answer", r"ans\b", "solution", *_CHOICE_WORDS)
_NAMES = re.compile("|".join((*_WORDS, *_FOREIGN.split("|"))))
_ENGLISH_NAMES = re.compile("|".join(_WORDS))
"""Where a label may start; the second one for English, which most texts are."""
_ASCII_FOREIGN = tuple(word for word in _FOREIGN.split("|") if word.isascii())
_HEADING = re.compile(
    r"[ \t#>]*(?:\d+[.)]\s*)?(?:the\s+)?(?:final\s+|correct\s+)?answer\s*[:.]?\s*", re.IGNORECASE
)
_HASHES = re.compile(r"####[ \t]*(?=\S)")
_DISCARDED = re.compile(
    r"(?:\b(?:if|whether|suppose|supposing|assume|assuming|unless|how|doubt)\b(?:\s+[\w']+){0,4}"
    r"|\b(?:not|n't|longer)\s+(?:true|the\s+case|sure|certain|clear|think|believe|say|mean)\s*(?:that|whether|if)?(?:\s+\w+){0,3}"
    r"|\b(?:false|wrong|incorrect|untrue)\s+(?:that|to\s+say(?:\s+that)?)(?:\s+\w+){0,3}"
    r"|\b(?:wrong|incorrect|tempting|previous|initial|your|their|his|her|common|student's|rejected)(?:\s+(?:final|first))?"
    r"|\bis(?:n't|\s+not)?\s+(?:the|that|this|my|your)(?:\s+(?:correct|right|final|best))?)\s*$",
)


def discarded(lowered: str, at: int) -> bool:
    """Whether what starts at `at` stands under a negation, a condition or a question."""
    return bool(_DISCARDED.search(lowered[max(0, at - 80) : at]))


def _value_after(text: str, at: int) -> tuple[int, int]:
    """The rest of the line, or the next line that is not blank where the rest is."""
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    if text[at:end].strip(" \t\"'#*"):
        return at, min(end, at + MAX_VALUE)
    while end < len(text) and text[end].isspace():
        end += 1
    line_end = text.find("\n", end)
    return end, min(len(text) if line_end < 0 else line_end, end + MAX_VALUE)


def lower(text: str) -> str:
    """The text in lower case, every character still in its place."""
    plain = text.lower()
    if len(plain) == len(text):
        return plain
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _labels(text: str, lowered: str, choice: bool) -> list[Claim]:
    found: list[Claim] = []
    foreign = not lowered.isascii() or any(name in lowered for name in _ASCII_FOREIGN)
    for name in (_NAMES if foreign else _ENGLISH_NAMES).finditer(lowered):
        for_choice = name[0] in _CHOICE_WORDS
        if for_choice and not choice:
            continue
        pattern = _CHOICE_LABEL if for_choice else _LABEL
        mark = pattern.match(text, name.start())
        if mark is None or discarded(lowered, mark.start()):
            continue
        start, end = _value_after(text, mark.end())
        form: Form = "line" if mark["colon"] else "phrase"
        if text[start:end].strip():
            found.append(Claim(start, end, text[start:end], form, mark.start()))
    return found


def _headings(text: str, lowered: str) -> list[Claim]:
    """A line that says "answer" and nothing else, or four hashes before the value."""
    marks: list[tuple[int, int]] = []
    at = lowered.find("answer")
    while at >= 0:
        start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
        end = len(text) if end < 0 else end
        if end - start < 60 and _HEADING.fullmatch(text, start, end):
            marks.append((start, end))
        at = lowered.find("answer", end)
    for mark in _HASHES.finditer(text) if "####" in text else ():
        if not text[text.rfind("\n", 0, mark.start()) + 1 : mark.start()].strip():
            marks.append((mark.start(), mark.end()))
    found = []
    for label, after in marks:
        start, end = _value_after(text, after)
        if text[start:end].strip():
            found.append(Claim(start, end, text[start:end], "line", label))
    return found


def claims(text: str, *, choice: bool = False) -> list[Claim]:
    """All claims in reading order; a label whose value holds a box, a tag or a field gives way to
    it. With `choice`, words like "option" announce a value too.
    """
    inner = enclosed(text)[-MAX_CLAIMS:]
    lowered = lower(text)
    outer = [*_labels(text, lowered, choice), *_headings(text, lowered)]
    outer = sorted(outer, key=lambda c: c.label)[-MAX_CLAIMS:]
    if inner:
        outer = [claim for claim in outer if not any(_overlap(claim, other) for other in inner)]
    return sorted([*inner, *outer], key=lambda c: (c.start, c.label))


def _overlap(outer: Claim, inner: Claim) -> bool:
    return outer.label < inner.end and inner.label < outer.end
