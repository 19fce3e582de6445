"""From a command line to an exit code: every error becomes one message."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from moco.commands import terminal
from moco.errors import MocoError, clip

STOPPED = 130
AGAIN = "the same command again goes on from here"
USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]
"""The base of all errors about the command line itself; typer has no public name for it."""


def call(app: typer.Typer, arguments: list[str]) -> int:
    """Run the app; a fault of ours passes through to `sys.excepthook`, which shows it in a line."""
    terminal.prepare()
    if "--debug" in arguments:
        arguments = [a for a in arguments if a != "--debug"]
    else:
        sys.excepthook = terminal.fault
    try:
        command = typer.main.get_command(app)  # calling the app would replace our excepthook
        with _terminable():
            code = command.main(args=arguments, prog_name="moco", standalone_mode=False)
    except KeyboardInterrupt:
        code = STOPPED
    except BrokenPipeError:
        sys.stdout = None  # what is still buffered has no reader
        return 0
    except USAGE_ERROR as error:
        terminal.err(f"moco: {clip(_usage(error), 800)}; moco --help shows the commands")
        return 2
    except MocoError as error:
        terminal.error(error)
        return error.exit_code
    except OSError as error:
        terminal.error(error)
        return 3
    if code == STOPPED:
        again = "nothing was written" if arguments[:1] == ["merge"] else AGAIN
        terminal.err(f"moco: stopped; {again}")
    return int(code or 0)


@contextmanager
def _terminable() -> Iterator[None]:
    """While it holds, SIGTERM stops like Ctrl-C, so that half-written folders are removed."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _usage(error: BaseException) -> str:
    """What is wrong with the command line."""
    message: str = getattr(error, "format_message", error.__str__)()
    return message.rstrip(".")
