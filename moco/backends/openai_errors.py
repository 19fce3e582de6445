"""What went wrong with a hosted model, in words that never hold its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from moco.errors import EnvironmentProblem, InputError, MocoError, PromptTooLongError, clip

ReplyT = TypeVar("ReplyT", bound=BaseModel)

KEPT = "run the same command again later: finished calls are kept"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A hosted model and how it is reached."""

    model: str
    """The server's name of the model."""
    url: str
    key_env: str
    timeout_seconds: float
    tries: int
    key: str = field(repr=False)
    client: Any = field(repr=False)
    headers: Mapping[str, Any] = field(repr=False)
    """Sent with every request."""

    @property
    def who(self) -> str:
        """The model and the server, for messages."""
        return f"hosted model '{clip(self.model)}' at {clip(self.url, 200)}"

    @property
    def after(self) -> str:
        """`after 4 tries`."""
        return f"after {self.tries} {'try' if self.tries == 1 else 'tries'}"

    def clean(self, text: object, limit: int = 300) -> str:
        """A server's own words, clipped, without the key."""
        shown = str(text)
        return clip(shown.replace(self.key, "[key]") if self.key else shown, limit)


def parsed(kind: type[ReplyT], text: str, endpoint: Endpoint) -> ReplyT:
    """A reply's body, read; a body of another form is an error that shows its start."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the reply"
        why = f"{clip(where)}: {clip(first['msg'], 200)}"
        raise malformed(f"{why}; it starts {endpoint.clean(text, 200)!r}", endpoint) from None


def malformed(why: str, endpoint: Endpoint) -> EnvironmentProblem:
    """The error for a reply that cannot be used."""
    return EnvironmentProblem(
        f"{endpoint.who}: the reply is not what the API promises ({why}); check that base_url is"
        " the root of an OpenAI-compatible API, which usually ends in /v1"
    )


def explained(error: Any, endpoint: Endpoint) -> MocoError:
    """The client's error in our words; whoever raises it drops the original, which holds the
    request."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return EnvironmentProblem(
            f"{endpoint.who}: no reply within {endpoint.timeout_seconds:g} s {endpoint.after};"
            f" raise options.timeout_seconds, lower options.concurrency, or {KEPT}"
        )
    if isinstance(error, openai.APIConnectionError):
        why = endpoint.clean(error.__cause__ or error)
        return EnvironmentProblem(
            f"{endpoint.who}: cannot be reached {endpoint.after} ({why}); check base_url and that"
            " the server runs"
        )
    if isinstance(error, openai.APIStatusError):
        return _by_status(error, endpoint)
    return EnvironmentProblem(f"{endpoint.who}: {type(error).__name__}: {endpoint.clean(error)}")


def _by_status(error: Any, endpoint: Endpoint) -> MocoError:
    status = int(error.status_code)
    said = f"{status}: {_said(error, endpoint)}"
    if status >= 500:
        return EnvironmentProblem(
            f"{endpoint.who}: the server failed {endpoint.after} ({said}); {KEPT}"
        )
    if status in _WORDS:
        return EnvironmentProblem(f"{endpoint.who}: {_WORDS[status](endpoint, said)}")
    if error.code == "context_length_exceeded" or "context length" in said.lower():
        return PromptTooLongError(
            f"{endpoint.who}: the prompt and the answer do not fit its context ({said}); lower"
            " sampling.max_tokens, or use a model with a longer context"
        )
    return InputError(
        f"{endpoint.who}: the server does not take the request ({said}); change what it objects to:"
        " sampling, the task's prompts, or the member's options"
    )


def _said(error: Any, endpoint: Endpoint) -> str:
    """The server's own message."""
    body = error.body
    text = body.get("message") if isinstance(body, Mapping) else body
    return endpoint.clean(text or "no message")


def _unauthorised(endpoint: Endpoint, said: str) -> str:
    # the server's message may show a part of the key, so it is left out
    if not endpoint.key_env:
        return (
            "the server asks for a key (401); put it into an environment variable and set the"
            " member's key_env to the variable's name"
        )
    variable = f"the environment variable {endpoint.key_env}"
    return f"the server refuses the key in {variable} (401); check it"


_WORDS: Mapping[int, Callable[[Endpoint, str], str]] = {
    401: _unauthorised,
    403: lambda endpoint, said: (
        f"the key's owner may not do this ({said}); ask for access to the model, or use another"
    ),
    404: lambda endpoint, said: (
        f"there is no such model, or base_url is not the API's root, which usually ends in /v1"
        f" ({said})"
    ),
    429: lambda endpoint, said: (
        f"too many requests, or a quota is used up, {endpoint.after} ({said}); lower"
        f" options.concurrency, raise options.max_retries, or {KEPT}"
    ),
}
"""Status → what it means."""
