"""Which of two ways an answer should go on, from a model's hidden state behind both: a small
network, or a logistic regression.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from moco.train.deferral import least
from moco.train.lora_model import untouched_randomness
from moco.types import Json

if TYPE_CHECKING:
    from torch import Tensor

Form = Literal["linear", "mlp"]
HELD = 5
"""One in so many questions is for validation only."""
DROPOUT = 0.1
PENALTIES = (10.0, 1.0, 1e-1, 1e-2, 1e-3)
"""Strengths of the regression's L2 penalty that are tried."""
RATE, DECAY = 1e-3, 1e-2
"""Of AdamW, which trains the network."""
BATCH = 32
"""Rows per step at least, or all."""
EPOCHS, PATIENCE = 200, 20
"""Passes at most, and those without a better validation loss after which training ends."""
DIGITS = 4
"""Scores are rounded, so that they do not hang on how rows are batched."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """What is learnt from: N states, and whether the first way was the better one."""

    states_NW: np.ndarray
    right_N: np.ndarray
    held_N: np.ndarray
    """Whether a row is for validation only."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """σ of linear layers with ReLU in between, on standardised states."""

    mean_W: Tensor
    scale_W: Tensor
    layers: tuple[tuple[Tensor, Tensor], ...]
    """(weight [out, in], bias [out]) of each; the last one has one output."""

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], device: Any = "cpu") -> Verifier:
        """The verifier that these arrays are (see `learn`)."""
        import torch

        tensors = {name: torch.tensor(array, device=device) for name, array in arrays.items()}
        count = sum(name.startswith("weight") for name in tensors)
        layers = tuple((tensors[f"weight{i}"], tensors[f"bias{i}"]) for i in range(count))
        return cls(tensors["mean"], tensors["scale"], layers)

    def outputs(self, states_NW: Tensor) -> Tensor:
        """The log-odds that the first way is better, [N]."""
        x = (states_NW.to(self.mean_W) - self.mean_W) / self.scale_W
        for i, (weight, bias) in enumerate(self.layers):
            x = (x.relu() if i else x) @ weight.T + bias
        return x[:, 0]

    def scores(self, states_NW: Tensor) -> list[float]:
        """P(the first way is better) of each row, rounded."""
        return [round(p, DIGITS) for p in self.outputs(states_NW).sigmoid().tolist()]


def learn(
    lessons: Lessons, form: Form, seed: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, Json]]:
    """(the verifier as arrays `mean`, `scale`, `weight0`, `bias0` and so on, all float32; notes).

    The network has three layers of twice, once and half the states' width, each with batch norm,
    ReLU and dropout, and a linear unit (Wang et al. 2026, arXiv 2602.05307), whose bias starts at
    the log-odds of all rows; the weights of the epoch with the best validation loss are kept, batch
    norm as a part of them. The regression is fitted by L-BFGS with the L2 penalty under which the
    validation loss is best. Both on the CPU; the same seed gives the same weights.
    """
    import torch

    states_NW = torch.tensor(lessons.states_NW, dtype=torch.float32)
    right_N = torch.tensor(lessons.right_N, dtype=torch.float32)
    held_N = torch.tensor(lessons.held_N)
    learnt_NW = states_NW[~held_N].double()
    mean_W, scale_W = learnt_NW.mean(0), learnt_NW.std(0, correction=0)
    scale_W = torch.where(scale_W > 1e-6 * mean_W.abs(), scale_W, 1.0)  # what does not vary
    scaled_NW = ((states_NW.double() - mean_W) / scale_W).float()
    parts = [(scaled_NW[part], right_N[part]) for part in (~held_N, held_N)]
    layers, notes = (_network if form == "mlp" else _regression)(parts, seed)
    found = Verifier(mean_W.float(), scale_W.float(), layers)
    held_M, told_M = found.outputs(states_NW[held_N]) >= 0, right_N[held_N] > 0
    share = float(told_M.float().mean())
    notes |= {
        "form": form,
        "held": int(held_N.sum()),
        "accuracy": round(float((held_M == told_M).float().mean()), 4),
        "chance": round(max(share, 1 - share), 4),
    }
    arrays = {"mean": found.mean_W, "scale": found.scale_W}
    for i, (weight, bias) in enumerate(layers):
        arrays |= {f"weight{i}": weight, f"bias{i}": bias}
    return {name: tensor.numpy() for name, tensor in arrays.items()}, notes


def held_out(groups: Sequence[str], right: Sequence[bool], seed: int = 0) -> np.ndarray | None:
    """Which rows are for validation: whole groups, one in `HELD` of those in which either way is
    mostly the better, and one at least; None where one of the two has fewer than two groups.
    """
    rows: dict[str, list[bool]] = {}
    for group, own in zip(groups, right, strict=True):
        rows.setdefault(group, []).append(own)
    random, held = np.random.default_rng([seed, 5]), set[str]()
    for first in (False, True):
        names = sorted(g for g, own in rows.items() if (2 * sum(own) > len(own)) == first)
        if len(names) < 2:
            return None
        taken = random.permutation(len(names))[: max(len(names) // HELD, 1)]
        held |= {names[i] for i in taken}
    return np.array([group in held for group in groups])


def packed(array: np.ndarray) -> Json:
    """A float32 array as JSON, in little room."""
    data = np.ascontiguousarray(array, dtype="<f4").tobytes()
    return {"shape": list(array.shape), "data": base64.b64encode(data).decode()}


def unpacked(given: Mapping[str, Json]) -> np.ndarray:
    """The array that `packed` made this of."""
    flat = np.frombuffer(base64.b64decode(given["data"]), dtype="<f4")
    return flat.reshape(given["shape"]).copy()


Parts = Sequence[tuple["Tensor", "Tensor"]]
"""(standardised states, 1 where the first way is better) of rows to learn from, and of others."""
Layers = tuple[tuple["Tensor", "Tensor"], ...]


def _regression(parts: Parts, seed: int) -> tuple[Layers, dict[str, Json]]:
    """One layer, the most strongly penalised of those with the best validation loss."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as entropy

    (learnt_NW, right_N), (unseen_MW, told_M) = [(x.double(), y.double()) for x, y in parts]
    start_P = torch.zeros(learnt_NW.shape[1] + 1, dtype=torch.float64)
    found = []
    for penalty in PENALTIES:

        def loss(point_P: Tensor, penalty: float = penalty) -> Tensor:
            outputs_N = learnt_NW @ point_P[:-1] + point_P[-1]
            return entropy(outputs_N, right_N) + penalty * point_P[:-1].square().sum()

        point_P = least(loss, start_P)
        unseen = entropy(unseen_MW @ point_P[:-1] + point_P[-1], told_M)
        found.append((round(float(unseen), 6), penalty, point_P.float()))
    value, penalty, point_P = min(found, key=lambda own: own[0])
    return ((point_P[None, :-1], point_P[-1:]),), {"loss": value, "penalty": penalty}


