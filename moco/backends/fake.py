"""A scripted back end for control-flow tests and dry runs: replies follow rules, nothing is learnt
or loaded.

Options: `rules`, a list of {match: regex on the last user turn, reply: text or list of texts (the
draw picks one), logprob: per-token log-probability}; `reply`, the default reply; `likelihood`, a
mapping text → log-probability; `reward`, a mapping regex → number; `delay_seconds` per call;
`fails_on`, a regex whose match raises.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from moco.access import Access, ModelFacts
from moco.backends.base import Feed, Likelihood, LoadSettings, ModelSpec, Pair, Row, Vector
from moco.errors import InputError
from moco.types import Generation, Prompt, Usage, messages

WIDTH = 16


def facts_of(spec: ModelSpec) -> ModelFacts:
    """What a scripted model gives; `options.access` may name less."""
    names = spec.options.get("access", ["text", "prefix", "logprobs", "embed", "reward"])
    access = Access(0)
    for name in names:
        access |= Access[str(name).upper()]
    return ModelFacts(access=access, architecture="fake", tokenizer="fake", num_parameters=1)


def load(spec: ModelSpec, device: str, settings: LoadSettings) -> FakeBackend:
    """A scripted model is ready at once."""
    return FakeBackend(device)


class FakeBackend:
    """Answers by the rules in each row's spec."""

    def __init__(self, device: str) -> None:
        self.device = device

    def rendered(self, spec: ModelSpec, prompt: Prompt, prefix: str) -> tuple[int, ...]:
        """No tokens: a scripted model reads text."""
        return ()

    def run(self, feed: Feed) -> None:
        """One row after another, in the order they come."""
        while rows := feed.take(1):
            row = rows[0]
            if feed.cancelled(row):
                feed.failed(row, InputError("cancelled"))
                continue
            time.sleep(float(row.spec.options.get("delay_seconds", 0)))
            generation = self._reply(row)
            if generation is None:
                feed.failed(
                    row, InputError(f"the scripted model '{row.spec.name}' fails on this prompt")
                )
                continue
            if feed.listens(row):
                feed.token(row, generation.text)
            feed.done(row, generation)

    def _reply(self, row: Row) -> Generation | None:
        options, prompt = row.spec.options, last_user(row.request.prompt)
        if "fails_on" in options and re.search(options["fails_on"], prompt):
            return None
        rules: list[dict[str, Any]] = list(options.get("rules", ()))
        rule = next((r for r in rules if re.search(r["match"], prompt, re.DOTALL)), {})
        reply: Any = rule.get("reply", options.get("reply", "Answer: A"))
        if isinstance(reply, list):
            random = row.request.sampling.temperature > 0
            reply = reply[row.seed[0] % len(reply) if random else 0]
        words = str(reply).split()[: row.request.sampling.max_tokens]
        text = str(reply) if len(words) == len(str(reply).split()) else " ".join(words)
        stop: Literal["eos", "length"] = "eos" if text == str(reply) else "length"
        each = float(rule.get("logprob") or options.get("logprob") or -0.1)
        usage = Usage(len(prompt.split()), len(words), len(prompt.split()) + len(words))
        return Generation(text, stop, usage, logprobs=(each,) * max(len(words), 1))

    def loglikelihood(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """The scripted value of each text, else one fixed by its content."""
        return [
            Likelihood(
                (float(p.spec.options.get("likelihood", {}).get(p.text, -_unit(p.text) - 1)),),
                greedy=False,
            )
            for p in pairs
        ]

    def embed(self, spec: ModelSpec, texts: Sequence[str]) -> list[Vector]:
        """A unit vector fixed by each text's words."""
        return [Vector(_vector(text)) for text in texts]

    def hidden(
        self, spec: ModelSpec, texts: Sequence[str], at: Literal["last", "mean"]
    ) -> list[Vector]:
        """The same vectors."""
        return self.embed(spec, texts)

    def reward(self, pairs: Sequence[Pair]) -> list[tuple[float, Usage]]:
        """The number of the first pattern that the answer matches, else 0."""
        found = []
        for pair in pairs:
            rules = pair.spec.options.get("reward", {})
            found.append(
                (
                    next((float(v) for k, v in rules.items() if re.search(k, pair.text)), 0.0),
                    Usage(),
                )
            )
        return found

    def close(self) -> None:
        """Nothing to free."""


def last_user(prompt: Prompt) -> str:
    """The last user turn."""
    return next((m.content for m in reversed(messages(prompt)) if m.role == "user"), "")


def _unit(text: str) -> float:
    return (
        int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4], "big") / 2**32
    )


def _vector(text: str) -> np.ndarray:
    vector = np.full(WIDTH, 1e-3, dtype=np.float32)
    for word in text.lower().split():
        vector[int(_unit(word) * WIDTH)] += 1
    return vector / np.linalg.norm(vector)
