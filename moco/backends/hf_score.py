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
from moco.decoding.sampling import logprobs_of
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
    logits: list[Tensor] = field(default_factory=list)
    """Logits before each judged token, in pieces."""
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
        judged = [item for item in items if item.judged]
        if judged:
            logits_NV = torch.cat([piece for item in judged for piece in item.logits])
            ids = [i for item in judged for i in item.judged]
            ids_N = torch.tensor(ids, device=logits_NV.device)
            logprobs = logprobs_of(logits_NV, ids_N).tolist()
            best = (logits_NV.argmax(-1) == ids_N).tolist()
        share = (time.perf_counter() - start) / max(1, session.positions - before)
        first = 0
        for item in items:
            last = first + len(item.judged)
            found[item.index] = Likelihood(
                tuple(logprobs[first:last]) if item.judged else (),
                all(best[first:last]) if item.judged else True,
                Usage(
                    prompt_tokens=len(item.context), positions=item.positions,
                    flops=self.backend.flops(item.positions), seconds=share * item.positions,
                ),
            )
            first = last
            item.logits.clear()

    def _read_trunks(self, session: Session, batch: list[Shared]) -> None:
        """Read what each group shares; its last position may already judge first tokens."""
        logits_NV = session.extend([g.handle for g in batch], [g.trunk for g in batch]).logits_NV
        for group, logits_V in zip(batch, logits_NV, strict=True):
            group.items[0].positions += len(group.trunk)
            for item in group.items:
                if len(item.context) == len(group.trunk) and item.judged:
                    item.logits.append(logits_V[None])

    def _read_rest(self, session: Session, batch: list[Shared]) -> None:
        """Fork the trunks and read what is left of each item, keeping what judges its tokens."""
        rows, chunks, keep, owners = [], [], [], []
        for group in batch:
            left = [item for item in group.items if len(item.read) > len(group.trunk)]
            handles = [group.handle, *session.fork(group.handle, len(left) - 1)] if left else []
            for item, handle in zip(left, handles, strict=True):
                rows.append(handle)
                chunks.append(item.read[len(group.trunk) :])
                keep.append(len(item.judged) - len(item.logits))
                owners.append(item)
                item.positions += len(chunks[-1])
            if not left:
                session.free(group.handle)
        if rows:
            logits_NV = session.extend(rows, chunks, keep).logits_NV
            for item, piece in zip(owners, torch.split(logits_NV, keep), strict=True):
                item.logits.append(piece)
            for row in rows:
                session.free(row)
