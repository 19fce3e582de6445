"""Merge rules by hand, entry by entry; defences against a spoilt member."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from moco.access import Access, ModelFacts
from moco.types import Sampling
from moco.weights import ops
from tests.weights.gathering import gather, parts, rule
from tests.weights.test_merge import TOY, difference, engine, made, on_rows


def values(*numbers: float) -> list[float]:
    """Numbers as `on_rows` rounds them."""
    return [round(x, 6) for x in numbers]


def test_slerp_by_hand() -> None:
    # at right angles, a third of the way: sin 60° of the first, sin 30° of the second
    assert on_rows(made("slerp", t=1 / 3), [2, 0], [0, 4]) == values(3**0.5, 2)
    assert on_rows(made("slerp"), [1, 0], [0, 1]) == values(0.5**0.5, 0.5**0.5)
    assert on_rows(made("slerp", t=0.25), [1, 1], [2, 2]) == [1.25, 1.25]  # collinear: linear
    assert on_rows(made("slerp", t=0.25), [1, 1], [-2, -2]) == [0.25, 0.25]
    assert on_rows(made("slerp", t=0.25), [0, 0], [2, 4]) == [0.5, 1]
    assert on_rows(made("slerp", t=0.3), [1, 2, 0], [0, 1, 5]) == on_rows(
        made("slerp", t=0.7), [0, 1, 5], [1, 2, 0]
    )


def test_ranks_decide_who_is_dropped() -> None:
    rows = torch.tensor([[4, -1, 0.5, 3]])
    # 3/4, 5/12, 1/4 and 7/12 of 65536 are 49152, 27307, 16384 and 38229
    noise = np.array([49151, 27307, 16383, 38229], np.uint16)
    chances = ops.drop_by_rank(rows, noise, 0.25, 0.75)
    assert rows.tolist() == [[4, 0, 0.5, 0]]
    assert (chances * 65536).tolist() == [[49152, 27307, 16384, 38229]]


def test_della_drops_small_entries_of_each_row_and_keeps_expectations() -> None:
    size = 1 << 14
    steps = torch.arange(1, size + 1) / size
    block = torch.stack([steps, steps * 1000])  # ranks count within a row
    info = replace(TOY, shape=(2, size), members=("a",), keys=("A",), stop=2 * size)
    method = made("della", density=0.4, epsilon=0.2)
    found = method.merge([block.clone()], info, None)
    kept = (found != 0).double()
    assert kept.mean(dim=1).tolist() == pytest.approx([0.4, 0.4], abs=0.02)
    assert kept[:, : size // 2].mean(dim=1).tolist() == pytest.approx([0.3, 0.3], abs=0.02)
    assert (found.sum(dim=1) / block.sum(dim=1)).tolist() == pytest.approx([1, 1], abs=0.04)
    chance = 0.2 + 0.4 * (size / 2 - 1) / (size - 1)
    ratio = (found / block)[:, size // 2 - 1]
    assert all(x == 0 or x == pytest.approx(1 / chance, rel=1e-3) for x in ratio.tolist())


def test_della_linear_of_mergekit_keeps_the_sum_of_magnitudes() -> None:
    row = (torch.arange(1000) / 1000).tolist()
    method = made("della", consensus=False, normalize=False, rescale="norm", density=0.3)
    assert sum(on_rows(method, row)) == pytest.approx(sum(row), rel=1e-4)
    both = on_rows(method, row, [-x for x in row])
    assert min(both) < 0 < max(both)  # added up, whatever the signs


def test_della_refuses_probabilities_outside_0_and_1() -> None:
    facts = {"a": ModelFacts(access=Access.WEIGHTS), "b": ModelFacts(access=Access.WEIGHTS)}
    sampling = Sampling()
    assert not made("della", density=0.5, epsilon=0.3).problems(facts, sampling)
    assert not made("della", density=1.0, epsilon=0.3).problems(facts, sampling)
    for wrong in ({"density": 0.1}, {"density": {"b": 0.9}}, {"epsilon": -0.1}):
        found = made("della", **wrong).problems(facts, sampling)
        assert [p.where for p in found] == ["method.epsilon"]
    per_member = {"density": {"a": 0.1, "b": 0.5}, "epsilon": {"a": 0.05, "b": 0.4}}
    assert not made("della", **per_member).problems(facts, sampling)


def test_breadcrumbs_by_hand() -> None:
    row = [10, -4, 3, 2, 1, 0.5, 0.2, -0.1]
    found = on_rows(made("breadcrumbs", density=0.25, gamma=0.125), row)
    assert found == [0, -1.6, 1.2, 0, 0, 0, 0, 0]  # 10 is an outlier, the next two stay, times 0.4
    plain = {"scale": 1.0, "gamma": 0.5}
    assert on_rows(made("breadcrumbs", density=0.9, **plain), row) == values(0, *row[1:])
    assert on_rows(made("breadcrumbs", density=0.0, **plain), row) == [0] * 8
    other = [1, 2, -1, -3, 0.1, 0.1, 0.1, 0.1]
    both = {"density": 0.25, "gamma": 0.125, "scale": 1.0}
    # of the other, -3 is the outlier; 2 and the first 1 stay
    assert on_rows(made("breadcrumbs", **both), row, other)[:4] == [1, -2, 3, 0]
    assert on_rows(made("breadcrumbs", consensus=True, **both), row, other)[:4] == [1, -4, 3, 0]


def test_model_stock_by_hand() -> None:
    # cosine 9 / (3 · 5); t = 2 · 0.6 / 1.6
    assert on_rows(made("model_stock"), [3, 0], [3, 4]) == [2.25, 1.5]
    assert on_rows(made("model_stock"), [3, 4]) == [3, 4]  # one member is its own mean
    assert on_rows(made("model_stock"), [1, 0], [-1, 0]) == [0, 0]
    assert on_rows(made("model_stock"), [0, 0], [1, 0]) == [0, 0]
    # three members: cosines 1, 0 and 0; t = 3 · (1/3) / (1 + 2/3)
    assert on_rows(made("model_stock"), [1, 0], [2, 0], [0, 3]) == [0.6, 0.6]


def test_model_stock_by_rows() -> None:
    one, two = torch.tensor([[3.0, 0], [1, 0]]), torch.tensor([[3.0, 4], [0, 1]])
    method = made("model_stock", filter_wise=True)
    info = replace(TOY, shape=(2, 2), members=("a", "b"), keys=("A", "B"), stop=4)
    facts = method.survey(engine.Blocks([(0, 4)], lambda *_: ([one, two], None)), info)
    found = method.merge([one, two], info, facts)
    torch.testing.assert_close(found, torch.tensor([[2.25, 1.5], [0, 0]]))


class Largest(TorchDispatchMode):
    """Notes the size in bytes of the largest tensor that is made."""

    size = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor):
            self.size = max(self.size, found.nbytes)
        return found


@pytest.mark.parametrize("shape", [(1, 1 << 16), (64, 1 << 10)])
def test_inner_products_are_exact_without_large_copies(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(shape) for _ in range(12)]
    info = replace(TOY, shape=shape, members=tuple("abcdefghijkl"))
    with Largest() as made_here:
        found = ops.gram([tensors] * 2)
        made("model_stock", filter_wise=True).merge(tensors, info, None)
    assert made_here.size <= 2 * tensors[0].nbytes
    flat = torch.stack(tensors).double().reshape(12, -1)
    np.testing.assert_allclose(found, 2 * (flat @ flat.T).numpy(), rtol=1e-12, atol=1e-9)


def test_sce_by_hand() -> None:
    assert on_rows(made("sce", select_topk=0.5), [3, 4]) == [3, 4]
    one, two = [4, -1, 1], [2, 3, 1]
    # energies 18 and 14; the signs of the sums 6, 2 and 2
    assert on_rows(made("sce"), one, two) == [3.125, 3, 1]
    # variances 1, 4 and 0: of the two that vary the larger stays
    assert on_rows(made("sce", select_topk=0.5), one, two) == [0, 3, 0]
    # energies of what stays are 1 and 9; with the sum negative only the first counts
    assert on_rows(made("sce", select_topk=0.5), [4, -5, 1], [2, 3, 1]) == [0, -5, 0]
    assert on_rows(made("sce", select_topk=0.4), one, two) == [0, 0, 0]
    assert on_rows(made("sce", least_energy=11.0), one, two) == [3, 3, 1]
    assert on_rows(made("sce"), [0, 0], [0, 0]) == [0, 0]


def test_karcher_by_hand() -> None:
    third = 3**-0.5
    assert on_rows(made("karcher"), [1, 0, 0], [0, 1, 0], [0, 0, 1]) == values(*[third] * 3)
    # two directions at right angles: half-way, at the mean length 3
    assert on_rows(made("karcher"), [2, 0], [0, 4]) == values(3 * 0.5**0.5, 3 * 0.5**0.5)
    found = on_rows(made("karcher", weights={"a": 3}), [1, 0], [0, 1])
    assert found == values(np.cos(np.pi / 8), np.sin(np.pi / 8))  # a quarter of the arc
    assert on_rows(made("karcher"), [3, 4], [0, 0]) == [1.5, 2]
    assert on_rows(made("karcher"), [0, 0], [0, 0]) == [0, 0]
    assert on_rows(made("karcher"), [3, 4], [-3, -4]) == [3, 4]  # no mean: the first direction


def test_karcher_is_where_the_pulls_cancel() -> None:
    torch.manual_seed(0)
    rows = torch.randn(4, 50, dtype=torch.float64) + 0.5
    method = made("karcher", max_iter=100, tol=1e-7, weights={"a": 2})
    info = replace(TOY, shape=(50,), members=tuple("abcd"), keys=tuple("ABCD"), stop=50)
    blocks = engine.Blocks([(0, 50)], lambda *_: (list(rows), None))
    mean = torch.tensor(method.survey(blocks, info), dtype=torch.float64) @ rows
    units, mean = rows / rows.norm(dim=1, keepdim=True), mean / mean.norm()
    dots = units @ mean
    pulls = (dots.acos() / dots.acos().sin())[:, None] * (units - dots[:, None] * mean)
    weights = torch.tensor([2.0, 1, 1, 1], dtype=torch.float64) / 5
    assert float((weights @ pulls).norm()) < 1e-6


def test_middle_values_by_hand() -> None:
    rows = [[1, 9, 3], [2, 2, 100], [3, 4, 5], [-50, 3, 4]]
    assert on_rows(made("trimmed_mean"), *rows) == [1.5, 3.5, 4.5]
    assert on_rows(made("trimmed_mean", bad=0), *rows) == [-11, 4.5, 28]
    assert on_rows(made("median"), *rows) == [1.5, 3.5, 4.5]
    assert on_rows(made("median"), *rows[:3]) == [2, 4, 5]
    five = torch.randn(5, 40)
    middle = torch.tensor(on_rows(made("median"), *five.tolist()))
    torch.testing.assert_close(middle, five.median(dim=0).values, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (0, 5.1),
        (1, 3.375),  # scores of two neighbours: 7.25, 3.25, 8.5, 60.25 and 94.25
        (2, 3.5 / 3),  # scores of one neighbour: 1, 1, 2.25, 4 and 4
    ],
)
def test_multi_krum_by_hand(bad: int, expected: float) -> None:
    tensors = [torch.tensor([[x, 7.0]]) for x in (0.0, 1.0, 2.5, 10.0, 12.0)]
    method = made("multi_krum", bad=bad)
    info = replace(TOY, shape=(1, 2), members=tuple("abcde"), keys=tuple("ABCDE"), stop=2)
    cut = [[t[:, :1] for t in tensors], [t[:, 1:] for t in tensors]]
    info = replace(info, overall=method.study((info, part) for part in cut))
    found = method.merge(tensors, info, None)
    torch.testing.assert_close(found, torch.tensor([[expected, 7.0]]))


@pytest.fixture(scope="module")
def spoilt(
    model_dir: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Path], dict[str, Tensor]]:
    """Four siblings and, in the midst of them, one that is full of noise; and the four's mean."""
    base, root = model_dir("llama"), tmp_path_factory.mktemp("spoilt")
    torch.manual_seed(0)
    folders, good = [], []
    for name, noise in zip("abcde", (0.01, 0.01, 5.0, 0.01, 0.01), strict=True):
        state = {
            key: tensor + noise * torch.randn_like(tensor)
            for key, tensor in load_file(base / "model.safetensors").items()
        }
        shutil.copytree(base, root / name)
        save_file(state, root / name / "model.safetensors", {"format": "pt"})
        folders.append(root / name)
        good += [state] if noise < 1 else []
    mean = {key: torch.stack([state[key] for state in good]).mean(dim=0) for key in good[0]}
    return folders, mean


