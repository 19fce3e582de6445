"""What a method may call: models, the pool, and the dev set. Nothing here loads a model; the
engine does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from moco import choosing
from moco.access import Access, ModelFacts
from moco.backends.base import Likelihood, ModelSpec, Pair
from moco.engine import keys
from moco.engine.cache import digest
from moco.engine.engine import Engine
from moco.engine.jobs import Call, Embedding, Job, JointRow, Kind, Meter
from moco.errors import RequirementError, UnknownNameError
from moco.types import Choice, Generation, Json, Prompt, Query, Request, Sample, Sampling

if TYPE_CHECKING:
    from moco.methods.base import JointMethod
    from moco.scorers.base import Scorer

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

    def run(self, kind: Kind, calls: Sequence[Call], extra: Any = None) -> list[Any]:
        """Run calls and return their results in order; listeners hear the stage `final` only."""
        final = bool(calls) and calls[0].stage == "final"
        job = Job(
            kind,
            tuple(calls),
            extra=extra,
            meter=self.meter,
            listener=self.listener if final else None,
            cancelled=self.cancelled,
        )
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
        return _generate(self.context, requests, {self.name: self.spec})

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
        sampling = Sampling(max_tokens=8)
        texts = self.ask(prompts, stage=stage, sampling=sampling, query_ids=ids)
        picks = [choosing.by_text(found.text, options) for found in texts]
        open_ = [i for i, pick in enumerate(picks) if pick.index is None]
        retries = [choosing.retry_prompt(prompts[i], options) for i in open_]
        again = self.ask(retries, stage=stage, sampling=sampling, query_ids=[ids[i] for i in open_])
        for i, found_again in zip(open_, again, strict=True):
            picks[i] = choosing.by_text(found_again.text, options, retry=True)
        return picks

    def embed(self, texts: Sequence[str], *, stage: str = "embed") -> np.ndarray:
        """One vector per text, shape [texts, width], float32."""
        calls = [keys.embedding_call(Embedding(self.spec, text), "", stage) for text in texts]
        vectors = self.context.run("embed", calls)
        return np.stack([v.values for v in vectors]) if vectors else np.zeros((0, 0), np.float32)

    def hidden(
        self, texts: Sequence[str], at: Literal["last", "mean"] = "last", *, stage: str = "hidden"
    ) -> np.ndarray:
        """Final-layer hidden states, shape [texts, width], float32."""
        calls = [keys.embedding_call(Embedding(self.spec, text, at), "", stage) for text in texts]
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


def _generate(
    context: Context, requests: Sequence[Request], specs: Mapping[str, ModelSpec]
) -> list[Generation]:
    calls = [keys.generate_call(specs[r.model], r, context.seed, context.draw) for r in requests]
    return context.run("generate", calls)


class Pool(Sequence[Model]):
    """The members, in order, and the models that take roles."""

    def __init__(
        self, models: Sequence[Model], roles: Mapping[str, Model], context: Context
    ) -> None:
        self._models = tuple(models)
        self.roles: Mapping[str, Model] = dict(roles)
        self.context = context
        self._specs = {m.name: m.spec for m in (*self._models, *self.roles.values())}

    @overload
    def __getitem__(self, index: int) -> Model: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Model]: ...
    def __getitem__(self, index: int | slice) -> Model | Sequence[Model]:
        return self._models[index]

    def __len__(self) -> int:
        return len(self._models)

    @property
    def names(self) -> list[str]:
        """Member aliases, in pool order."""
        return [m.name for m in self._models]

    def named(self, name: str) -> Model:
        """The member (or role model) with this alias."""
        for model in (*self._models, *self.roles.values()):
            if model.name == name:
                return model
        raise UnknownNameError("pool member", name, self.names)

    def with_(self, **changes: Any) -> Pool:
        """The same pool whose calls are made otherwise: sampling, draw, seed, listener,
        cancelled.
        """
        context = replace(self.context, **changes)
        return self._rebuilt(self._models, context)

    def of(self, names: Sequence[str]) -> Pool:
        """The pool of these members only, in this order, with the same roles."""
        return self._rebuilt([self.named(name) for name in names], self.context)

    def _rebuilt(self, models: Sequence[Model], context: Context) -> Pool:
        roles = {role: replace(model, context=context) for role, model in self.roles.items()}
        return Pool([replace(m, context=context) for m in models], roles, context)

    def ask_all(
        self,
        queries: Sequence[Query],
        prompts: Sequence[Prompt] | None = None,
        *,
        stage: str = "answer",
        sampling: Sampling | None = None,
        draw: int = 0,
    ) -> list[list[Generation]]:
        """Every member answers every query; a list per member, in pool order.

        Without `prompts` the queries' plain prompts are used: a member's first answer, shared by
        all methods.
        """
        asked = [q.prompt for q in queries] if prompts is None else list(prompts)
        used = sampling or self.context.sampling
        requests = [
            Request(model.name, prompt, used, draw=draw, query_id=query.id, stage=stage)
            for model in self._models
            for query, prompt in zip(queries, asked, strict=True)
        ]
        flat = self.generate(requests)
        n = len(queries)
        return [flat[i * n : (i + 1) * n] for i in range(len(self._models))]

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Generations for requests to any members, in input order."""
        return _generate(self.context, requests, self._specs)

    def joint(
        self,
        queries: Sequence[Query],
        method: JointMethod[Any],
        state: Json = None,
        *,
        prompts: Sequence[Sequence[Prompt]] | None = None,
        sampling: Sampling | None = None,
        stage: str = "final",
    ) -> list[Generation]:
        """All members of this pool write each answer together, by the method's `write`.

        `prompts` gives each query's prompt per member; by default all members read the query's
        plain prompt.
        """
        used = sampling or self.context.sampling
        own = prompts or [[q.prompt] * len(self) for q in queries]
        identity = {
            "method": method.name(),
            "version": method.version,
            "hyperparameters": method.model_dump(mode="json"),
            "state": digest(state),
        }
        specs = [m.spec for m in self._models]
        random_key = [self.context.seed, self.context.draw, [s.copy for s in specs]]
        calls = [
            keys.joint_call(specs, JointRow(q.id, tuple(p), used, b""), identity, random_key, stage)
            for q, p in zip(queries, own, strict=True)
        ]
        return self.context.run("joint", calls, extra=(method, state))

    def compose(self, weights: Mapping[str, float], name: str = "") -> Model:
        """A model whose weights are a combination of members', made when first used and never
        written to disk.

        Adapters of one base are composed in delta space: base + Σ weight · delta. Full checkpoints
        of one architecture are combined tensor by tensor in float32: Σ weight · tensor.
        """
        parents = tuple(self.named(member).spec for member in weights)
        values = tuple(float(w) for w in weights.values())
        spec = derived(parents, values, name or "+".join(f"{w:g}·{n}" for n, w in weights.items()))
        return Model(spec, self.context)

    def including(self, models: Sequence[Model]) -> Pool:
        """This pool with further models, so that one `generate` may ask both."""
        return self._rebuilt([*self._models, *models], self.context)

    def shuffled(self, query: Query, n: int, stage: str) -> list[int]:
        """A permutation of range(n), fixed by the run's seed, the question and the stage."""
        text = keys.prompt_json(query.prompt)
        order = list(range(n))
        random.Random(digest([self.context.seed, text, stage, n])).shuffle(order)
        return order

    def spare(self, models: Sequence[Model] | None = None) -> Callable[[Prompt], int]:
        """How many tokens a prompt leaves free in the tightest of these members' contexts."""
        asked = list(models or self._models)
        return lambda prompt: min(m.spare(prompt) for m in asked)


