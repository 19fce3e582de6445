"""What a joint session keeps of each row: the answer's bytes, who wrote them, and every member's
view of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moco.decoding.text import AnswerText
from moco.decoding.views import Own
from moco.engine.jobs import JointRow
from moco.types import Generation, Json, Stop, Usage


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a row's answer to come back to."""

    row: int
    size: int
    emitted: int
    logprobs: int
    authors: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Line:
    """One row: the answer so far and each member's view of it."""

    index: int
    task: JointRow
    own: list[Own]
    text: AnswerText
    data: bytearray = field(default_factory=bytearray)
    draft: list[int] = field(default_factory=list)
    """Ids that may come next, which members of one vocabulary read ahead."""
    emitted: int = 0
    drawn: int = 0
    logprobs: list[float] = field(default_factory=list)
    authors: list[tuple[int, int]] = field(default_factory=list)
    """(member, bytes) in order of writing; member −1 = the method itself."""
    notes: dict[str, Json] = field(default_factory=dict)
    """What the method tells of the row."""
    stop: Stop | None = None
    copy_of: int | None = None
    """The row of which it is a copy, whose text is a method's own business."""
    paid: list[tuple[int, int]] = field(default_factory=list)
    """Of a copy: positions and rolled-back ones of each member in its row at the fork."""
    seconds: float = 0.0

    def write(self, data: bytes, author: int) -> None:
        """Append bytes to the answer; no member has tokens for them yet."""
        self.data += data
        self.authors.append((author, len(data)))
        self.text.feed(data)

    def gain(self, data: bytes, ids: Mapping[int, int], author: int, heals: bool) -> None:
        """Append bytes that are one token each to the members in `ids`."""
        for member in ids:
            self.own[member].catch_up(self.data, heals)
        whole = [m for m in ids if self.own[m].covered == len(self.data)]
        self.write(data, author)
        for m in whole:  # where a character is under way the token's bytes come with the rest
            own = self.own[m]
            own.gain([ids[m]], [len(data)], len(self.data))
            own.read_from = len(own.ids)

    def undraft(self) -> None:
        """Take the draft back."""
        if self.draft:
            self.draft.clear()
            for own in self.own:
                own.forget()

    def fits(self, heals: bool) -> bool:
        """Whether every member's context holds its tokens for the answer so far."""
        for own in self.own:
            context = own.voice.renderer.context
            if context and own.most(len(self.data)) > context:
                own.catch_up(self.data, heals)
                if own.most(len(self.data)) > context:
                    return False
        return True

    def mark(self) -> Mark:
        """Remember this place."""
        size, logprobs = len(self.data), len(self.logprobs)
        return Mark(self.index, size, self.emitted, logprobs, tuple(self.authors))

    def rollback(self, mark: Mark) -> None:
        """Take back what was gained since the mark, the end of a copy among it."""
        self.stop = None
        self.undraft()
        del self.data[mark.size :]
        del self.logprobs[mark.logprobs :]
        self.emitted, self.authors = mark.emitted, list(mark.authors)
        self.text = self._text()
        for own in self.own:
            own.keep(mark.size)

    def fork(self, index: int) -> Line:
        """A copy under this index, with notes of its own."""
        self.undraft()
        return Line(
            index, self.task, [own.fork() for own in self.own], self._text(), bytearray(self.data),
            emitted=self.emitted, drawn=self.drawn, logprobs=list(self.logprobs),
            authors=list(self.authors), copy_of=self.index,
            paid=[(own.positions, own.rolled_back) for own in self.own],
        )  # fmt: skip

    def _text(self) -> AnswerText:
        text = AnswerText(self.task.sampling.stop)
        text.feed(bytes(self.data))
        return text

    def become(self, copy: Line) -> None:
        """Go on as the copy; what was read here since the fork counts as rolled back."""
        copy.undraft()
        for old, new, (positions, rolled_back) in zip(self.own, copy.own, copy.paid, strict=True):
            new.rolled_back += rolled_back + old.positions - positions
            new.positions += old.positions
        self.free()
        self.own, self.text, self.data, self.draft = copy.own, copy.text, copy.data, []
        self.emitted, self.drawn = copy.emitted, max(copy.drawn, self.drawn)
        self.logprobs, self.authors, self.stop = copy.logprobs, copy.authors, None

    def lose(self, copy: Line) -> None:
        """Let a copy go; what it read counts as rolled back here."""
        for own, lost in zip(self.own, copy.own, strict=True):
            own.positions += lost.positions
            own.rolled_back += lost.positions
        self.drawn = max(self.drawn, copy.drawn)
        copy.free()

    def free(self) -> None:
        """Give the row back to every member."""
        for own in self.own:
            own.free()

    def outcome(self, names: Sequence[str], why: Stop) -> Generation:
        """The answer that ends here."""
        self.text.finish()
        reasoning, text = self.text.split()
        size = len(text.encode())
        start = len(self.text.text.encode()) - size if reasoning else 0
        stop = "length" if self.text.unclosed and why == "eos" else why
        return Generation(
            text, stop, self._cost(), logprobs=tuple(self.logprobs), reasoning=reasoning,
            notes={"spans": self._spans(names, start, size), **self.notes},
        )  # fmt: skip

    def _cost(self) -> Usage:
        """What the row cost all members together."""
        return Usage(
            prompt_tokens=sum(len(own.prompt) for own in self.own),
            generated_tokens=self.emitted,
            positions=sum(own.positions for own in self.own),
            rolled_back=sum(own.rolled_back for own in self.own),
            flops=sum(2.0 * own.voice.num_parameters * own.positions for own in self.own),
            seconds=self.seconds,
        )

    def _spans(self, names: Sequence[str], start: int, size: int) -> Json:
        """[[writer, bytes], …] of `size` bytes of what was written, from `start`: the answer
        without the thoughts before it and the stop string after it. In order, neighbours of one
        writer joined; "all" in lock-step.
        """
        found: list[list[Any]] = []
        place = 0
        for member, length in self.authors:
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