@pytest.mark.parametrize("name", ["trimmed_mean", "median", "multi_krum"])
def test_a_spoilt_member_does_not_spoil_the_merge(
    name: str, spoilt: tuple[list[Path], dict[str, Tensor]]
) -> None:
    folders, mean = spoilt
    assert difference(gather(rule(made("linear"), folders)), mean) > 1
    assert difference(gather(rule(made(name), folders)), mean) < 0.04
    three = [*folders[:2], folders[2]]
    assert difference(gather(rule(made("linear"), three)), mean) > 1
    assert difference(gather(rule(made(name), three)), mean) < 0.06


def test_defences_ask_for_more_good_members_than_bad_ones() -> None:
    for name in ("trimmed_mean", "multi_krum"):
        assert made(name).needs().min_models == 3
        assert made(name, bad=3).needs().min_models == 7
        assert made(name, bad=0).needs().min_models == 2


def test_slerp_depends_on_the_order_of_its_members(model_dir: Callable[..., Path]) -> None:
    one, two = model_dir("llama", 1), model_dir("llama", 2)
    there = gather(rule(made("slerp", t=0.2), [one, two]))
    back = engine.Recipe(made("slerp", t=0.8), tuple(reversed(parts([one, two]))))
    assert difference(there, gather(back)) < 1e-6
    assert difference(there, gather(rule(made("slerp", t=0.8), [one, two]))) > 0.1


def test_ranks_of_equals_follow_their_places() -> None:
    sizes = torch.tensor([[2.0, 0, 2, 1, 2], [0, 0, 0, 1e-40, 0], [3, float("inf"), 1, 1, 5]])
    assert torch.equal(ops._order(sizes), sizes.argsort(dim=1, stable=True))


def test_equal_numbers_do_not_vary() -> None:
    equal = torch.tensor([0.1, -0.7, 3.0, 1e-3]).to(torch.bfloat16).float()
    assert ops.variance([equal] * 3).tolist() == [0.0] * 4
