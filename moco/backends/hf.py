"""Local Hugging Face models: one loaded base, with its adapters and their compositions as variants.

Rows of all variants share the batches. Reads checkpoints as safetensors, runs on a CPU or a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from moco.backends.base import AS_USUAL, Feed, Likelihood, LoadSettings, ModelSpec, Pair, Vector
from moco.backends.hf_generate import Generator
from moco.backends.hf_load import Kind, base_folder, fill_merged, kind_of, load_model
from moco.backends.hf_score import Scorer
from moco.backends.hf_vectors import encode_texts, mean_states, pooling_of, reward_pairs
from moco.decoding.compiled import compile_layers
from moco.decoding.session import Session
from moco.errors import ModelFormatError
from moco.rendering import Renderer
from moco.types import Prompt, Usage
from moco.weights.adapters import AdapterBank

MAX_ROWS = {"cpu": 64, "cuda": 256}
"""Rows that a running batch holds at most."""


def load(spec: ModelSpec, device: str, settings: LoadSettings) -> HfBackend:
    """Load the spec's base; see `HfBackend`."""
    return HfBackend(spec, device, settings)


class HfBackend:
    """One loaded base; every verb takes specs that share its `base_key`."""

    def __init__(
        self,
        spec: ModelSpec,
        device: str = "cpu",
        settings: LoadSettings = AS_USUAL,
        max_rows: int | None = None,
    ) -> None:
        self.device = _device(device)
        self.spec = spec
        """The spec that it was loaded for."""
        self.folder = base_folder(spec)
        self.kind: Kind = kind_of(self.folder)
        self.model: Any = load_model(spec, self.device)
        if settings.compile and self.kind == "causal":
            compile_layers(self.model, str(self.folder))
        self.max_batch_tokens = settings.max_batch_tokens
        self.max_rows = max_rows or MAX_ROWS.get(torch.device(self.device).type, 64)
        self.num_parameters: int = sum(p.numel() for p in self.model.parameters())
        self._renderers: dict[Path | None, Renderer] = {}
        self.bank: AdapterBank | None = None

    def renderer(self, spec: ModelSpec) -> Renderer:
        """The renderer of a variant: an adapter may bring its own template."""
        over = spec.adapter
        if over not in self._renderers:
            self._renderers[over] = Renderer(self.folder, over=over)
        return self._renderers[over]

    def rendered(self, spec: ModelSpec, prompt: Prompt, prefix: str) -> tuple[int, ...]:
        """Token ids of the prompt as this back end will read it."""
        return self.renderer(spec).ids(prompt, prefix)

    def session(self) -> Session:
        """A fresh session on the model."""
        if self.kind != "causal":
            raise ModelFormatError(f"{self.folder} is no causal language model")
        return Session(self.model, self.bank)

    def mixture(self, spec: ModelSpec) -> Mapping[str, float]:
        """Coefficients of the bank's adapters that make the variant; a new adapter is loaded."""
        if spec.derive == "compose":
            mixture: dict[str, float] = {}
            for parent, weight in zip(spec.parents, spec.weights, strict=True):
                for key, value in self.mixture(parent).items():
                    mixture[key] = mixture.get(key, 0.0) + weight * value
            return mixture
        if spec.adapter is None:
            return {}
        key = str(spec.adapter)
        if self.bank is None:
            self.bank = AdapterBank(self.model)
        self.bank.add(key, spec.adapter)
        return {key: 1.0}

    def become(self, spec: ModelSpec) -> None:
        """Take the weights of another merge of the same checkpoints, in place."""
        fill_merged(self.model, spec)
        self.spec = spec

    def flops(self, positions: int) -> float:
        """Forward operations for so many positions."""
        return 2.0 * self.num_parameters * positions

    def run(self, feed: Feed) -> None:
        """Generate for every row the feed gives, until it gives none."""
        Generator(self, feed).run()

    def loglikelihood(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """Log-probabilities of given continuations, in order; see `hf_score`."""
        return Scorer(self).score(pairs)

    def embed(self, spec: ModelSpec, texts: Sequence[str]) -> list[Vector]:
        """One vector per text; a causal model gives the normalised mean of its final states."""
        if self.kind == "encoder":
            return encode_texts(self, texts)
        pooling = pooling_of(self.folder)
        if pooling.mode != "mean" or pooling.prefix:
            raise ModelFormatError(
                f"{self.folder}: of a causal language model only the plain mean makes a vector;"
                " use a sentence encoder"
            )
        return mean_states(self, spec, texts, "mean", pooling.normalize)

    def hidden(
        self, spec: ModelSpec, texts: Sequence[str], at: Literal["last", "mean"]
    ) -> list[Vector]:
        """Final-layer hidden state of each text: of its last token, or their mean."""
        return mean_states(self, spec, texts, at, normalize=False)

    def reward(self, pairs: Sequence[Pair]) -> list[tuple[float, Usage]]:
        """One number per (prompt, answer)."""
        if self.kind != "reward":
            raise ModelFormatError(f"{self.folder} is no reward model (sequence classification)")
        return reward_pairs(self, pairs)

    def close(self) -> None:
        """Free the model."""
        self.model = self.bank = None
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name
