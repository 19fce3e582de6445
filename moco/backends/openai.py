"""Hosted models: any server that speaks the OpenAI API, chat completions or embeddings.

A key comes from the environment variable that `key_env` names, is read when a model is first asked,
and goes into the client and nowhere else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import Field

from moco.access import Access, ModelFacts
from moco.backends.base import Feed, Likelihood, LoadSettings, ModelSpec, Pair, Row, Vector
from moco.backends.openai_errors import Endpoint, explained, parsed
from moco.backends.openai_replies import Completion, Embeddings
from moco.config import Strict, parse
from moco.errors import (
    Cancelled,
    ConfigError,
    EnvironmentProblem,
    MissingExtraError,
    MocoError,
    RequirementError,
    clip,
)
from moco.types import Generation, Json, Prompt, Usage, messages

HOSTED = True
"""Members of this back end may have a `base_url` and a `key_env`, which reach it as options."""
DEFAULT_URL = "https://api.openai.com/v1"
TEXTS_PER_CALL = 64
POLL_SECONDS = 0.2
"""How often a running batch looks for rows that may join it."""


class Options(Strict):
    """What `options` of such a member may hold."""

    timeout_seconds: float = Field(default=60, gt=0, le=86_400)
    """Longest wait for a reply, per try."""
    max_retries: int = Field(default=3, ge=0, le=100)
    """Further tries after a time-out, 408, 409, 429 or 5xx, with growing pauses."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Calls that are open at once."""
    serves: Literal["chat", "embeddings"] = "chat"
    dimensions: int | None = Field(default=None, ge=1)
    """Width of the vectors, for embedding models that let it be chosen."""


def options_of(spec: ModelSpec) -> Options:
    """The member's own options, strictly checked."""
    own = {k: v for k, v in spec.options.items() if k not in ("base_url", "key_env")}
    where = f"options of '{clip(spec.ref)}' (backend openai)"
    options: Options = parse(Options, own, where)
    if options.dimensions is not None and options.serves != "embeddings":
        raise ConfigError(f"{where}: dimensions has no effect without serves: embeddings")
    return options


def url_of(spec: ModelSpec) -> str:
    """The server's address in one spelling."""
    return str(spec.options.get("base_url") or DEFAULT_URL).rstrip("/")


def facts_of(spec: ModelSpec) -> ModelFacts:
    """What is known of a hosted model: text or vectors; its size and context are not."""
    serves = options_of(spec).serves
    access = Access.EMBED if serves == "embeddings" else Access.TEXT
    return ModelFacts(access=access, architecture="hosted")


def identity_of(spec: ModelSpec) -> Json:
    """What can change its answers: where it is asked and for what, not the key, tries or pace."""
    options = options_of(spec)
    return {"url": url_of(spec), "serves": options.serves, "dimensions": options.dimensions}


def load(spec: ModelSpec, device: str, settings: LoadSettings) -> OpenAIBackend:
    """Ready to ask the server; nothing is sent yet."""
    try:
        import openai
    except ImportError as error:
        raise MissingExtraError("a hosted model (backend openai)", "openai") from error
    return OpenAIBackend(spec, device, openai)


