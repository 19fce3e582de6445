"""Layers compiled by `torch.compile`, where `engine.compile` asks for it.

Each decoder layer is compiled on its own, once for all layers of equal shape and for any number of
tokens. The attention of `attention.py` and the buffers stay as they are: they depend on the rows of
each pass.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.cache_utils import Cache

from moco.decoding.attention import NAME, packed_attention
from moco.decoding.kv import SlotCache
from moco.errors import EnvironmentProblem, clip


def compile_layers(model: Any, where: str) -> None:
    """Compile a causal model whose attention is `moco`, and read two tokens with it.

    Raises `EnvironmentProblem` where this machine cannot compile.
    """
    from torch._dynamo import config

    from moco.decoding.session import Session

    leave: Any = torch.compiler.disable
    config.allow_unspec_int_on_nn_module = True  # else each layer's number is compiled anew
    AttentionInterface.register(NAME, leave(packed_attention))
    SlotCache.update = leave(Cache.update)
    for layer in model.base_model.layers:
        layer.compile(dynamic=True)
    session = Session(model)
    rows = session.add(2)
    try:
        for chunks in ([[0, 1], [0]], [[0], [1]]):
            session.extend(rows, chunks)
    except Exception as error:  # the compiler's own errors have no common base
        raise EnvironmentProblem(
            f"engine.compile: {where} cannot be compiled here ({clip(str(error), 300)}); a CPU"
            " needs a C++ compiler, CUDA needs Triton; or leave engine.compile out"
        ) from error
    finally:
        session.close()


def uncompiled(model: Any) -> AbstractContextManager[object]:
    """While it holds, the layers run as they were written: those that adapters wrap would be
    compiled anew for every mixture.
    """
    layers = getattr(model.base_model, "layers", ())
    if not any(layer._compiled_call_impl for layer in layers):
        return nullcontext()
    eager: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return eager
