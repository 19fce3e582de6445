"""How far a run is: bars on a terminal, a line now and then elsewhere. Always on standard error."""

from __future__ import annotations

import sys
import threading
import time
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

LINE_SECONDS = 15.0
"""Pause between two lines where there is no terminal."""
MIN_BYTES = 1 << 20
"""Downloads below this are not shown."""


@dataclass(slots=True)
class _Stage:
    """Counts of one stage."""

    total: int = 0
    done: int = 0
    tokens: int = 0
    bar: TaskID | None = None


class Display:
    """An engine's progress, shown; thread-safe. Use it as a context manager."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._lock = threading.Lock()
        self._stages: dict[str, _Stage] = {}
        self._start = self._last = time.monotonic()
        self._downloads: dict[str, float] = {}
        self._bars: Bars | None = None

    def __enter__(self) -> Display:
        if not self._quiet and self._stream.isatty():
            self._bars = _bars(self._stream)
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        with self._lock:
            if self._bars is not None:
                self._bars.stop()
                self._bars = None

    def asked(self, stage: str, calls: int, cached: int) -> None:
        """A job was submitted: so many calls, so many of them from the cache."""
        with self._lock:
            own = self._stages.setdefault(stage, _Stage())
            own.total += calls
            own.done += cached
            self._show(stage, own)

    def finished(self, stage: str, generated_tokens: int) -> None:
        """One call has its result."""
        with self._lock:
            own = self._stages.setdefault(stage, _Stage())
            own.done += 1
            own.total = max(own.total, own.done)
            own.tokens += generated_tokens
            self._show(stage, own)

    def loaded(self, ref: str, seconds: float) -> None:
        """A model was loaded."""
        with self._lock:
            self._say(f"loaded {_clean(ref)} in {seconds:.1f} s")

    def download(self, what: str, done: int, total: int) -> None:
        """So many bytes of a download are here; `total` is 0 where it is unknown."""
        with self._lock:
            now = time.monotonic()
            over = total and done >= total
            if total < MIN_BYTES and done < MIN_BYTES:
                return
            if not over and now - self._downloads.get(what, 0.0) < LINE_SECONDS / 3:
                return
            self._downloads[what] = now
            share = f" of {total / 1e6:,.0f}" if total else ""
            self._say(f"{_clean(what)}: {done / 1e6:,.0f}{share} MB")

    def _show(self, stage: str, own: _Stage) -> None:
        if self._bars is not None:
            rate = self._rate()
            if own.bar is None:
                own.bar = self._bars.add_task(_clean(stage) or "calls", total=own.total, rate=rate)
            self._bars.update(own.bar, total=own.total, completed=own.done, rate=rate)
        elif time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            self._say(f"{_clean(stage)}: {own.done} of {own.total} calls, {self._rate()}")

    def _rate(self) -> str:
        passed = max(time.monotonic() - self._start, 1e-3)
        return f"{sum(s.tokens for s in self._stages.values()) / passed:,.0f} tokens/s"

    def _say(self, line: str) -> None:
        if self._quiet:
            return
        if self._bars is not None:
            from rich.text import Text

            self._bars.console.print(Text(line))
            return
        self._stream.write(f"{line}\n")
        self._stream.flush()


def _clean(text: str) -> str:
    """One short printable line."""
    return "".join(c if c.isprintable() else "?" for c in text[:120])


def _bars(stream: TextIO) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeElapsedColumn(),
        console=Console(file=stream),
        transient=True,
    )
