"""Contrastive fusion, proxy tuning and fitted weights: by hand, and equal in any batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from decoding.test_joint import QUESTIONS, models, write  # noqa: F401 (a fixture)
from pydantic import ValidationError

from moco.backends.base import Row, generate
from moco.backends.hf import HfBackend
from moco.methods.logit.logit_contrastive import LogitContrastive, plausible
from moco.methods.logit.logit_fusion import LogitFusion, mixture_weights
from moco.methods.logit.proxy_tuning import ProxyTuning
from moco.pool import Dev, Pool
from moco.prompts import plain
from moco.registry import load
from moco.types import Request, Sample, Sampling

Backends = dict[str, HfBackend]
ONE, TWO, SIX = (torch.tensor([row]) for row in ([2.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 3.0, 1.0]))


def test_contrast_by_hand() -> None:
    method = LogitContrastive(plausibility=0)
    found = method.combine([ONE, TWO], {"top": 1, "strength": 0.5})
    best, worst = ONE.log_softmax(-1), TWO.log_softmax(-1)
    assert torch.allclose(found, 1.5 * best - 0.5 * worst)
    four = [ONE, TWO, SIX, 2 * SIX]
    logp = [x.log_softmax(-1) for x in four]
    mean = method.combine(four, {"top": 2, "strength": 0.4})
    expected = logp[0] + 0.4 * ((logp[0] + logp[1]) / 2 - (logp[2] + logp[3]) / 2)
    assert torch.allclose(mean, expected)
    summed = LogitContrastive(plausibility=0, reduce="sum").combine(
        four, {"top": 2, "strength": 0.4}
    )
    assert torch.allclose(summed, logp[0] + 0.4 * (logp[0] + logp[1] - logp[2] - logp[3]))


def test_implausible_tokens_are_never_written() -> None:
    """Both find the third token absurd, the worst a little more so; the contrast would write it."""
    best, worst = torch.tensor([[0.0, -0.1, -6.0]]), torch.tensor([[0.0, 0.0, -20.0]])
    bare = LogitContrastive(plausibility=0).combine([best, worst], {"top": 1, "strength": 1.0})
    assert int(bare.argmax()) == 2
    kept = LogitContrastive().combine([best, worst], {"top": 1, "strength": 1.0})
    assert int(kept.argmax()) != 2 and float(kept[0, 2]) == -math.inf
    own = torch.tensor([[math.log(0.6), math.log(0.35), math.log(0.05)]])
    assert torch.isfinite(plausible(own, own, 0.5)).tolist() == [[True, True, False]]


def test_proxy_tuning_by_hand() -> None:
    found = ProxyTuning(alpha=2.0).combine([ONE, TWO, SIX], None)
    assert torch.allclose(found, ONE + 2 * (TWO - SIX))
    wide = torch.tensor([[0.0, 3.0, 1.0, 9.0]])
    assert torch.allclose(ProxyTuning().combine([ONE, wide, SIX], None), ONE)
    assert ProxyTuning(expert="c").seats(["a", "b", "c"], None)[0] == ["a", "c", "b"]
    assert ProxyTuning(base="c", antiexpert="a").seats(["a", "b", "c"], None)[0] == ["c", "b", "a"]
    facts: Any = dict.fromkeys("abc")
    (problem,) = ProxyTuning(expert="d").problems(facts, Sampling())
    assert "no pool member is called 'd'" in str(problem)
    (problem,) = ProxyTuning(base="a", expert="a").problems(facts, Sampling())
    assert "two parts" in str(problem)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_cached_equals_uncached_and_alone_equals_batch(
    models: Backends,  # noqa: F811
    temperature: float,
) -> None:
    cases: list[tuple[Any, list[str], Any]] = [
        (LogitContrastive(), ["a", "b"], {"top": 1, "strength": 0.5}),
        (ProxyTuning(), ["sliding", "a", "b"], None),
    ]
    for method, names, state in cases:
        backends = [models[name] for name in names]
        sampling = Sampling(temperature, max_tokens=24)
        found = write(method, backends, QUESTIONS, state, sampling=sampling)
        naive = write(method, backends, QUESTIONS, state, sampling=sampling, naive=True)
        for i, (one, other) in enumerate(zip(found, naive, strict=True)):
            question, seeds = QUESTIONS[i : i + 1], [i]
            alone = write(method, backends, question, state, sampling=sampling, seeds=seeds)[0]
            assert one.text == other.text == alone.text
            length = one.usage.generated_tokens
            expected = one.usage.prompt_tokens + len(backends) * (length - 1)
            assert one.usage.positions == alone.usage.positions == expected


def test_nothing_to_steer_is_the_base_alone(models: Backends) -> None:  # noqa: F811
    base = models["a"]
    rows = [Row(Request("a", q, Sampling(max_tokens=24)), base.spec, bytes(32)) for q in QUESTIONS]
    single = [g.text for g in generate(base, rows)]
    three = [base, models["b"], models["b"]]
    assert [g.text for g in write(ProxyTuning(), three, QUESTIONS)] == single
    mixed = [base, models["b"], models["sliding"]]
    assert [g.text for g in write(ProxyTuning(alpha=0), mixed, QUESTIONS)] == single
    state = {"top": 1, "strength": 0.0}
    assert [
        g.text for g in write(LogitContrastive(), [base, models["b"]], QUESTIONS, state)
    ] == single


def choices(count: int = 8) -> Dev:
    samples = [
        Sample(plain(f"d{i}", f"Which one is {i}?", "choice", choices=("red", "green")), ("A",))
        for i in range(count)
    ]
    return Dev(samples, load("scorer", "choice")())


MEMBERS = ["zoo://mini/base", "zoo://mini/words", "zoo://mini/facts"]


def test_the_search_never_falls_below_the_best_member_on_dev() -> None:
    with Pool.open(MEMBERS, sampling=Sampling(max_tokens=8)) as pool:
        found = choices()
        state = LogitContrastive(k=3).fit(pool, found)
        assert len(state["top"]) == len(state["bottom"]) == 1
        assert not set(state["top"]) & set(state["bottom"])
        scores = dict(map(tuple, state["trials"]))
        assert scores[state["strength"]] == max(scores.values()) >= scores[0.0]
        alone = LogitContrastive(strength=0.0)
        kept = alone.fit(pool, found)
        texts = [p.text for p in alone.predict(pool, found.queries, kept)]
        assert texts == [
            g.text for g in pool.named(kept["top"][0]).ask([q.prompt for q in found.queries])
        ]


def test_weights_of_the_likeliest_mixture() -> None:
    """Two tokens, one per member: p = (0.8, 0.1) and (0.2, 0.7); the best weight by hand."""
    logprobs = np.log(np.array([[0.8, 0.1], [0.2, 0.7]]))
    first, second = mixture_weights(logprobs)
    grid = np.linspace(0, 1, 100_001)
    values = np.log(grid * 0.8 + (1 - grid) * 0.2) + np.log(grid * 0.1 + (1 - grid) * 0.7)
    assert first == pytest.approx(grid[values.argmax()], abs=1e-3)
    assert first + second == pytest.approx(1)
    assert mixture_weights(np.log(np.array([[0.9, 0.9], [0.1, 0.2]])))[0] > 0.999


def test_weights_are_found_on_dev() -> None:
    with Pool.open(MEMBERS, sampling=Sampling(max_tokens=8)) as pool:
        found = choices()
        state = LogitFusion(fitted="scores").fit(pool, found)
        assert state is not None and sum(state["weights"]) == pytest.approx(1, abs=1e-5)
        mixed = LogitFusion(mode="mixture", fitted="likelihood")
        likely = mixed.fit(pool, found)
        assert likely is not None and sum(likely["weights"]) == pytest.approx(1, abs=1e-5)
        assert len(mixed.predict(pool, found.queries, likely)) == len(found)
    assert LogitFusion().fit(pool, found) is None
    assert LogitFusion(fitted="scores").needs().dev and not LogitFusion().needs().dev
    with pytest.raises(ValidationError, match="mode: mixture"):
        LogitFusion(fitted="likelihood")
    with pytest.raises(ValidationError, match="leave one"):
        LogitFusion(fitted="scores", weights=(1.0, 2.0))
    logits = [ONE, TWO]
    by_state = LogitFusion(mode="mixture").combine(logits, {"weights": [0.25, 0.75]})
    given = LogitFusion(mode="mixture", weights=(1, 3)).combine(logits, None)
    assert torch.allclose(by_state, given)
