"""Members that write on the lines of a joint session, each line at its own pace: whoever needs a
token asks for it, and all that ask at one time are answered together.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from moco.methods.api.nudging import MAX_WORD, begins_word
from moco.methods.patches import text_of

if TYPE_CHECKING:
    from moco.decoding.joint import JointSession


class Ask(NamedTuple):
    """A request for the next token of a member on a line (a row, or a copy of one)."""

    member: int
    line: int


Moves = Generator[Ask, int, None]
"""What happens to a row: asks for tokens and is sent them."""


@dataclass(slots=True)
class Pen:
    """A member that writes on a line."""

    member: int
    line: int
    token: int | None
    """What it wants to write next; None = the line has ended."""
    written: list[int] = field(default_factory=list)
    """Its tokens so far."""
    stopped: bool = False
    """Whether it ended the answer."""

    def put(self, session: JointSession, token: int) -> Moves:
        """Write this token, and ask for the next one."""
        logits_1V = session.logits(self.member, [self.line])
        session.emit(self.member, [self.line], [token], logits_1V)
        self.written.append(token)
        self.stopped = token in session.stop_ids(self.member)
        self.token = (yield Ask(self.member, self.line)) if session.is_live(self.line) else None

    def word(self, session: JointSession) -> Moves:
        """Write up to where the next word begins."""
        while self.token is not None and not (self.written and self._next(session, self.token)):
            yield from self.put(session, self.token)

    def _next(self, session: JointSession, token: int) -> bool:
        """Whether the word is complete before this token."""
        if len(self.written) >= MAX_WORD or token in session.stop_ids(self.member):
            return True
        return begins_word(session.token_bytes(self.member, token))

    def segment(self, session: JointSession, size: int) -> Moves:
        """Write until there are `size` tokens that end with a complete character."""
        while self.token is not None and not (
            len(self.written) >= size and session.whole(self.line)
        ):
            yield from self.put(session, self.token)


def write_rows(session: JointSession, begin: Callable[[int], Moves]) -> None:
    """All rows go on side by side: at each step every row gets the one token it asks for."""
    moves: dict[int, Moves] = {}
    asks: dict[int, Ask] = {}
    while rows := session.live:
        for row in rows:
            if row not in moves:
                moves[row] = begin(row)
                asks[row] = next(moves[row])
        for member in range(len(session.voices)):
            asked = [row for row, ask in asks.items() if ask.member == member]
            if not asked:
                continue
            lines = [asks[row].line for row in asked]
            tokens = session.draw(lines, session.logits(member, lines))
            for row, token in zip(asked, tokens, strict=True):
                try:
                    asks[row] = moves[row].send(token)
                except StopIteration:  # the answer is complete
                    del asks[row], moves[row]


def completed(session: JointSession, row: int, pen: Pen, by: int) -> Generator[Ask, int, str]:
    """The answer behind the row and what the pen has written there on a copy that may be gone, as
    the member `by` ends it alone, greedily; cut as an answer is.
    """
    from moco.decoding.sampling import argmax

    line = session.fork(row, 1)[0]
    for token in pen.written:
        session.emit(pen.member, [line], [token])
    while session.is_live(line):
        yield Ask(by, line)
        session.emit(by, [line], argmax(session.logits(by, [line])).tolist())
    text = text_of(session.answer(line), session.sampling_of(row).stop).split()[1]
    session.drop([line])
    return text
