"""Finds values that stand in something only answers stand in: LaTeX boxes, tags, JSON fields."""

from __future__ import annotations

import json
import re
from typing import Literal, NamedTuple

from moco.answers.cleaning import characters

Form = Literal["box", "tag", "field", "line", "phrase"]
"""`line` is a label with a colon, `phrase` a label with a verb ("the answer is …")."""


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
    if "box" not in text:
        return found
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
    r"""["'][\w\ -]{0,20}?
    (?:answer|choice|option|label|letter|result|solution|prediction|verdict|response)["']\s*:\s*
    (?:"(?P<double>(?:[^"\\\n]|\\.){0,500})"|'(?P<single>[^'\n]{0,500})'
       |(?P<list>\[[^\[\]\n]{0,500}\])|(?P<bare>[\w.+-]{1,100}))""",
    re.IGNORECASE | re.VERBOSE,
)


def _tags(text: str) -> list[Claim]:
    found = []
    for mark in _TAG.finditer(text) if "<" in text else ():
        end = re.compile(rf"<\s*/\s*{mark[1]}\s*>", re.IGNORECASE).search(
            text, mark.end(), mark.end() + 5000
        )
        stop = end.start() if end else len(text)
        if end or stop - mark.end() < 500:
            found.append(Claim(mark.end(), stop, text[mark.end() : stop], "tag", mark.start()))
    return found


def _fields(text: str) -> list[Claim]:
    found = []
    for mark in _FIELD.finditer(text) if ":" in text else ():
        name = mark.lastgroup or "bare"
        value = mark[name]
        if name == "double":
            value = _unescaped(value)
        found.append(Claim(mark.start(name), mark.end(name), value, "field", mark.start()))
    return found


def _unescaped(value: str) -> str:
    """A JSON string's text; LaTeX whose backslashes were not escaped stays as it is."""
    try:
        decoded = characters(str(json.loads(f'"{value}"')))
    except ValueError:
        return value
    return value if any(c in decoded for c in "\b\f\t\r") else decoded


def enclosed(text: str) -> list[Claim]:
    """All of them, in reading order."""
    return sorted([*boxes(text), *_tags(text), *_fields(text)], key=lambda c: (c.start, c.label))
