"""A graph network over a task, dev questions and members, after GraphRouter (Feng, Shen, You 2024,
arXiv 2410.03834).

From the paper: question nodes [W_t task ; W_q question], member nodes W_m description, edges from a
question to each member that answered it with (score, relative cost), two layers of message passing,
training on random maskings whose hidden edges are predicted, and the sigmoid of a product of both
nodes' states. New questions are routed with all dev edges visible.

Ours: means instead of sums and layer norm instead of batch norm, so that no row depends on another;
a ReLU on the messages of the first layer, without which a member's state would hold its mean score
and nothing of *which* questions it solved; an identity of its own for each member node; the scores
themselves as targets. The second layer is drawn for each question, over edges to its nearest dev
questions: a member as this question sees it. Their mean score, with pseudo-counts at the member's
own mean, also goes straight to the head. Training starts from that alone, as every other weight of
the head is zero, and the weights that predict held-out questions best are kept. At last a member's
gain over the best dev member is shrunk towards its dev mean as far as held-out questions ask for.

Letters: Q questions, D dev questions, M members, N nearest dev questions, E width of an embedding,
F edge features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from moco.errors import DataError
from moco.routing.decide import Estimates
from moco.routing.folds import folds
from moco.routing.neighbours import nearest
from moco.routing.residuals import careful, caution
from moco.types import Json

LEAST = 10
"""Dev questions below which the network keeps its starting weights."""
AT_ONCE = 1024
"""Questions that are predicted in one go, in training or when routing."""
DIGITS = 4
"""Estimates are rounded, so that they do not hang on how questions are batched."""


@dataclass(frozen=True)
class Training:
    """How the network is built and trained."""

    hidden: int = 8
    """Features of each half of a node."""
    rate: float = 3e-3
    decay: float = 1e-2
    epochs: int = 200
    visible: float = 0.5
    """Probability that a dev question keeps its edges in a masking."""
    maskings: int = 4
    """Per epoch; each epoch is one step."""
    neighbours: int = 32
    """N; 0 = every dev question weighs the same, as in the paper."""
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Labelled:
    """Dev questions, and an edge to each member that answered; arrays are float32."""

    questions_DE: np.ndarray
    """Unit-length embeddings."""
    edges_DMF: np.ndarray
    """Score from 0 to 1 and cost as a share of the costliest member's mean; 0 without an edge."""
    seen_DM: np.ndarray
    """1 where there is an edge, else 0."""

    @classmethod
    def of(cls, questions_DE: np.ndarray, scores_DM: np.ndarray, costs_DM: np.ndarray) -> Labelled:
        """From dev scores from 0 to 1 and costs, NaN where a member was not asked."""
        seen_DM = np.isfinite(scores_DM)
        costs_DM = np.where(seen_DM, np.nan_to_num(costs_DM), 0)
        top = float((costs_DM.sum(axis=0) / np.maximum(seen_DM.sum(axis=0), 1)).max(initial=0))
        scores_DM = np.where(seen_DM, scores_DM, 0)
        edges_DMF = np.stack([scores_DM, costs_DM / (top or 1.0)], axis=-1)
        return cls(*(x.astype(np.float32) for x in (questions_DE, edges_DMF, seen_DM)))

    def __len__(self) -> int:
        return len(self.questions_DE)

    def both(self, best: int) -> np.ndarray:
        """1 where a member and the member `best` were asked, shape [D, M]."""
        both_DM: np.ndarray = self.seen_DM * self.seen_DM[:, best : best + 1]
        return both_DM

    def gains(self, best: int) -> np.ndarray:
        """Scores less those of a member, shape [D, M]; 0 where either was not asked."""
        scores_DM = self.edges_DMF[..., 0].astype(float)
        gains_DM: np.ndarray = self.both(best) * (scores_DM - scores_DM[:, best : best + 1])
        return gains_DM

    def mean_gains(self, best: int) -> np.ndarray:
        """Mean gain over a member, shape [M]."""
        count_M = np.maximum(self.both(best).sum(axis=0), 1)
        mean_M: np.ndarray = self.gains(best).sum(axis=0) / count_M
        return mean_M

    def means(self) -> np.ndarray:
        """Mean edge per member, shape [M, F]."""
        count_M = np.maximum(self.seen_DM.sum(axis=0), 1)
        mean_MF: np.ndarray = self.edges_DMF.sum(axis=0, dtype=float) / count_M[:, None]
        return mean_MF

    def at(self, rows_D: np.ndarray) -> Labelled:
        """The part with these dev questions."""
        return Labelled(self.questions_DE[rows_D], self.edges_DMF[rows_D], self.seen_DM[rows_D])


@dataclass(frozen=True)
class Graph:
    """The whole graph: dev with its edges, member nodes, the task node."""

    dev: Labelled
    members_ME: np.ndarray
    """Embeddings of descriptions, centred and scaled; zero where all are equal."""
    task_E: np.ndarray
    """Embedding of the task's description; zero without one."""

    @classmethod
    def of(cls, dev: Labelled, members_ME: np.ndarray, task_E: np.ndarray) -> Graph:
        """The graph with embeddings of the members' descriptions and of the task's."""
        centred_ME = members_ME - members_ME.mean(axis=0)
        scaled_ME = centred_ME / spread(centred_ME)
        return cls(dev, scaled_ME.astype(np.float32), task_E.astype(np.float32))


