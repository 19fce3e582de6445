"""What every fine-tuning shares: settings, validation, early stop, checkpoints, the log."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import shutil
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from moco.backends.base import ModelSpec
from moco.errors import DataError
from moco.silence import quiet_transformers
from moco.train import lora_model
from moco.train.base import Ask
from moco.train.rows import Trainable
from moco.types import Json

PASS_BYTES = 4 << 30
"""What the forward pass of a training may hold for the backward pass, in bytes, about."""
HELD_NUMBERS = 24
"""Numbers held per token and layer, about, in widths of the model."""
HELD_LOGITS = 4
"""Numbers held per token and entry of the vocabulary, about."""
MOST_STEPS_BETWEEN = 200
"""A validation and a checkpoint come at least so often."""
RowT = TypeVar("RowT", bound=Trainable)


@dataclass(frozen=True, slots=True)
class LoraRecipe:
    """Base of recipes that train a LoRA adapter; a model with an adapter goes on with that one."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raised when the same data and settings would give another adapter."""

    epochs: int = 3
    """Passes over the data at most; the best checkpoint by validation loss is kept."""
    learning_rate: float = 2e-4
    """Peak rate: linear warm-up, then a cosine to zero."""
    batch_size: int = 8
    """Rows per step."""
    rank: int = 16
    alpha: int = 32
    """The adapter's scale is alpha / rank."""
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"
    """Names of adapted layers; `all-linear` = every linear layer but the output layer."""
    warmup_share: float = 0.05
    weight_decay: float = 0.0
    validation: float = 0.1
    """Share of the rows that is held out (seeded) where none is marked as held; none below 10
    rows.
    """
    patience: int = 2
    """Validations without improvement after which training stops."""
    max_length: int = 0
    """Longest row in tokens; 0 = the model's context."""
    seed: int = 0

    def identity(self) -> Mapping[str, Json]:
        """Everything that can change the adapter."""
        own = json.loads(json.dumps(dataclasses.asdict(self)))
        return {"name": self.name, "version": self.version, **own}

    @abstractmethod
    def rows(self, spec: ModelSpec, data: Sequence[Mapping[str, Json]]) -> Sequence[Trainable]:
        """The data as token ids."""

    @abstractmethod
    def trainer(
        self,
        spec: ModelSpec,
        learnt: Sequence[Any],
        held: Sequence[Any],
        device: str,
        scratch: Path,
        ask: Ask,
    ) -> Any:
        """The library's trainer over these rows."""

    def train(
        self,
        spec: ModelSpec,
        data: Sequence[Mapping[str, Json]],
        folder: Path,
        device: str,
        scratch: Path,
        ask: Ask,
    ) -> None:
        """Write the adapter into `folder`; checkpoints live in `scratch`, from which an
        interrupted training of the same key goes on.
        """
        lora_model.check_lineage(spec)
        rows = self.rows(spec, data)
        if not rows:
            raise DataError("there are no training rows; give at least one")
        learnt, held = self.split(rows)
        with lora_model.untouched_randomness(), quiet_transformers():
            trainer = lora_model.quiet(self.trainer(spec, learnt, held, device, scratch, ask))
            trainer.train(resume_from_checkpoint=lora_model.last_checkpoint(scratch))
        lora_model.save(trainer.model, spec, folder)
        told = {**_log(trainer, len(learnt), len(held)), **self.told(trainer)}
        log = {**told, **lora_model.lineage(spec)}
        (folder / lora_model.LOG_FILE).write_text(json.dumps(log, indent=1), encoding="utf-8")
        shutil.rmtree(scratch, ignore_errors=True)

    def told(self, trainer: Any) -> dict[str, Json]:
        """What the log holds besides."""
        return {}

    def split(self, rows: Sequence[RowT]) -> tuple[list[RowT], list[RowT]]:
        """(learnt, held out): the rows marked as held, else two seeded, disjoint parts."""
        if any(row.held for row in rows):
            return [row for row in rows if not row.held], [row for row in rows if row.held]
        count = round(self.validation * len(rows)) if len(rows) >= 10 else 0
        order = list(range(len(rows)))
        random.Random(f"{self.seed}-validation").shuffle(order)
        held = set(order[:count])
        return (
            [row for i, row in enumerate(rows) if i not in held],
            [row for i, row in enumerate(rows) if i in held],
        )

    def passes(self, rows: int, length: int, model: Any) -> dict[str, Any]:
        """Settings under which so many rows, of at most so many tokens, make one step: in one pass,
        or in as many equal ones as keep what a pass holds within `PASS_BYTES`.
        """
        config = model.config.get_text_config()
        held = HELD_NUMBERS * config.hidden_size * config.num_hidden_layers
        token = 4 * (held + HELD_LOGITS * config.vocab_size)
        most = max(PASS_BYTES // (token * max(length, 1)), 1)
        size = max(n for n in range(1, rows + 1) if rows % n == 0 and n <= most)
        return {
            "per_device_train_batch_size": size,
            "per_device_eval_batch_size": size,
            "gradient_accumulation_steps": rows // size,
        }

    def settings(self, count: int, held: bool, device: str, scratch: Path) -> dict[str, Any]:
        """The trainer's own settings, which all trainers share."""
        per_epoch = math.ceil(count / self.batch_size)
        every = min(per_epoch, MOST_STEPS_BETWEEN)
        return {
            **lora_model.base_settings(device, scratch, self.seed),
            "num_train_epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": "cosine",
            "warmup_steps": round(self.warmup_share * per_epoch * self.epochs),
            "weight_decay": self.weight_decay,
            "logging_steps": every,
            "save_strategy": "steps",
            "save_steps": every,
            "eval_strategy": "steps" if held else "no",
            "eval_steps": every if held else None,
            "load_best_model_at_end": held,
            "metric_for_best_model": "eval_loss" if held else None,
            "greater_is_better": False if held else None,
            "max_length": None,
        }


def _log(trainer: Any, learnt: int, held: int) -> dict[str, Json]:
    """What `training.json` holds."""
    history = trainer.state.log_history
    return {
        "rows": learnt,
        "validation_rows": held,
        "steps": trainer.state.global_step,
        "train": [[h["step"], h["loss"]] for h in history if "loss" in h],
        "validation": [[h["step"], h["eval_loss"]] for h in history if "eval_loss" in h],
        "best": trainer.state.best_metric,
    }
