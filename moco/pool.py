"""What a method may call: the pool of models, and the dev set."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from moco import paths
from moco.analysis.cost import rule_for
from moco.analysis.units import EVERY_ITEM, Counting
from moco.backends.base import Likelihood, Pair
from moco.engine import keys
from moco.engine.cache import digest
from moco.engine.jobs import JointRow
from moco.errors import DataError, UnknownNameError
from moco.model import Context, Model, derived, generate, merged
from moco.store import tensors as store
from moco.tasks.groups import group_rows
from moco.types import Generation, Json, Prediction, Prompt, Query, Request, Sample, Sampling

if TYPE_CHECKING:
    from moco.methods.base import JointMethod
    from moco.methods.merging import MergeMethod
    from moco.scorers.base import Scorer
    from moco.train.base import Recipe, Rollouts
    from moco.train.rewards import Reward

__all__ = ["Context", "Dev", "Model", "Pool"]


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

    @classmethod
    def open(
        cls,
        members: str | Sequence[Any],
        *,
        roles: Mapping[str, Any] | None = None,
        sampling: Sampling | None = None,
        engine: Mapping[str, Json] | None = None,
        seed: int = 0,
    ) -> Pool:
        """A pool of one's own for scripts and notebooks: members, roles and engine as in a config.

        Close it (or use it in a `with` block) to free the models.
        """
        from moco.config import Shared, parse
        from moco.members import resolve
        from moco.runner import make_engine

        data = {"pool": members, "roles": roles or {}, "engine": engine or {}}
        shared: Shared = parse(Shared, data)
        found = resolve(shared, pull=True)
        context = Context(make_engine(shared.engine), sampling or Sampling(), seed)
        own = {role: Model(spec, context) for role, spec in found.roles.items()}
        return cls([Model(spec, context) for spec in found.pool], own, context)

    def close(self) -> None:
        """Free the models of an opened pool and close its cache."""
        self.context.engine.close()
        self.context.engine.cache.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

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
        return generate(self.context, requests, self._specs)

    def loglikelihood(
        self,
        asked: Sequence[tuple[Model, Prompt, str]],
        *,
        stage: str = "score",
        query_ids: Sequence[str] = (),
    ) -> list[Likelihood]:
        """Log-probabilities of the tokens of each continuation of a prompt by a model, a member or
        one derived from members; all in one job, in input order.
        """
        ids = list(query_ids) or [""] * len(asked)
        calls = [
            keys.pair_call("loglikelihood", Pair(prompt, text, model.spec), query_id, stage)
            for (model, prompt, text), query_id in zip(asked, ids, strict=True)
        ]
        return self.context.run("loglikelihood", calls)

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
        chance = method.draws(state)
        random_key = [self.context.seed, self.context.draw, [s.copy for s in specs]]
        calls = [
            keys.joint_call(
                specs, JointRow(q.id, tuple(p), used, b""), identity, random_key, stage, chance
            )
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

    def merge(self, rule: MergeMethod[Any], name: str = "") -> Model:
        """The members merged by a rule, in memory, when first used; full checkpoints over the role
        `base`, where the rule takes differences, adapters over their own base.

        A member that is the base itself has no difference and is left out of such a rule.
        """
        over = self.roles.get("base")
        parents = [m.spec for m in self._models]
        if rule.on == "deltas" and over is not None:
            parents = [p for p in parents if p.fingerprint != over.spec.fingerprint] or parents
        if all(p.adapter for p in parents):
            over = None
        shown = name or f"{type(rule).name()}({'+'.join(p.name for p in parents)})"
        coefficients = rule.as_sum([p.name for p in parents])
        if all(p.adapter for p in parents) and coefficients is not None:
            return Model(derived(parents, coefficients, shown), self.context)
        used = over.spec if over is not None and rule.on == "deltas" else None
        return Model(merged(parents, rule, used, self.context.seed, shown), self.context)

    def train(
        self,
        model: Model,
        data: Sequence[Mapping[str, Json]],
        recipe: Recipe,
        name: str = "",
        *,
        reward: Reward | None = None,
    ) -> Model:
        """An adapter of the model, trained by the recipe on the data; the same training is done
        once and found again later. A recipe that learns from rollouts needs the `reward`.
        """
        from moco.members import with_adapter

        told = None if reward is None else reward.identity()
        call = keys.train_call(model.spec, list(data), recipe, self.context.seed, told)

        def serve(rollouts: Rollouts) -> Sequence[float | None]:
            if reward is None:
                raise ValueError(f"{call.shown['recipe']['name']}: give this training a reward")
            places, texts = rollouts
            return reward.score([data[place] for place in places], texts)

        folder = self.context.run("train", [call], extra=recipe, serve=serve)[0]
        return Model(with_adapter(model.spec, Path(folder), name), self.context)

    def including(self, models: Sequence[Model]) -> Pool:
        """This pool with further models, so that one `generate` may ask both."""
        return self._rebuilt([*self._models, *models], self.context)

    def cost_of(self, name: str, generation: Generation) -> float:
        """What a member's answer cost, in the pool's unit (`moco.analysis.cost`)."""
        spec = self._specs[name]
        return rule_for([m.spec for m in self._models]).of(spec, generation.usage)

    def keep(self, tensors: Mapping[str, np.ndarray]) -> dict[str, Json]:
        """Arrays as a state may hold them: written to the run's artifacts, named by content."""
        return store.keep(self._artifacts(), tensors)

    def kept(self, ref: Mapping[str, Json]) -> dict[str, np.ndarray]:
        """The arrays that `keep` gave this reference for."""
        return store.kept(self._artifacts(), ref)

    def keep_model(self, model: Model, base: Model) -> dict[str, Json]:
        """A trained adapter as a state may hold it: copied to the run's artifacts, named by the
        trained model's fingerprint; `base` is the member or role it was trained on.
        """
        assert model.spec.adapter is not None
        folder = self._artifacts() / model.spec.fingerprint
        if not folder.is_dir():
            with paths.atomic_dir(folder) as part:
                shutil.copytree(model.spec.adapter, part, dirs_exist_ok=True)
        return {"model": model.spec.fingerprint, "base": base.name}

    def kept_model(self, ref: Mapping[str, Json], name: str = "") -> Model:
        """The model that `keep_model` gave this reference for; DataError where it is gone or was
        changed.
        """
        from moco.members import with_adapter

        folder = self._artifacts() / str(ref["model"])
        where = f"{folder}: the adapter of a trained model"
        if not folder.is_dir():
            raise DataError(f"{where} is missing; run the config again to train it anew")
        spec = with_adapter(self.named(str(ref["base"])).spec, folder, name)
        if spec.fingerprint != ref["model"]:
            raise DataError(f"{where} or its base was changed; run the config again")
        return Model(spec, self.context)

    def _artifacts(self) -> Path:
        return self.context.artifacts or paths.cache_dir() / "tensors"

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


