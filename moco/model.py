"""A model of a pool: a handle that asks the engine and loads nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from moco import choosing
from moco.access import Access, ModelFacts
from moco.backends.base import Likelihood, ModelSpec, Pair
from moco.engine import keys
from moco.engine.cache import digest
from moco.engine.engine import Engine
from moco.engine.jobs import Call, Embedding, Job, Kind, Meter
from moco.errors import RequirementError
from moco.types import Choice, Generation, Prompt, Request, Sampling

if TYPE_CHECKING:
    from moco.methods.merging import MergeMethod

UNLIMITED = 1 << 30


@dataclass(frozen=True)
class Context:
    """How a pool's calls are made: engine, sampling, seeds, who counts them, who listens."""

    engine: Engine
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    draw: int = 0
    meter: Meter | None = None
    listener: Callable[[str, str], None] | None = None
    cancelled: Callable[[], bool] | None = None
    artifacts: Path | None = None
    """Where tensors of a state are kept; None = in the user's cache."""

    def run(
        self,
        kind: Kind,
        calls: Sequence[Call],
        extra: Any = None,
        serve: Callable[[Any], Any] | None = None,
    ) -> list[Any]:
        """Run calls and return their results in order; listeners hear the stage `final` only."""
        final = bool(calls) and calls[0].stage == "final"
        job = Job(
            kind,
            tuple(calls),
            extra=extra,
            meter=self.meter,
            listener=self.listener if final else None,
            cancelled=self.cancelled,
            serve=serve,
        )
        if self.meter is not None and calls:
            self.meter.on_job(kind, calls)
        return self.engine.run(job)


