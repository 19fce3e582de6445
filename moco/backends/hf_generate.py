"""Generation with continuous admission: rows join a running batch as others leave it.

One forward pass reads the next token of every running row and the whole prompts of rows that have
just joined, packed without padding. A row whose prompt begins like that of a running row of the
same model takes over its keys and values, and reads only what is new: k samples of one prompt read
it once. A finished row is delivered at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from moco.backends.base import Feed, Row
from moco.decoding.sampling import argmax, draw, logprobs_of, uniforms
from moco.decoding.session import Session
from moco.decoding.text import CLOSE, OPEN, AnswerText
from moco.errors import Cancelled, InputError, PromptTooLongError, clip, not_finite
from moco.rendering import Renderer
from moco.types import Generation, Stop, Usage

if TYPE_CHECKING:
    from moco.backends.hf import HfBackend

SHARED = 32
"""Tokens that two prompts have to begin with alike for the second to take over the first's."""
ASKED = 8
"""Rows that are looked at for that, the latest."""
WINDOW = 4
"""How many times the batch's rows are taken from the feed at once, to sort them by length."""


@dataclass(slots=True)
class Live:
    """A row from its rendering to its end."""

    row: Row
    prompt: tuple[int, ...]
    renderer: Renderer
    mixture: Mapping[str, float]
    text: AnswerText
    handle: int = -1
    held: int = 0
    """Tokens of the prompt that were taken over from another row."""
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[tuple[tuple[str, float], ...]] = field(default_factory=list)
    positions: int = 0
    seconds: float = 0.0
    stop: Stop | None = None

    @property
    def reserved(self) -> int:
        """Positions that the row may come to hold."""
        return len(self.prompt) + self.row.request.sampling.max_tokens

    @property
    def unread(self) -> tuple[int, ...] | list[int]:
        """What the next forward pass has to read."""
        return self.ids[-1:] if self.ids else self.prompt[self.held :]

    @property
    def begins(self) -> tuple[object, ...]:
        """What rows that can share have in common: model, mixture and first tokens."""
        mixture = tuple(sorted(self.mixture.items()))
        return self.row.spec.base_key, mixture, self.prompt[:SHARED]

    def shares(self, other: Live) -> int:
        """Tokens with which both prompts begin; the last of this one is always read."""
        low, high = 0, min(len(self.prompt) - 1, len(other.prompt))
        while low < high:
            middle = (low + high + 1) // 2
            if self.prompt[low:middle] == other.prompt[low:middle]:
                low = middle
            else:
                high = middle - 1
        return low


