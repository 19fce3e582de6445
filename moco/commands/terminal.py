"""Everything that goes to the terminal: tables, messages, warnings. Foreign text is escaped."""

from __future__ import annotations

import logging
import sys
import types
import warnings
from collections.abc import Sequence
from typing import TextIO

from moco.errors import LIMIT, MocoError, clip
from moco.report.tables import Sheet

LOG = logging.getLogger("moco")
KEPT = "\n\t"


def safe(text: str) -> str:
    """Text that cannot steer the terminal: control and formatting characters are spelled out."""
    return "".join(c if c.isprintable() or c in KEPT else repr(c)[1:-1] for c in text)


def out(text: str = "") -> None:
    """A line (or several) on standard output."""
    _write(sys.stdout, text)


def err(text: str) -> None:
    """A message on standard error."""
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    shown = safe(text) + "\n"
    encoding = stream.encoding or "utf-8"
    stream.write(shown.encode(encoding, "replace").decode(encoding))
    stream.flush()


def sheet(table: Sheet) -> None:
    """A table: with rich on a terminal, as aligned text elsewhere."""
    if not sys.stdout.isatty():
        out(table.plain())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=Text(safe(table.title)) if table.title else None, title_justify="left")
    for i, name in enumerate(table.columns):
        shown.add_column(Text(name), justify="right" if table.numeric(i) else "left")
    for row in table.rows:
        shown.add_row(*(Text(safe(cell)) for cell in row))
    console = Console()
    console.print(shown)
    for note in table.notes:
        console.print(Text(safe(note)))


STYLES = ("cyan", "magenta", "green", "yellow", "blue", "red")


def written(text: str, parts: Sequence[tuple[str, str]] = ()) -> None:
    """A text, then (author, text) parts: coloured by author on a terminal, with the author's name
    before each part elsewhere.
    """
    out(text)
    if not parts:
        return
    if not sys.stdout.isatty():
        out("".join(f"[{author}]{part}" for author, part in parts))
        return
    from rich.console import Console
    from rich.text import Text

    authors = list(dict.fromkeys(author for author, _ in parts))
    style = {author: STYLES[i % len(STYLES)] for i, author in enumerate(authors)}
    console = Console()
    console.print(Text(" ").join(Text(safe(author), style=style[author]) for author in authors))
    console.print(Text().join(Text(safe(part), style=style[author]) for author, part in parts))


def error(problem: BaseException) -> None:
    """The one message of an error, at most 2,000 characters."""
    if isinstance(problem, MocoError):
        text = str(problem)
    elif isinstance(problem, OSError):
        where = f": {clip(str(problem.filename), 300)}" if problem.filename else ""
        text = f"{problem.strerror or type(problem).__name__}{where}"
    else:
        text = f"{type(problem).__name__}: {problem}"
    room = LIMIT - len("moco: ")
    shown = safe(text)
    err(f"moco: {shown if len(shown) <= room else shown[: room - 1] + '…'}")


def fault(
    kind: type[BaseException], problem: BaseException, trace: types.TracebackType | None
) -> None:
    """What a fault of ours looks like (for `sys.excepthook`): one message, no traceback."""
    where = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f" in {code.co_filename.rpartition('/')[2]}, line {trace.tb_lineno}"
        trace = trace.tb_next
    notes = "; ".join(getattr(problem, "__notes__", ()))
    what = f"{kind.__name__}: {clip(str(problem), 500)}{where}"
    details = clip(notes, 500) if notes else "the same command with --debug shows where"
    err(f"moco: a fault of moco itself, sorry: {what} ({details})")


class _Handler(logging.Handler):
    """Shows warnings of the library; errors come as exceptions."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is None:
            err(f"moco: {clip(record.getMessage(), 1000)}")


def prepare() -> None:
    """Route the library's warnings to standard error, one line each; text that the terminal cannot
    show is replaced.
    """
    if not any(isinstance(h, _Handler) for h in LOG.handlers):
        handler = _Handler(logging.WARNING)
        LOG.addHandler(handler)
    warnings.showwarning = _warning


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if "moco" in filename:
        err(f"moco: {clip(str(message), 1000)}")
