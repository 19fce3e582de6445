"""Several models write one answer, token by token, each with its own vocabulary and cache.

The shared state of a row is the bytes of its answer. Each member keeps its own token ids for those
bytes; what others wrote it reads as one chunk when it is next asked, tokenised with its own
vocabulary and never cutting a character. Invariant: bytes(own ids) + pending bytes = answer bytes.
Every token is read once per member; only rolled-back tokens are read again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from moco.backends.base import ModelSpec
from moco.decoding import sampling
from moco.decoding.lines import Line, Mark, Own, Voice, boundary, cost, spans
from moco.decoding.session import Session
from moco.decoding.text import AnswerText
from moco.engine.jobs import JointRow
from moco.errors import Cancelled, InputError, not_finite
from moco.types import Generation, Json, Sampling, Stop

if TYPE_CHECKING:
    from moco.backends.hf import HfBackend
    from moco.methods.base import JointMethod

Done = Callable[[int, Generation], None]
T = TypeVar("T")
ROOM = 64
"""Rows that are written at a time."""
HEALED = 2
"""Tokens that are tokenised anew with what follows."""
LONGEST = 4
"""Bytes of the longest character."""


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
        self._drafts: dict[int, list[int]] = {}
        """Ids that may come next in a row, which members read ahead."""
        self._notes: dict[int, dict[str, Json]] = {}
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
        own = [
            Own(v.renderer.ids(prompt), v.session.add(1, v.mixture)[0])
            for v, prompt in zip(self.voices, task.prompts, strict=True)
        ]
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
        self._catch_up(line, (member,))
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
        return self._notes.setdefault(row, {})

    def is_live(self, row: int) -> bool:
        """Whether the row is still being written."""
        return self._lines[row].stop is None

    def logits(self, member: int, rows: Sequence[int]) -> Tensor:
        """The member's next-token logits after each row's answer and draft, fp32 [rows, V].

        Reads what the member has not read yet; an incomplete character at the end is left out.
        """
        self._read([(member, row) for row in rows])
        heard = torch.stack([_known(self._lines[row].own[member].heard) for row in rows])
        return heard.to(self.device).float()

    def logits_each(self, rows: Sequence[int]) -> list[Tensor]:
        """`logits` of every member; members on one base share one forward pass."""
        self._read([(m, row) for m in range(len(self.voices)) for row in rows])
        return [self.logits(m, rows) for m in range(len(self.voices))]

    def hidden(self, member: int, rows: Sequence[int]) -> Tensor:
        """The member's final hidden state after each row's answer, [rows, W]."""
        self._read([(member, row) for row in rows])
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
        keep = {(member, row): n + 1 for row, n in zip(rows, counts, strict=True)}
        kept = self._read([(member, row) for row in rows], keep)
        found = []
        for row, own, count, before, length in zip(rows, first, counts, held, lengths, strict=True):
            along = kept.get((member, row), _known(own.heard)[None])
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
            if shared and self._drafts.get(row, [])[:1] == [token]:
                del self._drafts[row][0]
            else:
                self._undraft(line)
            owners = range(len(self.voices)) if shared else (member,)
            data = self.token_bytes(member, token)
            self._gain(line, data, dict.fromkeys(owners, token), author)
            self._full(line)

    def _gain(self, line: Line, data: bytes, ids: Mapping[int, int], author: int) -> None:
        """Bytes become part of the answer, and of some members' ids as one token each."""
        self._catch_up(line, ids)
        whole = [m for m in ids if line.own[m].covered == len(line.data)]
        line.data += data
        line.authors.append((author, len(data)))
        line.text.feed(data)
        for m in whole:  # where a character is under way the token's bytes come with the rest
            own = line.own[m]
            own.gain([ids[m]], [len(data)], len(line.data))
            own.read_from = len(own.ids)

    def say(self, row: int, data: bytes, ids: Mapping[int, int], logprob: float = 0.0) -> None:
        """Append a token that the members agreed on, as bytes: those in `ids` have it in their own
        vocabulary, the others read the bytes with whatever follows.
        """
        line = self._lines[row]
        self._undraft(line)
        line.emitted += 1
        line.logprobs.append(logprob)
        self._gain(line, data, ids, -1)
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
            self._undraft(line)
            line.data += data
            line.authors.append((-1, len(data)))
            line.text.feed(data)
            if line.copy_of is None:  # else whoever reads the copy asks `holds` before
                self._full(line)

    def holds(self, member: int, row: int, data: bytes) -> bool:
        """Whether the member's context has room for the row's answer, these bytes behind it, and
        one token more.
        """
        line, renderer = self._lines[row], self.voices[member].renderer
        self._catch_up(line, (member,))
        used = line.own[member].most(len(line.data))
        return not renderer.context or used + len(renderer.inner(data)) < renderer.context

    def draft(self, rows: Sequence[int], ids: Sequence[int]) -> None:
        """Guess one more token behind each row's answer and draft, for members of one vocabulary to
        read ahead; nothing is written, and no row ends.

        A token emitted with `shared` that is the first of the draft keeps what was read of it, and
        the rest stands; whatever else happens to the row takes the draft back.
        """
        for row, token in zip(rows, ids, strict=True):
            self._drafts.setdefault(row, []).append(token)

    def _undraft(self, line: Line) -> None:
        """Take the row's draft back."""
        if self._drafts.pop(line.index, None):
            for own, voice in zip(line.own, self.voices, strict=True):
                self._cut(own, voice)

    def _cut(self, own: Own, voice: Voice) -> None:
        """The member forgets what it read beyond its ids."""
        held = len(own.prompt) + len(own.ids)
        if own.read > held:
            own.rolled_back += voice.session.rollback(own.row, held)
            own.read = held
            own.heard = own.state = None

    def mark(self, row: int) -> Mark:
        """Remember where the row is."""
        line = self._lines[row]
        return Mark(row, len(line.data), line.emitted, len(line.logprobs), tuple(line.authors))

    def rollback(self, mark: Mark) -> None:
        """Take back everything the row has gained since the mark; random numbers are not reused.

        What members have read of the bytes before the mark they keep, as far as their tokens end
        there. Of rows that have ended only copies can be rolled back.
        """
        line = self._lines[mark.row]
        if line.stop is not None and line.copy_of is None:
            raise ValueError("a row that has ended cannot be rolled back")
        line.stop = None
        self._undraft(line)
        del line.data[mark.size :]
        del line.logprobs[mark.logprobs :]
        line.emitted, line.authors = mark.emitted, list(mark.authors)
        line.text = AnswerText(line.task.sampling.stop)
        line.text.feed(bytes(line.data))
        for own, voice in zip(line.own, self.voices, strict=True):
            own.keep(mark.size)
            self._cut(own, voice)

    def tokens(self, member: int, row: int, start: int) -> list[tuple[int, int]]:
        """(first byte, token id) of the member's own tokens that begin at byte `start` of the
        answer or later, in order; what others wrote is tokenised first.
        """
        line = self._lines[row]
        self._catch_up(line, (member,))
        own, found = line.own[member], []
        for i in reversed(range(len(own.ids))):
            place = own.ends[i - 1] if i else 0
            if place < start:
                break
            found.append((place, own.ids[i]))
        return found[::-1]

    def fork(self, row: int, count: int) -> list[int]:
        """Copies that continue from this row, to try something: they are not among `live`, nothing
        is delivered of them, and each has to be adopted or dropped.
        """
        line = self._lines[row]
        self._undraft(line)
        made = []
        for _ in range(count):
            index, self._next = self._next, self._next + 1
            own = []
            for voice, mine in zip(self.voices, line.own, strict=True):
                copy = voice.session.fork(mine.row, 1)[0]
                new = replace(mine, row=copy, ids=list(mine.ids), ends=list(mine.ends))
                new.positions = new.rolled_back = 0
                own.append(new)
            text = AnswerText(line.task.sampling.stop)
            text.feed(bytes(line.data))
            self._lines[index] = Line(
                index, line.task, own, text, bytearray(line.data), line.emitted, line.drawn,
                list(line.logprobs), list(line.authors), copy_of=row,
                paid=[(mine.positions, mine.rolled_back) for mine in line.own],
            )  # fmt: skip
            made.append(index)
        return made

    def adopt(self, copy: int) -> None:
        """The row becomes what its copy is; where the copy had ended, the row ends. What the row
        itself read since the fork counts as rolled back.
        """
        new = self._lines.pop(copy)
        self._undraft(new)
        row, stop = _known(new.copy_of), new.stop
        line = self._lines[row]
        for old, own, (positions, rolled_back) in zip(line.own, new.own, new.paid, strict=True):
            own.rolled_back += rolled_back + old.positions - positions
            own.positions += old.positions
        new.index, new.copy_of, new.stop = row, line.copy_of, None
        new.paid, new.seconds = line.paid, line.seconds
        new.drawn = max(new.drawn, line.drawn)
        self._free(line)
        self._lines[row] = new
        if row in self._writing:
            self._writing[row] = new
        if stop is not None:
            self._end(new, stop)

    def drop(self, copies: Iterable[int]) -> None:
        """Let copies go; what they read counts as rolled back in their rows."""
        for copy in copies:
            gone = self._lines.pop(copy)
            line = self._lines[_known(gone.copy_of)]
            for own, lost in zip(line.own, gone.own, strict=True):
                own.positions += lost.positions
                own.rolled_back += lost.positions
            line.drawn = max(line.drawn, gone.drawn)
            self._free(gone)

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
            self._free(line)

    def _read(
        self, asked: Sequence[tuple[int, int]], keep: Mapping[tuple[int, int], int] | None = None
    ) -> dict[tuple[int, int], Tensor]:
        """Let members read what they have not read, in one pass per loaded base; the logits of so
        many last positions of those that read anything, where not only the last are wanted.
        """
        wanted: dict[int, list[tuple[tuple[int, int], Own, list[int]]]] = {}
        for member, row in dict.fromkeys(asked):
            line = self._lines[row]
            own = line.own[member]
            self._catch_up(line, (member,))
            new = [*own.prompt, *own.ids, *self._drafts.get(row, ())][own.read :]
            if new:
                part = ((member, row), own, new)
                wanted.setdefault(id(self.voices[member].session), []).append(part)
            elif own.heard is None:
                self._reread(self.voices[member].session, own)
        sessions = {id(v.session): v.session for v in self.voices}
        kept: dict[tuple[int, int], Tensor] = {}
        for session, parts in wanted.items():
            counts = [min((keep or {}).get(key, 1), len(new)) for key, _, new in parts]
            rows, chunks = [own.row for _, own, _ in parts], [new for _, _, new in parts]
            reading = sessions[session].extend(rows, chunks, counts)
            if not bool(torch.isfinite(reading.logits_NV.amax(-1)).all()):
                raise not_finite(self._faulty(parts, counts, reading.logits_NV))
            end = 0
            for (key, own, new), count in zip(parts, counts, strict=True):
                end += count
                own.read += len(new)
                own.positions += len(new)
                own.heard = reading.logits_NV[end - 1]
                own.state = reading.hidden_NW[end - 1] if len(reading.hidden_NW) >= end else None
                kept[key] = reading.logits_NV[end - count : end]
        return kept

    def _faulty(
        self, parts: Sequence[tuple[tuple[int, int], Own, list[int]]], counts: Sequence[int],
        logits_NV: Tensor,
    ) -> str:  # fmt: skip
        """The members whose numbers are not finite."""
        places = [key for (key, _, _), n in zip(parts, counts, strict=True) for _ in range(n)]
        bad = (~torch.isfinite(logits_NV.amax(-1))).nonzero()[:, 0].tolist()
        return ", ".join(dict.fromkeys(self.names[places[i][0]] for i in bad))

    def _reread(self, session: Session, own: Own) -> None:
        """After a rollback the last position is read again, for its logits are gone."""
        session.rollback(own.row, own.read - 1)
        reading = session.extend([own.row], [[*own.prompt, *own.ids][own.read - 1 : own.read]])
        own.positions += 1
        own.rolled_back += 1
        own.heard = reading.logits_NV[0]
        own.state = reading.hidden_NW[0] if len(reading.hidden_NW) else None

    def _catch_up(self, line: Line, members: Iterable[int]) -> None:
        """Tokenise what others wrote, up to the last complete character."""
        for member in members:
            own, voice = line.own[member], self.voices[member]
            last = max(len(line.data) - LONGEST, 0)
            end = last + boundary(line.data[last:])
            if end <= own.covered:
                continue
            tail = line.data[max(own.covered - LONGEST, 0) : own.covered]
            begun = len(tail) - boundary(tail)
            if begun and line.data[own.covered] & 0xC0 == 0x80:
                own.keep(own.covered - begun)  # others ended the character that it had begun
                self._cut(own, voice)
            if self.heals:
                self._heal(own, voice, line.data, end)
            else:
                ids = voice.renderer.inner(bytes(line.data[own.covered : end]))
                own.gain(ids, voice.sizes(ids), end)

    def _heal(self, own: Own, voice: Voice, data: bytearray, end: int) -> None:
        """Tokenise what others wrote together with up to `HEALED` tokens before it that others
        wrote as well, where that joins what was cut within a word.
        """
        before = max(own.read_from, len(own.ids) - HEALED)
        while own.read_from < before < len(own.ids) and own.ends[before - 1] == own.ends[before]:
            before -= 1  # they stand for their bytes only together
        start = own.ends[before - 1] if before else 0
        ids = voice.renderer.inner(bytes(data[start:end]))
        same = before
        while own.ids[same : same + 1] == list(ids[same - before : same - before + 1]) != []:
            same += 1
        while before < same < len(own.ids) and own.ends[same - 1] == own.ends[same]:
            same -= 1
        del own.ids[same:], own.ends[same:]
        self._cut(own, voice)
        own.gain(ids[same - before :], voice.sizes(ids[same - before :]), end)

    def _full(self, line: Line) -> None:
        if line.text.stopped:
            self._end(line, "stop")
        elif line.emitted >= line.task.sampling.max_tokens or not self._fits(line):
            self._end(line, "length")

    def _fits(self, line: Line) -> bool:
        """Whether every member's context holds its tokens for the answer so far."""
        for member, (own, voice) in enumerate(zip(line.own, self.voices, strict=True)):
            context = voice.renderer.context
            if context and own.most(len(line.data)) > context:
                self._catch_up(line, (member,))
                if own.most(len(line.data)) > context:
                    return False
        return True

    def _end(self, line: Line, why: Stop) -> None:
        self._tick()
        self._undraft(line)
        line.stop = why
        if line.copy_of is not None:
            return
        del self._writing[line.index]
        line.text.finish()
        reasoning, text = line.text.split()
        size = len(text.encode())
        start = len(line.text.text.encode()) - size if reasoning else 0
        usage, told = cost(line, self.voices), self._notes.pop(line.index, {})
        stop = "length" if line.text.unclosed and why == "eos" else why
        result = Generation(
            text, stop, usage, logprobs=tuple(line.logprobs), reasoning=reasoning,
            notes={"spans": spans(line, self.names, start, size), **told},
        )  # fmt: skip
        self.results[line.index] = result
        self._free(line)
        if self._done is not None:
            self._done(line.index, result)

    def _free(self, line: Line) -> None:
        self._drafts.pop(line.index, None)
        for voice, own in zip(self.voices, line.own, strict=True):
            if own.row >= 0:
                voice.session.free(own.row)
            own.row, own.heard, own.state = -1, None, None


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
