"""The train job: a real recipe learns, is run once, and its adapter is a model of the pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from folders import save_model

from moco.backends.base import ModelSpec
from moco.pool import Pool
from moco.rendering import Renderer
from moco.train.base import Ask
from moco.types import Json, Query, Sampling


@dataclass(frozen=True)
class PlainSft:
    """A few steps of LoRA on prompt and answer pairs."""

    steps: int = 60

    def identity(self) -> Mapping[str, Json]:
        return {"name": "plain-sft", "steps": self.steps}

    def train(
        self,
        spec: ModelSpec,
        data: Sequence[Mapping[str, Json]],
        folder: Path,
        device: str,
        scratch: Path,
        ask: Ask,
    ) -> None:
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        torch.manual_seed(0)
        assert spec.path is not None
        renderer = Renderer(spec.path)
        config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(spec.path), config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(self.steps):
            for row in data:
                prompt = list(renderer.ids(row["prompt"]))
                ids = [*prompt, *renderer.encode(row["answer"]), max(renderer.stop_ids)]
                labels = [-100] * len(prompt) + ids[len(prompt) :]
                loss = model(torch.tensor([ids]), labels=torch.tensor([labels])).loss
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        model.save_pretrained(folder)


def test_a_trained_adapter_is_a_model_and_is_trained_once(tmp_path: Path) -> None:
    base = save_model(tmp_path / "base")
    data = [{"prompt": "The end?", "answer": "12 of 12"}]
    with Pool.open([str(base)], sampling=Sampling(max_tokens=12)) as pool:
        trained = pool.train(pool[0], data, PlainSft(), "taught")
        answers = pool.including([trained]).ask_all([Query("1", "The end?")])
        assert answers[1][0].text == "12 of 12"
        assert answers[0][0].text != "12 of 12"
        calls = pool.context.engine.fresh_calls
        again = pool.train(pool[0], data, PlainSft(), "taught")
        assert again.spec == trained.spec
        assert pool.context.engine.fresh_calls == calls
        other = pool.train(pool[0], data, PlainSft(steps=1), "other")
        assert other.spec.fingerprint != trained.spec.fingerprint
