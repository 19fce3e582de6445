"""Keys and values of many rows of one model, in buffers that are written in place.

A row owns a *slot*. Slots in use are always the first ones, and the buffers are only as long as
the longest row (rounded up), so that the part in use is one contiguous block: a batched product
reads it without a copy. Buffers grow and shrink as rows come and go; all entries are finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

if TYPE_CHECKING:
    from moco.decoding.plan import Plan

STEP = 32
"""Buffers are a multiple of this long."""


def rounded(length: int) -> int:
    """Buffer length for rows of at most `length` positions: spare room of at most an eighth."""
    step = max(STEP, length // 8 // STEP * STEP)
    return -(-length // step) * step


class SlotLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's buffers, [slot, key head, position, width]."""

    is_sliding = False

    def __init__(self, cache: SlotCache) -> None:
        super().__init__()
        self.cache = cache
        self.keys: Tensor
        self.values: Tensor

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate once the model shows its shapes."""
        self.keys = self._empty(key_states, key_states.shape[1], key_states.shape[3])
        self.values = self._empty(value_states, value_states.shape[1], value_states.shape[3])
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write the packed tokens' keys and values, each [1, head, token, width], in place."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        for buffer, states in ((self.keys, key_states), (self.values, value_states)):
            width = states.shape[3]
            places = self.cache.plan.places(states.shape[1], buffer.shape[2])
            new = states[0].transpose(0, 1).reshape(-1, width)
            buffer.view(-1, width).index_copy_(0, places, new)
        return key_states, value_states

    def resize(self) -> None:
        """Bring the buffers to the cache's number of slots and capacity, keeping what fits."""
        if self.is_initialized:
            self.keys, self.values = self._resized(self.keys), self._resized(self.values)

    def copy(self, source: int, targets: Sequence[int], length: int) -> None:
        """Copy the first `length` positions of a slot to other slots."""
        if self.is_initialized:
            for buffer in (self.keys, self.values):
                for target in targets:
                    buffer[target, :, :length] = buffer[source, :, :length]

    def wipe(self, slot: int) -> None:
        """Zero a slot."""
        if self.is_initialized:
            self.keys[slot] = 0
            self.values[slot] = 0

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Unused: masks are ours."""
        return query_length, 0

    def get_seq_length(self) -> int:
        """Unused: positions are given explicitly."""
        return 0

    def get_max_length(self) -> int:
        """No limit."""
        return -1

    def _empty(self, like: Tensor, heads: int, width: int) -> Tensor:
        return like.new_zeros(self.cache.slots, heads, self.cache.capacity, width)

    def _resized(self, old: Tensor) -> Tensor:
        new = self._empty(old, old.shape[1], old.shape[3])
        slots, length = min(old.shape[0], new.shape[0]), min(old.shape[2], new.shape[2])
        new[:slots, :, :length] = old[:slots, :, :length]
        return new


class SlotCache(Cache):  # type: ignore[misc]
    """The buffers of all layers; `plan` says where the tokens of the running forward pass go."""

    plan: Plan

    def __init__(self, num_layers: int) -> None:
        self.slots = 0
        """Slots that are allocated."""
        self.capacity = 0
        """Positions per slot."""
        super().__init__(layers=[SlotLayer(self) for _ in range(num_layers)])

    @torch.inference_mode()
    def fit(self, slots: int, length: int) -> None:
        """Make room for `slots` rows of up to `length` positions; give back what is too much."""
        capacity = rounded(length)
        if self.capacity * 3 // 4 < capacity <= self.capacity:
            capacity = self.capacity
        if slots <= self.slots and capacity == self.capacity:
            return
        if slots > self.slots:
            self.slots = max(slots, min(2 * self.slots, self.slots + 64))
        self.capacity = capacity
        for layer in self.layers:
            layer.resize()

    @torch.inference_mode()
    def copy(self, source: int, targets: Sequence[int], length: int) -> None:
        """Copy the first `length` positions of a slot to other slots."""
        for layer in self.layers:
            layer.copy(source, targets, length)

    @torch.inference_mode()
    def wipe(self, slot: int) -> None:
        """Zero a slot."""
        for layer in self.layers:
            layer.wipe(slot)
