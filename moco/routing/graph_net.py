"""The network of the graph router: weights, a question's view of dev, two layers and a head.

`moco.routing.graph` says what is the paper's and what is ours. Letters: Q questions, D dev
questions, M members, N nearest dev questions, E width of an embedding, F edge features, T features
of the task half, H features of a node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from moco.errors import MissingExtraError
from moco.routing.graph import Graph, Labelled, Scale

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a graph router", "hf") from error

from torch import Tensor
from torch.nn.functional import layer_norm

SURE = 0.02
"""Neighbours' mean scores are kept this far from 0 and 1 before their log-odds are taken."""
NOISE = 1e-3
"""Floor of a standard error: what training may make of members that never differ."""
NEIGHBOURHOOD = ("reach", "prior", "trust")
"""The weights that say how neighbours' scores are averaged; they learn ten times faster."""
AT_ROUTING = ("question", "text_2", "edge_2", "gate", *NEIGHBOURHOOD)
"""The weights that a new question needs; members' states hold what the others say."""

Weights = Mapping[str, Tensor]


def initial(
    random: np.random.Generator, *, width: int, num_members: int, half: int, plain: bool
) -> dict[str, np.ndarray]:
    """Starting weights, float32, with T = `half`: the head sees the neighbours' scores alone or, if
    `plain`, the paper's mean over the products of both nodes' features.
    """
    whole = 2 * half

    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        return random.normal(0.0, scale, shape)

    arrays = {
        "task_bias": np.ones(half),
        "task": normal(width, half),
        "question": normal(width, half),
        "member": normal(width, whole),
        "identity": np.zeros((num_members, whole)),  # members that never differ stay equal
        "text_1": normal(whole, whole, scale=whole**-0.5),
        "edge_1": normal(2, whole),
        "text_2": normal(whole, whole, scale=whole**-0.5),
        "edge_2": normal(2, whole),
        "gate": np.full(whole, 1 / whole if plain else 0.0),
        "reach": np.zeros(1),  # logarithms of a distance and of a count
        "prior": np.zeros(1),
        "trust": np.full(1, 0.0 if plain else 1.0),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


@dataclass(frozen=True)
class Known:
    """The labelled graph on a device: centred questions, edges, and which are there."""

    questions_DE: Tensor
    edges_DMF: Tensor
    seen_DM: Tensor

    @classmethod
    def of(cls, dev: Labelled, scale: Scale, like: Tensor) -> Known:
        """Labelled questions in the dtype and on the device of a tensor."""
        parts = (scale.centred(dev.questions_DE), dev.edges_DMF, dev.seen_DM)
        return cls(*(as_tensor(part, like) for part in parts))

    def means(self) -> Tensor:
        """Mean edge per member, shape [M, F]."""
        seen_DM1 = self.seen_DM[..., None]
        return (seen_DM1 * self.edges_DMF).sum(0) / seen_DM1.sum(0).clamp(min=1)

    def at(self, rows: Tensor) -> Known:
        """The part with these dev questions."""
        return Known(self.questions_DE[rows], self.edges_DMF[rows], self.seen_DM[rows])


@dataclass(frozen=True)
class View:
    """Questions to predict, and the dev questions that each of them sees."""

    questions_QE: Tensor
    near_QN: Tensor
    distance_QN: Tensor
    """In units of the usual distance of the farthest neighbour."""
    open_QN: Tensor
    """1 where the neighbour's edges are visible, else 0."""

    @classmethod
    def of(
        cls,
        rows_QE: np.ndarray,
        near: tuple[np.ndarray, np.ndarray],
        scale: Scale,
        like: Tensor,
        open_QN: np.ndarray | None = None,
    ) -> View:
        """The view of embedded questions whose nearest rows and distances are these."""
        near_QN, distance_QN = near
        return cls(
            as_tensor(scale.centred(rows_QE), like),
            torch.as_tensor(near_QN, dtype=torch.int64, device=like.device),
            as_tensor(distance_QN / scale.reach, like),
            as_tensor(np.ones(near_QN.shape) if open_QN is None else open_QN, like),
        )


def as_tensor(values: np.ndarray, like: Tensor) -> Tensor:
    """Values in the dtype and on the device of a tensor."""
    own = values if values.flags.writeable else values.copy()  # torch has no read-only tensors
    return torch.as_tensor(own, dtype=like.dtype, device=like.device)


def task_half(w: Weights, task_E: Tensor) -> Tensor:
    """What every question node holds of the task, shape [T]."""
    return w["task_bias"] + task_E @ w["task"]


def _question_nodes(w: Weights, rows_QE: Tensor, task_T: Tensor) -> Tensor:
    """[task ; question], shape [Q, H]."""
    return torch.cat([task_T.expand(len(rows_QE), -1), rows_QE @ w["question"]], dim=1)


def member_states(w: Weights, known: Known, members_ME: Tensor, task_T: Tensor) -> Tensor:
    """First layer: each member's node with the mean message of its edges, shape [M, H]."""
    nodes_DH = _question_nodes(w, known.questions_DE, task_T)
    sent_DMH = (nodes_DH @ w["text_1"])[:, None] + known.edges_DMF @ w["edge_1"]
    seen_DM1 = known.seen_DM[..., None]
    mean_MH = (torch.relu(sent_DMH) * seen_DM1).sum(0) / seen_DM1.sum(0).clamp(min=1)
    return torch.relu(_norm(members_ME @ w["member"] + w["identity"] + mean_MH))


def logits(
    w: Weights, known: Known, view: View, states_MH: Tensor, means_MF: Tensor, task_T: Tensor
) -> Tensor:
    """Second layer and head: log-odds of a right answer, shape [Q, M]."""
    weight_QN, prior = _weigh(w, view)
    weight_QNM = weight_QN[..., None] * known.seen_DM[view.near_QN]
    sums_QMF = torch.einsum("qnm,qnmf->qmf", weight_QNM, known.edges_DMF[view.near_QN])
    edges_QMF = (sums_QMF + prior * means_MF) / (weight_QNM.sum(1) + prior)[..., None]
    # questions are centred: the mean over all dev, which the pseudo-count adds, is zero
    texts_QE = torch.einsum("qn,qne->qe", weight_QN, known.questions_DE[view.near_QN])
    texts_QE = texts_QE / (weight_QN.sum(1, keepdim=True) + prior)
    sent_QH = _question_nodes(w, texts_QE, task_T) @ w["text_2"]
    seen_QMH = _norm(states_MH + sent_QH[:, None] + edges_QMF @ w["edge_2"])
    gated_QH = _question_nodes(w, view.questions_QE, task_T) * w["gate"]
    evidence_QM = edges_QMF[..., 0].clamp(SURE, 1 - SURE).logit()
    return w["trust"] * evidence_QM + torch.einsum("qh,qmh->qm", gated_QH, seen_QMH)


def _weigh(w: Weights, view: View) -> tuple[Tensor, Tensor]:
    """Weights of the neighbours, shape [Q, N], and the pseudo-count of the mean over all dev."""
    weight_QN = (-view.distance_QN / w["reach"].exp()).exp() * view.open_QN
    return weight_QN, w["prior"].exp()


def _norm(rows: Tensor) -> Tensor:
    return layer_norm(rows, rows.shape[-1:])


@dataclass(frozen=True)
class Gains:
    """What dev as a whole says of members' gains over the best one."""

    best: int
    count_M: Tensor
    """Dev questions that both were asked."""
    mean_M: Tensor
    variance_M: Tensor

    @classmethod
    def of(cls, dev: Labelled, best: int, like: Tensor) -> Gains:
        """The gains over the member in column `best`."""
        both_DM, gains_DM = dev.both(best), dev.gains(best)
        count_M, mean_M = np.maximum(both_DM.sum(axis=0), 1), dev.mean_gains(best)
        variance_M = (both_DM * np.square(gains_DM - mean_M)).sum(axis=0) / count_M
        return cls(best, *(as_tensor(x, like) for x in (count_M, mean_M, variance_M)))


def standard_errors(w: Weights, known: Known, view: View, overall: Gains) -> Tensor:
    """Standard errors of the neighbours' mean gains over the best dev member, shape [Q, M].

    The pseudo-count stands for that many questions with the variance of all dev, so that a few
    neighbours that agree do not look certain.
    """
    weight_QN, prior = _weigh(w, view)
    best = slice(overall.best, overall.best + 1)
    scores_QNM, seen_QNM = known.edges_DMF[view.near_QN][..., 0], known.seen_DM[view.near_QN]
    weight_QNM = weight_QN[..., None] * seen_QNM * seen_QNM[..., best]
    gain_QNM = scores_QNM - scores_QNM[..., best]
    total_QM = weight_QNM.sum(1) + prior
    mean_QM = ((weight_QNM * gain_QNM).sum(1) + prior * overall.mean_M) / total_QM
    square_QM = (weight_QNM * (gain_QNM - mean_QM[:, None]) ** 2).sum(1)
    spread_QM = square_QM + prior * (overall.variance_M + (overall.mean_M - mean_QM) ** 2)
    size_QM = total_QM**2 / ((weight_QNM**2).sum(1) + prior**2 / overall.count_M)
    return (spread_QM / total_QM / size_QM).sqrt().clamp(min=NOISE)


def frozen(graph: Graph, scale: Scale, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What routing needs: dev, members' states from all its edges (float64), the second layer."""
    w = {name: torch.from_numpy(array).double() for name, array in weights.items()}
    like = w["gate"]
    task_T = task_half(w, as_tensor(graph.task_E, like))
    members_ME = as_tensor(graph.members_ME, like)
    states_MH = member_states(w, Known.of(graph.dev, scale, like), members_ME, task_T)
    return {
        "questions": graph.dev.questions_DE,
        "edges": graph.dev.edges_DMF,
        "seen": graph.dev.seen_DM,
        "centre": scale.centre_E,
        "scale": np.array([scale.spread, scale.reach]),
        "states": states_MH.numpy(),
        "task_half": task_T.numpy(),
        **{name: weights[name] for name in AT_ROUTING},
    }


@dataclass(frozen=True)
class Frozen:
    """A fitted router in float64: weights, dev, members' states, the shrinkage of gains."""

    w: Weights
    dev: Labelled
    scale: Scale
    states_MH: Tensor
    task_T: Tensor
    means_MF: Tensor
    overall: Gains
    share: float

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Frozen:
        """The router of these arrays."""
        like = torch.tensor(arrays["states"])
        dev = Labelled(arrays["questions"], arrays["edges"], arrays["seen"])
        return cls(
            w={name: as_tensor(arrays[name], like) for name in AT_ROUTING},
            dev=dev,
            scale=Scale(arrays["centre"], *(float(x) for x in arrays["scale"])),
            states_MH=like,
            task_T=torch.tensor(arrays["task_half"]),
            means_MF=as_tensor(dev.means(), like),
            overall=Gains.of(dev, int(arrays["best"][0]), like),
            share=float(arrays["share"][0]),
        )

    def estimate(
        self, rows_QE: np.ndarray, near: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(chances, standard errors), each [Q, M], of embedded questions with these neighbours."""
        like, overall = self.states_MH, self.overall
        rows_D, index = np.unique(near[0], return_inverse=True)
        known = Known.of(self.dev.at(rows_D), self.scale, like)
        view = View.of(rows_QE, (index.reshape(near[0].shape), near[1]), self.scale, like)
        found = logits(self.w, known, view, self.states_MH, self.means_MF, self.task_T)
        chance_QM = found.sigmoid()
        best_Q1 = chance_QM[:, overall.best : overall.best + 1]
        gain_QM = self.share * (chance_QM - best_Q1) + (1 - self.share) * overall.mean_M
        asked_M = as_tensor(self.dev.seen_DM.max(axis=0), like)  # nothing is expected of others
        errors_QM = standard_errors(self.w, known, view, overall)
        return (asked_M * (best_Q1 + gain_QM)).numpy(), errors_QM.numpy()
