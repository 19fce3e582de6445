"""Everything that can go wrong, as one tree; the command line turns each branch into its exit code.

    MocoError                     1  a fault of ours
    ├── InputError                2  the user's config, data or command is wrong
    │   ├── ConfigError              a config key or value
    │   ├── UnknownNameError         no such method, task, model, scorer (nearest name given)
    │   ├── RequirementError         the pool breaks a method's requirements; carries every Problem
    │   ├── DataError                a data file or item
    │   ├── ModelFormatError         a model folder that cannot be used
    │   └── PromptTooLongError       a prompt that does not fit the context
    └── EnvironmentProblem        3  the machine: disk, permission, network, lock, missing extra,
    cost limit
        ├── MissingExtraError        names the pip command
        ├── DownloadError            network, checksum, archive
        ├── LicenceError             a licence that has to be accepted first
        ├── LockedError              another process holds the run folder
        └── WorkerDiedError          a worker process ended and its job could not be re-sent
    Cancelled                   130  Ctrl-C or an explicit cancel

A message says what, where and what to do, in at most 2,000 characters; values are shown clipped.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

LIMIT = 2000


def clip(value: object, limit: int = 80) -> str:
    """A value on one line, short enough for a message; control characters are escaped."""
    shown = value if isinstance(value, str) else repr(value)
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """' Did you mean …?' for the closest known name, else the empty string."""
    close = difflib.get_close_matches(name[:100], list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


class MocoError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= LIMIT else message[: LIMIT - 1] + "…")

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes as class and message."""
        return _rebuilt, (type(self), str(self))


def _rebuilt(cls: type[MocoError], message: str) -> MocoError:
    error = cls.__new__(cls)
    MocoError.__init__(error, message)
    return error


class InputError(MocoError):
    """The user's config, data or command is wrong."""

    exit_code = 2


class ConfigError(InputError):
    """A config key or value."""


class UnknownNameError(InputError):
    """A name that nothing is registered under."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        names = list(known)
        super().__init__(f"unknown {kind} '{clip(name)}'.{nearest(name, names)}{hint}")
        self.kind, self.name = kind, name


class RequirementError(InputError):
    """The pool, roles or data break what the method requires."""


class DataError(InputError):
    """A data file or one of its items."""


class ModelFormatError(InputError):
    """A model folder that cannot be used."""


class PromptTooLongError(InputError):
    """A prompt that does not fit the model's context."""


class EnvironmentProblem(MocoError):
    """The machine: disk, permission, network, lock, missing extra, cost limit."""

    exit_code = 3


class MissingExtraError(EnvironmentProblem):
    """A Python package that this feature needs is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs packages that are not installed: pip install 'moco-collab[{extra}]'"
        )


class DownloadError(EnvironmentProblem):
    """Network, checksum or archive trouble."""


class LicenceError(EnvironmentProblem):
    """A licence that has to be accepted first."""


class LockedError(EnvironmentProblem):
    """Another process holds the run folder."""


class WorkerDiedError(EnvironmentProblem):
    """A worker process ended unexpectedly."""


class Cancelled(MocoError):
    """The work was cancelled."""

    exit_code = 130


def not_finite(names: str) -> ModelFormatError:
    """A model that computes NaN or infinity, by name."""
    return ModelFormatError(
        f"model '{names}' gave numbers that are not finite; try dtype float32 or bfloat16"
    )
