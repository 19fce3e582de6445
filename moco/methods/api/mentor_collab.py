"""A small generator writes; at some words a larger mentor is asked, and may write the next part."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypedDict

import numpy as np
from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires, check
from moco.choosing import Ballot
from moco.errors import DataError
from moco.methods.base import JointMethod, Level
from moco.methods.parts import pair_of, unknown_members
from moco.methods.pens import Ask, Moves, Pen, completed, write_rows
from moco.pool import Dev, Pool
from moco.train.verifier import Form, Lessons, Verifier, held_out, learn, packed, unpacked
from moco.types import Json, Prediction, Query, Sampling

if TYPE_CHECKING:
    from torch import Tensor

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
LEARNER = Requires(access=Access.HIDDEN, min_models=0)
"""What the generator has to give besides where the verdict is learnt."""
LEAST = 10
"""Places to learn from at least."""
TRAINING_ONLY = ("verifier", "mlp_threshold", "training_instances")


class State(TypedDict):
    """A trained verifier."""

    verifier: dict[str, Json]
    """Reference to its arrays, see `moco.train.verifier.learn`."""
    places: dict[str, int]
    """Answers that were begun (`tried`), those with a disagreement (`disagreed`), and of these by
    whose segment scored better (`generator`, `mentor`).
    """
    training: dict[str, Json]
    """Held-out accuracy, beside that of always saying the more frequent, and more."""


class _Case(NamedTuple):
    """A disagreement: behind a row both have written a segment, on copies."""

    row: int
    pens: list[Pen]
    ways: list[str]
    """How the segments are shown."""


Judge = Callable[["JointSession", _Case], Generator[Ask, int, int]]
"""Whose segment stands."""


class MentorCollab(JointMethod[State]):
    """The generator writes word by word; where the mentor is asked and wants another word, both
    write a short segment, and the generator, or a verifier trained on its hidden states, judges
    which one stands.

    Words are compared without the white space around them. The verdict is the label's
    log-likelihood behind the generator's own answer, averaged over both orders of the segments, so
    that neither place is favoured; the generator's segment wins a tie, and where the question does
    not fit its context. Whoever writes what stands
    may end the answer. The two may have different vocabularies, and each reads what the other wrote
    only when it is asked.

    With `mode: train` the verdict is learnt on dev instead: answers are begun with either segment
    standing at random, one disagreement of each is drawn, the generator completes the answer by
    itself behind either segment, and where the two answers differ in score, that is an example. The
    verifier reads the generator's final hidden state behind the same question, with the generator's
    segment first.
    """

    level: ClassVar[Level] = "api"
    version: ClassVar[int] = 2
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
    mode: Literal["free", "train"] = "free"
    """How the verdict is found: by asking the generator, without training, or by a verifier that is
    trained on dev.
    """
    verifier: Form = "mlp"
    """With `mode: train`: the network of the paper, or a logistic regression, which is smaller by
    far where hidden states are wide.
    """
    mlp_threshold: float = Field(default=0.5, ge=0, le=1)
    """With `mode: train`: the generator's segment stands where the verifier's score is at least
    this.
    """
    training_instances: int = Field(default=500, ge=1, le=1_000_000)
    """With `mode: train`: answers to dev questions, which take turns, that are begun and completed
    both ways.
    """

    def needs(self) -> Requires:
        """A verifier is trained on dev."""
        return replace(self.requires, dev=self.mode == "train")

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Both must be members, and two of them; settings of the other probing, or of training
        where there is none, have no effect.
        """
        found = unknown_members(facts, generator=self.generator, mentor=self.mentor)
        if len(facts) > 1 and len(set(self._pair(list(facts)))) < 2:
            fix = "name another member"
            found.append(Problem("method.mentor", "is the generator itself", fix))
        idle = "certainty" if self.probing == "random" else "decision_proportion"
        if getattr(self, idle) != type(self).model_fields[idle].default:
            what = f"has no effect with probing: {self.probing}"
            found.append(Problem(f"method.{idle}", what, "take it out, or change probing"))
        if self.mode == "free":
            given = [n for n in TRAINING_ONLY if n in self.model_fields_set]
            what, fix = "has no effect with mode: free", "take it out, or write mode: train"
            return found + [Problem(f"method.{name}", what, fix) for name in given]
        own = self._pair(list(facts))[0] if len(facts) > 1 else ""
        return found + check(LEARNER, {own: facts[own]} if facts.get(own) else {})

    def _pair(self, names: Sequence[str]) -> tuple[str, str]:
        return pair_of(self.generator, self.mentor, names)

    def fit(self, pool: Pool, dev: Dev) -> State | None:
        """The verifier, where there is one."""
        if self.mode == "free":
            return None
        pair = pool.of(self._pair(pool.names))
        tried = self._tried(pair, dev)
        differing = [one for one in tried if one.scores and np.ptp(one.scores)]
        right = [one.scores[GENERATOR] > one.scores[MENTOR] for one in differing]
        held = held_out([one.query_id for one in differing], right, pool.context.seed)
        disagreed, first = sum(bool(one.scores) for one in tried), sum(right)
        second = len(right) - first
        if held is None or len(right) < LEAST:
            raise DataError(
                f"{self.name()}: too little to learn the verdict from: {len(tried)} answers were"
                f" begun, {disagreed} had a disagreement, where the generator's segment scored"
                f" better {first} times and the mentor's {second}; needed are {LEAST} together"
                " and two questions of either; give more dev questions, more training_instances or"
                " other members, or use mode: free"
            )
        lessons = Lessons(np.stack([one.state_W for one in differing]), np.array(right), held)
        arrays, training = learn(lessons, self.verifier, pool.context.seed)
        places = {"tried": len(tried), "disagreed": disagreed, "generator": first, "mentor": second}
        return {"verifier": pool.keep(arrays), "places": places, "training": training}

    def _tried(self, pair: Pool, dev: Dev) -> list[_Tried]:
        """What comes of either segment at a disagreement, in answers to the dev questions, which
        take turns in a seeded order.
        """
        queries = list(dev.queries)
        random.Random(f"{pair.context.seed}-{self.name()}").shuffle(queries)
        found = []
        for draw, first in enumerate(range(0, self.training_instances, max(len(queries), 1))):
            asked = queries[: self.training_instances - first]
            told = {"task": "try", "draw": [pair.context.seed, draw]}  # apart at temperature 0 too
            given = pair.joint(asked, self._plain, told, stage="explore")
            for query, generation in zip(asked, given, strict=True):
                found.append(_Tried.of(query, generation.notes.get("tried"), dev))
        return found

    @property
    def _plain(self) -> MentorCollab:
        """The method as far as it can change what is tried, which is then found in the cache
        whatever else is set.
        """
        own = ("probing", "decision_proportion", "certainty", "patch_size")
        return MentorCollab(**{name: getattr(self, name) for name in own})

    def seats(self, names: Sequence[str], state: State | None) -> tuple[list[str], Json]:
        """Generator and mentor."""
        return list(self._pair(names)), None

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None = None
    ) -> list[Prediction]:
        """The two members write each answer together."""
        pair = pool.of(self._pair(pool.names))
        given = None if self.mode == "free" else self._given(pool, state)
        return [
            Prediction(q.id, g.text, tuple(pair.names), g.stop, _told(g.notes, pair.names))
            for q, g in zip(queries, pair.joint(queries, self, given), strict=True)
        ]

    def _given(self, pool: Pool, state: State | None) -> Json:
        """The trained verifier as `write` is given it."""
        if state is None:
            raise DataError(f"{self.name()}: nothing was learnt yet; fit comes first")
        arrays = pool.kept(state["verifier"])
        return {"task": "verify", **{name: packed(a) for name, a in arrays.items()}}

    def draws(self, state: Json) -> bool:
        """Where the mentor is asked, or which disagreement is tried, is drawn."""
        return self.probing == "random" or state is not None

    def write(self, session: JointSession, state: Json) -> None:
        """All rows go on side by side."""
        write_rows(session, self._beginner(session, state))

    def _beginner(self, session: JointSession, state: Json) -> Callable[[int], Moves]:
        """How a row begins."""
        if state is None:
            return lambda row: self._answer(session, row, _by_labels)
        if state["task"] == "try":
            return lambda row: self._try(session, row)
        arrays = {name: unpacked(a) for name, a in state.items() if name != "task"}
        trained = Verifier.of(arrays, session.device)

        def judge(session: JointSession, case: _Case) -> Generator[Ask, int, int]:
            state_W = yield from _state_of(session, case.row, case.ways)
            score = trained.scores(state_W[None])[0]
            return GENERATOR if score >= self.mlp_threshold else MENTOR

        return lambda row: self._answer(session, row, judge)

    def _answer(self, session: JointSession, row: int, judge: Judge) -> Moves:
        """One answer from start to end."""
        token: int | None = yield Ask(GENERATOR, row)
        while token is not None:
            if session.whole(row) and self._wonders(session, row):
                token = yield from self._consult(session, row, token, judge)
            else:
                pen = Pen(GENERATOR, row, token)
                yield from pen.word(session)
                token = pen.token

    def _wonders(self, session: JointSession, row: int) -> bool:
        """Whether the mentor is asked here."""
        if self.probing == "random":
            return float(session.uniforms([row])[0]) < self.decision_proportion / 100
        top = session.logits(GENERATOR, [row]).softmax(-1).max()
        return round(float(top), 4) < self.certainty

    def _consult(
        self, session: JointSession, row: int, token: int, judge: Judge
    ) -> Generator[Ask, int, int | None]:
        """Both write a word, on copies; where they differ, a segment, of which one stands. What the
        generator wants to write then.
        """
        start, notes = len(session.answer(row)), session.notes(row)
        notes["probes"] = notes.get("probes", 0) + 1
        theirs = yield Ask(MENTOR, row)  # it catches up before the row is copied
        mine, other = session.fork(row, 2)
        pens = [Pen(GENERATOR, mine, token), Pen(MENTOR, other, theirs)]
        for own in pens:
            yield from own.word(session)
        words = [(session.answer(own.line)[start:].strip(), own.stopped) for own in pens]
        stands = GENERATOR
        if words[GENERATOR] != words[MENTOR]:
            notes["disagreements"] = notes.get("disagreements", 0) + 1
            for own in pens:
                yield from own.segment(session, self.patch_size)
            ways = [_shown(session, own, start) for own in pens]
            if ways[GENERATOR] != ways[MENTOR] and _readable(session, row, ways):
                stands = yield from judge(session, _Case(row, pens, ways))
        session.drop([pens[1 - stands].line])
        session.adopt(pens[stands].line)
        wanted = pens[stands].token
        if stands == MENTOR and wanted is not None:
            wanted = yield Ask(GENERATOR, row)
        return wanted

    def _try(self, session: JointSession, row: int) -> Moves:
        """An answer is written on a copy, with either segment standing at random. At one of its
        disagreements, all of which are as likely, goes into the row's notes what the verifier reads
        and what comes of either segment.
        """
        base = session.fork(row, 1)[0]
        kept: list[_Case] = []
        seen = 0

        def by_chance(session: JointSession, case: _Case) -> Generator[Ask, int, int]:
            nonlocal seen
            yield from ()  # it asks nobody
            seen += 1
            chosen, coin = (float(session.uniforms([base])[0]) for _ in range(2))
            if chosen * seen < 1:
                session.drop([kept.pop().row] if kept else [])
                kept.append(case._replace(row=session.fork(base, 1)[0]))
            return GENERATOR if coin < 0.5 else MENTOR

        yield from self._answer(session, base, by_chance)
        for place in kept:
            state_W = yield from _state_of(session, place.row, place.ways)
            texts = []
            for pen in place.pens:
                texts.append((yield from completed(session, place.row, pen, GENERATOR)))
            told = {"state": packed(state_W.cpu().numpy()), "texts": texts}
            session.notes(row)["tried"] = told
            session.drop([place.row])
        session.drop([base])
        session.finish([row], "eos")


