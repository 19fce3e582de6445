"""Finds the solution in a text: which code does it offer for a problem.

The last block that defines the entry point counts, with other blocks that define what it misses;
else all blocks together; else a body under the prompt's own stub; else the code among the prose.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from moco.answers.cleaning import MAX_CHARACTERS, Found, drop_reasoning, nothing
from moco.tasks import fences, pysource
from moco.tasks.coding import Problem
from moco.types import Stop

MAX_TRIES = 100
"""How often a text without blocks, or a broken block, is cut and parsed again."""
_STARTS = ("from ", "import ", "def ", "async def ", "class ", "@")


def solution(text: str, problem: Problem, stop: Stop = "eos") -> Found:
    """The code of a text; without a value where it holds none, or only reasoning that never
    closed.
    """
    kept, unclosed = drop_reasoning(text)
    if unclosed:
        return nothing("the reasoning was not closed", "truncated")
    kept = kept.replace("\r\n", "\n")[-MAX_CHARACTERS:]
    blocks = fences.blocks(kept)
    python = [b.code for b in blocks if b.language in fences.PYTHON]
    other = [b.code for b in blocks if b.language not in fences.PYTHON]
    for code, how in _offers(kept, python, other, problem):
        return Found(code, "parsed", code, how)
    if stop == "length":
        return nothing("no_code: cut off before the code", "truncated")
    return nothing("no_code: the text holds no code")


def last_function(code: str) -> str:
    """The name of the last function at the top level, empty where there is none."""
    tree = pysource.parse(code)
    found = [] if tree is None else pysource.functions(tree)
    return found[-1].name if found else ""


def _offers(
    text: str, python: Sequence[str], other: Sequence[str], problem: Problem
) -> Iterator[tuple[str, str]]:
    """Ways to read the text, the best first; each with its name."""
    if not (python or other) and _is_continuation(text):
        yield from _bodies([text], problem)
    for blocks in (python, other):
        whole = _last_defining(blocks, problem.entry_point)
        if whole:
            yield whole, "fenced block"
        joined = "\n\n".join(blocks)
        if joined and _has(joined, problem.entry_point):
            yield joined, "all fenced blocks"
    if not python:
        among = _among_prose(text)
        if among and _has(among, problem.entry_point):
            yield among, "code among prose"
    yield from _bodies(reversed(python) if python else [text], problem)
    if python:
        yield python[-1], "fenced block"
    elif among and any(line.startswith(_STARTS) for line in among.splitlines()):
        yield among, "code among prose"


def _has(code: str, entry: str) -> bool:
    tree = pysource.parse(code)
    if tree is None:
        return False
    return pysource.defines(tree, entry) if entry else bool(last_function(code))


def _last_defining(blocks: Sequence[str], entry: str) -> str:
    """The last block that defines the entry point, cut where it stops being Python; empty where
    there is none.
    """
    for cut in (str, _among_prose):
        for i in reversed(range(len(blocks))):
            code = cut(blocks[i])
            if _has(code, entry):
                return _with_helpers(code, [*blocks[:i], *blocks[i + 1 :]], entry)
    return ""


def _with_helpers(code: str, others: Sequence[str], entry: str) -> str:
    """The code after those other blocks that define names it misses."""
    tree = pysource.parse(code)
    for block in reversed(others):
        helper = pysource.parse(block)
        if tree is None or helper is None or (entry and pysource.defines(helper, entry)):
            continue
        if any(pysource.defines(helper, name) for name in pysource.missing(tree)):
            code = f"{block}\n\n{code}"
            tree = pysource.parse(code)
    return code


def _among_prose(text: str) -> str:
    """The stretches of a text that are Python, from lines that look like its beginning."""
    lines = text.splitlines()
    kept: list[str] = []
    at, tries = 0, MAX_TRIES
    while at < len(lines) and tries > 0:
        if not lines[at].lstrip().startswith(_STARTS):
            at += 1
            continue
        stretch, tries = _stretch(lines[at:], tries)
        kept += stretch
        at += max(1, len(stretch))
    return textwrap.dedent("\n".join(kept))


def _stretch(lines: Sequence[str], tries: int) -> tuple[Sequence[str], int]:
    """The longest beginning that parses, as far as the parser's own complaints lead, and how many
    tries are left.
    """
    end = len(lines)
    while end > 0 and tries > 0:
        broken = pysource.broken_line(textwrap.dedent("\n".join(lines[:end])))
        tries -= 1
        if not broken:
            return lines[:end], tries
        end = min(broken - 1, end - 1)
    return [], tries


def _is_continuation(text: str) -> bool:
    """Whether a text goes on with the prompt's function instead of repeating it."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return first[:1] in (" ", "\t") and not first.lstrip().startswith(_STARTS)


def _bodies(texts: Iterator[str] | Sequence[str], problem: Problem) -> Iterator[tuple[str, str]]:
    """The prompt's stub with each text as its body, where that is Python that does something."""
    if not problem.stub:
        return
    stub = problem.stub.rstrip()
    last = stub.splitlines()[-1]
    indent = last[: len(last) - len(last.lstrip())] or "    "
    for text in texts:
        body = _indented_part(text)
        for form in (body, textwrap.indent(text, indent), indent + body.lstrip()):
            code = f"{stub}\n{form}"
            if form[:1].isspace() and _goes_on(code, stub, problem.entry_point):
                yield code, "body of the prompt's function"
                break


def _indented_part(text: str) -> str:
    """The first line and what follows it, up to the next line that is not indented."""
    lines = text.strip("\n").splitlines()
    ends = (i for i, line in enumerate(lines) if i and line.strip() and not line[0].isspace())
    return "\n".join(lines[: next(ends, len(lines))])


def _goes_on(code: str, stub: str, entry: str) -> bool:
    """Whether the code adds to the stub's body a statement that does something."""
    body, had = (pysource.body(pysource.parse(source), entry) for source in (code, stub))
    return any(pysource.acts(node) for node in body[len(had) :])
