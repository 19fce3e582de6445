"""A small model writes, and learns from answers when to let a larger one write the next token."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypedDict

import numpy as np
from pydantic import Field, model_validator

from moco.access import NONE, Access, ModelFacts, Problem, Requires, check
from moco.errors import DataError
from moco.methods.base import JointMethod, Level
from moco.methods.deferring import Point, Trial, chance, log_odds, moved, pooled, smoothed
from moco.methods.parts import pair_of, unknown_members
from moco.pool import Dev, Pool
from moco.prompts import as_answer
from moco.train.deferral import Deferral, head_of
from moco.train.rows import rows_of, written
from moco.types import Generation, Json, Prediction, Query, Sampling

if TYPE_CHECKING:
    from torch import Tensor

    from moco.decoding.joint import JointSession

Ref = dict[str, Json]
ASKS, ASSISTS = 0, 1
"""Order of the two members in the joint session."""
PAIR = Requires(access=NONE, min_models=0, same=frozenset({"tokenizer"}))
"""What the two have to share; further members of the pool do not matter."""
LEARNER = Requires(access=Access.HIDDEN | Access.TRAIN, min_models=0)
"""What the base has to give."""
COSTS = (1.0, 0.1, 3.0)
"""Costs that are tried where none is given; the first where nothing chooses."""
LEARNT = 0.85
"""Share of the questions that is not held out for validation."""


class State(TypedDict):
    """What was learnt and chosen."""

    base: str
    assistant: str
    head: Ref
    """Arrays `weight`, `bias` and `percentiles`, see `moco.train.deferral`."""
    tuned: Ref | None
    """The adapter that was trained with the head."""
    cost: float
    threshold: float
    curve: list[Point]
    """Score and deferral by threshold, rising in deferral; empty where the threshold is given.
    Measured on each half of dev with what was learnt from the other; the thresholds are those at
    which what was learnt from all of dev defers as much.
    """
    alone: dict[str, float]
    """Scores of the two members as they are, on the same questions."""
    rows: int
    """Answers that were learnt from."""


class CoLlm(JointMethod[State]):
    """The base writes; a linear head on its final hidden state says, token by token, when the
    assistant writes instead. Nobody labels tokens: the head, and a LoRA adapter of the base, are
    learnt from whole answers by the likelihood of the mixture of both models, in which who writes a
    token is the latent variable, less a price for asking.

    What is learnt from are the dev answers of either member that are right (`answers`), its own and
    some that are drawn, for they show how the task is written by models; dev's references are often
    a bare result, and teach to leave out what leads there. `references` learns from those alone,
    written in the task's answer form; `both` uses them where neither member is right. The threshold
    is the one that, with its neighbours, scores best on each half of dev for what was learnt from
    the other, among those that keep the share of tokens asked for within bounds; then all of dev is
    learnt from, and the threshold is the one that asks for as many tokens. The assistant reads what
    was written since it was last asked in one chunk, so that both together read at most
    n · (prompt + answer) positions.
    """

    level: ClassVar[Level] = "api"
    paper: ClassVar[str] = "Shen, Lang, Wang, Kim, Sontag 2024, arXiv 2403.03870 (Co-LLM)"
    requires: ClassVar[Requires] = Requires(
        access=Access.TEXT | Access.LOGITS, min_models=2, dev=True
    )
    paper_preset: ClassVar[Mapping[str, Json]] = {
        "cost": 0, "epochs": 2, "learning_rate": 2e-5, "batch_size": 32,
    }  # fmt: skip

    base: str = ""
    """Alias of the model that writes and asks; empty = the first member."""
    assistant: str = ""
    """Alias of the model that is asked; empty = the second member."""
    tune: Literal["head", "lora"] = "lora"
    """What is trained: the head alone on the base as it is, or a LoRA adapter of the base too."""
    learn: Literal["answers", "references", "both"] = "answers"
    """What is learnt from."""
    samples: int = Field(default=8, ge=0, le=64)
    """Further answers per question that each member draws to learn from, with `answers` and `both`;
    equal ones count once.
    """
    sample_temperature: float = Field(default=0.7, gt=0, le=2)
    """At this temperature."""
    cost: float | None = Field(default=None, ge=0, le=100)
    """What asking for a token costs in training, in nats; 0 = the likelihood alone, under which
    asking always is best wherever the assistant is the more certain of the two. None = 0.1, 1
    and 3 are tried, and the choice is dev's, as the threshold's.
    """
    num_examples: int = Field(default=10_000, ge=1)
    """Dev questions that are learnt from at most, the first."""
    max_length: int = Field(default=0, ge=0)
    """Prompts with answers of more tokens are left out of training; 0 = what the context holds."""
    deferral_threshold: float | None = Field(default=None, ge=0, le=1)
    """The assistant is asked where P(defer) is above this; None = chosen on dev."""
    deferral_strategy: Literal["defer", "compose"] = "defer"
    """Above the threshold a token comes from the assistant's distribution, or from the mixture."""
    threshold_warmup_schedule: Literal["none", "linear", "cosine"] = "none"
    """How the threshold falls from 1 at an answer's first token to its own value."""
    threshold_warmup_steps: int = Field(default=15, ge=1, le=100_000)
    """Tokens after which it has fallen."""
    min_deferral: float = Field(default=0.0, ge=0, le=1)
    """Smallest share of deferred tokens on dev that a chosen threshold may give."""
    max_deferral: float = Field(default=0.5, ge=0, le=1)
    """Largest such share."""
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] = (
        0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 1.0,
    )  # fmt: skip
    """Shares of the learnt tokens for which thresholds are made and tried; the share in answers
    that are then written is measured.
    """
    epochs: int = Field(default=8, ge=1, le=1000)
    """Passes of the adapter's training at most."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Its peak rate."""
    batch_size: int = Field(default=8, ge=1, le=4096)
    """Rows per step."""

    @model_validator(mode="after")
    def _ordered(self) -> CoLlm:
        if self.min_deferral > self.max_deferral:
            raise ValueError("min_deferral is above max_deferral: no threshold can keep both")
        return self

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """The two must be different members of one tokenizer, and the base has to be trainable."""
        found = unknown_members(facts, base=self.base, assistant=self.assistant)
        if found or len(facts) < 2:
            return found
        base, assistant = self._pair(list(facts))
        if base == assistant:
            return [Problem("method.assistant", "is the base itself", "name another member")]
        known = {name: facts[name] for name in (base, assistant) if facts[name] is not None}
        return check(PAIR, known) + check(LEARNER, {n: f for n, f in known.items() if n == base})

    def _pair(self, names: Sequence[str]) -> tuple[str, str]:
        return pair_of(self.base, self.assistant, names)

    def fit(self, pool: Pool, dev: Dev) -> State:
        """Each half of dev chooses cost and threshold for what is learnt from the other, then all
        of it is learnt from at these; at once where the threshold is given.
        """
        pair = pool.of(list(self._pair(pool.names)))
        every = self._rows(pair, dev)
        if not every:
            raise DataError(
                "collm: there is no answer to learn from: on no dev question is a whole answer of"
                f" '{pair.names[ASKS]}' or '{pair.names[ASSISTS]}' right; use learn: both, more dev"
                " questions, or a larger max_length"
            )
        if self.deferral_threshold is not None:
            cost = COSTS[0] if self.cost is None else self.cost
            return self._learnt(pool, pair, every, cost)
        halves = dev.split(0.5)
        folds = [halves, halves[::-1]] if len(dev) > 3 else [(dev, dev)]
        costs = COSTS if self.cost is None else (self.cost,)
        tried: dict[float, list[list[Trial]]] = {cost: [] for cost in costs}
        for learning, choosing in folds:
            rows = self._rows(pair, learning)
            for cost in costs if rows else ():
                learnt = self._learnt(pool, pair, rows, cost)
                tried[cost].append(self._tried(pool, choosing, learnt))
        curves = {
            cost: [pooled(trials) for trials in zip(*own, strict=True)]
            for cost, own in tried.items()
        }
        cost = min(curves, key=lambda cost: self._best(curves[cost])[0])
        state = self._learnt(pool, pair, every, cost)
        curve = moved(curves[cost], self._tried(pool, dev, state))
        alone = zip(pair.names, pair.ask_all(dev.queries), strict=True)
        scores = {name: round(dev.mean([g.text for g in own]), 9) for name, own in alone}
        threshold = self.chosen(curve)["threshold"]
        return {**state, "threshold": threshold, "curve": curve, "alone": scores}

    def _learnt(
        self, pool: Pool, pair: Pool, rows: Sequence[Mapping[str, Json]], cost: float
    ) -> State:
        """What is learnt from the rows at this cost; the threshold is the one given, or open."""
        base, assistant = pair.names
        recipe = Deferral(
            tune=self.tune, epochs=self.epochs, learning_rate=self.learning_rate,
            batch_size=self.batch_size, cost=cost, seed=pool.context.seed,
        )  # fmt: skip
        trained = pool.train(pair[ASKS], rows, recipe, f"{base}+deferral")
        return {
            "base": base, "assistant": assistant, "head": pool.keep(head_of(trained)),
            "tuned": pool.keep_model(trained, pair[ASKS]) if self.tune == "lora" else None,
            "cost": cost, "threshold": self.deferral_threshold or 0.0, "curve": [], "alone": {},
            "rows": len(rows),
        }  # fmt: skip

    def _rows(self, pair: Pool, dev: Dev) -> list[dict[str, Json]]:
        """What is learnt from, with the assistant's log-probabilities."""
        dev = replace(dev, samples=dev.samples[: self.num_examples])
        seen = {q.id for q in dev.split(LEARNT)[0].queries}
        completions = self._completions(pair, dev)
        lessons = [
            {"prompt": written(query.prompt), "completion": text, "held": query.id not in seen}
            for query, text in completions
        ]
        learnt = rows_of(pair[ASKS].spec, lessons, 0)
        kept = [i for i, row in enumerate(learnt) if len(row.ids) <= (self.max_length or math.inf)]
        found = []
        for i in kept:
            ids = learnt[i].ids[learnt[i].start :]
            notes = _read(pair.of(pair.names[ASSISTS:]), completions[i][0], ids)
            found.append({**lessons[i], "assistant": notes["logprobs"], "first": notes["first"]})
        return found

    def _completions(self, pair: Pool, dev: Dev) -> list[tuple[Query, str]]:
        """Dev questions with the answers that are learnt, each once."""
        found = []
        given = self._given(pair, dev) if self.learn != "references" else []
        for i, query in enumerate(dev.queries):
            whole = [own[i].text for own in given if own[i].stop != "length" and own[i].text]
            unique = list(dict.fromkeys(whole))
            scores = dev.score_alone(query.id, unique)
            right = [text for text, score in zip(unique, scores, strict=True) if score >= 1]
            if self.learn != "answers" and not right and query.kind != "code":
                right = [as_answer(query, text) for text in dev.references(query)[:1]]
            found += [(query, text) for text in right]
        return found

    def _given(self, pair: Pool, dev: Dev) -> list[list[Generation]]:
        """Answers of both members to all questions: their own, then those drawn."""
        hot = replace(pair.context.sampling, temperature=self.sample_temperature)
        drawn = [
            own
            for draw in range(1, self.samples + 1)
            for own in pair.ask_all(dev.queries, stage="lesson", sampling=hot, draw=draw)
        ]
        return pair.ask_all(dev.queries) + drawn

    def _tried(self, pool: Pool, dev: Dev, state: State) -> list[Trial]:
        """How each of the shares' thresholds does on dev."""
        percentiles = pool.kept(state["head"])["percentiles"]
        outputs = np.interp(100 * (1 - np.array(self.shares)), np.arange(101), percentiles)
        found = []
        for share, output in zip(self.shares, outputs.tolist(), strict=True):
            threshold = 1.0 if share == 0 else 0.0 if share == 1 else chance(output)
            answers = self.predict(pool, dev.queries, {**state, "threshold": threshold})
            found.append(
                Trial(
                    threshold,
                    asked=sum(p.notes["deferred"] for p in answers),
                    tokens=sum(p.notes["tokens"] for p in answers),
                    score=dev.mean([p.text for p in answers]) * len(dev),
                    questions=len(dev),
                )
            )
        return found

    def chosen(self, curve: Sequence[Point]) -> Point:
        """The best point of a curve that rises in deferral, within the bounds, the one of least
        deferral among equals; where none is within, the nearest. On few dev questions a single
        threshold scores well by chance, so points of nearly its deferral count too.
        """
        return self._best(curve)[1]

    def _best(self, curve: Sequence[Point]) -> tuple[tuple[float, ...], Point]:
        """That point, and what it is ranked by, smallest first."""
        ranks = [self._rank(p, m) for p, m in zip(curve, smoothed(curve), strict=True)]
        best = ranks.index(min(ranks))
        return ranks[best], curve[best]

    def _rank(self, point: Point, score: float) -> tuple[float, ...]:
        """What makes a point better, smallest first."""
        share = point["deferral"]
        outside = max(self.min_deferral - share, share - self.max_deferral, 0.0)
        return outside, -score, share

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """The base, with the assistant where it asks, writes each answer."""
        if state is None:
            raise DataError("collm: nothing was learnt yet; fit comes first")
        base, assistant = pool.named(state["base"]), pool.named(state["assistant"])
        if state["tuned"] is not None:
            base = pool.kept_model(state["tuned"], f"{base.name}+deferral")
        head = pool.kept(state["head"])
        used = {
            "weight": head["weight"].tolist(), "bias": head["bias"].tolist()[0],
            "threshold": state["threshold"],
        }  # fmt: skip
        pair = Pool([base, assistant], pool.roles, pool.context)
        return [
            Prediction(q.id, g.text, by=tuple(pair.names), stop=g.stop, notes=g.notes)
            for q, g in zip(queries, pair.joint(queries, self, used), strict=True)
        ]

    def write(self, session: JointSession, state: Json) -> None:
        """One token per row and step, of the base or, where it asks, of the assistant."""
        import torch

        weight_W = torch.tensor(state["weight"], dtype=torch.float64, device=session.device)
        while rows := session.live:
            states_BW = session.hidden(ASKS, rows).to(weight_W)
            outputs_B = (states_BW * weight_W).sum(-1) + state["bias"]
            asking = []
            for place, (row, output) in enumerate(zip(rows, outputs_B.tolist(), strict=True)):
                notes = session.notes(row)
                tokens, deferred = notes.get("tokens", 0), notes.get("deferred", 0)
                if round(output, 4) > log_odds(self.threshold(state["threshold"], tokens)):
                    asking.append(place)
                    deferred += 1
                share = round(deferred / (tokens + 1), 4)
                notes.update(tokens=tokens + 1, deferred=deferred, deferral=share)
            logits_BV = self._said(session, rows, outputs_B.float(), asking)
            authors = [ASKS] * len(rows)
            for place in asking:
                authors[place] = ASSISTS
            tokens_B = session.draw(rows, logits_BV)
            session.emit(ASKS, rows, tokens_B, logits_BV, shared=True, authors=authors)

    def _said(
        self, session: JointSession, rows: list[int], outputs_B: Tensor, asking: list[int]
    ) -> Tensor:
        """Logits that each row's token is drawn from, [rows, V]."""
        import torch

        own_BV = session.logits(ASKS, rows)
        if not asking:
            return own_BV
        other_BV = session.logits(ASSISTS, [rows[place] for place in asking])
        width = min(own_BV.shape[1], other_BV.shape[1])  # padding of the vocabulary is no token
        other_BV = other_BV[:, :width]
        if self.deferral_strategy == "compose":
            other_BV = mixture(outputs_B[asking], own_BV[asking, :width], other_BV)
        said_BV = own_BV.clone()
        said_BV[asking] = -torch.inf
        said_BV[asking, :width] = other_BV
        return said_BV

    def threshold(self, final: float, tokens: int) -> float:
        """The threshold after so many tokens of an answer."""
        done = min(tokens / self.threshold_warmup_steps, 1.0)
        if self.threshold_warmup_schedule == "none":
            return final
        if self.threshold_warmup_schedule == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return 1 - (1 - final) * done


