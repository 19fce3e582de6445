"""The parts of an OpenAI-compatible server's replies that are read; the rest is ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np
from pydantic import BaseModel, Field, FiniteFloat

from moco.backends.openai_errors import Endpoint, malformed
from moco.errors import clip
from moco.types import Generation, Stop, Usage

STOPS: Mapping[str, Stop] = {
    "stop": "eos", "eos": "eos", "eos_token": "eos", "end_turn": "eos", "stop_sequence": "stop",
    "length": "length", "max_tokens": "length", "content_filter": "error",
}  # fmt: skip
"""Finish reason → ours; servers say `stop` for their own end and for a stop string."""


class Message(BaseModel):
    """What the model wrote."""

    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None


class Choice(BaseModel):
    """One answer."""

    message: Message
    finish_reason: str


class TokenCounts(BaseModel):
    """What the server counted."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Completion(BaseModel):
    """A reply of /chat/completions."""

    choices: list[Choice] = Field(min_length=1)
    usage: TokenCounts | None = None

    def generation(self, endpoint: Endpoint) -> Generation:
        """The first answer; a server that counts no tokens is taken at its word: none."""
        choice, counts = self.choices[0], self.usage or TokenCounts()
        stop = STOPS.get(choice.finish_reason)
        if stop is None:
            raise malformed(f"its finish_reason is '{clip(choice.finish_reason)}'", endpoint)
        both = counts.prompt_tokens + counts.completion_tokens
        return Generation(
            text=choice.message.content or choice.message.refusal or "",
            stop=stop,
            usage=Usage(counts.prompt_tokens, counts.completion_tokens, both),
            reasoning=choice.message.reasoning_content or "",
        )


class Item(BaseModel):
    """One vector."""

    index: int
    embedding: list[FiniteFloat] = Field(min_length=1)


class Embeddings(BaseModel):
    """A reply of /embeddings."""

    data: list[Item]
    usage: TokenCounts | None = None

    def vectors(self, texts: Sequence[str], endpoint: Endpoint) -> list[tuple[np.ndarray, int]]:
        """(vector, prompt tokens) of each text that was sent, in order."""
        items = sorted(self.data, key=lambda item: item.index)
        if [item.index for item in items] != list(range(len(texts))):
            raise malformed(f"{len(items)} vectors for {len(texts)} texts", endpoint)
        if len({len(item.embedding) for item in items}) > 1:
            raise malformed("vectors of different widths", endpoint)
        total = self.usage.prompt_tokens if self.usage else 0
        return [
            (np.asarray(item.embedding, dtype=np.float32), tokens)
            for item, tokens in zip(items, _shares(total, texts), strict=True)
        ]


def _shares(total: int, texts: Sequence[str]) -> list[int]:
    """A whole number of tokens for each text, by its length, that adds up to the total."""
    sums = list(accumulate((len(text) + 1 for text in texts), initial=0))
    return [total * end // sums[-1] - total * start // sums[-1] for start, end in pairwise(sums)]
