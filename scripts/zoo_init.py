"""A start for tiny Llama-like models that can copy before they have learnt anything.

Copying from the prompt needs two heads that work together: one that carries each token's identity
to the next position, and one that looks for places after the current token and repeats what stands
there. Such small models find the pair only after millions of tokens; here it is written into the
first two layers, and training goes on from there.
"""

from __future__ import annotations

from typing import Any

import torch

CONSTANT = 0
"""The hidden dimension that is the same for all tokens, for heads that go by position alone."""
FAST = 4
"""Rotary pairs before this one tell neighbouring positions apart."""
SLOW = 7
"""Rotary pairs from here on turn so slowly that content can be compared over a whole prompt."""


def copying_start(model: Any, seed: int) -> None:
    """Writes both kinds of heads, in place, into a model with rotary positions and full heads."""
    config = model.config
    hidden, heads = config.hidden_size, config.num_attention_heads
    width = hidden // heads
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(hidden - 1, hidden - 1, generator=generator))[0]
    basis = torch.cat([torch.zeros(hidden - 1, 1), basis], dim=1)
    with torch.no_grad():
        embeddings = model.get_input_embeddings().weight
        embeddings[:, CONSTANT] = 10 * embeddings.std()
        first, second = (model.model.layers[i].self_attn for i in range(2))
        code, place = basis[:width], basis[width : 2 * width]
        _look_back(first, width, config)
        first.v_proj.weight[:width] = code
        first.o_proj.weight[:, :width] = 0.08 * place.T
        half = width // 2
        slow = torch.tensor([*range(SLOW, half), *range(half + SLOW, width)])
        for head in range(heads - 1):
            rows = slice(head * width, (head + 1) * width)
            for projection, read in ((second.q_proj, code), (second.k_proj, place)):
                projection.weight[rows] = 0
                projection.weight[rows.start + slow] = 2.0 * read[slow]
            second.v_proj.weight[rows] = basis[rows]
            second.o_proj.weight[:, rows] = 0.25 * basis[rows].T


def _look_back(attention: Any, width: int, config: Any) -> None:
    """Makes the first head look at the previous position, whatever stands there."""
    half = width // 2
    theta = float(config.rope_parameters["rope_theta"])
    angles = theta ** (-torch.arange(half) / half)
    query, key = attention.q_proj.weight, attention.k_proj.weight
    query[:width] = 0
    key[:width] = 0
    query[:FAST, CONSTANT] = 1.0
    key[:FAST, CONSTANT] = torch.cos(angles)[:FAST]
    key[half : half + FAST, CONSTANT] = torch.sin(angles)[:FAST]
