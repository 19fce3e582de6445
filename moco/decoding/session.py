"""One model, many rows: each row its own token ids, length and place in the key-value buffers.

Rows are independent. They may be extended by any number of tokens at a time, rolled back, copied
and freed in any order; what a row gets does not depend on its neighbours beyond rounding.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from moco.decoding.attention import NAME
from moco.decoding.compiled import uncompiled
from moco.decoding.kv import SlotCache
from moco.decoding.plan import Chunk, Plan
from moco.errors import ModelFormatError, clip

if TYPE_CHECKING:
    from moco.weights.adapters import AdapterBank

PASS_TOKENS = {"cpu": 2048, "cuda": 8192}
"""Tokens that one forward pass reads at most."""
KEPT = 1 << 26
"""Logits that one forward pass gives at most (beyond those of one position per chunk): 128 MB in
bfloat16, whatever the vocabulary.
"""
TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.02, torch.bfloat16: 0.08}
"""How far a model's logits may move when its attention becomes ours."""
KNOWN_LAYERS = frozenset({"full_attention", "sliding_attention"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model says at the wanted positions, in the order of the rows asked for."""

    logits_NV: Tensor
    """Raw logits in the model's own type."""
    hidden_NW: Tensor
    """Final hidden states that the logits were computed from."""


class Session:
    """Rows of one loaded causal model, whose attention has to be `moco` (see `attach`).

    With an `AdapterBank`, each row has its own mixture of the bank's adapters.
    """

    def __init__(self, model: Any, bank: AdapterBank | None = None) -> None:
        self.model, self.bank = model, bank
        self.device = next(model.parameters()).device
        self.positions = 0
        """Token positions read so far."""
        config = model.config.get_text_config()
        self._cache = SlotCache(config.num_hidden_layers)
        self._kept = max(KEPT // config.vocab_size, 1)
        self._pass_tokens = PASS_TOKENS.get(self.device.type, 2048)
        self._slots: dict[int, int] = {}
        self._rows: list[int] = []
        self._lengths: dict[int, int] = {}
        self._mixtures: dict[int, Mapping[str, float]] = {}
        self._next = 0
        self._selects = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._heard: Tensor | None = None
        self._head = model.get_output_embeddings()
        self._hook = self._head.register_forward_pre_hook(self._hear)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, count: int = 1, mixture: Mapping[str, float] | None = None) -> list[int]:
        """New empty rows; `mixture` maps keys of the bank's adapters to their coefficients."""
        rows = list(range(self._next, self._next + count))
        self._next += count
        for row in rows:
            self._slots[row] = len(self._rows)
            self._rows.append(row)
            self._lengths[row] = 0
            self._mixtures[row] = mixture or {}
        return rows

    def length(self, row: int) -> int:
        """Positions that the row holds."""
        return self._lengths[row]

    def extend(
        self,
        rows: Sequence[int],
        chunks: Sequence[Sequence[int]],
        keep: Sequence[int] | None = None,
    ) -> Reading:
        """Read a non-empty chunk of ids for each row; the outputs at its last `keep` positions.

        By default one position per row is kept. All rows' kept positions follow one another.
        """
        wanted = [1] * len(rows) if keep is None else list(keep)
        readings = [self._read(chunks) for chunks in self._passes(rows, chunks, wanted)]
        if len(readings) == 1:
            return readings[0]
        return Reading(
            torch.cat([reading.logits_NV for reading in readings]),
            torch.cat([reading.hidden_NW for reading in readings]),
        )

    def states(self, rows: Sequence[int], chunks: Sequence[Sequence[int]]) -> list[Tensor]:
        """Final hidden states of every position of each row's chunk, each [token, width]."""
        pieces: list[list[Tensor]] = [[] for _ in rows]
        for part in self._passes(rows, chunks, [0] * len(rows)):
            states_TW, first = self._forward(part, head=False), 0
            for chunk in self._cache.plan.chunks:
                pieces[chunk.index].append(states_TW[first : first + len(chunk.ids)])
                first += len(chunk.ids)
        return [torch.cat(piece) for piece in pieces]

    def rollback(self, row: int, length: int) -> int:
        """Forget what the row holds beyond `length`; how many positions that was."""
        dropped = self._lengths[row] - length
        if length < 0 or dropped < 0:
            raise ValueError(f"a row of {self._lengths[row]} positions cannot go back to {length}")
        self._lengths[row] = length
        return dropped

    def fork(self, row: int, count: int, length: int | None = None) -> list[int]:
        """New rows that hold the same as this one, or its first `length` positions; nothing is
        read again.
        """
        length = self._lengths[row] if length is None else length
        if not 0 <= length <= self._lengths[row]:
            raise ValueError(f"a row of {self._lengths[row]} positions has no first {length}")
        copies = self.add(count, self._mixtures[row])
        self._fit(length)
        self._cache.copy(self._slots[row], [self._slots[copy] for copy in copies], length)
        for copy in copies:
            self._lengths[copy] = length
        return copies

    def free(self, row: int, wipe: bool = False) -> None:
        """Let the row go; the last slot's row moves into its place. `wipe` clears bad numbers."""
        slot, last = self._slots.pop(row), len(self._rows) - 1
        if wipe:
            self._cache.wipe(slot)
        moved = self._rows[last]
        if moved != row:
            if self._lengths[moved]:  # what has read nothing may be behind the buffers
                self._cache.copy(last, [slot], self._lengths[moved])
            self._slots[moved], self._rows[slot] = slot, moved
            if wipe:
                self._cache.wipe(last)
        self._rows.pop()
        del self._lengths[row], self._mixtures[row]

    def close(self) -> None:
        """Take the hook off the model and free the buffers."""
        self._hook.remove()
        self._cache = SlotCache(0)

    def _hear(self, module: object, inputs: tuple[Tensor, ...]) -> None:
        self._heard = inputs[0]

    def _fit(self, longest: int) -> None:
        lengths = max(self._lengths.values(), default=0)
        self._cache.fit(len(self._rows), max(longest, lengths, 1))

    def _passes(
        self, rows: Sequence[int], chunks: Sequence[Sequence[int]], keep: Sequence[int]
    ) -> list[list[Chunk]]:
        """The chunks cut into forward passes; advances the rows' lengths."""
        passes: list[list[Chunk]] = [[]]
        room, kept = self._pass_tokens, max(self._kept, len(rows))
        for index, (row, ids, wanted) in enumerate(zip(rows, chunks, keep, strict=True)):
            done, total = 0, len(ids)
            if not 0 <= wanted <= total or not total:
                raise ValueError(f"cannot keep {wanted} of {total} positions")
            while done < total:
                if room <= 0 or (kept <= 0 and done >= total - wanted):
                    passes.append([])
                    room, kept = self._pass_tokens, max(self._kept, len(rows))
                count = min(room, total - done)
                if wanted:
                    count = min(count, max(total - wanted - done, 0) + kept)
                held = max(0, done + count - max(done, total - wanted))
                part = ids if count == total else ids[done : done + count]
                passes[-1].append(Chunk(self._slots[row], self._lengths[row], part, index, held))
                self._lengths[row] += count
                done, room, kept = done + count, room - count, kept - held
        self._fit(0)
        return passes

    def _read(self, chunks: Sequence[Chunk]) -> Reading:
        logits_NV = self._forward(chunks, head=True)
        assert self._heard is not None
        hidden_NW = self._heard[0]
        self._heard = None
        return Reading(logits_NV, hidden_NW if len(hidden_NW) == len(logits_NV) else hidden_NW[:0])

    @torch.inference_mode()
    def _forward(self, chunks: Sequence[Chunk], *, head: bool) -> Tensor:
        """Logits of the kept positions, or (`head=False`) final states of all, in plan order."""
        plan = self._cache.plan = Plan(chunks, self.device)
        self.positions += len(plan.ids_T)
        inputs = {
            "input_ids": plan.ids_T[None],
            "position_ids": plan.positions_T[None],
            "past_key_values": self._cache,
            "use_cache": True,
            "slots": self._cache,
        }
        if not head:
            states: Tensor = self._run(self.model.base_model, inputs, plan).last_hidden_state
            return states[0]
        places = torch.tensor(plan.wanted()[0], dtype=torch.long, device=self.device)
        if self._selects and "forward" not in vars(self._head):  # an adapter sees all tokens
            logits: Tensor = self._run(
                self.model, {**inputs, "logits_to_keep": places}, plan
            ).logits
            return logits[0]
        logits = self._run(self.model, inputs, plan).logits
        assert self._heard is not None
        self._heard = self._heard[:, places]
        return logits[0, places]

    def _run(self, module: Any, inputs: Mapping[str, Any], plan: Plan) -> Any:
        if self.bank is None or not any(self._mixtures.values()):
            return module(**inputs)
        mixtures = [self._mixtures[self._rows[chunk.slot]] for chunk in plan.chunks]
        counts = torch.tensor([len(chunk.ids) for chunk in plan.chunks])
        coefficients_CR = self.bank.coefficients(mixtures)
        coefficients_TR = coefficients_CR.repeat_interleave(counts.to(coefficients_CR.device), 0)
        with self.bank.active(coefficients_TR), uncompiled(self.model):
            return module(**inputs)


def attach(model: Any, where: str) -> None:
    """Make a causal model's attention ours, and check that it still says what it said.

    Raises `ModelFormatError` for an architecture whose attention cannot be taken over.
    """
    config = model.config.get_text_config()
    types: Any = getattr(config, "layer_types", None) or ()
    odd = sorted(set(types) - KNOWN_LAYERS)
    shared = bool(getattr(config, "num_kv_shared_layers", 0))
    if odd or shared:
        raise ModelFormatError(
            f"{where}: layers of type {', '.join(odd) or 'shared key-value'} are not supported; "
            "use the `openai` back end with a server for this model"
        )
    size = min(24, getattr(config, "max_position_embeddings", 24))
    ids = [(7 * i * i + 3 * i + 1) % config.vocab_size for i in range(size)]
    device = next(model.parameters()).device
    with torch.inference_mode():
        expected = model(torch.tensor([ids], device=device), use_cache=False).logits[0, -2:].float()
    model.set_attn_implementation(NAME)
    try:
        error = _deviation(model, ids, expected[-1])
        why = f"outputs differ by {error:.1%}"
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as problem:
        error, why = torch.inf, clip(str(problem))
    if config._attn_implementation != NAME or not error < TOLERANCE[model.dtype]:
        raise ModelFormatError(
            f"{where}: this architecture's attention ({config.model_type}) cannot be taken over "
            f"({why}); use the `openai` back end with a server for it"
        )


def _deviation(model: Any, ids: Sequence[int], expected_V: Tensor) -> float:
    """How far the last logits, read in odd pieces, are from the expected; 1 = the largest logit."""
    session = Session(model)
    row, short = session.add(2)
    session.extend([row, short], [ids[:-1], ids[:1]])
    session.extend([row, short], [ids[-1:], ids[1:-1]])
    found_V = session.extend([short], [ids[-1:]]).logits_NV[0].float()
    session.close()
    return float((found_V - expected_V).abs().max() / expected_V.abs().max().clamp_min(1e-6))
