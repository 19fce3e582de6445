"""LoRA adapters of one base, composed in delta space: stacked ranks, coefficients per row of a
batch.

Adapter i changes a layer by s_i·B_i·A_i. With all A_i stacked to A and all B_i side by side to B,
the layer's output under coefficients w is W·x + B·(c ⊙ A·x), c being w_i·s_i repeated over the
ranks of adapter i. So one batch may hold rows of any number of compositions, and none of them is
ever written or merged.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from moco import checkpoint, lora
from moco.errors import ModelFormatError, clip
from moco.lora import Lora, LoraModule
from moco.weights import reader

FEW = 16
"""Positions below which float32 is faster on a CPU, as its small products start sooner."""


@dataclass(slots=True)
class _Layer:
    """A wrapped linear layer with the stacked factors of all adapters; zeros where one does not
    reach.
    """

    module: nn.Module
    forward: Callable[[Tensor], Tensor]
    a_RI: Tensor
    b_OR: Tensor
    shares: tuple[_Layer, ...] = ()
    """Layers that read the same input, this one the first; empty = it is another one's."""
    cuts: dict[tuple[int, int, torch.dtype], tuple[Tensor, Tensor]] = field(default_factory=dict)
    """What `factors` gave, by its arguments."""
    x: Tensor | None = None
    """The input that `h` and `b_RO` belong to."""
    h: Tensor | None = None
    """x under A and the coefficients, [positions, rank]."""
    b_RO: Tensor | None = None

    def factors(self, start: int, stop: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """A of all layers that share the input, [layers · rank, in], and B of this one, [rank,
        out], cut to the ranks in use.
        """
        key = (start, stop, dtype)
        if key not in self.cuts:
            a = torch.cat([own.a_RI[start:stop] for own in self.shares or (self,)])
            b_RO = self.b_OR[:, start:stop].T.contiguous()
            self.cuts[key] = (a.to(dtype), b_RO.to(dtype))
        return self.cuts[key]


@dataclass(frozen=True, slots=True)
class _Span:
    """An adapter's ranks in the stack."""

    start: int
    stop: int
    scale: float
    """The scale of its first layer; other layers' deviation from it lies in their B."""


@dataclass(frozen=True, slots=True)
class _Current:
    """The coefficients in force for the ranks in use: [rows, stop - start] in fp32, per device."""

    start: int
    stop: int
    by_device: Mapping[torch.device, Tensor]
    spread: dict[tuple[torch.device, int, int], Tensor] = field(default_factory=dict)
    """The same for (a device, positions, layers that share an input)."""

    def of(self, device: torch.device, positions: int, layers: int, batch: int = 1) -> Tensor:
        """Coefficients of every position, [positions, layers · ranks]; rows of the batch count
        their positions one row after the other, in a first dimension of their own or all in one.
        """
        key = (device, positions, layers)
        if key not in self.spread or batch != 1:
            c_BR = self.by_device[device]
            if positions % len(c_BR) or batch not in (1, len(c_BR)):
                raise ValueError(f"{len(c_BR)} rows of coefficients for {positions} positions")
            each = c_BR.repeat_interleave(positions // len(c_BR), 0)
            self.spread[key] = each.repeat(1, layers)
        return self.spread[key]


class AdapterBank:
    """Wraps a model's linear layers so that each row of a batch may run under its own mix of
    adapters.

    Outside `active` the model computes exactly what it did before. Not thread-safe, like the model
    itself.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.total_rank = 0
        self._spans: dict[str, _Span] = {}
        self._layers: dict[str, _Layer] = {}
        self._current: _Current | None = None
        self._heard: list[tuple[_Layer, Tensor]] | None = []
        """Layers and inputs of the first pass, from which is learnt who shares an input."""

    def __contains__(self, key: str) -> bool:
        return key in self._spans

    def add(self, key: str, folder: Path) -> None:
        """Adds the PEFT LoRA adapter in a folder under a key; a key that is there already is left
        as it is.

        Raises `ModelFormatError` for an adapter of another base or of an unsupported kind.
        """
        if key in self._spans:
            return
        adapter = lora.read(folder)
        targets = {name: self._target(adapter, module) for name, module in adapter.modules.items()}
        checkpoint.check_file_finite(folder / lora.WEIGHTS)
        rank = max(module.rank for module in adapter.modules.values())
        span = _Span(
            self.total_rank, self.total_rank + rank, next(iter(adapter.modules.values())).scale
        )
        for name, target in targets.items():
            if name not in self._layers:
                self._layers[name] = self._wrapped(target)
        self.total_rank += rank
        for name, layer in self._layers.items():
            self._grow(layer, adapter.modules.get(name), span)
        self._spans[key] = span
        self._heard = []
        for layer in self._layers.values():
            layer.shares, layer.cuts = (), {}

    def _target(self, adapter: Lora, module: LoraModule) -> nn.Module:
        try:
            found = self.model.get_submodule(module.name)
        except AttributeError:
            raise ModelFormatError(
                f"{adapter.folder} is an adapter of another base: that has no layer "
                f"'{clip(module.name)}'"
            ) from None
        weight = getattr(found, "weight", None)
        if not isinstance(weight, Tensor) or not (
            isinstance(found, nn.Linear) or type(found).__name__ == "Conv1D"
        ):
            raise ModelFormatError(
                f"{adapter.folder}: '{clip(module.name)}' is no linear layer of the base"
            )
        shape = (module.b.shape[0], module.a.shape[1])
        stored = tuple(weight.shape) if isinstance(found, nn.Linear) else tuple(weight.shape)[::-1]
        if stored != shape:
            raise ModelFormatError(
                f"{adapter.folder} is an adapter of another base: layer '{clip(module.name)}' is "
                f"{stored}, the adapter's {shape}"
            )
        return found

    def _wrapped(self, module: nn.Module) -> _Layer:
        weight = module.weight
        assert isinstance(weight, Tensor)
        out_size, in_size = weight.shape if isinstance(module, nn.Linear) else weight.shape[::-1]
        layer = _Layer(
            module,
            module.forward,
            weight.new_zeros((self.total_rank, in_size), requires_grad=False),
            weight.new_zeros((out_size, self.total_rank), requires_grad=False),
        )

        def forward(x: Tensor) -> Tensor:
            y = layer.forward(x)
            if self._current is None:
                return y
            if layer.x is not x:
                self._spread(layer, x, self._current)
            h, b_RO, layer.x = layer.h, layer.b_RO, None
            assert h is not None and b_RO is not None
            flat = y.view(-1, out_size)
            if h.dtype == y.dtype:
                flat.addmm_(h, b_RO)
            else:
                flat.add_(h @ b_RO)
            return y

        module.forward = forward
        return layer

    def _grow(self, layer: _Layer, module: LoraModule | None, span: _Span) -> None:
        """Appends one adapter's factors to a layer's stack."""
        rank = span.stop - span.start
        a_RI = layer.a_RI.new_zeros((rank, layer.a_RI.shape[1]))
        b_OR = layer.b_OR.new_zeros((layer.b_OR.shape[0], rank))
        if module is not None:
            a, b = reader.factor(module.a), reader.factor(module.b)
            if module.scale != span.scale and span.scale:
                b = b.to(torch.float32) * (module.scale / span.scale)
            a_RI[: module.rank] = a.to(a_RI)
            b_OR[:, : module.rank] = b.to(b_OR)
        layer.a_RI = torch.cat([layer.a_RI, a_RI])
        layer.b_OR = torch.cat([layer.b_OR, b_OR], dim=1)

    def coefficients(self, rows: Sequence[Mapping[str, float]]) -> Tensor:
        """Per-rank coefficients, [rows, total rank] in fp32 on the CPU; row i mixes adapters by key
        → weight.
        """
        result_BR = torch.zeros(len(rows), self.total_rank)
        for i, row in enumerate(rows):
            for key, weight in row.items():
                span = self._spans[key]
                result_BR[i, span.start : span.stop] = weight * span.scale
        return result_BR

    @contextlib.contextmanager
    def active(self, coefficients_BR: Tensor) -> Iterator[None]:
        """While it holds, row i of every batch runs under row i of the coefficients; rows of zeros
        are the base.
        """
        previous, self._current = self._current, self._cut(coefficients_BR)
        try:
            yield
        finally:
            self._current = previous
            if self._heard:
                self._learn_shares(self._heard)
                self._heard = None

    def _cut(self, coefficients_BR: Tensor) -> _Current | None:
        if coefficients_BR.shape[1:] != (self.total_rank,):
            raise ValueError(
                f"coefficients {tuple(coefficients_BR.shape)}, total rank {self.total_rank}"
            )
        used = coefficients_BR.detach().to("cpu", torch.float32)
        columns = used.any(dim=0).nonzero()
        if not len(columns):
            return None
        start, stop = int(columns[0]), int(columns[-1]) + 1
        devices = {layer.a_RI.device for layer in self._layers.values()}
        return _Current(start, stop, {device: used[:, start:stop].to(device) for device in devices})

    def _learn_shares(self, heard: Sequence[tuple[_Layer, Tensor]]) -> None:
        """Layers that read one input directly after each other compute A of it together."""
        for x, group in groupby(heard, key=lambda pair: id(pair[1])):
            layers = tuple(dict.fromkeys(map(id, (layer for layer, _ in group))))
            del x
            own = [layer for layer in self._layers.values() if id(layer) in layers]
            own.sort(key=lambda layer: layers.index(id(layer)))
            if len({layer.a_RI.device for layer in own}) == 1:
                own[0].shares = tuple(own)
            for layer in own:
                layer.cuts = {}

    def _spread(self, layer: _Layer, x: Tensor, current: _Current) -> None:
        """Gives the layer, and those that share its input, the input under A and coefficients.

        x is [rows, length, in]; flat inputs [rows · length, in] and packed ones [1, rows · length,
        in] count their positions row by row.
        """
        if self._heard is not None:
            self._heard.append((layer, x))
        flat = x.reshape(-1, x.shape[-1])
        few = len(flat) < FEW and x.device.type == "cpu"
        dtype = torch.float32 if few else layer.a_RI.dtype
        sharing, start, stop = layer.shares or (layer,), current.start, current.stop
        c = current.of(x.device, len(flat), len(sharing), x.shape[0] if x.dim() > 2 else 1)
        a, _ = layer.factors(start, stop, dtype)
        h = functional.linear(flat.to(dtype), a) * c
        for own, part in zip(sharing, torch.split(h.to(dtype), stop - start, 1), strict=True):
            own.x, own.h = x, part
            own.b_RO = own.factors(start, stop, dtype)[1]

    def close(self) -> None:
        """Gives the model its own layers back and forgets all adapters."""
        for layer in self._layers.values():
            del layer.module.forward
        self._layers.clear()
        self._spans.clear()
        self._heard = []
        self.total_rank = 0
