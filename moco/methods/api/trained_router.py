"""A router learnt on dev: each member's score is estimated from the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires, RoleNeed
from moco.errors import RequirementError
from moco.methods.base import Level
from moco.methods.parts import unknown_members
from moco.pool import Dev, Pool
from moco.routing import factors, knn, lm, ridge
from moco.routing.asking import ROLE
from moco.routing.base import NEEDS_EMBEDDER, SoftRouter, SoftState
from moco.routing.decide import Estimates
from moco.routing.table import EMBEDDER, DevTable, observe, vectors
from moco.train.sft import Sft
from moco.types import Json, Query, Sampling

ESTIMATORS = {"ridge": ridge, "knn": knn, "factors": factors}
"""Kind → how it is fitted, asked, and joined by a newcomer."""
LM_ONLY = ("epochs", "learning_rate", "rank", "batch_size")
TAUGHT = RoleNeed(Access.TRAIN | Access.LOGPROBS, default="dev-best")
LEAST_PROFILED = 2
"""Questions that a newcomer has to answer at least."""


class TrainedRouter(SoftRouter):
    """Estimates every member's score for a question and asks the member of the highest one, less
    weighted cost.

    `ridge` regression, nearest neighbours (`knn`) and matrix factorisation (`factors`, as in
    RouteLLM, for any number of members) work on sentence embeddings and take seconds on a CPU. All
    learn from soft scores, so that ties teach nothing. The state says how the router did on dev
    questions that were left out. `lm` fine-tunes a language model (LoRA) on dev to name the member:
    the one in the role `router`, else the best dev member that can be trained.
    """

    level: ClassVar[Level] = "api"
    paper: ClassVar[str] = "Ong et al. 2024, arXiv 2406.18665 (RouteLLM)"
    paper_preset: ClassVar[Mapping[str, Json]] = {"kind": "factors", "guard": False}

    requires: ClassVar[Requires] = Requires(
        min_models=2, dev=True, roles={**NEEDS_EMBEDDER, ROLE: TAUGHT}
    )

    kind: Literal["ridge", "knn", "factors", "lm"] = "ridge"
    """How scores are estimated."""
    newcomers: Mapping[str, Annotated[int, Field(ge=LEAST_PROFILED)]] = Field(default_factory=dict)
    """Alias → number of dev questions that this member answers: it joins the router from these,
    while what was learnt of the others stays as it is.
    """

    epochs: int = Field(default=5, ge=1, le=1000)
    """Passes over the training rows at most (kind lm)."""
    learning_rate: float = Field(default=2e-4, gt=0, le=1)
    """Peak rate (kind lm); models below a hundred million parameters want about ten times it."""
    rank: int = Field(default=16, ge=1, le=1024)
    """Rank of the adapter, whose scale is 2 (kind lm)."""
    batch_size: int = Field(default=8, ge=1, le=4096)
    """Rows per step (kind lm)."""

    def needs(self) -> Requires:
        """An embedder, or a model to train."""
        if self.kind != "lm":
            return replace(self.requires, roles=NEEDS_EMBEDDER)
        roles = {ROLE: TAUGHT, EMBEDDER: RoleNeed(Access.EMBED)}
        return replace(self.requires, roles=roles)

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Newcomers must be members, and leave some that are none; each kind has settings of its
        own.
        """
        found = [*self._idle(), *unknown_members(facts, newcomers=list(self.newcomers))]
        if self.newcomers and len(set(facts) - set(self.newcomers)) < 2:
            what = "leaves fewer than two members to learn from"
            found.append(Problem("method.newcomers", what, "take members out of it"))
        return found

    def _idle(self) -> list[Problem]:
        """Settings that this kind does not have."""
        if self.kind == "lm":
            if not self.newcomers:
                return []
            what = "kind lm cannot take in a member without training"
            return [Problem("method.newcomers", what, "use ridge, knn or factors")]
        changed = [n for n in LM_ONLY if getattr(self, n) != type(self).model_fields[n].default]
        what = f"has no effect with kind {self.kind}: only lm is trained so"
        return [Problem(f"method.{name}", what, "take it out, or set kind: lm") for name in changed]

    def observe(self, pool: Pool, dev: Dev) -> DevTable:
        """Newcomers answer a few dev questions only."""
        if self.kind == "lm":
            lm.base(pool, {})  # whether there is one, before anything is generated
        return observe(
            pool, dev, runs=self.runs, temperature=self.temperature, newcomers=self.newcomers
        )

    def learn(self, pool: Pool, table: DevTable, vectors_QE: np.ndarray) -> dict[str, Json]:
        """The estimator, newcomers joined one by one, and how it did on left-out questions."""
        seed = pool.context.seed
        if self.kind == "lm":
            return self._taught(pool, table, seed)
        kind = ESTIMATORS[self.kind]
        old = [i for i, name in enumerate(table.names) if name not in self.newcomers]
        place = int(np.argmax(np.round(table.means[old], 9)))
        arrays = kind.fit(vectors_QE, table.scores_QM[:, old], place, seed)
        order = list(old)
        for member in (i for i in range(len(table.names)) if i not in old):
            asked = np.isfinite(table.scores_QM[:, member])
            known = vectors_QE[asked], table.scores_QM[asked, member]
            arrays = kind.admit(arrays, *known, place)
            order.append(member)
        names = ("questions", "router", "best_single", "oracle")
        checked = dict(zip(names, arrays["checked"].tolist(), strict=True))
        return {"kind": self.kind, "order": order, "arrays": pool.keep(arrays), "dev": checked}

    def _taught(self, pool: Pool, table: DevTable, seed: int) -> dict[str, Json]:
        recipe = Sft(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            rank=self.rank,
            alpha=2 * self.rank,
            seed=seed,
        )
        router = lm.base(pool, dict(zip(table.names, table.means.tolist(), strict=True)))
        if EMBEDDER in pool.roles:
            alike_QE = vectors(pool, table.queries)
        else:  # nothing says which questions are alike
            alike_QE = np.random.default_rng(seed).normal(size=(len(table.queries), 8))
        return {"kind": self.kind, **lm.learn(pool, table, router, recipe, alike_QE, seed)}

    def embed(self, pool: Pool, queries: Sequence[Query]) -> np.ndarray:
        """Embeddings; of no width where a language model reads the questions itself."""
        if self.kind == "lm":
            return np.zeros((len(queries), 0))
        return super().embed(pool, queries)

    def estimate(
        self, pool: Pool, learnt: dict[str, Json], queries: Sequence[Query], vectors_QE: np.ndarray
    ) -> Estimates:
        """Every member's score for each question."""
        if self.kind == "lm":
            return lm.estimate(pool, learnt, queries)
        found = ESTIMATORS[self.kind].estimate(pool.kept(learnt["arrays"]), vectors_QE)
        columns = np.argsort(learnt["order"])
        return Estimates(found.scores_QM[:, columns], found.errors_QM[:, columns])

    def admit(self, pool: Pool, state: SoftState, name: str, dev: Dev) -> SoftState:
        """The state with one more member of the pool, which answers only these questions; what was
        learnt of the others stays as it is.
        """
        if self.kind == "lm":
            raise RequirementError("kind lm cannot take in a member without training; fit again")
        table = observe(pool.of([name]), dev)
        kind, learnt = ESTIMATORS[self.kind], state["learnt"]
        best = learnt["order"].index(int(np.argmax(np.round(state["means"], 9))))
        known = vectors(pool, table.queries), table.scores_QM[:, 0]
        arrays: Any = kind.admit(pool.kept(learnt["arrays"]), *known, best)
        order = [*learnt["order"], len(state["members"])]
        return {
            "members": [*state["members"], name],
            "means": [*state["means"], float(table.means[0])],
            "costs": [*state["costs"], float(table.mean_costs[0])],
            "learnt": {**learnt, "order": order, "arrays": pool.keep(arrays)},
        }
