"""Verdicts from states: what the two heads learn, that a seed gives one result, arrays as JSON."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
import torch

from moco.train import verifier
from moco.train.verifier import Form, Lessons, Verifier

WIDTH = 24


def world(count: int, seed: int, bent: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """States of odd scales, two of which say which way is better: by their sum, or (`bent`) by
    whether they are of one sign, which no line can tell.
    """
    random = np.random.default_rng(seed)
    plain_NW = random.normal(size=(count, WIDTH))
    first_N, second_N = plain_NW[:, 3], plain_NW[:, 7]
    right_N = first_N * second_N > 0 if bent else first_N + second_N > 0
    scale_W = np.exp(np.linspace(-4, 4, WIDTH))
    states_NW = (plain_NW * scale_W + 5 * scale_W).astype(np.float32)
    states_NW[:, 11] = 0.1  # says nothing and does not vary
    return states_NW, right_N


def lessons(count: int, seed: int = 0, bent: bool = False) -> Lessons:
    states_NW, right_N = world(count, seed, bent)
    held_N = verifier.held_out([str(i) for i in range(count)], right_N.tolist())
    assert held_N is not None
    return Lessons(states_NW, right_N, held_N)


def accuracy(arrays: dict[str, np.ndarray], bent: bool = False) -> float:
    states_NW, right_N = world(2000, 99, bent)
    scores = np.array(Verifier.of(arrays).scores(torch.tensor(states_NW)))
    return float(((scores >= 0.5) == right_N).mean())


@pytest.mark.parametrize(
    ("form", "count", "bent", "least"),
    [("linear", 120, False, 0.85), ("mlp", 300, False, 0.85), ("mlp", 1000, True, 0.75)],
)
def test_what_can_be_told_apart_is_learnt_in_seconds(
    form: Form, count: int, bent: bool, least: float
) -> None:
    start = time.perf_counter()
    arrays, notes = verifier.learn(lessons(count, bent=bent), form)
    assert time.perf_counter() - start < 20
    assert accuracy(arrays, bent) > least
    assert notes["accuracy"] > notes["chance"] + 0.15
    assert notes["held"] == pytest.approx(count / 5, abs=1)
    assert all(array.dtype == np.float32 for array in arrays.values())
    assert arrays["scale"][11] == 1


def test_a_line_cannot_tell_what_is_bent_and_noise_teaches_nothing() -> None:
    arrays, _ = verifier.learn(lessons(1000, bent=True), "linear")
    assert accuracy(arrays, bent=True) < 0.6
    noise = lessons(300)
    shuffled = np.random.default_rng(1).permutation(noise.right_N)
    forms: tuple[Form, ...] = ("linear", "mlp")
    for form in forms:
        arrays, notes = verifier.learn(Lessons(noise.states_NW, shuffled, noise.held_N), form)
        assert 0.35 < accuracy(arrays) < 0.65
        assert notes["loss"] > 0.6


def test_few_rows_of_mostly_one_kind_start_at_their_share() -> None:
    """With nothing to go by, the more frequent verdict is given."""
    random = np.random.default_rng(0)
    states_NW = random.normal(size=(40, WIDTH)).astype(np.float32)
    right_N = np.arange(40) % 8 == 0
    held_N = np.arange(40) % 5 == 0
    forms: tuple[Form, ...] = ("linear", "mlp")
    for form in forms:
        arrays, _ = verifier.learn(Lessons(states_NW, right_N, held_N), form)
        others = torch.tensor(random.normal(size=(500, WIDTH)), dtype=torch.float32)
        assert np.mean(np.array(Verifier.of(arrays).scores(others)) < 0.5) > 0.8


def test_same_seed_same_weights_and_no_global_random_state() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, told = verifier.learn(lessons(80), "mlp", seed=3)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(8)
    np.random.seed(8)
    again, same = verifier.learn(lessons(80), "mlp", seed=3)
    assert told == same
    assert all(np.array_equal(first[name], again[name]) for name in first)
    other, _ = verifier.learn(lessons(80), "mlp", seed=4)
    assert not np.array_equal(first["weight0"], other["weight0"])
    plain = [verifier.learn(lessons(80), "linear", seed)[0] for seed in (0, 1)]
    assert np.array_equal(plain[0]["weight0"], plain[1]["weight0"])


def test_the_network_of_the_paper_with_batch_norm_as_a_part_of_its_layers() -> None:
    torch.manual_seed(0)
    net = verifier._built(WIDTH, 0.7)
    kinds = [type(part).__name__ for part in net]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Dropout"] * 3 + ["Linear"]
    sizes = [tuple(part.weight.shape) for part in net if type(part).__name__ == "Linear"]
    assert sizes == [(48, 24), (24, 48), (12, 24), (1, 12)]
    assert {part.p for part in net if type(part).__name__ == "Dropout"} == {0.1}
    states_NW = 3 * torch.randn(64, WIDTH) + 1
    for _ in range(5):
        net(states_NW)  # moves the running means
    net.eval()
    found = Verifier(torch.zeros(WIDTH), torch.ones(WIDTH), verifier._folded(net))
    with torch.no_grad():
        assert torch.allclose(found.outputs(states_NW), net(states_NW)[:, 0], atol=1e-5)


def test_a_score_does_not_depend_on_its_neighbours() -> None:
    arrays, _ = verifier.learn(lessons(60), "mlp")
    states_NW = torch.tensor(world(50, 5)[0])
    found = Verifier.of(arrays)
    alone = [found.scores(row[None])[0] for row in states_NW]
    assert found.scores(states_NW) == pytest.approx(alone, abs=1.1e-4)
    assert all(0 <= p <= 1 and p == round(p, 4) for p in alone)


def test_a_hand_made_verifier() -> None:
    arrays = {
        "mean": [1.0, 0.0], "scale": [2.0, 1.0], "weight0": [[1.0, 0.0], [0.0, -1.0]],
        "bias0": [0.0, 0.5], "weight1": [[2.0, 4.0]], "bias1": [-1.0],
    }  # fmt: skip
    found = Verifier.of({name: np.array(x, np.float32) for name, x in arrays.items()})
    states = torch.tensor([[5.0, 0.0], [-3.0, 3.0]])
    assert found.outputs(states).tolist() == [2 * 2 + 4 * 0.5 - 1, -1]
    assert found.scores(states) == [0.9933, 0.2689]


def test_whole_questions_are_held_out_of_either_kind() -> None:
    groups = [f"q{i // 3}" for i in range(60)]
    right = [i // 3 % 4 == 0 for i in range(60)]  # five questions of one kind, fifteen of the other
    held = verifier.held_out(groups, right)
    assert held is not None
    taken = {g for g, own in zip(groups, held, strict=True) if own}
    assert len(taken) == 4 and held.sum() == 12
    assert sum(int(g[1:]) % 4 == 0 for g in taken) == 1
    assert np.array_equal(held, verifier.held_out(groups, right))
    kept = [r for r, own in zip(right, held, strict=True) if not own]
    assert set(kept) == {False, True}


@pytest.mark.parametrize(
    "right", [[True] * 6, [False] * 6, [True, True, False, False, False, False]]
)
def test_two_questions_of_either_kind_are_needed(right: list[bool]) -> None:
    assert verifier.held_out(["a", "a", "b", "b", "c", "c"], right) is None
    assert verifier.held_out([], []) is None


def test_arrays_pass_through_json() -> None:
    for shape in ((3,), (2, 5), (1, 0)):
        array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        told: Any = json.loads(json.dumps(verifier.packed(array)))
        back = verifier.unpacked(told)
        assert back.shape == shape and np.array_equal(back, array)
