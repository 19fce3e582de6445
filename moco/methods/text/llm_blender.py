"""Candidates are ranked in pairs, and the best of them fused."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypedDict

import numpy as np
from pydantic import Field

from moco import comparing, prompts
from moco.access import Access, ModelFacts, Problem, Requires, RoleNeed
from moco.analysis.ratings import bradley_terry
from moco.comparing import Pair, Preference
from moco.errors import PromptTooLongError
from moco.methods import votes
from moco.methods.base import Level, Method, dev_best
from moco.pool import Dev, Model, Pool
from moco.train.sft import Sft
from moco.types import Generation, Json, Prediction, Query, Sampling

RANKER, FUSER = "ranker", "fuser"


class State(TypedDict):
    """Who ranks and fuses, and whether fusing pays."""

    best: str
    scores: dict[str, float]
    output: str
    ranker: dict[str, Json] | None
    """Reference to a trained ranker; None = the model of the role, or the best member."""
    fuser: dict[str, Json] | None


@dataclass(slots=True)
class _Field:
    """One question's candidates, one per member, and their scores by the ranker."""

    query: Query
    candidates: list[Generation]
    scores: list[float]
    missing: int = 0
    """Comparisons that could not be read."""
    settled: bool = False
    """Whether all candidates agree, so that nothing was compared."""


