"""Members write one answer in turns: before each patch of tokens a switcher says who goes on."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict

import numpy as np
from pydantic import Field

from moco import choosing
from moco.access import Access, ModelFacts, Problem, Requires, RoleNeed
from moco.errors import DataError
from moco.methods.base import JointMethod, Level, dev_best
from moco.methods.parts import trainable
from moco.methods.patches import (
    RECALL,
    AfterParts,
    anybody,
    begun,
    completed,
    cue,
    read_ids,
    write_patch,
)
from moco.pool import Dev, Model, Pool
from moco.prompts import labels_for, shorten
from moco.routing.asking import ASSISTANTS, QUESTION, lines_of
from moco.routing.decide import DIGITS
from moco.routing.table import observe
from moco.scorers.judging import longest_fit
from moco.train.rows import written
from moco.types import Generation, Json, Prediction, Query, Sampling

if TYPE_CHECKING:
    from moco.decoding.joint import JointSession

ROLE = "selector"
"""The role of the model that is the switcher, or becomes it."""
TASK = (
    "Several assistants write the answer to a question together, part by part. Do not answer it"
    " yourself; say, wherever the answer breaks off, which assistant should write the next part."
)
HELD = 10
"""One in so many questions that were learnt from is kept for validation."""
TRAINING_ONLY = (
    "training_instances", "rollouts", "temperature", "epochs", "learning_rate", "rank",
    "batch_size",
)  # fmt: skip


class State(TypedDict):
    """Who switches, and whether that is better than one member alone."""

    use: str
    """What is used: `switcher`, `random` or `single`."""
    best: str
    """The member that is best on dev."""
    model: dict[str, Json] | None
    """Reference to the trained switcher; None where none was trained."""
    lines: list[str]
    """How the switcher's prompt describes the members."""
    training: dict[str, Json]
    """Places that were tried out, those at which it matters who goes on, and training rows."""
    compared: dict[str, float]
    """Scores on the part of dev that was not learnt from."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in an answer, and what comes of each member going on from there."""

    query: Query
    parts: list[str]
    writers: list[int]
    texts: list[list[str]]
    """Complete answers, by the member that wrote the part at this place."""