class _Reading(JointMethod[None]):
    """Reads an answer that is given as token ids, the one that closes the turn among them; notes
    each one's log-probability and whether it is the likeliest.
    """

    level: ClassVar[Level] = "api"
    paper: ClassVar[str] = "none"

    def write(self, session: JointSession, state: Json) -> None:
        """All in one pass."""
        import torch

        from moco.decoding.sampling import argmax, logprobs_of

        ids_T = torch.tensor(state["ids"], device=session.device)
        while rows := session.live:
            for token in state["ids"][:-1]:
                session.emit(0, rows, [token] * len(rows))
            read = session.logits_along(0, rows, [len(ids_T) - 1] * len(rows))
            for row, logits_TV in zip(rows, read, strict=True):
                logprobs = [round(value, 6) for value in logprobs_of(logits_TV, ids_T).tolist()]
                first = (argmax(logits_TV) == ids_T).tolist()
                session.notes(row).update(logprobs=logprobs, first=first)
            session.finish(rows, "eos")


def _read(alone: Pool, query: Query, ids: Sequence[int]) -> Mapping[str, Json]:
    """What the pool's one member thinks of each token of an answer to the query."""
    room, state = Sampling(max_tokens=len(ids)), {"ids": list(ids)}
    return alone.joint([query], _Reading(), state, sampling=room, stage="read")[0].notes


def mixture(outputs_B: Tensor, own_BV: Tensor, other_BV: Tensor) -> Tensor:
    """Log-probabilities of (1 − σ(z)) · own + σ(z) · other, [rows, V]."""
    import torch
    from torch.nn.functional import logsigmoid

    own_BV, other_BV = own_BV.log_softmax(-1), other_BV.log_softmax(-1)
    outputs_B1 = outputs_B[:, None]
    return torch.logaddexp(logsigmoid(-outputs_B1) + own_BV, logsigmoid(outputs_B1) + other_BV)
