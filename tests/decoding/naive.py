"""Stand-ins for `Session`: one that keeps no cache, and one that follows a script."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from moco.decoding.session import Reading
from moco.decoding.views import Voice
from moco.rendering import Renderer

ANY_CHARACTER = st.one_of(
    st.characters(exclude_categories=["Cs", "Cc"]),
    st.sampled_from(" \n한국어漢字𝛼𝛽🙂👩‍👩‍👧e\u0301ab1"),
)
"""Of text that has to pass unchanged: emoji, Hangul, CJK, combining marks, letters of formulas."""


@functools.cache
def _plain(folder: Path) -> Any:
    """The model as transformers loads it."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).eval()


class NaiveSession:
    """The same rows, but every call reads every row from its start."""

    device = torch.device("cpu")

    def __init__(self, folder: Path | None) -> None:
        self.model = _plain(folder) if folder is not None else None
        self.rows: dict[int, list[int]] = {}
        self.states_TW = torch.zeros(0, 1)
        """Final hidden states of the last pass."""
        self._next = 0

    def add(self, count: int = 1, mixture: Mapping[str, float] | None = None) -> list[int]:
        made = list(range(self._next, self._next + count))
        self._next += count
        self.rows |= {row: [] for row in made}
        return made

    def extend(
        self,
        rows: Sequence[int],
        chunks: Sequence[Sequence[int]],
        keep: Sequence[int] | None = None,
    ) -> Reading:
        wanted = keep or [1] * len(rows)
        logits, hidden = [], []
        for row, chunk, count in zip(rows, chunks, wanted, strict=True):
            self.rows[row] += chunk
            with torch.inference_mode():
                found = self.outputs(self.rows[row], count)
            logits.append(found[-count:])
            real = self.model is not None
            hidden.append(self.states_TW[-count:] if real else torch.zeros(count, 1))
        return Reading(torch.cat(logits), torch.cat(hidden))

    def outputs(self, ids: Sequence[int], count: int) -> torch.Tensor:
        """Logits at the last `count` positions."""
        return self.forward(ids)[-count:]

    def forward(self, ids: Sequence[int]) -> torch.Tensor:
        assert self.model is not None
        ids_1T = torch.tensor([list(ids)])
        found = self.model(ids_1T, use_cache=False, output_hidden_states=True)
        self.states_TW = found.hidden_states[-1][0]
        logits_TV: torch.Tensor = found.logits[0]
        return logits_TV

    def rollback(self, row: int, length: int) -> int:
        dropped = len(self.rows[row]) - length
        del self.rows[row][length:]
        return dropped

    def fork(self, row: int, count: int) -> list[int]:
        made = self.add(count)
        for copy in made:
            self.rows[copy] = list(self.rows[row])
        return made

    def free(self, row: int) -> None:
        del self.rows[row]

    def close(self) -> None:
        assert not self.rows


class ScriptedSession(NaiveSession):
    """A model that wants to write one text; `sure` says how confident it is at each byte."""

    def __init__(
        self, renderer: Renderer, prompt: Sequence[int], target: bytes, sure: Callable[[int], float]
    ) -> None:
        super().__init__(None)
        self.renderer, self.prompt, self.target, self.sure = renderer, prompt, target, sure

    def outputs(self, ids: Sequence[int], count: int) -> torch.Tensor:
        prefixes = [ids[: len(ids) - left] for left in range(count - 1, -1, -1)]
        return torch.cat([self.forward(prefix) for prefix in prefixes])

    def forward(self, ids: Sequence[int]) -> torch.Tensor:
        written = self.renderer.bytes_of(ids[len(self.prompt) :])
        assert self.target.startswith(written)
        rest = self.target[len(written) :]
        table = self.renderer.token_bytes
        if rest:
            fits = [i for i, data in enumerate(table) if data and rest.startswith(data)]
            token = max(fits, key=lambda i: (len(table[i]), -i))
        else:
            token = min(self.renderer.stop_ids)
        p = self.sure(len(written))
        logits = torch.full((1, len(table)), float(torch.tensor((1 - p) / (len(table) - 1)).log()))
        logits[0, token] = float(torch.tensor(p).log())
        return logits


def unsure_voices(
    models: Mapping[str, Any], text: str, salt: int, sure_from: float, sure_by: float
) -> list[Voice]:
    """Two models of different vocabularies that both want to write `text`, at each byte as sure as
    chance has it, from `sure_from` to `sure_by` more.
    """
    voices = []
    for i, name in enumerate(("a", "other")):
        renderer = models[name].renderer(models[name].spec)

        def sure(at: int, i: int = i) -> float:
            return sure_from + sure_by * (((at + 1) * 2654435761 * (i + 1) + salt) % 97) / 97

        session: Any = ScriptedSession(renderer, renderer.ids("q"), text.encode(), sure)
        voices.append(Voice(name, session, renderer, {}, 1))
    return voices