@dataclass(frozen=True)
class Scale:
    """How embeddings are centred, and in what unit distances are."""

    centre_E: np.ndarray
    spread: float
    reach: float
    """Mean distance of the farthest neighbour among dev questions."""

    @classmethod
    def of(cls, questions_DE: np.ndarray, neighbours: int) -> Scale:
        """The scale of dev questions."""
        _, distance_DN = nearest(questions_DE, questions_DE, neighbours, same=True)
        reach = float(distance_DN[:, -1].mean()) if distance_DN.size else 1.0
        centre_E = questions_DE.astype(float).mean(axis=0)
        return cls(centre_E, spread(questions_DE - centre_E), max(reach, 1e-6))

    def centred(self, rows_NE: np.ndarray) -> np.ndarray:
        """Embeddings as the network reads them."""
        read: np.ndarray = (rows_NE - self.centre_E) / self.spread
        return read


def spread(centred_NE: np.ndarray) -> float:
    """Root mean square length of rows; 1 where they are all zero."""
    found = float(np.sqrt(np.square(centred_NE).sum(axis=1).mean()))
    return found if found > 1e-6 else 1.0


def split(
    questions_DE: np.ndarray, scores_DM: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to validate on, about this share, both in dev order; questions
    alike stay together, and both parts have about the same scores.

    Nothing is held out where there are fewer than `LEAST` rows.
    """
    rows = len(questions_DE)
    if rows < LEAST or not share:
        return np.arange(rows), np.arange(0)
    held_D = folds(questions_DE, scores_DM, seed, count=round(1 / share)) == 0
    if held_D.all():  # all questions are equal
        held_D[:] = False
    return np.flatnonzero(~held_D), np.flatnonzero(held_D)


def fit(
    graph: Graph, held: np.ndarray, best: int, how: Training
) -> tuple[dict[str, np.ndarray], dict[str, Json]]:
    """(arrays that routing needs, notes on the training); the rows `held` choose the epoch and the
    shrinkage of gains over the member in column `best`.

    Training is deterministic and leaves global random states alone. Below `LEAST` dev questions
    the starting weights stay: too few to tell whether training helps.
    """
    from moco.routing import graph_net as net
    from moco.routing.graph_train import train

    scale = Scale.of(graph.dev.questions_DE, how.neighbours)
    enough = len(graph.dev) >= LEAST
    weights = net.initial(
        np.random.default_rng([how.seed, 1]),
        width=graph.dev.questions_DE.shape[1],
        num_members=len(graph.members_ME),
        half=how.hidden,
        plain=how.neighbours == 0 and enough,
    )
    notes: dict[str, Json] = {"epochs": 0}
    if enough:
        weights, notes = train(graph, held, weights, scale, how)
    others = replace(graph, dev=graph.dev.at(np.setdiff1d(np.arange(len(graph.dev)), held)))
    without = net.frozen(others, scale, weights) | _deciding(best, how.neighbours, 1.0, 1.0)
    found, told = estimate(without, graph.dev.questions_DE[held]), graph.dev.at(held)
    share = _share(found, told, others.dev, best)
    seen_HM = told.seen_DM > 0
    scores_HM = np.where(seen_HM, told.edges_DMF[..., 0].astype(float), np.nan)
    trust = caution(np.where(seen_HM, found.scores_QM, np.nan), scores_HM, best)
    arrays = net.frozen(graph, scale, weights) | _deciding(best, how.neighbours, share, trust)
    return arrays, {**notes, "share": round(share, 4)}


def estimate(arrays: Mapping[str, np.ndarray], rows_QE: np.ndarray) -> Estimates:
    """Chance of a right answer, shape [Q, M], and the standard error of each member's difference
    to the best dev member, from the neighbours' scores.

    Computed in float64 on the CPU whatever trained the network; a row depends on its own question
    only.
    """
    from moco.routing import graph_net as net

    width = arrays["questions"].shape[1]
    if len(rows_QE) and rows_QE.shape[1] != width:
        raise DataError(
            f"the graph was made of embeddings of width {width}, these questions' have"
            f" {rows_QE.shape[1]}: give the role embedder to the same model, or fit again"
        )
    router = net.Frozen.of(arrays)
    neighbours = int(arrays["neighbours"][0])
    parts = []
    for start in range(0, len(rows_QE), AT_ONCE):
        part_QE = rows_QE[start : start + AT_ONCE]
        parts.append(router.estimate(part_QE, nearest(part_QE, arrays["questions"], neighbours)))
    empty = np.zeros((0, len(arrays["states"])))
    scores_QM = np.concatenate([empty, *(scores for scores, _ in parts)])
    errors_QM = np.concatenate([empty, *(errors for _, errors in parts)])
    errors_QM = careful(errors_QM, np.full(len(arrays["states"]), arrays["caution"][0]))
    return Estimates(np.round(scores_QM, DIGITS), errors_QM)


def _deciding(best: int, neighbours: int, share: float, caution: float) -> dict[str, np.ndarray]:
    return {
        "caution": np.array([caution]),
        "best": np.array([best]),
        "neighbours": np.array([neighbours]),
        "share": np.array([share]),
    }


def _share(found: Estimates, held: Labelled, others: Labelled, best: int) -> float:
    """How much of an estimated gain over the best member's, less its mean, shows on held-out
    questions: the slope of a regression, from 0 to 1; 1 where nothing is held out.
    """
    both_QM = held.both(best)
    mean_M = others.mean_gains(best)
    told_QM = both_QM * (found.scores_QM - found.scores_QM[:, best : best + 1] - mean_M)
    true_QM = both_QM * (held.gains(best) - mean_M)
    total = float(np.square(told_QM).sum())
    return float(np.clip((told_QM * true_QM).sum() / total, 0, 1)) if total else 1.0
