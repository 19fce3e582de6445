"""Drawing tokens: the random stream, the distribution drawn from, nuclei and ties."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from moco.decoding.sampling import argmax, draw, logprobs_of, nucleus_floor, uniform, uniforms

SEEDS = [bytes([i]) * 32 for i in range(4)]


def test_uniform_depends_on_seed_and_position_only() -> None:
    table = uniforms([SEEDS[0], SEEDS[1], SEEDS[0]], [3, 3, 4])
    assert table.dtype == torch.float32
    assert table[0] == uniform(SEEDS[0], 3) != table[1] != table[2]
    assert uniform(SEEDS[0], 3) * 2**24 % 1 == 0


def test_uniform_is_uniform_and_uncorrelated() -> None:
    values = [uniform(SEEDS[2], position) for position in range(20_000)]
    assert stats.kstest(values, "uniform").pvalue > 1e-3
    assert abs(stats.pearsonr(values[:-1], values[1:]).statistic) < 0.03
    assert 0 <= min(values) < max(values) < 1


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.3, 0.8)])
def test_draws_follow_the_distribution(temperature: float, top_p: float) -> None:
    torch.manual_seed(0)
    logits_V, count = torch.randn(50) * 2, 20_000
    probs = torch.softmax(logits_V / temperature, -1)
    ranked, order = probs.sort(descending=True)
    kept = order[: int((ranked.cumsum(-1) < top_p).sum()) + 1] if top_p < 1 else order
    ids = draw(
        logits_V.expand(count, -1),
        uniforms([SEEDS[1]] * count, range(count)),
        [temperature] * count,
        [top_p] * count,
    )
    observed = torch.bincount(ids, minlength=50).double()
    assert observed.sum() == observed[kept].sum()
    expected = probs[kept].double() / probs[kept].double().sum() * count
    likely = expected >= 5
    rest = expected[~likely].sum().clamp_min(1e-9), observed[kept][~likely].sum()
    chi2 = ((observed[kept][likely] - expected[likely]) ** 2 / expected[likely]).sum()
    chi2 += (rest[1] - rest[0]) ** 2 / rest[0]
    assert stats.chi2.sf(float(chi2), int(likely.sum())) > 1e-3


def test_greedy_takes_the_lowest_of_equals() -> None:
    logits_BV = torch.tensor([[0.0, 2.0, 2.0, 1.0], [5.0, 5.0, 5.0, 5.0]])
    assert draw(logits_BV, torch.zeros(2), [0.0, 0.0], [1.0, 1.0]).tolist() == [1, 0]


@pytest.mark.parametrize("size", [300, 16 * 256, 5000, 20_000])
def test_argmax_is_the_plain_one(size: int) -> None:
    torch.manual_seed(3)
    for dtype in (torch.float32, torch.bfloat16):
        logits_BV = torch.randn(40, size).to(dtype)
        logits_BV[range(40), torch.randint(0, size, (40,))] = 9.0
        logits_BV[range(40), torch.randint(0, size, (40,))] = 9.0
        assert argmax(logits_BV).tolist() == [int((r == r.max()).nonzero()[0]) for r in logits_BV]


def test_rows_keep_their_own_settings() -> None:
    torch.manual_seed(1)
    logits_BV = torch.randn(6, 300)
    settings = [(0.0, 1.0), (1.0, 1.0), (0.5, 0.9), (0.0, 0.5), (2.0, 0.99), (1.0, 1e-6)]
    heat, top_p = [s[0] for s in settings], [s[1] for s in settings]
    table = uniforms([SEEDS[0]] * 6, range(6))
    together = draw(logits_BV, table, heat, top_p).tolist()
    for row in range(6):
        one = slice(row, row + 1)
        assert draw(logits_BV[one], table[one], heat[one], top_p[one]).tolist() == [together[row]]
    assert [together[i] for i in (0, 3, 5)] == logits_BV.argmax(-1)[[0, 3, 5]].tolist()


def test_nucleus_keeps_ties_of_its_last_token_and_looks_far_enough() -> None:
    probs_RV = torch.full((2, 4000), 1 / 4000)
    probs_RV[1] = torch.softmax(torch.arange(4000.0), -1)
    floor = nucleus_floor(probs_RV, torch.tensor([0.5, 0.95]))
    assert int((probs_RV[0] >= floor[0]).sum()) == 4000
    assert int((probs_RV[1] >= floor[1]).sum()) == 3


@pytest.mark.parametrize("value", [0.0, 1 - 2**-24])
def test_the_ends_of_the_interval_pick_possible_tokens(value: float) -> None:
    logits_BV = torch.tensor([[-torch.inf, 0.0, -1.0, -torch.inf]])
    picked = draw(logits_BV, torch.tensor([value]), [1.0], [1.0]).item()
    assert picked == (1 if value == 0 else 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logprobs_are_fp32_log_softmax(dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    logits_NV = torch.randn(150, 77).to(dtype)
    ids_N = torch.randint(0, 77, (150,))
    expected = torch.log_softmax(logits_NV.double(), -1).gather(1, ids_N[:, None])[:, 0]
    assert torch.allclose(logprobs_of(logits_NV, ids_N).double(), expected, atol=1e-5)
    assert logprobs_of(logits_NV[:0], ids_N[:0]).shape == (0,)