def _network(parts: Parts, seed: int) -> tuple[Layers, dict[str, Json]]:
    """Four layers, of the epoch with the best validation loss."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as entropy

    (learnt_NW, right_N), (unseen_MW, told_M) = parts
    with untouched_randomness():
        torch.manual_seed(seed)
        net = _built(learnt_NW.shape[1], float(right_N.mean().logit()))
        optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
        best, kept, last, epoch = float("inf"), _folded(net), 0, 0
        for epoch in range(1, EPOCHS + 1):
            net.train()
            order = torch.randperm(len(learnt_NW))
            for rows in order.tensor_split(max(len(order) // BATCH, 1)):
                optimizer.zero_grad()
                loss = entropy(net(learnt_NW[rows])[:, 0], right_N[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            net.eval()
            with torch.no_grad():
                value = round(float(entropy(net(unseen_MW)[:, 0], told_M)), 6)
            if value < best:
                best, kept, last = value, _folded(net), epoch
            elif epoch - last >= PATIENCE:
                break
    return kept, {"loss": best, "epochs": epoch, "kept": last}


def _built(width: int, start: float) -> Any:
    """The untrained network; `start` is its last bias."""
    from torch import nn

    sizes = [width, 2 * width, width, max(width // 2, 1)]
    blocks: list[Any] = []
    for before, after in itertools.pairwise(sizes):
        blocks += [
            nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU(), nn.Dropout(DROPOUT)
        ]  # fmt: skip
    last = nn.Linear(sizes[-1], 1)
    nn.init.constant_(last.bias, start)
    return nn.Sequential(*blocks, last)


def _folded(net: Any) -> Layers:
    """A network's linear layers, each with the batch norm behind it as a part of it."""
    import torch
    from torch import nn

    found = []
    with torch.no_grad():
        for layer, norm in zip(net, [*[*net][1:], None], strict=True):
            if not isinstance(layer, nn.Linear):
                continue
            weight, bias = layer.weight.double(), layer.bias.double()
            if norm is not None:
                scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
                weight = weight * scale[:, None]
                bias = (bias - norm.running_mean.double()) * scale + norm.bias.double()
            found.append((weight.float(), bias.float()))
    return tuple(found)
