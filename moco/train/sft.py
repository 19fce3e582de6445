"""Supervised fine-tuning: a LoRA adapter from prompts and completions, by TRL and PEFT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from moco.backends.base import ModelSpec
from moco.train import lora_model
from moco.train.base import Ask
from moco.train.recipe import LoraRecipe
from moco.train.rows import Row, rows_of
from moco.types import Json

IGNORED = -100
"""The label of a token that is not learnt."""


@dataclass(frozen=True, slots=True)
class Sft(LoraRecipe):
    """Fine-tuning on completions: cross-entropy of the completion's tokens.

    Data: `{"prompt": …, "completion": …}`.
    """

    name: ClassVar[str] = "sft"

    def rows(self, spec: ModelSpec, data: Sequence[Mapping[str, Json]]) -> list[Row]:
        """Prompts and completions as token ids."""
        return rows_of(spec, data, self.max_length)

    def trainer(
        self,
        spec: ModelSpec,
        learnt: Sequence[Row],
        held: Sequence[Row],
        device: str,
        scratch: Path,
        ask: Ask,
    ) -> Any:
        """TRL's SFTTrainer over rows that are rendered already."""
        sft = lora_model.trl()
        model = lora_model.adapted(spec, device, self)
        longest = max(row.length for row in (*learnt, *held))
        settings = {
            **self.settings(len(learnt), bool(held), device, scratch),
            **self.passes(self.batch_size, longest, model),
            "packing": False,
            "dataset_kwargs": {"skip_prepare_dataset": True},
        }
        return sft.SFTTrainer(
            model=model,
            args=sft.SFTConfig(**settings),
            data_collator=collate,
            train_dataset=_dataset(learnt),
            eval_dataset=_dataset(held) if held else None,
            processing_class=lora_model.tokenizer(spec),
            callbacks=lora_model.callbacks(self.patience if held else 0),
        )


def collate(items: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Any]:
    """Rows padded on the right, where a causal model does not look."""
    import torch

    width = max(len(item["input_ids"]) for item in items)
    ids_BT = torch.zeros((len(items), width), dtype=torch.long)
    mask_BT, labels_BT = torch.zeros_like(ids_BT), torch.full_like(ids_BT, IGNORED)
    for i, item in enumerate(items):
        length = len(item["input_ids"])
        ids_BT[i, :length] = torch.tensor(item["input_ids"])
        labels_BT[i, :length] = torch.tensor(item["labels"])
        mask_BT[i, :length] = 1
    return {"input_ids": ids_BT, "attention_mask": mask_BT, "labels": labels_BT}


def _dataset(rows: Sequence[Row]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [list(row.ids) for row in rows],
            "labels": [[IGNORED] * row.start + list(row.ids[row.start :]) for row in rows],
        }
    )
