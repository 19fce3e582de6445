"""What a joint session keeps of each row: the answer's bytes and every member's view of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from moco.decoding.session import Session
from moco.decoding.text import AnswerText
from moco.engine.jobs import JointRow
from moco.types import Json, Stop, Usage

if TYPE_CHECKING:
    from moco.rendering import Renderer


@dataclass(frozen=True, slots=True)
class Voice:
    """One member as the session uses it; members on one base share its `session`."""

    name: str
    session: Session
    renderer: Renderer
    mixture: Mapping[str, float]
    num_parameters: int

    def sizes(self, ids: Sequence[int]) -> list[int]:
        """Bytes of each token."""
        return [len(self.renderer.bytes_of([token])) for token in ids]


@dataclass(slots=True)
class Own:
    """What one member has of one row."""

    prompt: tuple[int, ...]
    row: int
    """Row in the member's session."""
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

    def gain(self, ids: Sequence[int], sizes: Sequence[int], end: int) -> None:
        """Take on tokens of these sizes for the answer's bytes up to `end`. Where they do not add
        up, as some tokenizers change what they read, they stand for the bytes all together.
        """
        ends = list(itertools.accumulate(sizes, initial=self.covered))[1:]
        self.ids += ids
        self.ends += ends if ends[-1:] == [end] else [end] * len(ids)

    def keep(self, size: int) -> None:
        """Give up the tokens that end beyond so many bytes of the answer."""
        while self.covered > size:
            del self.ids[-1], self.ends[-1]
        self.read_from = min(self.read_from, len(self.ids))


@dataclass(slots=True)
class Line:
    """One row: the answer so far and each member's view of it."""

    index: int
    task: JointRow
    own: list[Own]
    text: AnswerText
    data: bytearray = field(default_factory=bytearray)
    emitted: int = 0
    drawn: int = 0
    logprobs: list[float] = field(default_factory=list)
    authors: list[tuple[int, int]] = field(default_factory=list)
    """(member, bytes) in order of writing; member −1 = the method itself."""
    stop: Stop | None = None
    copy_of: int | None = None
    """The row of which it is a copy, whose text is a method's own business."""
    paid: list[tuple[int, int]] = field(default_factory=list)
    """Of a copy: positions and rolled-back ones of each member in its row at the fork."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a row's answer to come back to."""

    row: int
    size: int
    emitted: int
    logprobs: int
    authors: tuple[tuple[int, int], ...]


def boundary(data: bytes | bytearray) -> int:
    """Length of the longest beginning that does not end inside a character."""
    for back in range(1, min(4, len(data)) + 1):
        lead = data[-back]
        if lead >= 0xC0:
            need = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return len(data) if back >= need else len(data) - back
        if lead < 0x80:
            break
    return len(data)


def cost(line: Line, voices: Sequence[Voice]) -> Usage:
    """What a row cost all members together."""
    return Usage(
        prompt_tokens=sum(len(own.prompt) for own in line.own),
        generated_tokens=line.emitted,
        positions=sum(own.positions for own in line.own),
        rolled_back=sum(own.rolled_back for own in line.own),
        flops=sum(
            2.0 * v.num_parameters * own.positions for v, own in zip(voices, line.own, strict=True)
        ),
        seconds=line.seconds,
    )


def spans(line: Line, names: Sequence[str], start: int, size: int) -> Json:
    """[[writer, bytes], …] of `size` bytes of what was written, from `start`: the answer without
    the thoughts before it and the stop string after it. In order, neighbours of one writer joined;
    "all" in lock-step.
    """
    found: list[list[Any]] = []
    place = 0
    for member, length in line.authors:
        place += length
        size_here = min(place, start + size) - max(place - length, start)
        if size_here <= 0:
            continue
        name = names[member] if member >= 0 else "all"
        if found and found[-1][0] == name:
            found[-1][1] += size_here
        else:
            found.append([name, size_here])
    return found