@dataclass(frozen=True)
class Model:
    """A handle on one model of a pool."""

    spec: ModelSpec
    context: Context = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """Alias in the pool."""
        return self.spec.name

    @property
    def facts(self) -> ModelFacts:
        """What is known of the model."""
        if self.spec.facts is None:
            raise RequirementError(f"model '{self.name}': its facts are unknown; pull it first")
        return self.spec.facts

    def gives(self, access: Access) -> bool:
        """Whether the model gives all of this access."""
        return access in self.facts.access

    def ask(
        self,
        prompts: Sequence[Prompt],
        *,
        stage: str = "answer",
        sampling: Sampling | None = None,
        draw: int = 0,
        query_ids: Sequence[str] = (),
    ) -> list[Generation]:
        """One generation per prompt, in order."""
        ids = list(query_ids) or [""] * len(prompts)
        used = sampling or self.context.sampling
        requests = [
            Request(self.name, prompt, used, draw=draw, query_id=query_id, stage=stage)
            for prompt, query_id in zip(prompts, ids, strict=True)
        ]
        return generate(self.context, requests, {self.name: self.spec})

    def loglikelihood(
        self,
        pairs: Sequence[tuple[Prompt, str]],
        *,
        prefix: str = "",
        stage: str = "score",
        query_ids: Sequence[str] = (),
    ) -> list[Likelihood]:
        """Log-probabilities (nats) of each token of each continuation, given its prompt."""
        ids = list(query_ids) or [""] * len(pairs)
        calls = [
            keys.pair_call("loglikelihood", Pair(prompt, text, self.spec, prefix), query_id, stage)
            for (prompt, text), query_id in zip(pairs, ids, strict=True)
        ]
        return self.context.run("loglikelihood", calls)

    def token_logprobs(
        self, pairs: Sequence[tuple[Prompt, str]], *, stage: str = "score"
    ) -> list[tuple[float, ...]]:
        """The log-probability of each token of each continuation."""
        return [found.logprobs for found in self.loglikelihood(pairs, stage=stage)]

    def choose(
        self,
        prompts: Sequence[Prompt],
        options: Sequence[str],
        *,
        stage: str = "choose",
        query_ids: Sequence[str] = (),
    ) -> list[Choice]:
        """The label among `options` that the model picks for each prompt.

        With log-probability access: argmax of the labels' log-likelihood, first on ties. Else the
        label is asked for (at most 8 tokens, greedy), read strictly, and asked for once more if it
        cannot be read.
        """
        ids = list(query_ids) or [""] * len(prompts)
        if self.gives(Access.LOGPROBS):
            pairs = [(prompt, option) for prompt in prompts for option in options]
            many = [query_id for query_id in ids for _ in options]
            found = self.loglikelihood(pairs, stage=stage, query_ids=many)
            n = len(options)
            return [
                choosing.by_score([x.total for x in found[i * n : i * n + n]])
                for i in range(len(prompts))
            ]
        return self._asked(prompts, [options] * len(prompts), stage, ids)

    def choose_among(
        self, ballots: Sequence[choosing.Ballot], *, stage: str = "choose"
    ) -> list[Choice]:
        """The option that the model picks on each ballot, whatever the order they are given in.

        With log-probability access: the option of highest mean log-likelihood of its label over all
        cyclic orders, less that of the content-free prompt; all in one job. Else the label is asked
        for in one order, as `choose` does.
        """
        open_ = [i for i, ballot in enumerate(ballots) if len(ballot.order) > 1]
        asked = [ballots[i] for i in open_]
        found = self._averaged(asked, stage) if self.gives(Access.LOGPROBS) else None
        if found is None:
            prompts = [ballot.show(ballot.order) for ballot in asked]
            labels = [ballot.labels for ballot in asked]
            picks = self._asked(prompts, labels, stage, [ballot.query_id for ballot in asked])
            found = [
                pick if pick.index is None else replace(pick, index=ballot.order[pick.index])
                for ballot, pick in zip(asked, picks, strict=True)
            ]
        by_place = dict(zip(open_, found, strict=True))
        return [
            by_place.get(i) or Choice(ballot.order[0], rule="only")
            for i, ballot in enumerate(ballots)
        ]

    def _averaged(self, ballots: Sequence[choosing.Ballot], stage: str) -> list[Choice]:
        """Choices by log-likelihood over all orders; a pair that several ballots hold, such as that
        of a content-free prompt, is asked for once.
        """
        rows = []  # per ballot one row of pairs per prompt
        query_ids: dict[tuple[Prompt, str], str] = {}
        for ballot in ballots:
            shown, blank = ballot.prompts()
            rows.append([[(p, label) for label in ballot.labels] for p in (*shown, *blank)])
            for pair in (pair for row in rows[-1] for pair in row):
                query_ids.setdefault(pair, ballot.query_id)
        pairs = list(query_ids)
        found = self.loglikelihood(pairs, stage=stage, query_ids=list(query_ids.values()))
        total = {pair: likelihood.total for pair, likelihood in zip(pairs, found, strict=True)}
        return [
            ballot.result([[total[pair] for pair in row] for row in own])
            for ballot, own in zip(ballots, rows, strict=True)
        ]

    def _asked(
        self,
        prompts: Sequence[Prompt],
        labels: Sequence[Sequence[str]],
        stage: str,
        query_ids: Sequence[str],
    ) -> list[Choice]:
        """The label read from the model's words, asked for once more where it cannot be read."""
        sampling = Sampling(max_tokens=choosing.MAX_TOKENS)
        texts = self.ask(prompts, stage=stage, sampling=sampling, query_ids=query_ids)
        picks = [choosing.by_text(g.text, own) for g, own in zip(texts, labels, strict=True)]
        open_ = [i for i, pick in enumerate(picks) if pick.index is None]
        retries = [choosing.retry_prompt(prompts[i], labels[i]) for i in open_]
        again = self.ask(
            retries, stage=stage, sampling=sampling, query_ids=[query_ids[i] for i in open_]
        )
        for i, found_again in zip(open_, again, strict=True):
            picks[i] = choosing.by_text(found_again.text, labels[i], retry=True)
        return picks

    def embed(
        self, texts: Sequence[str], *, stage: str = "embed", query_ids: Sequence[str] = ()
    ) -> np.ndarray:
        """One vector per text, shape [texts, width], float32."""
        return self._vectors(texts, "embed", stage, query_ids)

    def hidden(
        self, texts: Sequence[str], at: Literal["last", "mean"] = "last", *, stage: str = "hidden"
    ) -> np.ndarray:
        """Final-layer hidden states, shape [texts, width], float32."""
        return self._vectors(texts, at, stage)

    def _vectors(
        self,
        texts: Sequence[str],
        at: Literal["embed", "last", "mean"],
        stage: str,
        query_ids: Sequence[str] = (),
    ) -> np.ndarray:
        ids = list(query_ids) or [""] * len(texts)
        calls = [
            keys.embedding_call(Embedding(self.spec, text, at), query_id, stage)
            for text, query_id in zip(texts, ids, strict=True)
        ]
        vectors = self.context.run("embed", calls)
        return np.stack([v.values for v in vectors]) if vectors else np.zeros((0, 0), np.float32)

    def reward(self, pairs: Sequence[tuple[Prompt, str]], *, stage: str = "reward") -> list[float]:
        """One number per (prompt, answer); higher is better."""
        calls = [
            keys.pair_call("reward", Pair(prompt, text, self.spec), "", stage)
            for prompt, text in pairs
        ]
        return self.context.run("reward", calls)

    def spare(self, prompt: Prompt, sampling: Sampling | None = None) -> int:
        """Tokens of the context left after the prompt and room for the answer; negative = too
        long.
        """
        used = sampling or self.context.sampling
        left = keys.spare_tokens(self.spec, prompt, used.max_tokens)
        return UNLIMITED if left is None else left


