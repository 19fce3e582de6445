"""A large base model writes; where it is unsure, a small aligned model writes the next words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict

from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires
from moco.methods.base import JointMethod, Level
from moco.methods.parts import pair_of, unknown_members
from moco.pool import Dev, Pool
from moco.types import Json, Sampling

if TYPE_CHECKING:
    from torch import Tensor

    from moco.decoding.joint import JointSession
    from moco.decoding.lines import Mark

BASE, NUDGE = 0, 1
"""Order of the two members in the joint session."""
GRID = (0.2, 0.3, 0.4, 0.5, 0.6)
"""Thresholds that the dev search tries beside the given one."""
MAX_ROUNDS = 150
"""Hand-overs after which an answer ends."""
MAX_REPEATS = 4
"""Equal nudging words in a row after which an answer ends."""
MAX_WORD = 16
"""Tokens after which a nudging word counts as complete."""
SPACES = frozenset(b" \t\r\n")


class Trial(TypedDict):
    """One point of the dev search."""

    gamma: float
    nudging: str
    score: float


class State(TypedDict):
    """What the search chose."""

    gamma: float
    base: str
    nudging: str
    trials: list[Trial]


@dataclass(slots=True)
class _Word:
    """A row's nudging word under way."""

    mark: Mark | None = None
    data: bytes = b""
    tokens: int = 0
    accepted: int = 0
    """Nudging words since the base last wrote."""
    guess: bytes = b""
    """The base's next token where the word starts; empty = not consulted."""
    last: bytes = b""
    repeats: int = 0
    rounds: int = 0
    mode: Literal["base", "nudge"] = "nudge"
    log: list[str] = field(default_factory=list)