class LlmBlender(Method[State]):
    """Every member answers; a ranker compares the answers in pairs, in both orders; a fuser writes
    the final answer from the best ones, or the best one is taken as it is.

    Whether fusing is better than taking the best is decided on dev. Scores: mean margins
    (`max_logits`), wins (`max_wins`), Bradley-Terry strengths, or one bubble pass that finds the
    best alone. Ties go to the better member on dev. Ranker and fuser are the models in these roles,
    else the best member on dev, and may be fine-tuned on dev.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "Jiang, Ren, Lin 2023, arXiv 2306.02561 (LLM-Blender)"
    requires: ClassVar[Requires] = Requires(
        optional=Access.LOGPROBS,
        min_models=2,
        max_models=26,
        dev=True,
        roles={
            RANKER: RoleNeed(Access.TEXT, default="dev-best"),
            FUSER: RoleNeed(Access.TEXT, default="dev-best"),
        },
    )
    paper_preset: ClassVar[Mapping[str, Json]] = {"output": "fuse", "stop_on_consensus": False}

    policy: Literal["max_logits", "max_wins", "bradley_terry", "bubble"] = "max_logits"
    """How pairs make a ranking; bubble asks members − 1 times and ranks nobody but the best."""
    top_k: int = Field(default=3, ge=1, le=26)
    """Candidates that the fuser reads; at most all."""
    output: Literal["auto", "fuse", "top1"] = "auto"
    """The fuser's answer, the best candidate, or what is better on dev."""
    stop_on_consensus: bool = True
    """Whether candidates that all agree are taken without ranking."""
    train_ranker: bool = False
    """Whether the ranker is fine-tuned on pairs of dev answers of unequal scores."""
    train_fuser: bool = False
    """Whether the fuser is fine-tuned to write a right candidate of each dev question's ranking."""
    epochs: int = Field(default=3, ge=1, le=1000)
    """Passes of a fine-tuning at most."""
    learning_rate: float = Field(default=2e-4, gt=0, le=1)
    """Its peak rate."""

    def needs(self) -> Requires:
        """What is trained has to give gradients."""
        roles = dict(self.requires.roles)
        for role, trained in ((RANKER, self.train_ranker), (FUSER, self.train_fuser)):
            if trained:
                roles[role] = RoleNeed(Access.TEXT | Access.TRAIN, default="dev-best")
        return replace(self.requires, roles=roles)

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """A bubble pass has no second best to fuse."""
        if self.policy == "bubble" and self.output != "top1":
            what = "bubble finds the best candidate only"
            return [Problem("method.output", what, "set output: top1, or another policy")]
        return []

    def fit(self, pool: Pool, dev: Dev) -> State:
        """The best member, what is trained, and whether fusing pays."""
        best, scores = dev_best(pool, dev)
        output = "fuse" if self.output == "auto" else self.output
        state: State = {
            "best": best, "scores": scores, "output": output, "ranker": None, "fuser": None,
        }  # fmt: skip
        trains = self.train_ranker or self.train_fuser
        learning, choosing = dev.split(0.8) if trains and len(dev) >= 5 else (dev, dev)
        if self.train_ranker:
            rows = self._ranker_rows(pool, learning, self._model(pool, RANKER, state))
            state["ranker"] = self._trained(pool, RANKER, best, rows)
        if self.train_fuser:
            fields = self._ranked(pool, learning.queries, state)
            rows = self._fuser_rows(pool, learning, fields, state)
            state["fuser"] = self._trained(pool, FUSER, best, rows)
        if self.output == "auto" and len(choosing):
            fields = self._ranked(pool, choosing.queries, state)
            ids = [q.id for q in choosing.queries]
            tops = choosing.score(ids, [_top(pool, f, state).text for f in fields])
            fused = choosing.score(ids, [p.text for p in self._fused(pool, fields, state)])
            state["output"] = "fuse" if round(sum(fused) - sum(tops), 9) > 0 else "top1"
        return state

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """Candidates, ranking, fusion."""
        if state is None:
            raise ValueError("llm_blender: needs the state that fit() returns")
        fields = self._ranked(pool, queries, state)
        if state["output"] == "fuse":
            return self._fused(pool, fields, state)
        return [_top(pool, own, state) for own in fields]

    def _model(self, pool: Pool, role: str, state: State) -> Model:
        ref = state["ranker"] if role == RANKER else state["fuser"]
        if ref is not None:
            return pool.kept_model(ref, f"{ref['base']}+{role}")
        return pool.roles.get(role) or pool.named(state["best"])

    def _ranked(self, pool: Pool, queries: Sequence[Query], state: State) -> list[_Field]:
        answers = pool.ask_all(queries)
        fields = [
            _Field(query, [own[i] for own in answers], [0.0] * len(pool))
            for i, query in enumerate(queries)
        ]
        for own in fields:
            agreed = votes.agree(votes.read(own.candidates, own.query))
            own.settled = self.stop_on_consensus and agreed
        open_ = [own for own in fields if not own.settled]
        judge = self._model(pool, RANKER, state)
        if self.policy == "bubble":
            _bubble(judge, open_)
        else:
            self._all_pairs(judge, open_)
        return fields

    def _all_pairs(self, judge: Model, fields: Sequence[_Field]) -> None:
        n = len(fields[0].candidates) if fields else 0
        places = list(itertools.combinations(range(n), 2))
        pairs = [_pair(own, i, j) for own in fields for i, j in places]
        found = comparing.compare(judge, pairs, stage="rank")
        for f, own in enumerate(fields):
            told = found[f * len(places) : (f + 1) * len(places)]
            own.missing = sum(p.share is None for p in told)
            own.scores = _scores(self.policy, n, places, told)

    def _fused(self, pool: Pool, fields: Sequence[_Field], state: State) -> list[Prediction]:
        fuser = self._model(pool, FUSER, state)
        spare = pool.spare([fuser])
        open_ = [own for own in fields if not own.settled]
        asked = [
            prompts.fuse(own.query, self._best(pool, own, state), spare=spare) for own in open_
        ]
        written = fuser.ask(asked, stage="fuse", query_ids=[own.query.id for own in open_])
        by_id = {
            own.query.id: Prediction(
                own.query.id,
                g.text,
                (fuser.name.partition("+")[0],),
                g.stop,
                _notes(pool, own, "fuse"),
            )
            for own, g in zip(open_, written, strict=True)
        }
        return [by_id.get(own.query.id) or _top(pool, own, state) for own in fields]

    def _best(self, pool: Pool, own: _Field, state: State) -> list[str]:
        return [own.candidates[m].text for m in _order(pool, own, state)[: self.top_k]]

    def _ranker_rows(self, pool: Pool, dev: Dev, ranker: Model) -> list[dict[str, Json]]:
        """Both orders of every pair of dev answers of unequal scores."""
        queries, answers = dev.queries, pool.ask_all(dev.queries)
        ids = [q.id for q in queries]
        scores = [dev.score(ids, [g.text for g in own]) for own in answers]
        rows: list[dict[str, Json]] = []
        for q, query in enumerate(queries):
            for i, j in itertools.permutations(range(len(pool)), 2):
                if scores[i][q] == scores[j][q]:
                    continue
                texts = (answers[i][q].text, answers[j][q].text)
                label = "A" if scores[i][q] > scores[j][q] else "B"
                try:
                    prompt = prompts.pick(query, texts, spare=comparing.room_of(ranker))
                except PromptTooLongError:  # the ranker could not be asked either
                    continue
                rows.append({"prompt": prompt, "completion": label})
        return rows

    def _fuser_rows(
        self, pool: Pool, dev: Dev, fields: Sequence[_Field], state: State
    ) -> list[dict[str, Json]]:
        """What the ranker put first, and a right candidate in full, where there is one."""
        rows: list[dict[str, Json]] = []
        spare = pool.spare([self._model(pool, FUSER, state)])
        for own in fields:
            texts = [g.text for g in own.candidates]
            scores = dev.score_alone(own.query.id, texts)
            order = _order(pool, own, state)
            right = [m for m in order if scores[m] >= 1.0]
            if right:
                shown = [texts[m] for m in order[: self.top_k]]
                prompt = prompts.fuse(own.query, shown, spare=spare)
                rows.append({"prompt": prompt, "completion": texts[right[0]]})
        return rows

    def _trained(
        self, pool: Pool, role: str, best: str, rows: Sequence[Mapping[str, Json]]
    ) -> dict[str, Json] | None:
        """Reference to the model tuned on these rows; None where there are none."""
        if not rows:
            return None
        model = pool.roles.get(role) or pool.named(best)
        recipe = Sft(epochs=self.epochs, learning_rate=self.learning_rate, seed=pool.context.seed)
        trained = pool.train(model, rows, recipe, f"{model.name}+{role}")
        return pool.keep_model(trained, model)