def derived(parents: Sequence[ModelSpec], weights: Sequence[float], name: str) -> ModelSpec:
    """The spec of a combination of models; its fingerprint is that of recipe, parents and
    weights.
    """
    first = parents[0]
    kind: Literal["compose", "linear"] = "compose" if all(p.adapter for p in parents) else "linear"
    recipe = [kind, [p.fingerprint for p in parents], [round(w, 12) for w in weights]]
    return ModelSpec(
        name=name,
        ref=name,
        backend=first.backend,
        dtype=first.dtype,
        facts=first.facts,
        fingerprint=digest(recipe),
        parents=tuple(parents),
        weights=tuple(weights),
        derive=kind,
        price=first.price,
    )


@dataclass(frozen=True)
class Dev:
    """The dev set as a method may use it: questions, references, and scores of texts."""

    samples: Sequence[Sample] = field(repr=False)
    scorer: Scorer = field(repr=False)
    roles: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def queries(self) -> list[Query]:
        """The dev questions, in order."""
        return [s.query for s in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def references(self, query: Query) -> tuple[str, ...]:
        """Acceptable answers of a dev question."""
        return next(s.target for s in self.samples if s.query.id == query.id)

    def score(self, query_ids: Sequence[str], texts: Sequence[str]) -> list[float]:
        """The task's score of each text as an answer to its dev question."""
        from moco.types import Prediction

        by_id = {s.query.id: s for s in self.samples}
        asked = [by_id[i] for i in query_ids]
        predictions = [Prediction(i, text) for i, text in zip(query_ids, texts, strict=True)]
        return [s.value for s in self.scorer.score(asked, predictions, self.roles)]

    def split(self, fit: float = 0.5, seed: int = 0) -> tuple[Dev, Dev]:
        """(fit, select): two seeded parts, stratified by answer kind, each in the original
        order.
        """
        chosen: set[str] = set()
        by_kind: dict[str, list[str]] = {}
        for sample in self.samples:
            by_kind.setdefault(sample.query.kind, []).append(sample.query.id)
        carry = 0.0
        for kind, ids in by_kind.items():
            random.Random(digest([seed, kind, "split"])).shuffle(ids)
            carry += len(ids) * fit
            take = round(carry)
            carry -= take
            chosen.update(ids[:take])
        first = [s for s in self.samples if s.query.id in chosen]
        second = [s for s in self.samples if s.query.id not in chosen]
        return replace(self, samples=first), replace(self, samples=second)
