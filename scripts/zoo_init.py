"""A start for tiny Llama-like models that can copy before they have learnt anything.

Copying from the prompt needs two heads that work together: one that carries each token's identity
to the next position, and one that looks for places after the current token and repeats what stands
there. Reading the letter of an option is alike: it stands two places before the text. Such small
models find these pairs only after millions of tokens; here they are written into the first two
layers, and training goes on from there.
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
    """Writes these heads, in place, into a model with rotary positions and full heads."""
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
        code, place, far = (basis[i * width : (i + 1) * width] for i in range(3))
        for head, (distance, target) in enumerate(((1, place), (2, far))):
            rows = slice(head * width, (head + 1) * width)
            _look_back(first, rows, distance, config)
            first.v_proj.weight[rows] = code
            first.o_proj.weight[:, rows] = 0.08 * target.T
        half = width // 2
        slow = torch.tensor([*range(SLOW, half), *range(half + SLOW, width)])
        for head in range(heads - 1):
            rows = slice(head * width, (head + 1) * width)
            _compare(second, rows, slow, code, place)
            second.v_proj.weight[rows] = basis[rows]
            second.o_proj.weight[:, rows] = 0.25 * basis[rows].T
        rows = slice((heads - 1) * width, heads * width)
        _compare(second, rows, slow, place, code)
        second.v_proj.weight[rows] = far
        second.o_proj.weight[:, rows] = 0.25 * code.T


def _compare(
    attention: Any, rows: slice, slow: torch.Tensor, sought: torch.Tensor, found: torch.Tensor
) -> None:
    """Makes a head look for positions whose `found` code equals this position's `sought` code."""
    for projection, read in ((attention.q_proj, sought), (attention.k_proj, found)):
        projection.weight[rows] = 0
        projection.weight[rows.start + slow] = 2.0 * read[slow]


def _look_back(attention: Any, rows: slice, distance: int, config: Any) -> None:
    """Makes a head look at the position `distance` before, whatever stands there."""
    start, half = rows.start, (rows.stop - rows.start) // 2
    theta = float(config.rope_parameters["rope_theta"])
    angles = theta ** (-torch.arange(half) / half)
    query, key = attention.q_proj.weight, attention.k_proj.weight
    query[rows] = 0
    key[rows] = 0
    query[start : start + FAST, CONSTANT] = 1.0
    key[start : start + FAST, CONSTANT] = torch.cos(distance * angles)[:FAST]
    middle = start + half
    key[middle : middle + FAST, CONSTANT] = torch.sin(distance * angles)[:FAST]