def _pair(own: _Field, i: int, j: int) -> Pair:
    return Pair(own.query, own.candidates[i].text, own.candidates[j].text)


def _scores(
    policy: str, n: int, places: Sequence[tuple[int, int]], told: Sequence[Preference]
) -> list[float]:
    """A score per candidate from the preferences that could be read; 0 without any."""
    margins, counts, wins = np.zeros(n), np.zeros(n), np.zeros((n, n))
    for (i, j), found in zip(places, told, strict=True):
        if found.share is None:
            continue
        step = found.margin if found.margin is not None else found.share - 0.5
        margins[i] += step
        margins[j] -= step
        counts[[i, j]] += 1
        wins[i, j] += found.share
        wins[j, i] += 1 - found.share
    if policy == "max_wins":
        return [float(x) for x in wins.sum(axis=1)]
    if policy == "bradley_terry":
        return [round(float(x), 6) for x in bradley_terry(wins)]
    return [round(float(x), 6) for x in margins / np.maximum(counts, 1)]


def _bubble(judge: Model, fields: Sequence[_Field]) -> None:
    """One pass: the better of the best so far and the next; all questions in step."""
    best = [0] * len(fields)
    for challenger in range(1, len(fields[0].candidates) if fields else 0):
        pairs = [_pair(own, best[f], challenger) for f, own in enumerate(fields)]
        for f, found in enumerate(comparing.compare(judge, pairs, stage="rank")):
            fields[f].missing += found.share is None
            if found.share is not None and found.share < 0.5:
                best[f] = challenger
    for f, own in enumerate(fields):
        own.scores[best[f]] = 1.0


def _order(pool: Pool, own: _Field, state: State) -> list[int]:
    """Members from the best candidate to the worst; ties: the better on dev, then pool order."""
    known = [state["scores"].get(name, 0.0) for name in pool.names]
    return sorted(range(len(pool)), key=lambda m: (-own.scores[m], -known[m], m))


def _top(pool: Pool, own: _Field, state: State) -> Prediction:
    chosen = _order(pool, own, state)[0]
    taken, name = own.candidates[chosen], pool.names[chosen]
    kind = "consensus" if own.settled else "top1"
    return Prediction(own.query.id, taken.text, (name,), taken.stop, _notes(pool, own, kind))


def _notes(pool: Pool, own: _Field, decided: str) -> dict[str, Json]:
    ranks = dict(zip(pool.names, own.scores, strict=True))
    return {"decided": decided, "ranking": ranks, "missing": own.missing}
