"""The process that compares expressions with `math-verify`, one JSON line in and one out: two
expressions and the processor seconds allowed, then whether they are the same. It ends when they did
not suffice.

Run as a script by `moco.answers.algebra`, which kills it when a comparison takes too long. It
imports nothing of this package: its own folder must not be on the path, where `numbers.py` would
stand before the standard library's.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from types import FrameType

MEMORY_BYTES = 4 << 30


def bound_memory() -> None:
    """Makes an expression that grows too large a MemoryError, where the platform can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


class OutOfTime(BaseException):
    """The processor time is used up; no Exception, which `math-verify` would catch."""


def out_of_time(number: int, frame: FrameType | None) -> None:
    """The timer's signal handler."""
    raise OutOfTime


def set_timer(seconds: float) -> None:
    """Raises OutOfTime after so much processor time, where the platform can; 0 stops it."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGVTALRM, out_of_time)
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)


def main() -> None:
    """Answers until the other side closes the pipe."""
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)  # it warns that its own timers are off
    bound_memory()
    sys.set_int_max_str_digits(0)

    def same(gold: str, given: str) -> bool:
        both = [parse(f"${text}$", parsing_timeout=None) for text in (gold, given)]
        if not all(both):
            return False
        return bool(verify(both[0], both[1], timeout_seconds=None))

    same("x^2+\\frac{1}{2}", "\\sqrt{3}(x+1)")  # the first parse builds tables for a second
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        gold, given, seconds = json.loads(line)
        reply: dict[str, bool | str]
        try:
            set_timer(seconds)
            reply = {"same": same(gold, given)}
            set_timer(0)
        except OutOfTime:
            return
        except (
            ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, SyntaxError,
            TypeError, ValueError,
        ) as error:  # fmt: skip
            set_timer(0)
            reply = {"same": False, "error": type(error).__name__}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
