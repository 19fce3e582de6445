"""Log-likelihoods of given continuations: batched, and a prompt that several share is read once.

The continuation's tokens are those of `prefix + text`, tokenised as one string after the prompt's
ids, that end after the prefix does (`Renderer.continuation`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from moco.backends.base import Likelihood, ModelSpec, Pair
from moco.decoding.sampling import argmax, logprobs_of
from moco.decoding.session import Session
from moco.errors import PromptTooLongError, clip
from moco.types import Usage

if TYPE_CHECKING:
    from moco.backends.hf import HfBackend

KEPT_POSITIONS = 1024
"""Positions with logits of all the vocabulary that are held at a time."""


@dataclass(slots=True)
class Item:
    """One pair as ids: what is read and which tokens are judged."""

    index: int
    context: tuple[int, ...]
    """Prompt and prefix."""
    judged: tuple[int, ...]
    logprobs: list[float] = field(default_factory=list)
    greedy: bool = True
    """Whether every token judged so far was the likeliest."""
    positions: int = 0

    @property
    def read(self) -> tuple[int, ...]:
        """All ids but the last judged one, which nothing follows."""
        return (self.context + self.judged)[:-1]


@dataclass(slots=True)
class Shared:
    """Items of one model whose contexts start alike."""

    spec: ModelSpec
    items: list[Item]
    trunk: tuple[int, ...] = ()
    """What all of them read first."""
    handle: int = -1

    def find_trunk(self) -> None:
        """The longest start of all items' reading that ends before any judged token."""
        columns = zip(*(item.context for item in self.items), strict=False)
        self.trunk = tuple(column[0] for column in takewhile(lambda c: len(set(c)) == 1, columns))

    @property
    def size(self) -> int:
        """Positions that its rows hold together."""
        longest = max(len(item.read) for item in self.items)
        return len(self.items) * longest

    @property
    def kept(self) -> int:
        """Positions whose logits it needs."""
        return sum(len(item.judged) for item in self.items)


class Scorer:
    """One call of `loglikelihood`."""

    def __init__(self, backend: HfBackend) -> None:
        self.backend = backend

    def score(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """Likelihoods in the pairs' order."""
        groups: dict[tuple[str, str, str], Shared] = {}
        for index, pair in enumerate(pairs):
            key = (pair.spec.fingerprint, repr(pair.spec), repr(pair.prompt))
            group = groups.setdefault(key, Shared(pair.spec, []))
            group.items.append(self._item(index, pair))
        mixtures = {id(g): self.backend.mixture(g.spec) for g in groups.values()}
        session = self.backend.session()
        found: dict[int, Likelihood] = {}
        try:
            for batch in self._batches(list(groups.values())):
                for group in batch:
                    group.handle = session.add(mixture=mixtures[id(group)])[0]
                self._run(session, batch, found)
        finally:
            session.close()
        return [found[index] for index in range(len(pairs))]

    def _item(self, index: int, pair: Pair) -> Item:
        renderer = self.backend.renderer(pair.spec)
        before, judged = renderer.continuation(pair.prefix, pair.text)
        item = Item(index, (*renderer.ids(pair.prompt), *before), judged)
        if 0 < renderer.context < len(item.read):
            raise PromptTooLongError(
                f"model '{pair.spec.name}': prompt and continuation of {len(item.read)} tokens do "
                f"not fit its context of {renderer.context}: {clip(str(pair.prompt))}"
            )
        return item

    def _batches(self, groups: list[Shared]) -> list[list[Shared]]:
        """Groups of like length together, within the token budget."""
        batches: list[list[Shared]] = []
        size = kept = 0
        for group in sorted(groups, key=lambda g: -max(len(item.read) for item in g.items)):
            fits = size + group.size <= self.backend.max_batch_tokens
            if not batches or not fits or kept + group.kept > KEPT_POSITIONS:
                batches.append([])
                size = kept = 0
            group.find_trunk()
            batches[-1].append(group)
            size, kept = size + group.size, kept + group.kept
        return batches

    @torch.inference_mode()
    def _run(self, session: Session, batch: list[Shared], found: dict[int, Likelihood]) -> None:
        start, before = time.perf_counter(), session.positions
        self._read_trunks(session, batch)
        self._read_rest(session, batch)
        items = [item for group in batch for item in group.items]
        share = (time.perf_counter() - start) / max(1, session.positions - before)
        for item in items:
            usage = Usage(
                prompt_tokens=len(item.context),
                positions=item.positions,
                flops=self.backend.flops(item.positions),
                seconds=share * item.positions,
            )
            found[item.index] = Likelihood(tuple(item.logprobs), item.greedy, usage)

    def _read_trunks(self, session: Session, batch: list[Shared]) -> None:
        """Read what each group shares; its last position may already judge first tokens."""
        logits_NV = session.extend([g.handle for g in batch], [g.trunk for g in batch]).logits_NV
        judging: list[Item] = []
        places: list[int] = []
        for place, group in enumerate(batch):
            group.items[0].positions += len(group.trunk)
            found = [i for i in group.items if len(i.context) == len(group.trunk) and i.judged]
            judging += found
            places += [place] * len(found)
        if judging:
            _judge(logits_NV[places], judging, [1] * len(judging))

    def _read_rest(self, session: Session, batch: list[Shared]) -> None:
        """Fork the trunks and read what is left of each item, judging its tokens on the way."""
        rest: list[tuple[int, Item, tuple[int, ...]]] = []
        for group in batch:
            left = [item for item in group.items if len(item.read) > len(group.trunk)]
            handles = [group.handle, *session.fork(group.handle, len(left) - 1)] if left else []
            for item, handle in zip(left, handles, strict=True):
                rest.append((handle, item, item.read[len(group.trunk) :]))
                item.positions += len(rest[-1][2])
            if not left:
                session.free(group.handle)
        while rest:
            rest = self._read_round(session, rest)

    def _read_round(
        self, session: Session, rest: list[tuple[int, Item, tuple[int, ...]]]
    ) -> list[tuple[int, Item, tuple[int, ...]]]:
        """Read on until each row has judged its share of the positions; what is left then."""
        limit = max(1, KEPT_POSITIONS // len(rest))
        chunks, keep, later = [], [], []
        for handle, item, ids in rest:
            wanted = len(item.judged) - len(item.logprobs)
            end = len(ids) - wanted + min(wanted, limit)
            chunks.append(ids[:end])
            keep.append(min(wanted, limit))
            if end < len(ids):
                later.append((handle, item, ids[end:]))
        handles = [handle for handle, _, _ in rest]
        logits_NV = session.extend(handles, chunks, keep).logits_NV
        _judge(logits_NV, [item for _, item, _ in rest], keep)
        staying = {handle for handle, _, _ in later}
        for handle in handles:
            if handle not in staying:
                session.free(handle)
        return later


def _judge(logits_NV: Tensor, items: Sequence[Item], counts: Sequence[int]) -> None:
    """Take the next `counts` judged tokens of each item from the logits, in order."""
    ids = [
        token
        for item, count in zip(items, counts, strict=True)
        for token in item.judged[len(item.logprobs) : len(item.logprobs) + count]
    ]
    ids_N = torch.tensor(ids, device=logits_NV.device)
    logprobs = logprobs_of(logits_NV, ids_N).tolist()
    best = (argmax(logits_NV) == ids_N).tolist()
    first = 0
    for item, count in zip(items, counts, strict=True):
        item.logprobs += logprobs[first : first + count]
        item.greedy = item.greedy and all(best[first : first + count])
        first += count
