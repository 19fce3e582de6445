"""Training of the graph router: some dev questions are masked, and predicted from the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from moco.errors import EnvironmentProblem
from moco.routing import graph_net as net
from moco.routing.graph import AT_ONCE, Graph, Labelled, Scale, Training
from moco.routing.neighbours import nearest
from moco.types import Json

PATIENCE = 40
"""Epochs without a better validation loss after which training ends."""
GAIN = 1e-4
"""Nats by which a better validation loss has to be better."""
SPARE = 4
"""Neighbours are looked for among this many times as many, as some of them are masked."""
SHOWN = 2048
"""Most dev questions that members' states are made of in one masking."""


@dataclass(frozen=True)
class Lessons:
    """The dev questions to train on, on a device."""

    dev: Labelled
    near: tuple[np.ndarray, np.ndarray]
    """Rows and distances of the nearest others, `SPARE` times N."""
    scale: Scale
    how: Training
    known: net.Known
    members_ME: Tensor
    task_E: Tensor

    @classmethod
    def of(cls, graph: Graph, scale: Scale, how: Training, like: Tensor) -> Lessons:
        """Lessons on all dev questions of a graph."""
        rows_DE = graph.dev.questions_DE
        near = nearest(rows_DE, rows_DE, SPARE * how.neighbours, same=True)
        known = net.Known.of(graph.dev, scale, like)
        members_ME, task_E = (net.as_tensor(x, like) for x in (graph.members_ME, graph.task_E))
        return cls(graph.dev, near, scale, how, known, members_ME, task_E)

    def masked_loss(self, w: net.Weights, random: np.random.Generator) -> Tensor:
        """The mean loss of one random masking's hidden edges, predicted from the visible ones."""
        seen_D = _visible(random, len(self.dev), self.how.visible)
        hidden = _some(random, np.flatnonzero(~seen_D), AT_ONCE)
        shown = _some(random, np.flatnonzero(seen_D), SHOWN)
        near_QC, distance_QC = (part[hidden] for part in self.near)
        open_QC = seen_D[near_QC]
        count = self.how.neighbours
        first_QN = np.argsort(~open_QC, axis=1, kind="stable")[:, :count]  # nearest visible ones
        near_QN, distance_QN, open_QN = (
            np.take_along_axis(part, first_QN, axis=1) for part in (near_QC, distance_QC, open_QC)
        )
        rows_QE = self.dev.questions_DE[hidden]
        like = self.members_ME
        view = net.View.of(rows_QE, (near_QN, distance_QN), self.scale, like, open_QN)
        total, edges = self._loss(w, view, self.known.at(_index(hidden, like)), shown)
        return total / max(edges, 1)

    def loss_on(self, w: net.Weights, others: Labelled) -> float:
        """The mean loss on other questions' edges, predicted from all edges of these."""
        total, edges = 0.0, 0
        every = np.arange(len(self.dev))
        for start in range(0, len(others), AT_ONCE):
            part = others.at(np.arange(start, min(start + AT_ONCE, len(others))))
            near = nearest(part.questions_DE, self.dev.questions_DE, self.how.neighbours)
            view = net.View.of(part.questions_DE, near, self.scale, self.members_ME)
            targets = net.Known.of(part, self.scale, self.members_ME)
            with torch.no_grad():
                loss, count = self._loss(w, view, targets, every)
            total, edges = total + float(loss), edges + count
        return total / max(edges, 1)

    def _loss(
        self, w: net.Weights, view: net.View, targets: net.Known, shown: np.ndarray
    ) -> tuple[Tensor, int]:
        """(summed cross-entropy of soft targets in nats, number of edges)."""
        visible = self.known.at(_index(shown, self.members_ME))
        task_T = net.task_half(w, self.task_E)
        states_MH = net.member_states(w, visible, self.members_ME, task_T)
        found_QM = net.logits(w, self.known, view, states_MH, visible.means(), task_T)
        loss = binary_cross_entropy_with_logits(
            found_QM, targets.edges_DMF[..., 0], weight=targets.seen_DM, reduction="sum"
        )
        return loss, int(targets.seen_DM.sum())


def train(
    graph: Graph,
    held: np.ndarray,
    weights: Mapping[str, np.ndarray],
    scale: Scale,
    how: Training,
) -> tuple[dict[str, np.ndarray], dict[str, Json]]:
    """(the weights of the epoch that predicts the rows `held` best, notes).

    Float32, AdamW, one step per epoch; the starting weights count as epoch 0. Without held rows
    every epoch is run and the last weights are kept.
    """
    device = _device(how.device)
    w = {
        name: torch.tensor(array, device=device, requires_grad=True)
        for name, array in weights.items()
    }
    rest = np.setdiff1d(np.arange(len(graph.dev)), held)
    lessons = Lessons.of(replace(graph, dev=graph.dev.at(rest)), scale, how, w["gate"].detach())
    others = graph.dev.at(held)
    optimizer = _optimizer(w, how)
    random = np.random.default_rng([how.seed, 2])
    first = loss = lessons.loss_on(w, others)
    best, kept, epoch = 0, _copy(w), 0
    for epoch in range(1, how.epochs + 1):
        optimizer.zero_grad()
        for _ in range(how.maskings):
            (lessons.masked_loss(w, random) / how.maskings).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found = lessons.loss_on(w, others)
        if found < loss - GAIN or not len(held):
            best, loss, kept = epoch, found, _copy(w)
        elif epoch - best >= PATIENCE:
            break
    notes = {"epochs": epoch, "kept": best, "held": len(held)}
    return kept, notes | {"loss_before": round(first, 6), "loss": round(loss, 6)}


def _optimizer(w: Mapping[str, Tensor], how: Training) -> torch.optim.Optimizer:
    slow = [tensor for name, tensor in w.items() if name not in net.NEIGHBOURHOOD]
    fast = [w[name] for name in net.NEIGHBOURHOOD]
    groups: list[dict[str, Any]] = [{"params": slow, "weight_decay": how.decay}]
    if how.neighbours:  # the paper has no such weights
        groups.append({"params": fast, "weight_decay": 0.0, "lr": 10 * how.rate})
    # a gradient that is only rounding noise must not become a step
    return torch.optim.AdamW(groups, lr=how.rate, eps=1e-6)


def _copy(w: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in w.items()}


def _visible(random: np.random.Generator, rows: int, share: float) -> np.ndarray:
    """Which rows keep their edges: at least one, and not all."""
    seen_D: np.ndarray = random.random(rows) < share
    if seen_D.all() or not seen_D.any():
        seen_D[random.integers(rows)] ^= True
    return seen_D


def _some(random: np.random.Generator, rows: np.ndarray, most: int) -> np.ndarray:
    """At most that many of the rows, in order."""
    return rows if len(rows) <= most else np.sort(random.choice(rows, most, replace=False))


def _index(rows: np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(rows, dtype=torch.int64, device=like.device)


def _device(name: str) -> torch.device:
    if name != "cpu" and not torch.cuda.is_available():
        raise EnvironmentProblem(f"method.device: no '{name}' on this machine; write cpu")
    return torch.device(name)
