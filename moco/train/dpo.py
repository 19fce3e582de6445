"""Direct preference optimisation: a LoRA adapter from better and worse answers, by TRL and PEFT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from moco.backends.base import ModelSpec
from moco.train import lora_model
from moco.train.base import Ask
from moco.train.recipe import LoraRecipe
from moco.train.rows import Preferred, preferred_of
from moco.types import Json


@dataclass(frozen=True, slots=True)
class Dpo(LoraRecipe):
    """Training on preferences (Rafailov et al. 2023, arXiv 2305.18290); the reference is a frozen
    copy of the model as it starts, its adapter included.

    Data: `{"prompt": …, "chosen": …, "rejected": …}`.
    """

    name: ClassVar[str] = "dpo"

    epochs: int = 1
    learning_rate: float = 1e-5
    warmup_share: float = 0.1
    beta: float = 0.1
    """How strongly the trained model is held to the reference."""

    def rows(self, spec: ModelSpec, data: Sequence[Mapping[str, Json]]) -> list[Preferred]:
        """Prompts with both answers as token ids."""
        return preferred_of(spec, data, self.max_length)

    def trainer(
        self,
        spec: ModelSpec,
        learnt: Sequence[Preferred],
        held: Sequence[Preferred],
        device: str,
        scratch: Path,
        ask: Ask,
    ) -> Any:
        """TRL's DPOTrainer over rows that are rendered already."""
        dpo = lora_model.trl()

        class Rendered(dpo.DPOTrainer):  # type: ignore[misc,name-defined]
            """Takes rows of token ids as they are."""

            def _prepare_dataset(self, dataset: Any, *rest: Any, **more: Any) -> Any:
                return dataset

        model = lora_model.adapted(spec, device, self)
        longest = max(row.length for row in (*learnt, *held))
        settings = {
            **self.settings(len(learnt), bool(held), device, scratch),
            **self.passes(self.batch_size, longest, model),
            "beta": self.beta,
            "disable_dropout": True,
        }
        return Rendered(
            model=model,
            args=dpo.DPOConfig(**settings),
            train_dataset=_dataset(learnt),
            eval_dataset=_dataset(held) if held else None,
            processing_class=lora_model.tokenizer(spec),
            callbacks=lora_model.callbacks(self.patience if held else 0),
        )


def _dataset(rows: Sequence[Preferred]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "prompt_ids": [list(row.prompt) for row in rows],
            "chosen_ids": [list(row.chosen) for row in rows],
            "rejected_ids": [list(row.rejected) for row in rows],
        }
    )
