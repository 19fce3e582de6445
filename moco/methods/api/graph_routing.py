"""A graph network over dev questions, members and the task says who answers best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from moco.methods.base import Level
from moco.pool import Pool
from moco.routing import graph
from moco.routing.base import SoftRouter
from moco.routing.decide import Estimates
from moco.routing.describe import describe
from moco.routing.table import EMBEDDER, DevTable, unit
from moco.types import Json, Query

WEIGHTS: Mapping[str, float] = {"performance": 0.0, "balance": 1.0, "cost": 4.0}
"""The paper's utilities 1 · score, 0.5 · score − 0.5 · cost and 0.2 · score − 0.8 · cost, as score
less weighted cost.
"""


class GraphRouting(SoftRouter):
    """A graph network predicts each member's score from the dev questions near a question, what the
    members scored on them, and the members' descriptions.

    GraphRouter's graph of task, question and member nodes, trained by masking dev questions and
    predicting their scores from the others. The labelled dev graph stays visible, and each new
    question is attached to it alone, so no route depends on other test questions. Ours are edges to
    the nearest dev questions (without them a member's node is one average over all dev), soft
    targets, and a start from the neighbours' plain mean, which training has to improve on held-out
    dev questions. A neighbour mean or a ridge regression on the same embeddings costs a thousandth
    of it: compare with those before paying for a graph. A description comes from the member's
    config, else from its dev scores.
    """

    level: ClassVar[Level] = "api"
    paper: ClassVar[str] = "Feng, Shen, You 2024, arXiv 2410.03834 (GraphRouter)"
    paper_preset: ClassVar[Mapping[str, Json]] = {
        "learning_rate": 1e-4,
        "weight_decay": 1e-4,
        "train_epochs": 500,
        "maskings": 32,
        "validation_share": 0.1,
        "num_neighbours": 0,
        "guard": False,
    }

    scenario: Literal["performance", "balance", "cost"] = "performance"
    """What matters, as in the paper: sets `cost_weight` to 0, 1 or 4 unless that is given."""
    hidden_features: int = Field(default=8, ge=1, le=1024)
    """Features of each half of a node."""
    num_neighbours: int = Field(default=32, ge=0, le=1000)
    """Dev questions that a question sees; 0 = all alike, as in the paper."""
    train_epochs: int = Field(default=200, ge=0, le=100_000)
    """Steps of training at most; it ends when held-out dev questions are predicted no better."""
    maskings: int = Field(default=4, ge=1, le=1000)
    """Random maskings of dev per step, whose losses are averaged."""
    train_mask_rate: float = Field(default=0.5, gt=0, lt=1)
    """Probability that a dev question stays visible in a masking; the others are predicted."""
    validation_share: float = Field(default=0.2, ge=0, le=0.5)
    """Share of dev that is held out to choose the epoch; 0 = all epochs are run."""
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    """Of AdamW."""
    weight_decay: float = Field(default=1e-2, ge=0, le=1)
    """Of AdamW."""
    task_description: str = Field(default="", max_length=20_000)
    """Text of the task's node; empty = it holds no text."""
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    """Where the network is trained: its last bits depend on that. Routing is on the CPU."""

    def model_post_init(self, context: Any) -> None:
        """The preset, then the scenario's cost weight."""
        super().model_post_init(context)
        if "cost_weight" not in self.model_fields_set:
            self.__dict__["cost_weight"] = WEIGHTS[self.scenario]

    def learn(self, pool: Pool, table: DevTable, vectors_QE: np.ndarray) -> dict[str, Json]:
        """The trained graph; scores beyond 0 and 1 are scaled to that range."""
        low, high = _range(table.scores_QM)
        scores_QM = (table.scores_QM - low) / (high - low)
        seed = pool.context.seed
        rest, held = graph.split(vectors_QE, scores_QM, self.validation_share, seed)
        texts = self._descriptions(pool, table.of(rest.tolist()))
        embedded = unit(np.asarray(pool.roles[EMBEDDER].embed(texts, stage="describe"), float))
        members_ME = embedded[: len(table.names)]
        task_E = embedded[-1] if self.task_description else np.zeros(vectors_QE.shape[1])
        labelled = graph.Labelled.of(vectors_QE, scores_QM, table.costs_QM)
        arrays, notes = graph.fit(
            graph.Graph.of(labelled, members_ME, task_E), held, table.best, self._training(seed)
        )
        return {
            "graph": pool.keep(arrays),
            "low": low,
            "high": high,
            "training": notes,
        }

    def estimate(
        self, pool: Pool, learnt: dict[str, Json], queries: Sequence[Query], vectors_QE: np.ndarray
    ) -> Estimates:
        """The graph's estimates, each question attached to the dev graph alone."""
        found = graph.estimate(pool.kept(learnt["graph"]), vectors_QE)
        low, width = learnt["low"], learnt["high"] - learnt["low"]
        return Estimates(low + width * found.scores_QM, width * found.errors_QM)

    def _descriptions(self, pool: Pool, table: DevTable) -> list[str]:
        """Each member's text, its own or made from these dev questions, then the task's if given.

        Held-out questions are not shown to the network in a description either.
        """
        own = [pool.named(name).spec.description for name in table.names]
        texts = [text or describe(table, member) for member, text in enumerate(own)]
        return [*texts, self.task_description] if self.task_description else texts

    def _training(self, seed: int) -> graph.Training:
        return graph.Training(
            hidden=self.hidden_features,
            rate=self.learning_rate,
            decay=self.weight_decay,
            epochs=self.train_epochs,
            visible=self.train_mask_rate,
            maskings=self.maskings,
            neighbours=self.num_neighbours,
            seed=seed,
            device=self.device,
        )


def _range(scores_QM: np.ndarray) -> tuple[float, float]:
    """Lowest and highest score, at least from 0 to 1."""
    known = scores_QM[np.isfinite(scores_QM)]
    return min(0.0, float(known.min(initial=0))), max(1.0, float(known.max(initial=1)))
