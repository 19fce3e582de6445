"""When to let another model write the next token: a linear head on a model's final hidden state
and, with it, a LoRA adapter of the model, learnt from answers that the two write together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from moco.backends.base import ModelSpec
from moco.errors import DataError
from moco.model import Model
from moco.silence import quiet_transformers
from moco.train import lora_model
from moco.train.base import Ask
from moco.train.recipe import LoraRecipe
from moco.train.rows import rows_of
from moco.train.sft import IGNORED, collate
from moco.types import Json

if TYPE_CHECKING:
    from torch import Tensor

HEAD_FILE = "deferral.safetensors"
"""Beside the adapter: `weight` [W] and `bias` [1] of the head, and `percentiles` [101] of its
output over all tokens that were learnt from or held out; float32.
"""
PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4)
"""Strengths of the head's L2 penalty that are tried; the held-out rows choose."""
WITHOUT_HELD = 1e-2
"""The penalty where no row is held out."""
BIAS_PENALTY = 1e-4
"""Keeps the bias finite where no token is worth deferring."""
STEPS = 200
"""Steps of one fit of the head at most."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A prompt with its completion, and what the assistant thinks of each learnt token."""

    ids: tuple[int, ...]
    start: int
    """Where the completion starts."""
    assistant: tuple[float, ...]
    """Log-probability (nats) of each token from `start` on."""
    first: tuple[bool, ...]
    """Whether the token is the assistant's likeliest."""
    held: bool = False
    """Whether it is for validation only."""

    @property
    def length(self) -> int:
        """Tokens that one pass reads of it."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known before each learnt token of some rows."""

    states_NW: Tensor
    """The model's final hidden states, fp32."""
    own_N: Tensor
    """Log-probability of the token by the model."""
    assistant_N: Tensor
    """Log-probability of the token by the assistant."""
    helps_N: Tensor
    """Whether the token is the assistant's likeliest and not the model's."""


@dataclass(frozen=True, slots=True)
class Head:
    """P(defer) = σ(weight · state + bias)."""

    weight_W: Tensor
    bias: Tensor
    penalty: float
    """The strength it was fitted with."""

    def output(self, states_NW: Tensor) -> Tensor:
        """The log-odds of deferring, [N]."""
        weight_W, bias = self.weight_W.to(states_NW), self.bias.to(states_NW)
        return states_NW @ weight_W + bias