@dataclass(frozen=True)
class Dev:
    """The dev set as a method may use it: questions, references, and scores of texts."""

    samples: Sequence[Sample] = field(repr=False)
    scorer: Scorer = field(repr=False)
    roles: Mapping[str, Any] = field(default_factory=dict, repr=False)
    counting: Counting = field(default=EVERY_ITEM, repr=False)

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
        by_id = {s.query.id: s for s in self.samples}
        asked = [by_id[i] for i in query_ids]
        predictions = [Prediction(i, text) for i, text in zip(query_ids, texts, strict=True)]
        scores = self.scorer.score(asked, predictions, self.roles)
        return [s.value for s in self.counting.spread(asked, scores)]

    def mean(self, texts: Sequence[str]) -> float:
        """Mean score of texts that answer all dev questions, in order; 0 without any."""
        values = self.score([q.id for q in self.queries], texts)
        return sum(values) / max(len(values), 1)

    def score_alone(self, query_id: str, texts: Sequence[str]) -> list[float]:
        """Scores of several texts as answers to one dev question, each by itself, also where the
        task reports whole groups of questions; what cannot be graded is worth 0.
        """
        sample = next(s for s in self.samples if s.query.id == query_id)
        predictions = [Prediction(query_id, text) for text in texts]
        scores = self.scorer.score([sample] * len(predictions), predictions, self.roles)
        return [s.value or 0.0 for s in scores]

    def split(self, fit: float = 0.5, seed: int = 0) -> tuple[Dev, Dev]:
        """(fit, select): two seeded parts, stratified by answer kind, each in the original
        order; groups stay whole.
        """
        chosen: set[str] = set()
        by_kind: dict[str, list[list[str]]] = {}
        for rows in group_rows(self.samples, self.counting.group).values():
            ids = [self.samples[i].query.id for i in rows]
            by_kind.setdefault(self.samples[rows[0]].query.kind, []).append(ids)
        carry = 0.0
        for kind, groups in by_kind.items():
            random.Random(digest([seed, kind, "split"])).shuffle(groups)
            carry += len(groups) * fit
            take = round(carry)
            carry -= take
            chosen.update(name for group in groups[:take] for name in group)
        first = [s for s in self.samples if s.query.id in chosen]
        second = [s for s in self.samples if s.query.id not in chosen]
        return replace(self, samples=first), replace(self, samples=second)
