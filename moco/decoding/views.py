"""A member's view of a row: its own token ids for the answer's bytes, and what it has read of them.

Invariant: bytes(own ids) + pending bytes = answer bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from torch import Tensor

from moco.decoding.session import Session

if TYPE_CHECKING:
    from moco.rendering import Renderer
    from moco.types import Prompt

HEALED = 2
"""Tokens that are tokenised anew with what follows."""
LONGEST = 4
"""Bytes of the longest character."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One member as the session uses it; members on one base share its `session`."""

    name: str
    session: Session
    renderer: Renderer
    mixture: Mapping[str, float]
    num_parameters: int

    def open(self, prompt: Prompt) -> Own:
        """Its view of a new row."""
        return Own(self, self.renderer.ids(prompt), self.session.add(1, self.mixture)[0])

    def sizes(self, ids: Sequence[int]) -> list[int]:
        """Bytes of each token."""
        return [len(self.renderer.bytes_of([token])) for token in ids]


@dataclass(slots=True)
class Own:
    """What one member has of one row."""

    voice: Voice
    prompt: tuple[int, ...]
    row: int
    """Row in the member's session; −1 once it is given back."""
    ids: list[int] = field(default_factory=list)
    """Token ids of the answer so far, in the member's vocabulary."""
    ends: list[int] = field(default_factory=list)
    """Where in the answer's bytes each of them ends."""
    read_from: int = 0
    """Ids from this place on are the member's tokens for what others wrote."""
    read: int = 0
    """Positions of prompt + ids that the model has read."""
    heard: Tensor | None = None
    """Next-token logits [V] after the `read` positions; None after a rollback."""
    state: Tensor | None = None
    """Final hidden state [W] that belongs to `heard`."""
    positions: int = 0
    rolled_back: int = 0

    @property
    def covered(self) -> int:
        """Bytes of the answer that `ids` stand for."""
        return self.ends[-1] if self.ends else 0

    def most(self, size: int) -> int:
        """Positions that prompt and answer take at most when the answer has so many bytes: what is
        not tokenised yet may take one for each byte.
        """
        return len(self.prompt) + len(self.ids) + size - self.covered

    def since(self, start: int) -> list[tuple[int, int]]:
        """(first byte, token id) of the tokens that begin at byte `start` or later, in order."""
        found = []
        for i in reversed(range(len(self.ids))):
            place = self.ends[i - 1] if i else 0
            if place < start:
                break
            found.append((place, self.ids[i]))
        return found[::-1]

    def gain(self, ids: Sequence[int], sizes: Sequence[int], end: int) -> None:
        """Take on tokens of these sizes for the answer's bytes up to `end`. Where they do not add
        up, as some tokenizers change what they read, they stand for the bytes all together.
        """
        ends = list(itertools.accumulate(sizes, initial=self.covered))[1:]
        self.ids += ids
        self.ends += ends if ends[-1:] == [end] else [end] * len(ids)

    def keep(self, size: int) -> None:
        """Give up the tokens that end beyond so many bytes of the answer, and forget them."""
        while self.covered > size:
            del self.ids[-1], self.ends[-1]
        self.read_from = min(self.read_from, len(self.ids))
        self.forget()

    def forget(self) -> None:
        """Forget what was read beyond the own ids."""
        held = len(self.prompt) + len(self.ids)
        if self.read > held:
            self.rolled_back += self.voice.session.rollback(self.row, held)
            self.read = held
            self.heard = self.state = None

    def catch_up(self, data: bytearray, heals: bool) -> None:
        """Tokenise what others wrote of the answer, up to the last complete character."""
        last = max(len(data) - LONGEST, 0)
        end = last + boundary(data[last:])
        if end <= self.covered:
            return
        tail = data[max(self.covered - LONGEST, 0) : self.covered]
        begun = len(tail) - boundary(tail)
        if begun and data[self.covered] & 0xC0 == 0x80:
            self.keep(self.covered - begun)  # others ended the character that it had begun
        if heals:
            self._heal(data, end)
        else:
            ids = self.voice.renderer.inner(bytes(data[self.covered : end]))
            self.gain(ids, self.voice.sizes(ids), end)

    def _heal(self, data: bytearray, end: int) -> None:
        """Tokenise what others wrote together with up to `HEALED` tokens before it that others
        wrote as well, where that joins what was cut within a word.
        """
        before = max(self.read_from, len(self.ids) - HEALED)
        while self.read_from < before < len(self.ids) and self._together(before):
            before -= 1
        start = self.ends[before - 1] if before else 0
        ids = self.voice.renderer.inner(bytes(data[start:end]))
        same = before
        while self.ids[same : same + 1] == list(ids[same - before : same - before + 1]) != []:
            same += 1
        while before < same < len(self.ids) and self._together(same):
            same -= 1
        del self.ids[same:], self.ends[same:]
        self.forget()
        self.gain(ids[same - before :], self.voice.sizes(ids[same - before :]), end)

    def _together(self, place: int) -> bool:
        """Whether this token and the one before it stand for their bytes only together."""
        return self.ends[place - 1] == self.ends[place]

    def fork(self) -> Own:
        """A copy that continues from here, with nothing paid yet."""
        copy = self.voice.session.fork(self.row, 1)[0]
        return replace(
            self, row=copy, ids=list(self.ids), ends=list(self.ends), positions=0, rolled_back=0
        )

    def free(self) -> None:
        """Give the row back."""
        if self.row >= 0:
            self.voice.session.free(self.row)
        self.row, self.heard, self.state = -1, None, None


def boundary(data: bytes | bytearray) -> int:
    """Length of the longest beginning that does not end inside a character."""
    for back in range(1, min(LONGEST, len(data)) + 1):
        lead = data[-back]
        if lead >= 0xC0:
            need = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return len(data) if back >= need else len(data) - back
        if lead < 0x80:
            break
    return len(data)