@dataclass(frozen=True, slots=True)
class Deferral(LoraRecipe):
    """P(defer) = σ(θ·h + b) for the final state h before a token; the likelihood of an answer is
    that of the mixture (1 − P) · own + P · assistant (Shen et al. 2024, arXiv 2403.03870).

    Asking for a token costs `cost` nats besides. The head is fitted by L-BFGS, first to tokens that
    are the assistant's likeliest and not the model's own, then to the mixture. With `tune: lora`
    the adapter is then trained by the mixture under this head, and the head is fitted once more, to
    the trained model's states; with `head` the adapter changes nothing.

    Data: `{"prompt": …, "completion": …, "assistant": [log-probability …], "first": [bool …]}`, the
    lists over the completion's tokens and the token that closes the turn.
    """

    name: ClassVar[str] = "deferral"

    tune: Literal["head", "lora"] = "lora"
    """What is trained: the head alone, or the adapter too."""
    cost: float = 0.0
    """What asking the assistant for a token costs, in nats."""

    def rows(self, spec: ModelSpec, data: Sequence[Mapping[str, Json]]) -> list[Taught]:
        """Prompts and completions as token ids, with the assistant's view of them."""
        found = []
        for i, row in enumerate(rows_of(spec, data, self.max_length)):
            assistant, first = tuple(data[i]["assistant"]), tuple(data[i]["first"])
            learnt = len(row.ids) - row.start
            if {len(assistant), len(first)} != {learnt}:
                raise DataError(
                    f"training row {i}: needs {learnt} values in 'assistant' and in 'first',"
                    f" has {len(assistant)} and {len(first)}; both models need one tokenizer"
                )
            found.append(Taught(row.ids, row.start, assistant, first, row.held))
        return found

    def train(
        self,
        spec: ModelSpec,
        data: Sequence[Mapping[str, Json]],
        folder: Path,
        device: str,
        scratch: Path,
        ask: Ask,
    ) -> None:
        """Write the adapter, and beside it the head, into `folder`."""
        lora_model.check_lineage(spec)
        learnt, held = self.split(self.rows(spec, data))
        log: dict[str, Json] = {"rows": len(learnt), "validation_rows": len(held)}
        with lora_model.untouched_randomness(), quiet_transformers():
            if self.tune == "lora":
                LoraRecipe.train(self, spec, data, folder, device, scratch, ask)
                log = json.loads((folder / lora_model.LOG_FILE).read_text(encoding="utf-8"))
                model = lora_model.adapted(replace(spec, adapter=folder), device, self)
            else:
                model = lora_model.adapted(spec, device, self)
                lora_model.save(model, spec, folder)
            seen, unseen = (hear(model, rows, self.batch_size) for rows in (learnt, held))
            head = fit_head(seen, unseen, self.cost)
        _save(head, (seen, unseen), folder)
        log |= {
            "head": _told(head, unseen if held else seen, self.cost),
            **lora_model.lineage(spec),
        }
        (folder / lora_model.LOG_FILE).write_text(json.dumps(log, indent=1), encoding="utf-8")

    def trainer(
        self,
        spec: ModelSpec,
        learnt: Sequence[Taught],
        held: Sequence[Taught],
        device: str,
        scratch: Path,
        ask: Ask,
    ) -> Any:
        """The library's trainer of the adapter by the mixture, under the untrained model's head."""
        from transformers import Trainer, TrainingArguments

        model = lora_model.adapted(spec, device, self)
        seen, unseen = (hear(model, rows, self.batch_size) for rows in (learnt, held))
        head, cost = fit_head(seen, unseen, self.cost), self.cost

        class Mixing(Trainer):  # type: ignore[misc]
            """Its loss is the mixture's, a mean over tokens."""

            def compute_loss(
                self, model: Any, inputs: Any, return_outputs: bool = False, **rest: Any
            ) -> Any:
                heard = _heard(model, inputs)
                outputs_N = head.output(heard.states_NW)
                loss = mixture_loss(outputs_N, heard.own_N, heard.assistant_N, cost).mean()
                return (loss, {"loss": loss}) if return_outputs else loss

        longest = max(row.length for row in (*learnt, *held))
        settings = {
            **self.settings(len(learnt), bool(held), device, scratch),
            **self.passes(self.batch_size, longest, model),
        }
        del settings["max_length"]
        return Mixing(
            model=model,
            args=TrainingArguments(**settings),
            data_collator=_batch,
            train_dataset=learnt,
            eval_dataset=held or None,
            callbacks=lora_model.callbacks(self.patience if held else 0),
        )


def mixture_loss(outputs_N: Tensor, own_N: Tensor, assistant_N: Tensor, cost: float) -> Tensor:
    """−log((1 − σ(z)) · p + σ(z) · q) + cost · σ(z) of each token, in nats, from the head's outputs
    z and the log-probabilities of p and q.
    """
    import torch
    from torch.nn.functional import logsigmoid

    alone_N, asked_N = logsigmoid(-outputs_N) + own_N, logsigmoid(outputs_N) + assistant_N
    return cost * torch.sigmoid(outputs_N) - torch.logaddexp(alone_N, asked_N)


def fit_head(seen: Heard, unseen: Heard, cost: float) -> Head:
    """The head under which the seen tokens are likeliest, with the penalty under which the unseen
    ones are, the strongest of equals.
    """
    penalties = PENALTIES if len(unseen.own_N) else (WITHOUT_HELD,)
    heads = [_fitted(seen, penalty, cost) for penalty in penalties]
    return min(heads, key=lambda head: _mean_loss(head, unseen, cost))