class Nudging(JointMethod[State]):
    """The base writes while it is confident; otherwise the nudging model writes the next words.

    The nudging model writes the first word and, whenever the base's top-1 probability (temperature
    1) falls below gamma, the next one. After each further nudging word the base takes over again if
    it is confident, or if its next token begins the very word that the nudging model wants. Only a
    stop of the nudging model ends the answer. The two may have different vocabularies.
    """

    level: ClassVar[Level] = "api"
    version: ClassVar[int] = 2
    paper: ClassVar[str] = "Fei, Razeghi, Singh 2024, arXiv 2410.09300 (nudging)"
    requires: ClassVar[Requires] = Requires(access=Access.TEXT | Access.LOGITS, min_models=2)
    idempotent: ClassVar[bool] = True

    gamma: float = Field(default=0.4, ge=0, le=1)
    """The base writes while its top-1 probability is at least this."""
    base: str = ""
    """Alias of the model that writes; empty = the first member."""
    nudging: str = ""
    """Alias of the model that nudges; empty = the second member."""
    search_gamma: bool = False
    """Choose gamma on dev from a grid that holds the given value."""
    search_nudging: bool = False
    """Choose the nudging model on dev among all members but the base."""

    def needs(self) -> Requires:
        """Dev only for a search."""
        search = self.search_gamma or self.search_nudging
        return Requires(access=self.requires.access, min_models=2, dev=search)

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Both must be members, and two of them."""
        found = unknown_members(facts, base=self.base, nudging=self.nudging)
        if len(facts) > 1 and len(set(pair_of(self.base, self.nudging, list(facts)))) < 2:
            found.append(Problem("method.nudging", "is the base itself", "name another member"))
        return found

    def fit(self, pool: Pool, dev: Dev) -> State:
        """The given values, or the best on dev; the first of equals wins, given values first."""
        if not self.needs().dev:
            return self._given(pool.names)
        base, nudging = pair_of(self.base, self.nudging, pool.names)
        gammas = [self.gamma, *(g for g in GRID if self.search_gamma and g != self.gamma)]
        others = [n for n in pool.names if self.search_nudging and n not in (base, nudging)]
        found: list[Trial] = []
        for name in (nudging, *others):
            for gamma in gammas:
                score = self._score(pool, dev, base, name, gamma)
                found.append({"gamma": gamma, "nudging": name, "score": score})
        best = max(found, key=lambda trial: trial["score"])
        return {"gamma": best["gamma"], "base": base, "nudging": best["nudging"], "trials": found}

    def _given(self, names: Sequence[str]) -> State:
        """The settings as they stand, without a search."""
        base, nudging = pair_of(self.base, self.nudging, names)
        return {"gamma": self.gamma, "base": base, "nudging": nudging, "trials": []}

    def _score(self, pool: Pool, dev: Dev, base: str, nudging: str, gamma: float) -> float:
        state: State = {"gamma": gamma, "base": base, "nudging": nudging, "trials": []}
        found = self.predict(pool, dev.queries, state)
        return dev.mean([p.text for p in found])

    def seats(self, names: Sequence[str], state: State | None) -> tuple[list[str], Json]:
        """The two, and the threshold."""
        chosen = state or self._given(names)
        return [chosen["base"], chosen["nudging"]], {"gamma": chosen["gamma"]}

    def write(self, session: JointSession, state: Json) -> None:
        """One token per row and step: the base is asked once about all rows that it writes and all
        in which a further nudging word would start; then the rows being nudged go on.
        """
        gamma = float(state["gamma"])
        words: dict[int, _Word] = defaultdict(_Word)
        while rows := session.live:
            between = [r for r in rows if words[r].mode == "nudge" and words[r].mark is None]
            asked = [row for row in between if words[row].accepted]
            written = [row for row in rows if words[row].mode == "base"]
            self._base_step(session, written, asked, words, gamma)
            nudged = [r for r in rows if words[r].mode == "nudge" and session.is_live(r)]
            for row in nudged:
                if words[row].mark is None:
                    words[row].mark, words[row].data = session.mark(row), b""
                    words[row].tokens = 0
            self._nudge_step(session, nudged, words)

    def _base_step(
        self,
        session: JointSession,
        written: list[int],
        asked: list[int],
        words: dict[int, _Word],
        gamma: float,
    ) -> None:
        """The base's next token, or the hand-over where it is unsure or wants to stop; and where a
        nudging word would start, whether it takes over, else what it would write.
        """
        rows = [*written, *asked]
        if not rows:
            return
        logits_BV = session.logits(BASE, rows)
        tokens = session.draw(rows, logits_BV)
        sure = _top(logits_BV)
        for i, row in enumerate(rows):
            word, stops = words[row], tokens[i] in session.stop_ids(BASE)
            within = i < len(written) and not session.whole(row)  # a character
            if not stops and (sure[i] >= gamma or within):
                word.mode = "base"
                session.emit(BASE, [row], [tokens[i]], logits_BV[i : i + 1])
            elif i >= len(written):
                word.guess = b"" if stops else session.token_bytes(BASE, tokens[i])
            elif not within:
                word.mode, word.accepted = "nudge", 0
                self._count_round(session, row, word)
            else:
                session.finish([row], "eos")

    def _nudge_step(self, session: JointSession, rows: list[int], words: dict[int, _Word]) -> None:
        """The nudging model's next token, or the end of its word."""
        if not rows:
            return
        logits_BV = session.logits(NUDGE, rows)
        tokens = session.draw(rows, logits_BV)
        for i, row in enumerate(rows):
            word, token = words[row], tokens[i]
            stops = token in session.stop_ids(NUDGE)
            if stops and not word.data:
                session.emit(NUDGE, [row], [token], logits_BV[i : i + 1])
                continue
            data = session.token_bytes(NUDGE, token)
            ended = stops or word.tokens >= MAX_WORD or (word.data and begins_word(data))
            if ended and session.whole(row):
                self._end_word(session, row, word)
            else:
                session.emit(NUDGE, [row], [token], logits_BV[i : i + 1])
                word.data += data
                word.tokens += 1

    def _end_word(self, session: JointSession, row: int, word: _Word) -> None:
        """Accept the word, or take it back where the base's next token begins it."""
        wanted, guess = word.data.lstrip(), word.guess.lstrip()
        mark, word.mark, word.guess = word.mark, None, b""
        if guess and wanted.startswith(guess) and mark is not None:
            session.rollback(mark)
            word.mode, word.accepted = "base", 0
            return
        word.accepted += 1
        word.repeats = word.repeats + 1 if wanted == word.last else 1
        word.last = wanted
        if word.repeats >= MAX_REPEATS:
            session.finish([row], "stop")

    def _count_round(self, session: JointSession, row: int, word: _Word) -> None:
        word.rounds += 1
        if word.rounds > MAX_ROUNDS:
            session.finish([row], "length")


def begins_word(data: bytes) -> bool:
    """Whether a token starts a new word: at white space, or at a character of a script (or an
    emoji) that writes without spaces."""
    return bool(data) and (data[0] in SPACES or 0xE3 <= data[0] <= 0xF4)


def _top(logits_BV: Tensor) -> list[float]:
    """Each row's top-1 probability at temperature 1, rounded to 4 decimals."""
    found = logits_BV.log_softmax(-1).max(-1).values.exp().tolist()
    return [round(float(p), 4) for p in found]
