"""The session against plain forward passes: ragged chunks, rollback, forks, freed slots."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor

from moco.decoding import attention
from moco.decoding import session as session_module
from moco.decoding.kv import rounded
from moco.decoding.session import Session, attach
from moco.errors import ModelFormatError
from tests.tiny import tiny_model

KINDS = ["llama", "qwen2", "gpt2", "gpt_neox", "gemma2", "gemma3", "gpt_oss"]


@pytest.fixture(scope="module", params=KINDS)
def case(request: pytest.FixtureRequest) -> tuple[Any, list[int], Tensor]:
    """A model with our attention, a sequence, and its logits by a plain forward pass."""
    model = tiny_model(request.param)
    torch.manual_seed(1)
    ids = torch.randint(0, 320, (1, 130))
    with torch.inference_mode():
        expected = model(ids, use_cache=False).logits[0]
    attach(model, request.param)
    return model, ids[0].tolist(), expected


def close(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, atol=1e-4)


def test_ragged_chunks_rollback_and_fork(case: tuple[Any, list[int], Tensor]) -> None:
    model, ids, expected = case
    session = Session(model)
    a, b, c = session.add(3)
    logits = session.extend([a, b, c], [ids[:90], ids[:3], ids[:20]], [90, 3, 20]).logits_NV
    assert close(logits, torch.cat([expected[:90], expected[:3], expected[:20]]))
    assert session.rollback(a, 40) == 50
    (copy,) = session.fork(a, 1)
    session.free(b)
    logits = session.extend([copy, c, a], [ids[40:42], ids[20:70], ids[40:125]]).logits_NV
    assert close(logits, expected[[41, 69, 124]])
    logits = session.extend([c, a], [ids[70:73], ids[125:126]], [2, 1]).logits_NV
    assert close(logits, expected[[71, 72, 125]])
    assert session.positions == 113 + 137 + 4
    assert [session.length(row) for row in (a, c, copy)] == [126, 73, 42]


def test_any_order_of_calls_gives_the_same(case: tuple[Any, list[int], Tensor]) -> None:
    model, ids, expected = case
    dice, session = random.Random(0), Session(model)
    rows = session.add(5)
    for _ in range(40):
        live = [
            row for row in dice.sample(rows, dice.randint(1, len(rows))) if session.length(row) < 80
        ]
        if live:
            sizes = [dice.choice([1, 1, 1, 2, 4, 7, 40]) for _ in live]
            spans = [
                (session.length(row), session.length(row) + n)
                for row, n in zip(live, sizes, strict=True)
            ]
            found = session.extend(live, [ids[start:end] for start, end in spans]).logits_NV
            assert close(found, expected[[end - 1 for _, end in spans]])
        row = dice.choice(rows)
        action = dice.random()
        if action < 0.2:
            session.rollback(row, dice.randint(0, session.length(row)))
        elif action < 0.3:
            rows += session.fork(row, dice.randint(1, 2))
        elif action < 0.5 and len(rows) > 2:
            session.free(row)
            rows.remove(row)
    assert len(session) == len(rows)


def test_long_input_is_read_in_passes(
    case: tuple[Any, list[int], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ids, expected = case
    monkeypatch.setitem(session_module.PASS_TOKENS, "cpu", 37)
    monkeypatch.setattr(session_module, "KEPT", 5)
    session = Session(model)
    a, b = session.add(2)
    found = session.extend([a, b], [ids[:120], ids[:50]], [9, 50])
    assert close(found.logits_NV, torch.cat([expected[111:120], expected[:50]]))
    assert found.hidden_NW.shape[0] == 59


def test_the_fused_kernel_says_the_same(
    case: tuple[Any, list[int], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ids, expected = case
    monkeypatch.setattr(attention, "PLAIN_DEVICES", frozenset())
    session = Session(model)
    a, b = session.add(2)
    session.extend([a, b], [ids[:40], ids[:3]])
    found = session.extend([a, b], [ids[40:43], ids[3:4]], [3, 1]).logits_NV
    assert close(found, expected[[40, 41, 42, 3]])


def test_states_are_what_the_logits_are_made_of(case: tuple[Any, list[int], Tensor]) -> None:
    model, ids, _ = case
    session = Session(model)
    a, b = session.add(2)
    states = session.states([a, b], [ids[:60], ids[:2]])
    c = session.add(1)[0]
    reading = session.extend([c], [ids[:60]], [60])
    assert close(states[0], reading.hidden_NW)
    assert close(states[1], reading.hidden_NW[:2])


def test_a_wiped_row_leaves_nothing_to_its_neighbours(case: tuple[Any, list[int], Tensor]) -> None:
    model, ids, expected = case
    session = Session(model)
    a, b = session.add(2)
    session.extend([a, b], [ids[:10], ids[:10]])
    with torch.inference_mode():
        for layer in session._cache.layers:
            layer.keys[0] = layer.values[0] = torch.nan
    session.free(a, wipe=True)
    c = session.add()[0]
    assert close(session.extend([b, c], [ids[10:11], ids[:5]]).logits_NV, expected[[10, 4]])


def test_a_row_that_has_read_nothing_takes_a_freed_place(
    case: tuple[Any, list[int], Tensor],
) -> None:
    """It is opened behind the buffers, which grow when it is first read."""
    model, ids, expected = case
    session = Session(model)
    (a,) = session.add()
    session.extend([a], [ids[:10]])
    (b,) = session.add()
    session.free(a)
    assert close(session.extend([b], [ids[:5]]).logits_NV, expected[[4]])


def test_bad_calls_are_refused() -> None:
    model = tiny_model("llama")
    attach(model, "llama")
    session = Session(model)
    (row,) = session.add()
    with pytest.raises(ValueError, match="cannot go back"):
        session.rollback(row, 1)
    with pytest.raises(ValueError, match="cannot keep"):
        session.extend([row], [[]])


def test_architecture_that_cannot_be_taken_over_is_refused() -> None:
    model = tiny_model("llama")
    model.config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(ModelFormatError, match="linear_attention"):
        attach(model, "here")
    model = tiny_model("gpt2")
    for block in model.transformer.h:
        block.attn.scaling = 2.0  # not what the plain pass then sees
    original = model.set_attn_implementation

    def swap(name: str) -> None:
        original(name)
        for block in model.transformer.h:
            block.attn.scaling = 1.0

    model.set_attn_implementation = swap
    with pytest.raises(ModelFormatError, match="cannot be taken over"):
        attach(model, "here")


def test_buffers_stay_tight() -> None:
    assert rounded(1) == 32
    assert rounded(33) == 64
    for length in range(1, 5000, 7):
        assert length <= rounded(length) <= max(length + 32, length * 9 / 8 + 32)
