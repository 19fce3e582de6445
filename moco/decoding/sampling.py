"""Drawing tokens: randomness that belongs to the row, and inverse-CDF sampling.

The uniform number for a row's token is a keyed hash of its position, computed on the host: it
depends neither on the batch nor on the device. Everything else is fp32 arithmetic per row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

BLOCK = 1 << 21
"""Numbers of the vocabulary-wide tensors that are made fp32 at a time: larger ones cost a CPU more
in new memory than in arithmetic.
"""
ARGMAX_BLOCK = 256
"""Ids that are looked at together for the likeliest one."""
HEAD = 128
"""Candidates that are first looked at for a nucleus; eight times as many at every further try."""


def uniform(seed: bytes, position: int) -> float:
    """The number in [0, 1), a multiple of 2**-24, for the token at `position` of the seed's row."""
    digest = hashlib.blake2b(position.to_bytes(8, "little"), key=seed, digest_size=4).digest()
    return (int.from_bytes(digest, "little") >> 8) / 2**24


def uniforms(seeds: Sequence[bytes], positions: Sequence[int]) -> Tensor:
    """`uniform` for many rows, fp32 [row]."""
    pairs = zip(seeds, positions, strict=True)
    return torch.tensor([uniform(seed, position) for seed, position in pairs], dtype=torch.float32)


def draw(
    logits_BV: Tensor, uniforms_B: Tensor, temperature_B: Sequence[float], top_p_B: Sequence[float]
) -> Tensor:
    """One token id per row, [row].

    Temperature 0 takes the likeliest token, the lowest id among equals. Otherwise a row's
    distribution is cut to its nucleus (the likeliest tokens that together reach `top_p`, all tokens
    as likely as the last of them included) and the row's uniform number picks from it in order of
    ids.
    """
    ids_B = argmax(logits_BV)
    hot = [row for row, temperature in enumerate(temperature_B) if temperature > 0]
    step = _rows_at_once(logits_BV)
    for start in range(0, len(hot), step):
        rows = hot[start : start + step]
        picked = torch.tensor(rows, device=logits_BV.device)
        heat_R1, top_p_R1 = (
            _column([x[row] for row in rows], logits_BV) for x in (temperature_B, top_p_B)
        )
        probs_RV = torch.softmax(logits_BV[picked].float().div_(heat_R1), -1)
        ids_B[picked] = _drawn(probs_RV, top_p_R1[:, 0], uniforms_B.to(logits_BV.device)[picked])
    return ids_B


def _rows_at_once(logits_BV: Tensor) -> int:
    return max(BLOCK // logits_BV.shape[1], 1)


def _drawn(probs_RV: Tensor, top_p_R: Tensor, uniforms_R: Tensor) -> Tensor:
    """One id per row from its nucleus, by its uniform number, [row].

    Where the likeliest ids hold the whole nucleus only these are looked at.
    """
    if bool((top_p_R >= 1).all()):
        return pick(probs_RV, uniforms_R)
    ranked_RK, ids_RK = probs_RV.topk(min(HEAD, probs_RV.shape[1]), -1)
    enough_RK = ranked_RK.cumsum(-1) >= top_p_R[:, None]
    floor_R1 = ranked_RK.gather(-1, enough_RK.float().argmax(-1)[:, None])
    few_R = enough_RK.any(-1) & (floor_R1[:, 0] > ranked_RK[:, -1]) & (top_p_R < 1)
    ids_RK, order_RK = ids_RK.sort(-1)
    near_RK = ranked_RK.mul_(ranked_RK >= floor_R1).gather(-1, order_RK)
    found_R = ids_RK.gather(-1, pick(near_RK, uniforms_R)[:, None])[:, 0]
    rest = torch.nonzero(~few_R)[:, 0]
    if len(rest):
        probs_SV = _nucleus(probs_RV[rest], top_p_R[rest])
        found_R[rest] = pick(probs_SV, uniforms_R[rest])
    return found_R


def shaped(logits_RV: Tensor, temperature_R: Sequence[float], top_p_R: Sequence[float]) -> Tensor:
    """Probabilities (fp32) at temperatures above 0, those outside of each row's nucleus 0; they are
    not normalised again.
    """
    probs_RV = torch.softmax(logits_RV.float() / _column(temperature_R, logits_RV), -1)
    return _nucleus(probs_RV, _column(top_p_R, logits_RV)[:, 0]) if min(top_p_R) < 1 else probs_RV


def _nucleus(probs_RV: Tensor, top_p_R: Tensor) -> Tensor:
    """The probabilities, in place, with those outside of each row's nucleus 0."""
    floor_R = nucleus_floor(probs_RV, top_p_R)
    return probs_RV.masked_fill_(probs_RV < floor_R[:, None], 0)


def argmax(logits_BV: Tensor) -> Tensor:
    """The likeliest id of each row, the lowest among equals.

    On a CPU `Tensor.argmax` is ten times slower than `amax`, which therefore finds the block.
    """
    rows, blocks = len(logits_BV), logits_BV.shape[1] // ARGMAX_BLOCK
    if logits_BV.device.type != "cpu" or blocks < 16:
        return logits_BV.argmax(-1)
    size = blocks * ARGMAX_BLOCK
    head_BKS = torch.unflatten(logits_BV[:, :size], -1, (blocks, ARGMAX_BLOCK))
    peaks_BK = head_BKS.amax(-1)
    block_B = peaks_BK.argmax(-1)
    row_B = torch.arange(rows)
    ids_B = block_B * ARGMAX_BLOCK + head_BKS[row_B, block_B].argmax(-1)
    if size == logits_BV.shape[1]:
        return ids_B
    tail_BS = logits_BV[:, size:]
    later_B = ~(tail_BS.amax(-1) <= peaks_BK[row_B, block_B])
    return torch.where(later_B, size + tail_BS.argmax(-1), ids_B)


def pick(weights_RV: Tensor, uniforms_R: Tensor) -> Tensor:
    """Inverse CDF: the first id whose cumulative weight exceeds uniform × total; weights fp32."""
    cumulative = weights_RV.cumsum(-1)
    total = cumulative[:, -1:].contiguous()
    found = torch.searchsorted(cumulative, uniforms_R[:, None] * total, right=True)
    last = torch.searchsorted(cumulative, total)
    return torch.minimum(found, last)[:, 0]


def nucleus_floor(probs_RV: Tensor, top_p_R: Tensor) -> Tensor:
    """The probability of the last token of each row's nucleus; 0 where `top_p` is 1 or more."""
    size, count = probs_RV.shape[1], HEAD
    while True:
        ranked = probs_RV.topk(min(count, size), -1).values
        enough = ranked.cumsum(-1) >= top_p_R[:, None]
        reached = enough.any(-1)
        if count >= size or bool((reached | (top_p_R >= 1)).all()):
            break
        count *= 8
    last = torch.where(reached, enough.float().argmax(-1), ranked.shape[1] - 1)
    floor = ranked.gather(-1, last[:, None])[:, 0]
    return torch.where(top_p_R >= 1, torch.zeros_like(floor), floor)


def logprobs_of(logits_NV: Tensor, ids_N: Tensor) -> Tensor:
    """Log-probability (nats, temperature 1, fp32) of one id per row."""
    parts = []
    step = _rows_at_once(logits_NV)
    for start in range(0, len(logits_NV), step):
        block = torch.log_softmax(logits_NV[start : start + step].float(), -1)
        parts.append(block.gather(-1, ids_N[start : start + step, None])[:, 0])
    return torch.cat(parts) if parts else logits_NV.new_zeros(0, dtype=torch.float32)


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=like.device)[:, None]
