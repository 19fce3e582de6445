"""Decode from the members' combined next-token distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, TypedDict

import numpy as np
from pydantic import Field, model_validator

from moco.access import Access, ModelFacts, Problem, Requires
from moco.methods.base import Level, LogitMethod, dev_best
from moco.pool import Dev, Pool
from moco.types import Json, Prompt, Sampling

if TYPE_CHECKING:
    import torch

STEPS = 2000


class State(TypedDict):
    """Weights that were found on dev, in pool order."""

    weights: list[float]


class LogitFusion(LogitMethod[State]):
    """Every token is drawn from one distribution made of all members' distributions.

    `product` is the normalised weighted geometric mean (the average of log-probabilities),
    `mixture` the weighted arithmetic mean of probabilities; `confidence` is a product in which each
    member's weight at each step falls with the entropy of its distribution. Weights are given, or
    found on dev: the members' scores, or (of a mixture) those under which right dev answers are
    likeliest, which needs no generation besides the members' own answers.
    """

    level: ClassVar[Level] = "logit"
    paper: ClassVar[str] = "product of experts / ensemble decoding; MoCo, arXiv 2601.21257"
    requires: ClassVar[Requires] = Requires(
        access=Access.TEXT | Access.LOGITS, min_models=2, same=frozenset({"tokenizer"})
    )
    idempotent: ClassVar[bool] = True

    mode: Literal["product", "mixture", "confidence"] = "product"
    """How distributions are combined."""
    weights: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """One weight per member, in pool order, normalised to sum 1; empty = equal."""
    fitted: Literal["", "scores", "likelihood"] = ""
    """How weights are found on dev; empty = they are as given."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.fitted == "likelihood" and self.mode != "mixture":
            raise ValueError("fitted: likelihood finds the weights of a mixture: mode: mixture")
        if self.fitted and self.weights:
            raise ValueError("weights are given and fitted: leave one of them out")
        return self

    def needs(self) -> Requires:
        """Dev where weights are found."""
        return replace(self.requires, dev=bool(self.fitted))

    def fit(self, pool: Pool, dev: Dev) -> State | None:
        """The weights, where they are found on dev."""
        if not self.fitted:
            return None
        if self.fitted == "scores":
            _, scores = dev_best(pool, dev)
            found = [scores[name] for name in pool.names]
        else:
            found = self._likeliest(pool, dev)
        total = sum(found)
        equal = [1 / len(pool)] * len(pool)
        return {"weights": [round(w / total, 6) for w in found] if total > 0 else equal}

    def _likeliest(self, pool: Pool, dev: Dev) -> list[float]:
        """Weights of the mixture under which right dev answers are likeliest; each right answer of
        any member once.
        """
        texts: dict[tuple[str, str], tuple[Prompt, str]] = {}
        for given in pool.ask_all(dev.queries):
            for query, answer in zip(dev.queries, given, strict=True):
                if answer.text and dev.score_alone(query.id, [answer.text])[0] >= 1:
                    texts[query.id, answer.text] = (query.prompt, answer.text)
        if not texts:
            return [1.0] * len(pool)
        pairs = list(texts.values())
        logprobs = [np.concatenate(model.token_logprobs(pairs, stage="weigh")) for model in pool]
        return mixture_weights(np.stack(logprobs))

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Weights must match the members; likelihoods are of the same tokens only where all members
        are asked alike.
        """
        found = weight_problems(self.weights, len(facts))
        known = [own.template for own in facts.values() if own is not None]
        if self.fitted == "likelihood" and len(set(known)) > 1:
            what = "is likelihood, but some members have a chat template and others none"
            found.append(Problem("method.fitted", what, "use fitted: scores"))
        return found

    def combine(self, logits: Sequence[torch.Tensor], state: Json) -> torch.Tensor:
        """Combined logits [rows, V] from one tensor [rows, V] per member, fp32."""
        import torch

        given = state["weights"] if state else self.weights or (1.0,) * len(logits)
        logits = [part for part, w in zip(logits, given, strict=True) if w]
        share = [w / sum(given) for w in given if w]
        width = min(part.shape[-1] for part in logits)
        logp = [torch.log_softmax(part[..., :width], -1) for part in logits]
        if self.mode == "mixture":
            parts = [p + math.log(w) for p, w in zip(logp, share, strict=True)]
            return torch.logsumexp(torch.stack(parts), 0)
        weights_MB1 = torch.tensor(share, device=logp[0].device)[:, None, None]
        stacked_MBV = torch.stack(logp)
        if self.mode == "confidence":
            entropy_MB1 = -(stacked_MBV.exp() * stacked_MBV).sum(-1, keepdim=True)
            weights_MB1 = weights_MB1 * torch.exp(-entropy_MB1)
            weights_MB1 = weights_MB1 / weights_MB1.sum(0)
        return (weights_MB1 * stacked_MBV).sum(0)


def mixture_weights(logprobs_MT: np.ndarray) -> list[float]:
    """The weights w of a mixture that make Σ_t log Σ_m w_m p_m(t) largest, from each member's
    log-probability of each token, by expectation maximisation (the problem is convex).
    """
    shares_MT = np.exp(logprobs_MT - logprobs_MT.max(axis=0))
    weights = np.full(len(shares_MT), 1 / len(shares_MT))
    for _ in range(STEPS):
        mixed_MT = weights[:, None] * shares_MT
        new = (mixed_MT / mixed_MT.sum(axis=0)).mean(axis=1)
        done = np.abs(new - weights).max() < 1e-7
        weights = new
        if done:
            break
    return [float(w) for w in weights]


def weight_problems(weights: Sequence[float], members: int) -> list[Problem]:
    """What is wrong with weights of so many members."""
    if weights and len(weights) != members:
        what = f"has {len(weights)} values for {members} members"
        return [Problem("method.weights", what, "give one weight per member, or none")]
    if weights and sum(weights) <= 0:
        return [Problem("method.weights", "are all 0", "make at least one positive")]
    return []