class OpenAIBackend:
    """Asks one hosted model; specs that share its `base_key` may bring keys of their own."""

    def __init__(self, spec: ModelSpec, device: str, package: Any) -> None:
        self.device = device
        self._package = package
        self._concurrency = options_of(spec).concurrency
        self._endpoints: dict[str, Endpoint] = {}

    def rendered(self, spec: ModelSpec, prompt: Prompt, prefix: str) -> tuple[int, ...]:
        """No tokens: the server renders."""
        return ()

    def run(self, feed: Feed) -> None:
        """Ask for every row the feed gives, a bounded number at a time.

        A row that was cancelled before it was sent is skipped; one that was sent is waited for, as
        it is paid for.
        """
        open_: dict[Future[Generation], _Open] = {}
        with ThreadPoolExecutor(self._concurrency, "moco-hosted") as threads:
            while True:
                rows = feed.take(self._concurrency - len(open_))
                for row in rows:
                    self._start(row, feed, threads, open_)
                if open_:
                    _settle(feed, open_)
                elif not rows:
                    return

    def _start(
        self,
        row: Row,
        feed: Feed,
        threads: ThreadPoolExecutor,
        open_: dict[Future[Generation], _Open],
    ) -> None:
        if feed.cancelled(row):
            feed.failed(row, Cancelled("cancelled"))
            return
        try:
            endpoint = self._server(row.spec)
        except MocoError as error:
            feed.failed(row, error)
            return
        open_[threads.submit(self._generate, endpoint, row)] = _Open(row)

    def _generate(self, endpoint: Endpoint, row: Row) -> Generation:
        request = row.request
        if request.prefix:
            raise RequirementError(
                f"model '{row.spec.name}' is hosted and cannot continue a started answer"
            )
        turns = [
            {"role": turn.role, "content": _sendable(turn.content)}
            for turn in messages(request.prompt)
        ]
        sampling = request.sampling
        settings: dict[str, Json] = {
            "max_tokens": sampling.max_tokens, "temperature": sampling.temperature,
        }  # fmt: skip
        if sampling.temperature > 0:
            settings["top_p"] = sampling.top_p
            settings["seed"] = int.from_bytes(row.seed[:4], "big") >> 1  # servers take 31 bits
        if sampling.stop:
            settings["stop"] = list(sampling.stop)
        create = endpoint.client.chat.completions.with_raw_response.create
        text = self._reply(create, endpoint, model=endpoint.model, messages=turns, **settings)
        return parsed(Completion, text, endpoint).generation(endpoint)

    def _reply(self, create: Any, endpoint: Endpoint, **arguments: Json) -> str:
        """The body of the server's reply; the client waits and tries again by itself."""
        try:
            sent = create(**arguments, extra_headers=endpoint.headers)
            reply: str = sent.http_response.text
        except self._package.OpenAIError as error:
            raise explained(error, endpoint) from None  # its request holds the key
        return reply

    def embed(self, spec: ModelSpec, texts: Sequence[str]) -> list[Vector]:
        """One vector per text, float32, as the server gives it."""
        endpoint, dimensions = self._server(spec), options_of(spec).dimensions
        extra = {} if dimensions is None else {"dimensions": dimensions}
        create = endpoint.client.embeddings.with_raw_response.create

        def ask(piece: Sequence[str]) -> list[tuple[np.ndarray, int]]:
            sent = [_sendable(text) for text in piece]
            # without a format the client asks for base64, which not every server knows
            text = self._reply(
                create, endpoint, model=endpoint.model, input=sent, encoding_format="float", **extra
            )
            return parsed(Embeddings, text, endpoint).vectors(sent, endpoint)

        start = time.monotonic()
        pieces = [texts[i : i + TEXTS_PER_CALL] for i in range(0, len(texts), TEXTS_PER_CALL)]
        with ThreadPoolExecutor(self._concurrency, "moco-hosted") as threads:
            found = [pair for given in threads.map(ask, pieces) for pair in given]
        share = (time.monotonic() - start) / max(len(texts), 1)
        return [
            Vector(values, Usage(prompt_tokens=tokens, positions=tokens, seconds=share))
            for values, tokens in found
        ]

    def _server(self, spec: ModelSpec) -> Endpoint:
        """The client for a spec's connection, made when it is first needed."""
        options, key_env = options_of(spec), str(spec.options.get("key_env") or "")
        known = f"{key_env} {options.timeout_seconds} {options.max_retries}"
        if known not in self._endpoints:
            key = _key(key_env, spec)
            client = self._package.OpenAI(
                api_key=key or "none",  # the client wants one; `headers` decides what is sent
                base_url=url_of(spec),
                timeout=options.timeout_seconds,
                max_retries=options.max_retries,
            )
            self._endpoints[known] = Endpoint(
                model=spec.ref,
                url=url_of(spec),
                key_env=key_env,
                timeout_seconds=options.timeout_seconds,
                tries=options.max_retries + 1,
                key=key,
                client=client,
                headers=_headers(key, self._package.omit),
            )
        return self._endpoints[known]

    def loglikelihood(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """Not given."""
        raise _absent("log-probabilities")

    def hidden(
        self, spec: ModelSpec, texts: Sequence[str], at: Literal["last", "mean"]
    ) -> list[Vector]:
        """Not given."""
        raise _absent("hidden states")

    def reward(self, pairs: Sequence[Pair]) -> list[tuple[float, Usage]]:
        """Not given."""
        raise _absent("rewards")

    def close(self) -> None:
        """Close the connections."""
        for endpoint in self._endpoints.values():
            endpoint.client.close()
        self._endpoints.clear()


class _Open:
    """A row that was sent, and its share of the wall time so far."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.since = time.monotonic()
        self.seconds = 0.0


def _settle(feed: Feed, open_: dict[Future[Generation], _Open]) -> None:
    """Wait a little, and hand over what has come."""
    done, _ = wait(open_, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
    now, together = time.monotonic(), len(open_)
    for call in open_.values():
        call.seconds += (now - call.since) / together
        call.since = now
    for future in [f for f in open_ if f in done]:
        call = open_.pop(future)
        error = future.exception()
        if isinstance(error, Exception):
            feed.failed(call.row, error)
            continue
        generation = _timed(future.result(), call.seconds)
        if feed.listens(call.row):
            feed.token(call.row, generation.text)
        feed.done(call.row, generation)


def _timed(generation: Generation, seconds: float) -> Generation:
    return replace(generation, usage=replace(generation.usage, seconds=seconds))


def _key(key_env: str, spec: ModelSpec) -> str:
    """The key; empty where none is asked for."""
    if not key_env:
        return ""
    key = os.environ.get(key_env, "").strip()
    if not key:
        raise EnvironmentProblem(
            f"hosted model '{clip(spec.ref)}': the environment variable {key_env} (its key_env) is"
            " not set; set it to the server's key, or leave key_env out for a server without keys"
        )
    # the HTTP library would show such a key in its own message
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise EnvironmentProblem(
            f"hosted model '{clip(spec.ref)}': the key in the environment variable {key_env} holds"
            " a blank, a line break or a letter outside ASCII; set the variable again"
        )
    return key


def _headers(key: str, omit: Any) -> dict[str, Any]:
    """Headers that keep out what the client takes from the environment by itself: no variable but
    `key_env` decides what a server is told.
    """
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    names = [line.partition(":")[0].strip() for line in lines if ":" in line]
    return {
        **dict.fromkeys(("OpenAI-Organization", "OpenAI-Project", *names), omit),
        "Authorization": f"Bearer {key}" if key else omit,
    }


def _absent(what: str) -> RequirementError:
    return RequirementError(f"a hosted model (backend openai) gives no {what}; use a local model")


def _sendable(text: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