def generate(
    context: Context, requests: Sequence[Request], specs: Mapping[str, ModelSpec]
) -> list[Generation]:
    calls = [keys.generate_call(specs[r.model], r, context.seed, context.draw) for r in requests]
    return context.run("generate", calls)


def derived(parents: Sequence[ModelSpec], weights: Sequence[float], name: str) -> ModelSpec:
    """The spec of a combination of models; its fingerprint is that of recipe, parents and
    weights.
    """
    parents, weights = _plain(parents, weights)
    kind: Literal["compose", "linear"] = "compose" if all(p.adapter for p in parents) else "linear"
    recipe = [kind, [p.fingerprint for p in parents], [round(w, 12) for w in weights]]
    return replace(_child(parents, recipe, name), weights=tuple(weights), derive=kind)


def _child(parents: Sequence[ModelSpec], recipe: Sequence[Any], name: str) -> ModelSpec:
    """What every model made of others has: the first one's facts, the recipe's fingerprint."""
    first = parents[0]
    return ModelSpec(
        name=name,
        ref=name,
        backend=first.backend,
        dtype=first.dtype,
        facts=first.facts,
        fingerprint=digest(recipe),
        parents=tuple(parents),
        price=first.price,
    )


def _plain(
    parents: Sequence[ModelSpec], weights: Sequence[float]
) -> tuple[list[ModelSpec], list[float]]:
    """The same combination of models that are no combinations themselves, each named once."""
    found: dict[tuple[str, str], tuple[ModelSpec, float]] = {}
    for parent, weight in zip(parents, weights, strict=True):
        if parent.derive in ("merge", "team"):
            raise _fleeting(parent)
        inner = zip(parent.parents, parent.weights, strict=True) if parent.derive else [(parent, 1)]
        for own, share in inner:
            key = (own.fingerprint, "" if own.fingerprint else own.name)  # none before it is pulled
            before = found[key][1] if key in found else 0.0
            found[key] = (own, before + weight * share)
    return [spec for spec, _ in found.values()], [w for _, w in found.values()]


def _fleeting(spec: ModelSpec) -> RequirementError:
    return RequirementError(
        f"'{spec.name}' exists only while it answers, so it cannot be combined further; write it"
        " with moco merge and list the result"
    )


def merged(
    parents: Sequence[ModelSpec],
    rule: MergeMethod[Any],
    over: ModelSpec | None,
    seed: int,
    name: str,
) -> ModelSpec:
    """The spec of a merge by a rule; its fingerprint is that of rule, parents, base and, where the
    rule draws numbers, seed.
    """
    for parent in parents:
        if parent.derive:
            raise _fleeting(parent)
    used = seed if rule.random else 0
    recipe = [
        "merge", type(rule).name(), rule.version, rule.identity([p.name for p in parents]),
        [p.fingerprint for p in parents], over.fingerprint if over else "", used,
    ]  # fmt: skip
    made = _child(parents, recipe, name)
    return replace(made, derive="merge", rule=rule, over=over, seed=used)
