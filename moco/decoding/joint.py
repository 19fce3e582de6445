"""Several models write one answer, token by token, each with its own vocabulary and cache.

The shared state of a row is the bytes of its answer. Each member keeps its own token ids for those
bytes (see `views`); what others wrote it reads as one chunk when it is next asked, tokenised with
its own vocabulary and never cutting a character. Every token is read once per member; only
rolled-back tokens are read again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from moco.backends.base import ModelSpec
from moco.decoding import sampling
from moco.decoding.lines import Line, Mark
from moco.decoding.reading import Part, read
from moco.decoding.text import AnswerText
from moco.decoding.views import Voice, boundary
from moco.engine.jobs import JointRow
from moco.errors import Cancelled, InputError
from moco.types import Generation, Json, Sampling, Stop

if TYPE_CHECKING:
    from moco.backends.hf import HfBackend
    from moco.methods.base import JointMethod

Done = Callable[[int, Generation], None]
T = TypeVar("T")
ROOM = 64
"""Rows that are written at a time."""


class JointSession:
    """The rows of one joint job; `live` are those being written, at most `room` of them at a time:
    a row that ends makes room for the next.
    """

    def __init__(
        self,
        voices: Sequence[Voice],
        tasks: Sequence[JointRow],
        done: Done | None = None,
        cancelled: Callable[[], bool] | None = None,
        room: int = ROOM,
    ) -> None:
        self.voices = list(voices)
        self.names = [v.name for v in voices]
        self.device = voices[0].session.device
        """Where all members' logits come together, on whatever device each of them is."""
        self._done, self._cancelled, self._room = done, cancelled, room
        self._lines: dict[int, Line] = {}
        self._writing: dict[int, Line] = {}
        """Those that are open and no copies."""
        self._waiting = deque(enumerate(tasks))
        self._next = len(tasks)
        self.results: dict[int, Generation] = {}
        self._clock = time.monotonic()
        self.heals = False
        """Whether a member joins what others wrote to the tokens before it, where its vocabulary
        would have; a method may say so before it writes.
        """
        self.shared_stops = frozenset[int]().union(*(v.renderer.stop_ids for v in voices))
        """Ids that end what is written with `shared`: at first all members' stop ids."""
        self._admit()

    def _admit(self) -> None:
        """Open waiting rows while there is room."""
        for _ in range(min(self._room - len(self._writing), len(self._waiting))):
            index, task = self._waiting.popleft()
            self._lines[index] = self._writing[index] = self._open(index, task)

    def _open(self, index: int, task: JointRow) -> Line:
        own = [v.open(prompt) for v, prompt in zip(self.voices, task.prompts, strict=True)]
        return Line(index, task, own, AnswerText(task.sampling.stop))

    @property
    def live(self) -> list[int]:
        """Rows being written, in order, those that ended since the last time replaced by waiting
        ones; raises Cancelled when the job was cancelled.
        """
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("cancelled")
        self._tick()
        self._admit()
        return list(self._writing)

    def _tick(self) -> None:
        """Share the time since the last tick among the rows."""
        now = time.monotonic()
        for line in self._writing.values():
            line.seconds += (now - self._clock) / len(self._writing)
        self._clock = now

    def answer(self, row: int) -> bytes:
        """The row's answer so far."""
        return bytes(self._lines[row].data)

    def whole(self, row: int) -> bool:
        """Whether the answer so far ends on a complete character."""
        data = self._lines[row].data
        return boundary(data) == len(data)

    def covers(self, member: int, row: int) -> bool:
        """Whether the member's own ids stand for the whole answer, an incomplete character at its
        end included.
        """
        line = self._lines[row]
        line.own[member].catch_up(line.data, self.heals)
        return line.own[member].covered == len(line.data)

    def stop_ids(self, member: int) -> frozenset[int]:
        """Token ids that end an answer of this member."""
        return self.voices[member].renderer.stop_ids

    def token_bytes(self, member: int, token: int) -> bytes:
        """Bytes of a token; control tokens have none."""
        return self.voices[member].renderer.bytes_of([token])

    def sampling_of(self, row: int) -> Sampling:
        """How the row's tokens are to be drawn."""
        return self._lines[row].task.sampling

    def notes(self, row: int) -> dict[str, Json]:
        """What is told of the row with its answer, besides who wrote it: the method's to fill."""
        return self._lines[row].notes

    def is_live(self, row: int) -> bool:
        """Whether the row is still being written."""
        return self._lines[row].stop is None

    def logits(self, member: int, rows: Sequence[int]) -> Tensor:
        """The member's next-token logits after each row's answer and draft, fp32 [rows, V].

        Reads what the member has not read yet; an incomplete character at the end is left out.
        """
        self._read([(member, row) for row in dict.fromkeys(rows)])
        heard = torch.stack([_known(self._lines[row].own[member].heard) for row in rows])
        return heard.to(self.device).float()

    def logits_each(self, rows: Sequence[int]) -> list[Tensor]:
        """`logits` of every member; members on one base share one forward pass."""
        self._read([(m, row) for m in range(len(self.voices)) for row in dict.fromkeys(rows)])
        return [self.logits(m, rows) for m in range(len(self.voices))]

    def hidden(self, member: int, rows: Sequence[int]) -> Tensor:
        """The member's final hidden state after each row's answer, [rows, W]."""
        self._read([(member, row) for row in dict.fromkeys(rows)])
        return torch.stack([_known(self._lines[row].own[member].state) for row in rows])

    def options(self, member: int, rows: Sequence[int], texts: Sequence[str]) -> Tensor:
        """Log-likelihood (nats) of each text as the next thing in each row, [rows, texts]."""
        first = self.logits(member, rows).cpu()
        voice = self.voices[member]
        scores = torch.zeros(len(rows), len(texts))
        for i, row in enumerate(rows):
            own = self._lines[row].own[member]
            for j, text in enumerate(texts):
                ids = list(voice.renderer.inner(text.encode()))
                total = float(sampling.logprobs_of(first[i : i + 1], torch.tensor(ids[:1]))[0])
                if len(ids) > 1:
                    copy = voice.session.fork(own.row, 1)[0]
                    found = voice.session.extend([copy], [ids[:-1]], [len(ids) - 1]).logits_NV.cpu()
                    total += float(sampling.logprobs_of(found, torch.tensor(ids[1:])).sum())
                    voice.session.free(copy)
                    own.positions += len(ids) - 1
                    own.rolled_back += len(ids) - 1
                scores[i, j] = total
        return scores

    def logits_along(self, member: int, rows: Sequence[int], counts: Sequence[int]) -> list[Tensor]:
        """The member's logits before each of the last `counts[i]` of its own token ids and after
        the last, one fp32 [counts[i] + 1, V] per row; in one pass, which reads them. Ids of a
        `draft` count as its own.

        For a draft that others wrote: of ids the member has read already the logits are gone, and
        that is a ValueError.
        """
        first = [self._lines[row].own[member] for row in rows]
        held = [own.heard for own in first]
        lengths = [own.read for own in first]
        kept = self._read([(member, row) for row in rows], [count + 1 for count in counts])
        found = []
        for row, own, count, before, length, along in zip(
            rows, first, counts, held, lengths, kept, strict=True
        ):
            along = _known(own.heard)[None] if along is None else along
            if own.read - length == count and before is not None and count:
                along = torch.cat([before[None], along])
            if len(along) != count + 1:
                raise ValueError(f"row {row} has read {count} ids of its draft already")
            found.append(along.to(self.device).float())
        return found

    def uniforms(self, rows: Sequence[int]) -> Tensor:
        """One number in [0, 1) per row from its own stream, fp32 [rows]."""
        lines = [self._lines[row] for row in rows]
        found = sampling.uniforms([x.task.seed for x in lines], [x.drawn for x in lines])
        for line in lines:
            line.drawn += 1
        return found

    def draw(self, rows: Sequence[int], logits_BV: Tensor) -> list[int]:
        """One token per row by its own sampling settings and random stream."""
        own = [self._lines[row].task.sampling for row in rows]
        uniforms = self.uniforms(rows)
        heat, top_p = [s.temperature for s in own], [s.top_p for s in own]
        return sampling.draw(logits_BV, uniforms, heat, top_p).tolist()

    def emit(
        self,
        member: int,
        rows: Sequence[int],
        ids: Sequence[int],
        logits_BV: Tensor | None = None,
        *,
        shared: bool = False,
        authors: Sequence[int] = (),
    ) -> None:
        """Append one token of the member to each row; a row that is then complete ends.

        A stop id ends the row. With `shared` all members have this vocabulary and take the same id;
        `authors` says who is named as its writer in each row, by default all of them (−1).
        `logits_BV`, where given, are what the token's log-probability is read from.
        """
        logprobs = [0.0] * len(rows)
        if logits_BV is not None:
            chosen = torch.tensor(list(ids), device=logits_BV.device)
            logprobs = sampling.logprobs_of(logits_BV, chosen).tolist()
        named = authors or [-1 if shared else member] * len(rows)
        for row, token, logprob, author in zip(rows, ids, logprobs, named, strict=True):
            line = self._lines[row]
            line.emitted += 1
            line.logprobs.append(logprob)
            if token in (self.shared_stops if shared else self.stop_ids(member)):
                self._end(line, "eos")
                continue
            if shared and line.draft[:1] == [token]:
                del line.draft[0]
            else:
                line.undraft()
            owners = range(len(self.voices)) if shared else (member,)
            data = self.token_bytes(member, token)
            line.gain(data, dict.fromkeys(owners, token), author, self.heals)
            self._full(line)

    def say(self, row: int, data: bytes, ids: Mapping[int, int], logprob: float = 0.0) -> None:
        """Append a token that the members agreed on, as bytes: those in `ids` have it in their own
        vocabulary, the others read the bytes with whatever follows.
        """
        line = self._lines[row]
        line.undraft()
        line.emitted += 1
        line.logprobs.append(logprob)
        line.gain(data, ids, -1, self.heals)
        self._full(line)

    def step(self, member: int, rows: Sequence[int]) -> None:
        """One token of the member's own per row."""
        if rows:
            logits_BV = self.logits(member, rows)
            self.emit(member, rows, self.draw(rows, logits_BV), logits_BV)

    def append(self, rows: Sequence[int], data: bytes) -> None:
        """Append bytes that the method itself writes."""
        for row in rows:
            line = self._lines[row]
            line.undraft()
            line.write(data, -1)
            if line.copy_of is None:  # else whoever reads the copy asks `holds` before
                self._full(line)

    def holds(self, member: int, row: int, data: bytes) -> bool:
        """Whether the member's context has room for the row's answer, these bytes behind it, and
        one token more.
        """
        line, renderer = self._lines[row], self.voices[member].renderer
        line.own[member].catch_up(line.data, self.heals)
        used = line.own[member].most(len(line.data))
        return not renderer.context or used + len(renderer.inner(data)) < renderer.context

    def draft(self, rows: Sequence[int], ids: Sequence[int]) -> None:
        """Guess one more token behind each row's answer and draft, for members of one vocabulary to
        read ahead; nothing is written, and no row ends.

        A token emitted with `shared` that is the first of the draft keeps what was read of it, and
        the rest stands; whatever else happens to the row takes the draft back.
        """
        for row, token in zip(rows, ids, strict=True):
            self._lines[row].draft.append(token)

    def mark(self, row: int) -> Mark:
        """Remember where the row is."""
        return self._lines[row].mark()

    def rollback(self, mark: Mark) -> None:
        """Take back everything the row has gained since the mark; random numbers are not reused.

        What members have read of the bytes before the mark they keep, as far as their tokens end
        there. Of rows that have ended only copies can be rolled back.
        """
        line = self._lines[mark.row]
        if line.stop is not None and line.copy_of is None:
            raise ValueError("a row that has ended cannot be rolled back")
        line.rollback(mark)

    def tokens(self, member: int, row: int, start: int) -> list[tuple[int, int]]:
        """(first byte, token id) of the member's own tokens that begin at byte `start` of the
        answer or later, in order; what others wrote is tokenised first.
        """
        line = self._lines[row]
        line.own[member].catch_up(line.data, self.heals)
        return line.own[member].since(start)

    def fork(self, row: int, count: int) -> list[int]:
        """Copies that continue from this row, to try something: they are not among `live`, nothing
        is delivered of them, and each has to be adopted or dropped.
        """
        made = range(self._next, self._next + count)
        self._next += count
        self._lines |= {index: self._lines[row].fork(index) for index in made}
        return list(made)

    def adopt(self, copy: int) -> None:
        """The row becomes what its copy is; where the copy had ended, the row ends. What the row
        itself read since the fork counts as rolled back.
        """
        new = self._lines.pop(copy)
        line = self._lines[_known(new.copy_of)]
        line.become(new)
        if new.stop is not None:
            self._end(line, new.stop)

    def drop(self, copies: Iterable[int]) -> None:
        """Let copies go; what they read counts as rolled back in their rows."""
        for copy in copies:
            gone = self._lines.pop(copy)
            self._lines[_known(gone.copy_of)].lose(gone)

    def finish(self, rows: Iterable[int], why: Stop) -> None:
        """End rows; their results are delivered at once."""
        for row in rows:
            if self._lines[row].stop is None:
                self._end(self._lines[row], why)

    def lock_step(self, combine: Callable[[Sequence[Tensor]], Tensor]) -> None:
        """Members of one vocabulary: draw every token from the combined distribution."""
        while rows := self.live:
            logits_BV = combine(self.logits_each(rows))
            self.emit(0, rows, self.draw(rows, logits_BV), logits_BV, shared=True)

    def close(self) -> None:
        """Give every row of every member back."""
        for line in self._lines.values():
            line.free()

    def _read(
        self, asked: Sequence[tuple[int, int]], keep: Sequence[int] = ()
    ) -> list[Tensor | None]:
        """Let members read what they have not read in these (member, row), in one pass per loaded
        base; the logits of so many last positions of each that read anything, where not only the
        last are wanted.
        """
        parts = []
        for (member, row), count in zip(asked, keep or [1] * len(asked), strict=True):
            line = self._lines[row]
            line.own[member].catch_up(line.data, self.heals)
            parts.append(Part(line.own[member], line.draft, count))
        return read(parts)

    def _full(self, line: Line) -> None:
        if line.text.stopped:
            self._end(line, "stop")
        elif line.emitted >= line.task.sampling.max_tokens or not line.fits(self.heals):
            self._end(line, "length")

    def _end(self, line: Line, why: Stop) -> None:
        self._tick()
        line.undraft()
        line.stop = why
        if line.copy_of is not None:
            return
        del self._writing[line.index]
        result = line.outcome(self.names, why)
        self.results[line.index] = result
        line.free()
        if self._done is not None:
            self._done(line.index, result)


def _known(value: T | None) -> T:
    """What has to be there."""
    if value is None:
        raise InputError("this is not known of the row: no state was given, or it is no copy")
    return value


def run_joint(
    backends: Sequence[HfBackend],
    specs: Sequence[ModelSpec],
    tasks: Sequence[JointRow],
    extra: tuple[JointMethod[Any], Json],
    done: Done,
    cancelled: Callable[[], bool],
) -> None:
    """A worker's side of a joint job: the method writes every row, results leave as rows end."""
    method, state = extra
    mixtures = [b.mixture(spec) for b, spec in zip(backends, specs, strict=True)]
    sessions = {id(b): b.session() for b in backends}
    voices = [
        Voice(spec.name, sessions[id(b)], b.renderer(spec), mixture, b.num_parameters)
        for b, spec, mixture in zip(backends, specs, mixtures, strict=True)
    ]
    joint = JointSession(voices, tasks, done, cancelled)
    try:
        with torch.inference_mode():
            method.write(joint, state)
            joint.finish(joint.live, "length")
    finally:
        joint.close()
        for session in sessions.values():
            session.close()