class Generator:
    """One run over a feed."""

    def __init__(self, backend: HfBackend, feed: Feed) -> None:
        self.backend, self.feed = backend, feed
        self.waiting: list[Live] = []
        self.live: list[Live] = []
        self.session: Session = backend.session()

    def run(self) -> None:
        """Until the feed gives no more rows and all have left."""
        try:
            self._take()
            while self.waiting or self.live:
                self._admit()
                self._step()
                self._leave()
                if not self.waiting:
                    self._take()
        finally:
            self.session.close()

    def _take(self) -> None:
        """Fetch rows, render them, and line them up: those that may need most room first."""
        if len(self.live) >= self.backend.max_rows:
            return
        while rows := self.feed.take(WINDOW * self.backend.max_rows - len(self.waiting)):
            for row in rows:
                try:
                    self._prepare(row)
                except InputError as error:
                    self.feed.failed(row, error)
            if len(self.waiting) >= WINDOW * self.backend.max_rows:
                break
        self.waiting.sort(key=lambda live: (-live.reserved, live.prompt))

    def _prepare(self, row: Row) -> None:
        request, sampling = row.request, row.request.sampling
        renderer = self.backend.renderer(row.spec)
        prompt = renderer.ids(request.prompt, request.prefix)
        if sampling.max_tokens < 1:
            raise InputError(f"max_tokens must be at least 1, not {sampling.max_tokens}")
        if 0 < renderer.context < len(prompt) + sampling.max_tokens:
            raise PromptTooLongError(
                f"model '{row.spec.name}': a prompt of {len(prompt)} tokens with max_tokens "
                f"{sampling.max_tokens} does not fit its context of {renderer.context}: "
                f"{clip(str(request.prompt))}"
            )
        opened = renderer.decode(prompt[-4:]).rstrip().endswith(OPEN)
        thinking = opened or request.prefix.rfind(OPEN) > request.prefix.rfind(CLOSE)
        mixture = self.backend.mixture(row.spec)
        text = AnswerText(sampling.stop, thinking)
        self.waiting.append(Live(row, prompt, renderer, mixture, text))

    def _admit(self) -> None:
        """Let waiting rows join while their slots fit the budget; alone, any row may. A row that
        can take over what another is about to read waits for it.
        """
        longest = max((live.reserved for live in self.live), default=0)
        known: dict[tuple[object, ...], list[Live]] = {}
        for live in self.live:
            known.setdefault(live.begins, []).append(live)
        later: list[Live] = []
        while self.waiting and len(self.live) < self.backend.max_rows:
            new = self.waiting[0]
            longest = max(longest, new.reserved)
            if self.live and longest * (len(self.live) + 1) > self.backend.max_batch_tokens:
                break
            self.waiting.pop(0)
            if self.feed.cancelled(new.row):
                self.feed.failed(new.row, Cancelled("cancelled"))
                continue
            self.session.bank = self.backend.bank
            alike = known.setdefault(new.begins, [])
            donor, length = _donor(new, alike)
            if donor is not None and not donor.ids:
                later.append(new)
                continue
            if donor is None:
                new.handle = self.session.add(mixture=new.mixture)[0]
            else:
                new.handle, new.held = self.session.fork(donor.handle, 1, length)[0], length
            alike.append(new)
            self.live.append(new)
        self.waiting[:0] = later

    @torch.inference_mode()
    def _step(self) -> None:
        """One token for every live row."""
        if not self.live:
            return
        start = time.perf_counter()
        chunks = [live.unread for live in self.live]
        logits_BV = self.session.extend([live.handle for live in self.live], chunks).logits_NV
        ids_B = self._draw(logits_BV)
        logprobs = logprobs_of(logits_BV, ids_B).tolist()
        for live, index, logprob in zip(self.live, ids_B.tolist(), logprobs, strict=True):
            live.logprobs.append(logprob)
            self._advance(live, index)
        self._note_top(logits_BV)
        share = (time.perf_counter() - start) / sum(map(len, chunks))
        for live, chunk in zip(self.live, chunks, strict=True):
            live.positions += len(chunk)
            live.seconds += share * len(chunk)

    def _draw(self, logits_BV: Tensor) -> Tensor:
        samplings = [live.row.request.sampling for live in self.live]
        temperatures = [sampling.temperature for sampling in samplings]
        if not any(temperatures):
            return argmax(logits_BV)
        uniforms_B = uniforms([v.row.seed for v in self.live], [len(v.ids) for v in self.live])
        return draw(logits_BV, uniforms_B, temperatures, [s.top_p for s in samplings])

    def _note_top(self, logits_BV: Tensor) -> None:
        """The likeliest alternatives of the rows that ask for them."""
        for index, live in enumerate(self.live):
            count = min(live.row.request.top_logprobs, logits_BV.shape[1])
            if count > 0:
                top = torch.log_softmax(logits_BV[index].float(), -1).topk(count)
                pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
                live.top.append(tuple((live.renderer.decode([i]), value) for i, value in pairs))

    def _advance(self, live: Live, index: int) -> None:
        """Take the token into the row, tell the listener, and see whether the row has ended."""
        live.ids.append(index)
        if index in live.renderer.stop_ids:
            live.stop = "eos"
            return
        shown = live.text.feed(live.renderer.bytes_of([index]))
        if live.text.stopped:
            live.stop = "stop"
        elif len(live.ids) >= live.row.request.sampling.max_tokens:
            live.stop = "length"
        if shown and self.feed.listens(live.row):
            self.feed.token(live.row, shown)

    def _leave(self) -> None:
        """Deliver finished rows and drop cancelled ones; their slots are free at once."""
        staying = []
        for live in self.live:
            if live.logprobs and not live.logprobs[-1] > -torch.inf:
                self.session.free(live.handle, wipe=True)
                self.feed.failed(live.row, not_finite(live.row.spec.name))
            elif live.stop is not None:
                self.session.free(live.handle)
                self._deliver(live)
            elif self.feed.cancelled(live.row):
                self.session.free(live.handle)
                self.feed.failed(live.row, Cancelled("cancelled"))
            else:
                staying.append(live)
        self.live = staying

    def _deliver(self, live: Live) -> None:
        rest = live.text.finish()
        if rest and self.feed.listens(live.row):
            self.feed.token(live.row, rest)
        reasoning, text = live.text.split()
        usage = Usage(
            prompt_tokens=len(live.prompt),
            generated_tokens=len(live.ids),
            positions=live.positions,
            flops=self.backend.flops(live.positions),
            seconds=live.seconds,
        )
        assert live.stop is not None
        self.feed.done(
            live.row,
            Generation(
                text=text,
                stop="length" if live.text.unclosed else live.stop,
                usage=usage,
                logprobs=tuple(live.logprobs),
                token_ids=tuple(live.ids),
                top=tuple(live.top),
                reasoning=reasoning,
            ),
        )


def _donor(new: Live, alike: list[Live]) -> tuple[Live | None, int]:
    """The row that shares most with a new one, and how much; None below `SHARED` tokens or half of
    its prompt.
    """
    best, most = None, max(SHARED, len(new.prompt) // 2) - 1
    for live in alike[-ASKED:]:
        length = new.shares(live)
        if length > most:
            best, most = live, length
    return best, most
