"""Answers that several members write in turns, patch by patch: the next patch, answers begun at
random and completed in every way, and how a switcher reads them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from moco.backends.base import ModelSpec
from moco.decoding.text import AnswerText
from moco.engine.keys import folder_of, renderer_of
from moco.errors import RequirementError
from moco.prompts import labels_for
from moco.train.rows import Row, prompt_of
from moco.train.sft import Sft
from moco.types import Json, Prompt

if TYPE_CHECKING:
    from moco.decoding.joint import JointSession

CUE = "\n\n(Parts so far by: {past}. The next part should be by number ("
"""What the switcher reads behind the answer so far, to name the next writer."""
NOBODY = "nobody"
RECALL = 8
"""Last parts whose writers the cue names."""


@dataclass(frozen=True, slots=True)
class Start:
    """A started answer on a line of the session."""

    line: int
    parts: list[str]
    writers: list[int]


@dataclass(frozen=True, slots=True)
class AfterParts(Sft):
    """Fine-tuning on a label behind a started answer.

    Data: `{"prompt": …, "parts": […], "completion": …}`.
    """

    name: ClassVar[str] = "sft_after_parts"

    def rows(self, spec: ModelSpec, data: Sequence[Mapping[str, Json]]) -> list[Row]:
        """The parts as a joint session reads them, one after the other; only the completion is
        learnt.
        """
        found = []
        for item in data:
            ids = read_ids(spec, prompt_of(item["prompt"]), item["parts"])
            whole = (*ids, *read_ids(spec, None, [item["completion"]]))
            found.append(Row(whole, len(ids), bool(item.get("held"))))
        return found


def write_patch(
    session: JointSession, lines: Sequence[int], writers: Sequence[int], size: int
) -> None:
    """The next `size` tokens of each line by its own writer, and on to a complete character."""
    open_ = dict(zip(lines, writers, strict=True))
    for count in itertools.count():
        for line in list(open_):
            full = count >= size and session.whole(line)
            if full or not session.is_live(line):
                del open_[line]
        if not open_:
            return
        for writer in sorted(set(open_.values())):
            session.step(writer, [line for line, own in open_.items() if own == writer])


def begun(
    session: JointSession, bases: Sequence[int], count: int, size: int, stop: tuple[str, ...]
) -> list[Start]:
    """Members at random write whole answers; a copy of each at one of its patches' starts, all
    of which are as likely.
    """
    whole = [Start(base, [], []) for base in bases]
    kept: dict[int, Start] = {}
    going = whole
    for number in itertools.count(1):
        lines = [own.line for own in going]
        for own, u in zip(going, session.uniforms(lines).tolist(), strict=True):
            if u * number < 1:
                session.drop([kept.pop(own.line).line] if own.line in kept else [])
                copy = session.fork(own.line, 1)[0]
                kept[own.line] = Start(copy, [*own.parts], [*own.writers])
        before = [len(session.answer(line)) for line in lines]
        chosen = anybody(session, lines, count)
        write_patch(session, lines, chosen, size)
        for own, writer, held in zip(going, chosen, before, strict=True):
            own.writers.append(writer)
            own.parts.append(session.answer(own.line)[held:].decode("utf-8", "replace"))
        going = [
            own
            for own in going
            if session.is_live(own.line) and not text_of(session.answer(own.line), stop).stopped
        ]
        if not going:
            break
    return [kept[base] for base in bases]


def completed(
    session: JointSession,
    lines: Sequence[int],
    count: int,
    size: int,
    rollouts: int,
    stop: tuple[str, ...],
) -> list[list[list[str]]]:
    """For each started answer its completions, by the member that goes on first."""
    texts: dict[int, list[list[str]]] = {line: [[] for _ in range(count)] for line in lines}
    for member in range(count):
        session.logits(member, lines)  # it reads the beginning once, before that is copied
    for writer, _ in itertools.product(range(count), range(rollouts)):
        trials = [session.fork(line, 1)[0] for line in lines]
        going, chosen = trials, [writer] * len(trials)
        while going:
            write_patch(session, going, chosen, size)
            going = [trial for trial in going if session.is_live(trial)]
            chosen = anybody(session, going, count)
        for line, trial in zip(lines, trials, strict=True):
            texts[line][writer].append(text_of(session.answer(trial), stop).split()[1])
        session.drop(trials)
    return [texts[line] for line in lines]


def cue(writers: Sequence[int], count: int) -> str:
    """What the switcher reads behind an answer whose parts these of `count` members wrote."""
    labels = labels_for(count)
    return CUE.format(past=", ".join(labels[w] for w in writers[-RECALL:]) or NOBODY)


def read_ids(spec: ModelSpec, prompt: Prompt | None, parts: Sequence[str]) -> tuple[int, ...]:
    """The token ids that a joint session reads of a prompt and of texts that come one by one."""
    folder = folder_of(spec)
    if folder is None:
        raise RequirementError(f"model '{spec.name}' has no files here, so it cannot be trained")
    renderer = renderer_of(folder, spec.adapter)
    start = () if prompt is None else renderer.ids(prompt)
    return (*start, *(token for part in parts for token in renderer.inner(part.encode())))


def anybody(session: JointSession, lines: Sequence[int], count: int) -> list[int]:
    """A writer at random for each line, from its own stream."""
    return [min(int(u * count), count - 1) for u in session.uniforms(lines).tolist()]


def text_of(data: bytes, stop: tuple[str, ...]) -> AnswerText:
    """The bytes of an answer as text, cut before a stop string."""
    text = AnswerText(stop)
    text.feed(data)
    return text
