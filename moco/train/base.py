"""Training as a job: a recipe makes an adapter folder from a model and data, once per content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from moco import paths
from moco.backends.base import ModelSpec
from moco.types import Json

Rollouts = tuple[tuple[int, ...], tuple[str, ...]]
"""(place of the data row, text written for it), side by side."""
Ask = Callable[[Rollouts], Sequence[float | None]]
"""What a training may ask while it waits: the rewards of rollouts; None = could not be judged."""


class Recipe(Protocol):
    """How a model is trained. Picklable; everything that can change the result is in `identity`."""

    def identity(self) -> Mapping[str, Json]:
        """Name, version and hyperparameters, the seed among them."""
        ...

    def train(
        self,
        spec: ModelSpec,
        data: Sequence[Mapping[str, Json]],
        folder: Path,
        device: str,
        scratch: Path,
        ask: Ask,
    ) -> None:
        """Train and write a PEFT adapter into the empty `folder`; runs on a worker.

        `scratch` is this training's own place for checkpoints, kept when it is interrupted. `ask`
        gives rewards, where the training was given any.
        """
        ...


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one training call gets."""

    key: str
    data: tuple[Mapping[str, Json], ...]


def artifact(key: str) -> Path:
    """The folder of a trained adapter in the cache."""
    return paths.cache_dir() / "artifacts" / key


def run_recipe(recipe: Recipe, spec: ModelSpec, lesson: Lesson, device: str, ask: Ask) -> str:
    """A worker's side: the adapter's folder, trained unless it is there; whole or not at all."""
    final = artifact(lesson.key)
    with paths.locked(final.with_suffix(".lock")):
        if not final.exists():
            scratch = final.with_suffix(".scratch")
            with paths.atomic_dir(final) as folder:
                recipe.train(spec, lesson.data, folder, device, scratch, ask)
    return str(final)
