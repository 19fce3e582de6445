"""The next tokens of models with different vocabularies as one distribution over pieces of
bytes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from moco.decoding.joint import JointSession
    from moco.rendering import Renderer

STOP = b""
"""The piece that stands for the end of the answer."""


class Words:
    """One member's vocabulary by bytes."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer
        self._ids: dict[bytes, list[int]] = {}
        self._first: dict[bytes, list[int]] = {}
        for index, data in enumerate(self.renderer.token_bytes):
            if data and index not in renderer.stop_ids:
                self._ids.setdefault(data, []).append(index)

    def heard(self, logits_BV: Tensor) -> Tensor:
        """Log-probabilities [row, V] of tokens that write something or end the answer; ids beyond
        the vocabulary and other control tokens have none.
        """
        size = min(logits_BV.shape[1], len(self.renderer.token_bytes))
        found = logits_BV[:, :size].clone()
        controls = self.controls.to(found.device)
        found[:, controls[controls < size]] = -torch.inf
        return found.log_softmax(-1)

    @functools.cached_property
    def controls(self) -> Tensor:
        """Ids that neither write anything nor end an answer."""
        table, stops = self.renderer.token_bytes, self.renderer.stop_ids
        return torch.tensor(
            [i for i, data in enumerate(table) if not data and i not in stops], dtype=torch.long
        )

    def ids(self, data: bytes) -> list[int]:
        """Tokens of exactly these bytes; the stop ids for the stop."""
        return self._ids.get(data, []) if data else sorted(self.renderer.stop_ids)

    def start(self, data: bytes) -> list[int]:
        """Tokens by which the vocabulary would begin to write these bytes."""
        if data not in self._first:
            self._first[data] = self.ids(data) or self._begin(data)
        return self._first[data]

    def _begin(self, data: bytes) -> list[int]:
        try:
            data.decode()
        except UnicodeDecodeError:  # a part of a character
            sizes = range(len(data) - 1, 0, -1)
            return next((self._ids[data[:n]] for n in sizes if data[:n] in self._ids), [])
        return list(self.renderer.inner(data)[:1])


@functools.lru_cache(maxsize=8)
def words_of(renderer: Renderer) -> Words:
    """A member's vocabulary by bytes, made once."""
    return Words(renderer)


@dataclass(frozen=True, slots=True)
class Union:
    """One row's pieces, with every voter's probabilities over them."""

    pieces: tuple[bytes, ...]
    probs_MU: Tensor
    """Fp32 [voter, piece]; each voter's sum to 1, or are all 0 where it gives none of them."""
    ids: tuple[Mapping[int, int], ...]
    """Per piece: voter → its likeliest token of exactly these bytes, where it has one."""


def union(session: JointSession, row: int, logp_V: Mapping[int, Tensor], top_k: int) -> Union:
    """The `top_k` likeliest tokens of each voter (member → log-probabilities [V] as `Words.heard`),
    as pieces of bytes, and what every voter gives each piece.

    All stop ids together are one piece. A piece that a vocabulary lacks
    counts there by the token that it would be begun with. Each voter's probabilities are then
    normalised over the pieces.
    """
    table = {m: words_of(session.voices[m].renderer) for m in logp_V}
    pieces: dict[bytes, None] = {}
    for m, own_V in logp_V.items():
        stops = session.stop_ids(m)
        for token in own_V.topk(min(top_k, len(own_V))).indices.tolist():
            data = STOP if token in stops else session.token_bytes(m, token)
            if data or token in stops:
                pieces.setdefault(data)
    order = sorted(pieces)
    probs, ids = [], [dict[int, int]() for _ in order]
    for m, own_V in logp_V.items():
        known = [_known(table[m], data, len(own_V)) for data in order]
        values = iter(own_V[[i for _, found in known for i in found]].tolist())
        own = []
        for place, (exact, found) in enumerate(known):
            here = [next(values) for _ in found]
            peak = max(here, default=-math.inf)
            own.append(_total(here) if order[place] == STOP else peak)
            if exact and order[place] != STOP:
                ids[place][m] = found[here.index(peak)]
        probs.append(_normalised(own))
    return Union(tuple(order), torch.stack(probs), tuple(ids))


def _known(words: Words, data: bytes, width: int) -> tuple[bool, list[int]]:
    """(whether a vocabulary of `width` logits has the piece, the tokens that count for it)."""
    exact = [i for i in words.ids(data) if i < width]
    return bool(exact), exact or [i for i in words.start(data) if i < width]


def _total(logps: Sequence[float]) -> float:
    peak = max(logps, default=-math.inf)
    if peak == -math.inf:
        return peak
    return peak + math.log(math.fsum(math.exp(x - peak) for x in logps))


def _normalised(logps: Sequence[float]) -> Tensor:
    total = _total(logps)
    if total == -math.inf:
        return torch.zeros(len(logps))
    return torch.tensor([math.exp(x - total) for x in logps])


def voters(session: JointSession, row: int, members: Sequence[int]) -> list[int]:
    """Members that may say what comes next: all, or, inside a character, those that have read its
    beginning.
    """
    if session.whole(row):
        return list(members)
    return [m for m in members if session.covers(m, row)] or list(members)
