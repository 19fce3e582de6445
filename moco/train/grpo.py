"""Group relative policy optimisation: a LoRA adapter from rewarded rollouts, by TRL and PEFT."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from moco.backends.base import ModelSpec
from moco.engine.keys import folder_of, renderer_of
from moco.errors import DataError
from moco.rendering import Renderer
from moco.train import lora_model
from moco.train.base import Ask
from moco.train.recipe import LoraRecipe
from moco.train.rows import Asked, asked_of
from moco.types import Json

WITHOUT_VARIANCE = 5
"""First batches in which every group's rewards are equal, after which training is given up."""


@dataclass(frozen=True, slots=True)
class Grpo(LoraRecipe):
    """Training on rewards of sampled answers (Shao et al. 2024, arXiv 2402.03300): an answer is
    worth its reward less the mean of its group, the answers to one prompt; one that could not be
    judged counts as that mean.

    Data: `{"prompt": …}` and what the reward reads, which `Pool.train` is given. `batch_size`
    counts prompts. All rows are learnt from; the last weights are kept.
    """

    name: ClassVar[str] = "grpo"

    epochs: int = 1
    learning_rate: float = 1e-5
    batch_size: int = 4
    warmup_share: float = 0.1
    validation: float = 0.0
    num_generations: int = 8
    """Answers per prompt."""
    temperature: float = 1.0
    """Of the sampled answers."""
    max_tokens: int = 128
    """Longest answer."""
    beta: float = 0.0
    """Weight of the divergence from the reference, a frozen copy of the model as it starts; 0 = no
    reference.
    """

    def rows(self, spec: ModelSpec, data: Sequence[Mapping[str, Json]]) -> list[Asked]:
        """Prompts as token ids."""
        return asked_of(spec, data, self.max_tokens, self.max_length)

    def trainer(
        self,
        spec: ModelSpec,
        learnt: Sequence[Asked],
        held: Sequence[Asked],
        device: str,
        scratch: Path,
        ask: Ask,
    ) -> Any:
        """TRL's GRPOTrainer, whose prompts are ours and whose answers end where the model's do."""
        grpo = lora_model.trl()
        folder = folder_of(spec)
        assert folder is not None
        renderer = renderer_of(folder, spec.adapter)

        class Rendered(grpo.GRPOTrainer):  # type: ignore[misc,name-defined]
            """Takes prompts as token ids: a row's prompt is its place among the rows."""

            def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, Any]:
                return [list(learnt[int(place)].prompt) for place in prompts], None, {}

        batch_size = min(self.batch_size, len(learnt))
        count = -(-len(learnt) // batch_size) * batch_size  # the trainer drops what fills no batch
        model = lora_model.adapted(spec, device, self)
        longest = max(row.length for row in learnt) + self.max_tokens
        settings = {
            **replace(self, batch_size=batch_size).settings(count, False, device, scratch),
            **self.passes(batch_size * self.num_generations, longest, model),
            "num_generations": self.num_generations,
            "temperature": self.temperature,
            "max_completion_length": self.max_tokens,
            "beta": self.beta,
        }
        del settings["max_length"]
        model.generation_config.eos_token_id = sorted(renderer.stop_ids)
        return Rendered(
            model=model,
            args=grpo.GRPOConfig(**settings),
            reward_funcs=_Rewarding(ask, learnt, renderer, self.num_generations),
            train_dataset=_dataset(count, len(learnt)),
            processing_class=lora_model.tokenizer(spec),
        )

    def told(self, trainer: Any) -> dict[str, Json]:
        """Mean reward by step, rewards that were asked for, and those that were missing."""
        (rewarding,) = trainer.reward_funcs
        steps = [[h["step"], h["reward"]] for h in trainer.state.log_history if "reward" in h]
        return {"reward": steps, "judged": rewarding.asked, "missing": rewarding.missing}


class _Rewarding:
    """The reward as the trainer calls it; gives up where nothing can be learnt."""

    __name__ = "reward"

    def __init__(self, ask: Ask, rows: Sequence[Asked], renderer: Renderer, group: int) -> None:
        self.ask, self.rows, self.renderer, self.group = ask, rows, renderer, group
        self.asked = self.missing = 0
        self.flat = 0
        """Batches so far without a difference; -1 once there was one."""

    def __call__(
        self, prompts: list[str], completion_ids: list[list[int]], **rest: object
    ) -> list[float]:
        """Rewards of the answers, in order."""
        stops = set(self.renderer.stop_ids)
        texts = [self.renderer.decode([i for i in ids if i not in stops]) for ids in completion_ids]
        places = tuple(self.rows[int(row)].place for row in prompts)
        rewards = self.ask((places, tuple(texts)))
        self.asked += len(rewards)
        self.missing += sum(reward is None for reward in rewards)
        groups = filled(rewards, self.group)
        if getattr(rest.get("trainer_state"), "global_step", 0) >= WITHOUT_VARIANCE:
            self.flat = -1  # a training that goes on has been through the first batches
        if self.flat >= 0:
            self.flat = self.flat + 1 if (np.ptp(groups, axis=1) == 0).all() else -1
        if self.flat >= WITHOUT_VARIANCE:
            raise DataError(
                f"in the first {self.flat} batches all answers to a prompt had the same reward"
                f" (mean {groups.mean():.2f}), so there is nothing to learn: use easier or harder"
                " questions, a higher temperature, or more answers per prompt"
            )
        return [float(reward) for reward in groups.ravel()]


def filled(rewards: Sequence[float | None], group: int) -> np.ndarray:
    """Rewards by group, shape [groups, group]; a missing one is its group's mean, so that it
    teaches nothing, and 0 where all are missing.
    """
    found = np.asarray([math.nan if r is None else r for r in rewards]).reshape(-1, group)
    known = ~np.isnan(found)
    sums = np.where(known, found, 0.0).sum(axis=1, keepdims=True)
    return np.where(known, found, sums / np.maximum(known.sum(axis=1, keepdims=True), 1))


def _dataset(count: int, rows: int) -> Any:
    """So many places of rows; the first come twice where they fill the last batch."""
    from datasets import Dataset

    return Dataset.from_dict({"prompt": [str(i % rows) for i in range(count)]})