def _fitted(seen: Heard, penalty: float, cost: float) -> Head:
    """The head of one penalty; states are standardised within."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    states_NW, wanted_N = seen.states_NW.double(), seen.helps_N.double()
    own_N, assistant_N = seen.own_N.double(), seen.assistant_N.double()
    mean_W, scale_W = states_NW.mean(0), states_NW.std(0, correction=0)
    scale_W = torch.where(scale_W > 0, scale_W, 1.0)
    scaled_NW = (states_NW - mean_W) / scale_W

    def size(point_P: Tensor) -> Tensor:
        return penalty * point_P[:-1].square().sum() + BIAS_PENALTY * point_P[-1].square()

    def weak(point_P: Tensor) -> Tensor:
        outputs_N = scaled_NW @ point_P[:-1] + point_P[-1]
        return binary_cross_entropy_with_logits(outputs_N, wanted_N) + size(point_P)

    def mixed(point_P: Tensor) -> Tensor:
        outputs_N = scaled_NW @ point_P[:-1] + point_P[-1]
        return mixture_loss(outputs_N, own_N, assistant_N, cost).mean() + size(point_P)

    start_P = torch.zeros(states_NW.shape[1] + 1, dtype=torch.float64)
    point_P = least(mixed, least(weak, start_P))
    weight_W = point_P[:-1] / scale_W
    return Head(weight_W.float(), (point_P[-1] - weight_W @ mean_W).float(), penalty)


def least(loss: Callable[[Tensor], Tensor], start_P: Tensor) -> Tensor:
    """Where the loss is least, by L-BFGS."""
    import torch

    point_P = start_P.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([point_P], max_iter=STEPS, line_search_fn="strong_wolfe")

    def value() -> Any:
        optimiser.zero_grad()
        found = loss(point_P)
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimiser.step(value)  # type: ignore[no-untyped-call]
    return point_P.detach()


def _mean_loss(head: Head, heard: Heard, cost: float) -> float:
    """Mean loss, rounded; 0 without tokens."""
    if not len(heard.own_N):
        return 0.0
    outputs_N = head.output(heard.states_NW)
    return round(float(mixture_loss(outputs_N, heard.own_N, heard.assistant_N, cost).mean()), 9)


def hear(model: Any, rows: Sequence[Taught], batch_size: int) -> Heard:
    """What the model says of the rows' learnt tokens, on the CPU."""
    import torch

    parts = []
    model.eval()
    with torch.no_grad():
        for start in range(0, len(rows), batch_size):
            batch = _batch(rows[start : start + batch_size])
            heard = _heard(model, {name: t.to(model.device) for name, t in batch.items()})
            parts.append(heard)
    if not parts:
        nothing = torch.zeros(0)
        return Heard(torch.zeros(0, 0), nothing, nothing, nothing)
    return Heard(*(torch.cat([getattr(p, name).cpu() for p in parts]) for name in Heard.__slots__))


def _batch(rows: Sequence[Taught]) -> dict[str, Tensor]:
    """Rows padded on the right, with what the assistant said at each learnt place."""
    import torch

    items = [
        {"input_ids": r.ids, "labels": (*[IGNORED] * r.start, *r.ids[r.start :])} for r in rows
    ]
    batch: dict[str, Tensor] = collate(items)
    assistant_BT = torch.zeros(batch["labels"].shape)
    first_BT = torch.zeros(batch["labels"].shape, dtype=torch.bool)
    for i, row in enumerate(rows):
        assistant_BT[i, row.start : len(row.ids)] = torch.tensor(row.assistant)
        first_BT[i, row.start : len(row.ids)] = torch.tensor(row.first)
    return {**batch, "assistant": assistant_BT, "first": first_BT}


def _heard(model: Any, batch: Mapping[str, Tensor]) -> Heard:
    """One pass of the model over a batch."""
    from moco.decoding.sampling import argmax, logprobs_of

    states: list[Tensor] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(
        lambda module, inputs: states.append(inputs[0])
    )
    try:
        read = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    finally:
        hook.remove()
    ids_BT = batch["labels"][:, 1:]
    learnt_BT = ids_BT != IGNORED
    ids_N, logits_NV = ids_BT[learnt_BT], read.logits[:, :-1][learnt_BT]
    missed_N = argmax(logits_NV.detach()) != ids_N
    return Heard(
        states_NW=states[0][:, :-1][learnt_BT].float(),
        own_N=logprobs_of(logits_NV, ids_N),
        assistant_N=batch["assistant"][:, 1:][learnt_BT],
        helps_N=batch["first"][:, 1:][learnt_BT] & missed_N,
    )


def _save(head: Head, heard: Sequence[Heard], folder: Path) -> None:
    from safetensors.numpy import save_file

    outputs = np.concatenate(
        [head.output(part.states_NW).numpy() for part in heard if len(part.own_N)]
    )
    arrays = {
        "weight": head.weight_W.numpy(),
        "bias": head.bias.numpy().reshape(1),
        "percentiles": np.percentile(outputs, np.arange(101)).astype(np.float32),
    }
    save_file(arrays, folder / HEAD_FILE)


def _told(head: Head, heard: Heard, cost: float) -> dict[str, Json]:
    """What the log says of the head: losses are means over tokens, of held-out rows if any."""
    return {
        "penalty": head.penalty,
        "tokens": len(heard.own_N),
        "helped": int(heard.helps_N.sum()),
        "own_loss": -float(heard.own_N.mean()),
        "assistant_loss": -float(heard.assistant_N.mean()),
        "loss": _mean_loss(head, heard, cost),
    }


def head_of(trained: Model) -> dict[str, np.ndarray]:
    """The arrays of a trained model's head (see `HEAD_FILE`)."""
    from safetensors.numpy import load_file

    assert trained.spec.adapter is not None
    return dict(load_file(trained.spec.adapter / HEAD_FILE))
