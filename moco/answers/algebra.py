"""Asks `math-verify` whether two expressions are the same: bounded first, watched second.

Nothing that could grow large is sent; what is sent is compared in a process of its own, which is
ended when it takes too long, on whatever thread the question was asked.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import json
import math
import os
import queue
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from moco.answers import arithmetic
from moco.answers.algebra_bounds import too_much
from moco.answers.arithmetic import Value
from moco.errors import EnvironmentProblem

CPU_SECONDS = 5.0
"""Processor time of one comparison; with the bounds below it takes milliseconds. A busy machine
does not shorten it.
"""
LIMIT_SECONDS = 60.0
"""Time of one comparison by the clock, for what does not even notice the other limit."""
START_SECONDS = 120.0

LETTERS = "abcdfghjklmnopqrstuvwxyzABCDEFGHJKLMNOPQRSTUVWXYZ"
"""Letters that may stand for a number; e and i do already."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether two answers are the same and what decided it."""

    same: bool
    rule: str
    failed: bool = False
    """Nothing could be decided: the comparison was stopped."""


_POINTS = (0.734, 1.618, 2.311)
"""Values that letters are given to tell expressions apart without algebra."""
_ANGLE_OR_LOG = re.compile(r"\\log|\\circ|°|\\(?:sin|cos|tan)\s*[\d{(]")
"""What may be meant in degrees or to another base."""


def _values(text: str) -> list[Value] | None:
    """What an expression comes to at the points, None where it is nothing that can be computed."""
    if _ANGLE_OR_LOG.search(text):
        return None
    found: list[Value] = []
    for i in range(len(_POINTS)):
        letters = {c: _POINTS[(i + k) % 3] * (1 + k / 100) for k, c in enumerate(LETTERS)}
        value = arithmetic.evaluate(text, letters)
        if value is None:
            return None
        found.append(value)
    return found


def refuted(one: str, other: str) -> bool:
    """Whether two expressions come to different values: then no algebra is needed."""
    first, second = _values(one), _values(other)
    if first is None or second is None:
        return False
    return not all(map(_close, first, second))


def _close(a: Value, b: Value) -> bool:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    try:
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
    except OverflowError:
        return True


def compare(one: str, other: str) -> Verdict:
    """Whether two expressions in LaTeX are the same, in either order."""
    reason = too_much(one) or too_much(other)
    if reason:
        return Verdict(False, f"compared as normalised text: {reason}")
    if refuted(one, other):
        return Verdict(False, "different values")
    if importlib.util.find_spec("math_verify") is None:
        return Verdict(False, "normal forms differ; math-verify is not installed")
    reply = _asked(*sorted((one, other)))
    if reply is None:
        return Verdict(False, "math-verify was stopped: it took too long", failed=True)
    return Verdict(bool(reply), "math-verify")


def _asked(one: str, other: str) -> bool | None:
    """The cached answer; what was stopped is not kept."""
    try:
        return _decided(one, other)
    except TimeoutError:
        return None


@functools.lru_cache(maxsize=4096)
def _decided(one: str, other: str) -> bool:
    return _WORKER.ask(one, other, CPU_SECONDS, LIMIT_SECONDS)


class _Worker:
    """The process, started when it is first needed and again after it was killed."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Starts afresh: a fork must neither use nor end its parent's process."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask(self, one: str, other: str, cpu_seconds: float, limit: float) -> bool:
        """One comparison; TimeoutError where it took longer than a limit or ended the process."""
        with self._lock:
            process = self._running()
            try:
                assert process.stdin is not None
                process.stdin.write(json.dumps([one, other, cpu_seconds]) + "\n")
                process.stdin.flush()
                reply = self._replies.get(timeout=limit)
            except (OSError, queue.Empty):
                reply = ""
            if not reply:
                self.close()
                raise TimeoutError
            return bool(json.loads(reply)["same"])

    def _running(self) -> subprocess.Popen[str]:
        """The process, started where there is none."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        script = Path(__file__).with_name("algebra_worker.py")
        self._replies = queue.SimpleQueue()
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, encoding="utf-8", env={**os.environ, "PYTHONHASHSEED": "0"},
        )  # fmt: skip
        threading.Thread(target=_forward, args=(process, self._replies), daemon=True).start()
        try:
            started = bool(self._replies.get(timeout=START_SECONDS))
        except queue.Empty:
            started = False
        if not started:
            self.close()
            raise EnvironmentProblem(
                "math-verify does not start: check `python -c 'import math_verify'`, then"
                " reinstall it with pip install 'moco-collab[math]'"
            )
        return process

    def close(self) -> None:
        """Ends the process, however busy it is."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


def _forward(process: subprocess.Popen[str], replies: queue.SimpleQueue[str]) -> None:
    """Lines of the process, and an empty one when it has ended."""
    assert process.stdout is not None
    try:
        for line in process.stdout:
            replies.put(line)
    except ValueError:  # closed while it was read
        pass
    replies.put("")


_WORKER = _Worker()
atexit.register(_WORKER.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_WORKER.forget)