class SwitchGeneration(JointMethod[State]):
    """Before each patch of an answer a switcher names the member that writes it, by the
    log-likelihood of its label behind the answer so far.

    A patch ends on a complete character, nothing is put between patches, and a stop of whoever
    writes ends the answer. The switcher reads the answer in its own vocabulary and is told who
    wrote the last parts. It is trained (LoRA) on dev: answers are begun by random members, every
    member goes on from there several times, and the label of the member whose answers score best is
    learnt; places at which all do alike teach nothing. At last the switcher, the best single member
    and, where asked for, random switching are compared on a part of dev that was not learnt from,
    and the best is used.
    """

    level: ClassVar[Level] = "api"
    version: ClassVar[int] = 2
    paper: ClassVar[str] = (
        "Feng, Yu, Wang, Zhang, Tsvetkov, Yu 2025, arXiv 2510.09913 (Switch Generation)"
    )
    requires: ClassVar[Requires] = Requires(
        access=Access.TEXT | Access.LOGITS,
        min_models=2,
        dev=True,
        roles={ROLE: RoleNeed(Access.TRAIN | Access.LOGITS, default="dev-best")},
    )
    paper_preset: ClassVar[Mapping[str, Json]] = {
        "patch_size": 50, "training_instances": 500, "use": "switcher", "learning_rate": 1e-5,
        "rank": 64,
    }  # fmt: skip

    patch_size: int = Field(default=25, ge=1, le=4096)
    """Tokens of a patch at least, unless it ends the answer."""
    train: bool = True
    """Whether the switcher is trained; otherwise the role `selector` is used as it is."""
    use: Literal["best", "switcher"] = "best"
    """Whether the best on held-out dev is used, or the switcher in any case."""
    compare_random: bool = False
    """Whether random switching is compared too."""
    training_instances: int = Field(default=200, ge=1, le=1_000_000)
    """Places in answers to dev questions that the members are tried out at."""
    rollouts: int = Field(default=4, ge=1, le=1000)
    """Answers that are completed from each place for each member that may go on."""
    temperature: float = Field(default=0.7, gt=0, le=10)
    """Temperature of these answers."""
    epochs: int = Field(default=5, ge=1, le=1000)
    """Passes over the training rows at most."""
    learning_rate: float = Field(default=2e-4, gt=0, le=1)
    """Peak rate; models below a hundred million parameters want about ten times it."""
    rank: int = Field(default=16, ge=1, le=1024)
    """Rank of the adapter, whose scale is 2."""
    batch_size: int = Field(default=8, ge=1, le=4096)
    """Rows per step."""

    def needs(self) -> Requires:
        """A model to train, or a switcher."""
        if self.train:
            return self.requires
        return replace(self.requires, roles={ROLE: RoleNeed(Access.LOGITS, required=True)})

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Without training its settings have no effect."""
        given = [n for n in TRAINING_ONLY if n in self.model_fields_set]
        what = "has no effect with train: false"
        return [] if self.train else [Problem(f"method.{n}", what, "take it out") for n in given]

    def fit(self, pool: Pool, dev: Dev) -> State:
        """The switcher, and what is to be used."""
        best, scores = dev_best(pool, dev)
        halves = dev.split(0.7)
        learning, choosing = halves if all(map(len, halves)) else (dev, dev)
        lines = lines_of(pool, observe(pool, learning), scores=True)
        state: State = {
            "use": "single", "best": best, "model": None, "lines": lines, "training": {},
            "compared": {},
        }  # fmt: skip
        if self.train:
            self._teach(
                pool,
                learning,
                trainable(pool, scores, self.name(), ROLE, Access.TRAIN | Access.LOGITS),
                state,
            )
        if self.use == "switcher":
            state["use"] = self.use
        else:
            self._compare(pool, choosing, state)
        return state

    def _teach(self, pool: Pool, dev: Dev, base: Model, state: State) -> None:
        """Train the switcher; there is none where it never matters who goes on."""
        places = self._explored(pool, dev)
        rows, told = [], 0
        held = {query.id for query in dev.queries[::HELD]} if len(dev) >= HELD else set()
        for place in places:
            right = _best_writers(place, dev)
            told += bool(right)
            for row in self._lessons(base, place, right, state["lines"], len(pool)):
                rows.append({**row, "held": place.query.id in held})
        state["training"] = {"places": len(places), "telling": told, "rows": len(rows)}
        if any(not row["held"] for row in rows):
            trained = pool.train(base, rows, self._recipe(pool), f"{base.name}+switching")
            state["model"] = pool.keep_model(trained, base)
        elif self.use == "switcher":
            raise DataError(
                f"{self.name()}: at no place in an answer does it matter which member goes on, so"
                " the switcher has nothing to learn; give more dev questions, more"
                " training_instances, or other members"
            )

    def _recipe(self, pool: Pool) -> AfterParts:
        return AfterParts(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            rank=self.rank,
            alpha=2 * self.rank,
            seed=pool.context.seed,
        )

    def _explored(self, pool: Pool, dev: Dev) -> list[_Place]:
        """Places in answers to the dev questions, which take turns in a seeded order."""
        queries = list(dev.queries)
        random.Random(f"{pool.context.seed}-{self.name()}").shuffle(queries)
        sampling = replace(pool.context.sampling, temperature=self.temperature, stop=())
        scout = SwitchGeneration(patch_size=self.patch_size, rollouts=self.rollouts)
        stop = list(pool.context.sampling.stop)
        state = {"task": "explore", "writers": len(pool), "stop": stop}
        places = []
        for draw, first in enumerate(range(0, self.training_instances, max(len(queries), 1))):
            asked = queries[: self.training_instances - first]
            drawn = pool.with_(draw=draw)
            given = drawn.joint(asked, scout, state, sampling=sampling, stage="explore")
            for query, generation in zip(asked, given, strict=True):
                places.append(_Place(query, **json.loads(generation.text)))
        return places

    def _lessons(
        self, base: Model, place: _Place, right: Sequence[int], lines: Sequence[str], count: int
    ) -> list[dict[str, Json]]:
        """A training row for each of the best writers; none where it would not fit the context."""
        prompt = self._prompt(base, place.query, lines)
        parts = [*place.parts, cue(place.writers, count)]
        context = base.facts.context
        if prompt is None or len(read_ids(base.spec, prompt, parts)) + 1 > (context or math.inf):
            return []
        told = {"prompt": written(prompt), "parts": parts}
        return [{**told, "completion": labels_for(count)[writer]} for writer in right]

    def _compare(self, pool: Pool, dev: Dev, state: State) -> None:
        """What scores best on held-out dev is used; the simpler on ties."""
        uses = ["single"]
        if self.compare_random:
            uses.append("random")
        if state["model"] or not self.train:
            uses.append("switcher")
        for use in uses:
            found = self.predict(pool, dev.queries, {**state, "use": use})
            state["compared"][use] = round(dev.mean([p.text for p in found]), DIGITS)
        state["use"] = max(uses, key=lambda use: state["compared"][use])

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """The members write each answer in turns, or one member alone where that is better."""
        if state is None:
            raise ValueError(f"{self.name()}: needs the state that fit() returns")
        if state["use"] == "single":
            given = pool.of([state["best"]]).ask_all(queries)[0]
        elif state["use"] == "random":
            given = pool.joint(queries, self._plain, {"task": "random", "writers": len(pool)})
        else:
            given = self._switched(pool, queries, state)
        found = []
        for query, g in zip(queries, given, strict=True):
            writers = dict.fromkeys(name for name, _ in g.notes.get("spans", ()))
            by = tuple(writers) or (state["best"],)
            found.append(Prediction(query.id, g.text, by, g.stop, {**g.notes, "use": state["use"]}))
        return found

    @property
    def _plain(self) -> SwitchGeneration:
        """The method as far as it can change an answer, which is then found in the cache whatever
        else is set.
        """
        return SwitchGeneration(patch_size=self.patch_size)

    def _switched(self, pool: Pool, queries: Sequence[Query], state: State) -> list[Generation]:
        """Members and switcher in one session, each with a prompt of its own; where the switcher's
        does not fit its context, the best member alone.
        """
        switcher = pool.kept_model(state["model"]) if state["model"] else pool.roles[ROLE]
        asked = [self._prompt(switcher, query, state["lines"]) for query in queries]
        fitting = [i for i, prompt in enumerate(asked) if prompt is not None]
        prompts = [[queries[i].prompt] * len(pool) + [asked[i] or ""] for i in fitting]
        told = {"task": "switch", "writers": len(pool)}
        wide, best = pool.including([switcher]), pool.of([state["best"]])
        own = [queries[i] for i in fitting]
        found = dict(zip(fitting, wide.joint(own, self._plain, told, prompts=prompts), strict=True))
        rest = [i for i in range(len(queries)) if i not in found]
        found |= zip(rest, best.ask_all([queries[i] for i in rest])[0], strict=True)
        return [found[i] for i in range(len(queries))]

    def _prompt(self, switcher: Model, query: Query, lines: Sequence[str]) -> str | None:
        """The question and the members as labelled lines; long texts are shortened to the context,
        None where that cannot be enough.
        """
        question = query.body or query.text
        used = switcher.context.sampling
        aside = len(cue([0] * RECALL, len(lines)))
        room = replace(used, max_tokens=used.max_tokens + aside)

        def build(limit: int) -> str:
            shown = [shorten(line, limit).replace("\n", " ") for line in lines]
            labelled = zip(labels_for(len(lines)), shown, strict=True)
            listed = "\n".join(f"{label}. {line}" for label, line in labelled)
            asked = QUESTION.format(question=shorten(question, limit))
            return "\n\n".join((TASK, asked, ASSISTANTS.format(lines=listed)))

        longest = max(len(text) for text in (question, *lines))
        limit = longest_fit(build, longest, lambda prompt: switcher.spare(prompt, room))
        return None if limit is None else build(limit)

    def draws(self, state: Json) -> bool:
        """All but the switcher's choices are drawn."""
        return bool(state["task"] != "switch")

    def write(self, session: JointSession, state: Json) -> None:
        """Answers patch by patch, or (`task: explore`) what comes of each member's going on."""
        count = int(state["writers"])
        if state["task"] == "explore":
            self._explore(session, count, tuple(state["stop"]))
            return
        past: dict[int, list[int]] = {}
        while rows := session.live:
            before = [past.setdefault(row, []) for row in rows]
            if state["task"] == "random":
                chosen = anybody(session, rows, count)
            else:
                chosen = _named(session, rows, before, count)
            write_patch(session, rows, chosen, self.patch_size)
            for own, writer in zip(before, chosen, strict=True):
                own.append(writer)

    def _explore(self, session: JointSession, count: int, stop: tuple[str, ...]) -> None:
        """Each row's answer becomes the JSON of a `_Place` without its question: what members write
        is written on copies.
        """
        while rows := session.live:
            bases = [session.fork(row, 1)[0] for row in rows]
            starts = begun(session, bases, count, self.patch_size, stop)
            lines = [start.line for start in starts]
            texts = completed(session, lines, count, self.patch_size, self.rollouts, stop)
            for row, base, start, own in zip(rows, bases, starts, texts, strict=True):
                found = {"parts": start.parts, "writers": start.writers, "texts": own}
                told = json.dumps(found).replace("<", "\\u003c")  # nothing looks like a thought
                session.append([row], told.encode())
                session.drop([start.line])
                session.drop([base])
            session.finish(rows, "eos")


def _named(
    session: JointSession, rows: Sequence[int], past: Sequence[Sequence[int]], count: int
) -> list[int]:
    """The writer of the likeliest label in each row; the switcher is the session's last voice."""
    session.logits(count, rows)  # it reads the answers before they are copied
    copies = [session.fork(row, 1)[0] for row in rows]
    for copy, writers in zip(copies, past, strict=True):
        session.append([copy], cue(writers, count).encode())
    scores = session.options(count, copies, labels_for(count)).tolist()
    session.drop(copies)
    return [choosing.by_score(own).index or 0 for own in scores]


def _best_writers(place: _Place, dev: Dev) -> list[int]:
    """The members of the best mean score at this place; none where all do alike."""
    flat = [text for own in place.texts for text in own]
    scores = np.reshape(dev.score_alone(place.query.id, flat), (len(place.texts), -1))
    means = np.round(scores.mean(axis=1), DIGITS)
    return [] if np.ptp(means) == 0 else np.flatnonzero(means == means.max()).tolist()
