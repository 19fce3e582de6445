"""Real small models against plain transformers, in float32: SmolLM2 135M and Gemma 3 270M."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pytest

from moco import registry, sources
from moco.backends.base import ModelSpec, Pair, Row, generate
from moco.backends.hf import HfBackend
from moco.prompts import replace_last_user
from moco.tasks.base import take
from moco.types import Request, Sample, Sampling

HOME = os.environ.get("XDG_CACHE_HOME", "")
"""The user's cache, where `make test` has put the models."""
MODELS = [
    pytest.param("smollm2-135m", marks=pytest.mark.real),
    pytest.param("gemma3-270m", marks=[pytest.mark.real, pytest.mark.slow]),
]
PROMPTS, OPTION_ITEMS, NEW_TOKENS = 20, 50, 32


@pytest.fixture
def user_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look models up where the user has them."""
    if HOME:
        monkeypatch.setenv("XDG_CACHE_HOME", HOME)
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")


def questions(count: int) -> list[Sample]:
    """Test questions of ARC-Challenge; skips where the file is not here."""
    task = registry.load("task", "arc_challenge")
    path = sources.resolve(task.source, pull=False)
    if path is None:
        pytest.skip("moco data pull arc_challenge first")
    return list(take(task.load(path).test, count, 0))


@functools.cache
def loaded(folder: Path) -> tuple[HfBackend, Any]:
    """The model through our back end and as transformers loads it, both float32."""
    import torch
    from transformers import AutoModelForCausalLM

    spec = ModelSpec("m", str(folder), path=folder, dtype="float32")
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return HfBackend(spec, "cpu"), plain


def open_model(name: str) -> tuple[HfBackend, Any]:
    folder = sources.resolve(name, pull=False)
    if folder is None:
        pytest.skip(f"moco model pull {name} first")
    return loaded(folder)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("user_cache")
@pytest.mark.parametrize("name", MODELS)
def test_greedy_texts_equal_generate_token_for_token(name: str) -> None:
    import torch

    backend, plain = open_model(name)
    sampling = Sampling(max_tokens=NEW_TOKENS)
    rows = [
        Row(Request("m", s.query.prompt, sampling), backend.spec, bytes(32))
        for s in questions(PROMPTS)
    ]
    ours = generate(backend, rows)
    renderer = backend.renderer(backend.spec)
    for row, found in zip(rows, ours, strict=True):
        ids = torch.tensor([renderer.ids(row.request.prompt)])
        with torch.inference_mode():
            out = plain.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS,
                do_sample=False, eos_token_id=sorted(renderer.stop_ids), pad_token_id=0,
            )  # fmt: skip
        assert list(found.token_ids) == out[0, ids.shape[1] :].tolist()


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("user_cache")
@pytest.mark.parametrize("name", MODELS)
def test_option_scores_equal_a_plain_loop(name: str) -> None:
    import torch

    backend, plain = open_model(name)
    renderer = backend.renderer(backend.spec)
    samples = questions(OPTION_ITEMS)
    pairs = [
        Pair(replace_last_user(s.query.prompt, s.query.bare), option, backend.spec)
        for s in samples
        for option in s.query.choices
    ]
    worst = 0.0
    for pair, found in zip(pairs, backend.loglikelihood(pairs), strict=True):
        prompt = list(renderer.ids(pair.prompt))
        tail = list(renderer.continuation("", pair.text)[1])
        with torch.inference_mode():
            logp = plain(torch.tensor([prompt + tail])).logits[0].log_softmax(-1)
        start = len(prompt) - 1
        expected = [float(logp[start + i, t]) for i, t in enumerate(tail)]
        worst = max(worst, abs(sum(expected) - found.total))
    assert worst < 1e-3
