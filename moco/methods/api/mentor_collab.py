"""A small generator writes; at some words a larger mentor is asked, and may write the next part."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires
from moco.choosing import Ballot
from moco.errors import PromptTooLongError
from moco.methods.api.nudging import MAX_WORD, begins_word
from moco.methods.base import JointMethod, Level
from moco.methods.parts import pair_of, unknown_members
from moco.pool import Pool
from moco.types import Json, Prediction, Query, Sampling

if TYPE_CHECKING:
    from moco.decoding.joint import JointSession

GENERATOR, MENTOR = 0, 1
"""Order of the two members in the joint session."""
QUESTION = (
    "\n\n(The answer may go on in two ways.\n1: {first}\n2: {second}\nThe better of the two is"
    " number ("
)
"""What the generator reads behind the answer so far, to say which way is better."""
ENDS = " [here the answer ends]"
"""Stands behind a way that ends the answer."""


class _Ask(NamedTuple):
    """A request for the next token of a member on a line (a row, or a copy of one)."""

    member: int
    line: int


Moves = Generator[_Ask, int, None]
"""What happens to a row: asks for tokens and is sent them."""


@dataclass(slots=True)
class _Pen:
    """A member that writes on a line."""

    member: int
    line: int
    token: int | None
    """What it wants to write next; None = the line has ended."""
    size: int = 0
    """Tokens written."""
    stopped: bool = False
    """Whether it ended the answer."""

    def put(self, session: JointSession, token: int) -> Moves:
        """Write this token, and ask for the next one."""
        logits_1V = session.logits(self.member, [self.line])
        session.emit(self.member, [self.line], [token], logits_1V)
        self.size += 1
        self.stopped = token in session.stop_ids(self.member)
        self.token = (yield _Ask(self.member, self.line)) if session.is_live(self.line) else None

    def word(self, session: JointSession) -> Moves:
        """Write up to where the next word begins."""
        while self.token is not None and not (self.size and self._next_word(session, self.token)):
            yield from self.put(session, self.token)

    def _next_word(self, session: JointSession, token: int) -> bool:
        if self.size >= MAX_WORD or token in session.stop_ids(self.member):
            return True
        return begins_word(session.token_bytes(self.member, token))

    def segment(self, session: JointSession, size: int) -> Moves:
        """Write until there are `size` tokens that end with a complete character."""
        while self.token is not None and (self.size < size or not session.whole(self.line)):
            yield from self.put(session, self.token)


class MentorCollab(JointMethod[None]):
    """The generator writes word by word; where the mentor is asked and wants another word, both
    write a short segment, and the generator judges which one stands.

    Words are compared without the white space around them. The verdict is the label's
    log-likelihood behind the generator's own answer, averaged over both orders of the segments, so
    that neither place is favoured; the generator's segment wins a tie. Whoever writes what stands
    may end the answer. The two may have different vocabularies, and each reads what the other wrote
    only when it is asked.
    """

    level: ClassVar[Level] = "api"
    paper: ClassVar[str] = (
        "Wang, Wang, Feng, Hajishirzi, Tsvetkov 2026, arXiv 2602.05307 (MentorCollab)"
    )
    requires: ClassVar[Requires] = Requires(access=Access.TEXT | Access.LOGITS, min_models=2)

    generator: str = ""
    """Alias of the model that writes and judges; empty = the first member."""
    mentor: str = ""
    """Alias of the model that is asked; empty = the second member."""
    probing: Literal["random", "uncertainty"] = "random"
    """Whether the mentor is asked at random words, or where the generator is unsure."""
    decision_proportion: int = Field(default=25, ge=0, le=100)
    """With `probing: random`: percentage of the words at which the mentor is asked."""
    certainty: float = Field(default=0.5, ge=0, le=1)
    """With `probing: uncertainty`: the mentor is asked where the generator's top-1 probability
    (temperature 1) is below this.
    """
    patch_size: int = Field(default=16, ge=1, le=1024)
    """Tokens of a segment at least, unless it ends the answer."""
    mode: Literal["free"] = "free"
    """How the verdict is found: by asking the generator, without training."""

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Both must be members, and two of them; a setting of the other probing has no effect."""
        found = unknown_members(facts, generator=self.generator, mentor=self.mentor)
        if len(facts) > 1 and len(set(self._pair(list(facts)))) < 2:
            fix = "name another member"
            found.append(Problem("method.mentor", "is the generator itself", fix))
        idle = "certainty" if self.probing == "random" else "decision_proportion"
        if getattr(self, idle) != type(self).model_fields[idle].default:
            what = f"has no effect with probing: {self.probing}"
            found.append(Problem(f"method.{idle}", what, "take it out, or change probing"))
        return found

    def _pair(self, names: Sequence[str]) -> tuple[str, str]:
        return pair_of(self.generator, self.mentor, names)

    def seats(self, names: Sequence[str], state: None) -> tuple[list[str], Json]:
        """Generator and mentor."""
        return list(self._pair(names)), None

    def predict(self, pool: Pool, queries: Sequence[Query], state: None = None) -> list[Prediction]:
        """The two members write each answer together."""
        pair = pool.of(self._pair(pool.names))
        self._fits(pair, queries)
        return [
            replace(written, notes=_told(written.notes, pair.names))
            for written in super().predict(pool, queries, state)
        ]

    def _fits(self, pair: Pool, queries: Sequence[Query]) -> None:
        """Raise PromptTooLongError where the generator could not read a question about segments."""
        used = pair.context.sampling
        aside = len(QUESTION) + 4 * self.patch_size
        for query in queries:
            left = pair[GENERATOR].spare(
                query.prompt, replace(used, max_tokens=used.max_tokens + aside)
            )
            if left < 0:
                raise PromptTooLongError(
                    f"query '{query.id}', model '{pair[GENERATOR].name}': prompt, answer and the"
                    f" question which of two segments is better may take {-left} tokens more than"
                    " the context holds; lower sampling.max_tokens or method.patch_size"
                )

    def write(self, session: JointSession, state: Json) -> None:
        """All rows go on side by side: at each step every row gets the one token it asks for."""
        moves: dict[int, Moves] = {}
        asks: dict[int, _Ask] = {}
        while rows := session.live:
            for row in rows:
                if row not in moves:
                    moves[row] = self._answer(session, row)
                    asks[row] = next(moves[row])
            for member in (GENERATOR, MENTOR):
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

    def _answer(self, session: JointSession, row: int) -> Moves:
        """One answer from start to end."""
        pen = _Pen(GENERATOR, row, (yield _Ask(GENERATOR, row)))
        while pen.token is not None:
            if session.whole(row) and self._wonders(session, row):
                yield from self._consult(session, pen)
            else:
                pen.size = 0
                yield from pen.word(session)

    def _wonders(self, session: JointSession, row: int) -> bool:
        """Whether the mentor is asked here."""
        if self.probing == "random":
            return float(session.uniforms([row])[0]) < self.decision_proportion / 100
        top = session.logits(GENERATOR, [row]).softmax(-1).max()
        return round(float(top), 4) < self.certainty

    def _consult(self, session: JointSession, pen: _Pen) -> Moves:
        """Both write a word, on copies; where they differ, a segment, of which one stands."""
        row, start = pen.line, len(session.answer(pen.line))
        notes = session.notes(row)
        notes["probes"] = notes.get("probes", 0) + 1
        theirs = yield _Ask(MENTOR, row)  # it catches up before the row is copied
        mine, other = session.fork(row, 2)
        pens = [_Pen(GENERATOR, mine, pen.token), _Pen(MENTOR, other, theirs)]
        for own in pens:
            yield from own.word(session)
        words = [(session.answer(own.line)[start:].strip(), own.stopped) for own in pens]
        stands = GENERATOR
        if words[GENERATOR] != words[MENTOR]:
            notes["disagreements"] = notes.get("disagreements", 0) + 1
            for own in pens:
                yield from own.segment(session, self.patch_size)
            ways = [_shown(session, own, start) for own in pens]
            stands = yield from self._verdict(session, row, ways)
        session.drop([pens[1 - stands].line])
        session.adopt(pens[stands].line)
        pen.token = pens[stands].token
        if stands == MENTOR and pen.token is not None:
            pen.token = yield _Ask(GENERATOR, row)

    def _verdict(
        self, session: JointSession, row: int, ways: Sequence[str]
    ) -> Generator[_Ask, int, int]:
        """Whose segment is better: the generator reads both behind the answer, in both orders."""

        def show(order: Sequence[int]) -> str:
            return QUESTION.format(first=ways[order[0]], second=ways[order[1]])

        ballot = Ballot(tuple(ways), show, standing=(1.0, 0.0))
        if len(ballot.order) < 2:
            return GENERATOR
        copies = session.fork(row, len(ballot.orders))
        for copy, order in zip(copies, ballot.orders, strict=True):
            session.append([copy], show(order).encode())
            yield _Ask(GENERATOR, copy)
        totals = session.options(GENERATOR, copies, ballot.labels).tolist()
        session.drop(copies)
        return ballot.result(totals).index or GENERATOR


def _shown(session: JointSession, pen: _Pen, start: int) -> str:
    """A segment as the generator reads it in the question."""
    text = session.answer(pen.line)[start:].decode("utf-8", "replace").strip()
    return text + ENDS if pen.stopped else text


def _told(notes: Mapping[str, Json], names: Sequence[str]) -> dict[str, Json]:
    """Who wrote what, and the mentor's share of the answer's bytes."""
    sizes = dict.fromkeys(names, 0)
    for name, size in notes["spans"]:
        sizes[name] += size
    share = sizes[names[MENTOR]] / max(sum(sizes.values()), 1)
    return {**notes, "mentor_share": round(share, 4)}