@dataclass(frozen=True, slots=True)
class _Tried:
    """What came of a disagreement in an answer to a dev question."""

    query_id: str
    scores: tuple[float, ...] = ()
    """Of the answer behind the generator's segment and that behind the mentor's; none where they
    always agreed.
    """
    state_W: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @classmethod
    def of(cls, query: Query, told: Mapping[str, Json] | None, dev: Dev) -> _Tried:
        """Score what `_try` told."""
        if told is None:
            return cls(query.id)
        scores = dev.score_alone(query.id, told["texts"])
        return cls(query.id, tuple(scores), unpacked(told["state"]))


def _question(ways: Sequence[str], order: Sequence[int] = (GENERATOR, MENTOR)) -> str:
    return QUESTION.format(first=ways[order[0]], second=ways[order[1]])


def _readable(session: JointSession, row: int, ways: Sequence[str]) -> bool:
    """Whether the generator's context has room for the question; else its own segment stands."""
    orders = ((GENERATOR, MENTOR), (MENTOR, GENERATOR))
    return all(session.holds(GENERATOR, row, _question(ways, own).encode()) for own in orders)


def _by_labels(session: JointSession, case: _Case) -> Generator[Ask, int, int]:
    """The generator reads both segments behind the answer, in both orders."""

    def show(order: Sequence[int]) -> str:
        return _question(case.ways, order)

    ballot = Ballot(tuple(case.ways), show, standing=(1.0, 0.0))
    copies = session.fork(case.row, len(ballot.orders))
    for copy, order in zip(copies, ballot.orders, strict=True):
        session.append([copy], show(order).encode())
        yield Ask(GENERATOR, copy)
    totals = session.options(GENERATOR, copies, ballot.labels).tolist()
    session.drop(copies)
    return ballot.result(totals).index or GENERATOR


def _state_of(session: JointSession, row: int, ways: Sequence[str]) -> Generator[Ask, int, Tensor]:
    """The generator's final hidden state behind the question which segment is better, [W]."""
    copy = session.fork(row, 1)[0]
    session.append([copy], _question(ways).encode())
    yield Ask(GENERATOR, copy)
    state_W = session.hidden(GENERATOR, [copy])[0].float()
    session.drop([copy])
    return state_W


def _shown(session: JointSession, pen: Pen, start: int) -> str:
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
