"""Spectral merges on 3 × 3 matrices by hand; decompositions against torch's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from moco.errors import ConfigError
from moco.weights import spectral
from tests.weights.test_merge import TOY, made

Rows = Sequence[Sequence[float]]
SPECTRAL = ("tsv_m", "iso_c", "knots")


def on_matrices(method: Any, *given: Rows, kind: str = "matrix") -> Tensor:
    """What a rule on whole tensors makes of matrices."""
    tensors = [torch.tensor(rows, dtype=torch.float32) for rows in given]
    info = replace(
        TOY, shape=tuple(tensors[0].shape), kind=kind, members=TOY.members[: len(given)],
        keys=TOY.keys[: len(given)], stop=tensors[0].numel(),
    )  # fmt: skip
    found: Tensor = method.merge(tensors, info, None)
    return found


def close(found: Tensor, expected: Rows) -> None:
    wanted = torch.tensor(expected, dtype=torch.float32)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def diagonal(*numbers: float) -> list[list[float]]:
    """A diagonal matrix."""
    return torch.diag(torch.tensor(numbers)).tolist()  # type: ignore[no-any-return]


def test_tsv_m_adds_up_directions_at_right_angles() -> None:
    # a third of three directions each: the main one
    found = on_matrices(made("tsv_m"), diagonal(6, 1, 0), diagonal(0, 5, 2), diagonal(0, 0, -4))
    close(found, diagonal(6, 5, -4))
    found = on_matrices(
        made("tsv_m", scale=0.5, density=0.67), diagonal(6, 1, 0), diagonal(0, 0, 8)
    )
    close(found, diagonal(3, 0.5, 4))
    # weights are relative: 3 and 1 become 1.5 and 0.5
    found = on_matrices(made("tsv_m", weights={"a": 3}), diagonal(6, 1, 0), diagonal(0, 5, 2))
    close(found, diagonal(9, 2.5, 0))


def test_tsv_m_turns_directions_apart() -> None:
    # Left directions at 0° and 60°; the nearest orthonormal pair is at -15° and 75°.
    one = [[2.0, 0, 0], [0, 0, 0], [0, 0, 0]]
    two = [[0, 0, 2 * math.cos(math.pi / 3)], [0, 0, 2 * math.sin(math.pi / 3)], [0, 0, 0]]
    cosine, sine = 2 * math.cos(math.pi / 12), 2 * math.sin(math.pi / 12)
    expected = [[cosine, 0, sine], [-sine, 0, cosine], [0, 0, 0]]
    close(on_matrices(made("tsv_m"), one, two), expected)


def test_iso_c_levels_the_sum() -> None:
    close(on_matrices(made("iso_c"), diagonal(3, 0, 0), diagonal(0, 2, 1)), diagonal(2, 2, 2))
    # singular values 4, 1 and 1 of the sum
    one, two = [[0, 4, 0], [0, 0, 0], [0, 0, -1]], [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    close(on_matrices(made("iso_c"), one, two), [[0, 2.0, 0], [2, 0, 0], [0, 0, -2]])
    # the mean is over the directions that there are
    close(on_matrices(made("iso_c"), diagonal(3, 0, 0), diagonal(0, 1, 0)), diagonal(2, 2, 0))
    # a change whose spectrum is level already stays
    level = [[0, 2.0, 0], [0, 0, -2], [2, 0, 0]]
    close(on_matrices(made("iso_c", scale=0.5), level, level), level)


def test_iso_cts_gives_members_directions_of_their_own() -> None:
    one, two = diagonal(5, 3, 0), diagonal(4, -1, 2)
    close(on_matrices(made("iso_c"), one, two), diagonal(13 / 3, 13 / 3, 13 / 3))
    # one common direction (9), then the main one of each outside it (3 and 2)
    found = on_matrices(made("iso_c", common_space=1 / 3), one, two)
    close(found, diagonal(14 / 3, 14 / 3, 14 / 3))
    # without any common one: three directions, one of each of two members
    close(on_matrices(made("iso_c", common_space=0.0), diagonal(4, 0, 0), diagonal(0, 2, 0)),
          diagonal(3, 3, 0))  # fmt: skip


TURN = torch.tensor([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])
RIGHT = (
    torch.tensor([[4.0, 0, 1], [0, 2, 0], [0, 0, 0]]),
    torch.tensor([[2.0, 0, -3], [0, -1, 0], [0, 0, 0]]),
)
"""Side by side their rows are orthogonal, of different lengths: Σ · V of the turned members."""


@pytest.mark.parametrize(
    ("parameters", "merged"),
    [
        ({}, [[3.0, 0, -3], [0, 2, 0], [0, 0, 0]]),
        ({"density": 0.25}, [[4.0, 0, -3], [0, 0, 0], [0, 0, 0]]),  # 1 of 6 entries each
        ({"consensus": False}, [[3.0, 0, -1], [0, 0.5, 0], [0, 0, 0]]),
        ({"weights": {"a": 2}}, [[10 / 3, 0, -3], [0, 2, 0], [0, 0, 0]]),
        ({"scale": 0.5}, [[1.5, 0, -1.5], [0, 1, 0], [0, 0, 0]]),
    ],
)
def test_knots_merges_in_the_common_basis(parameters: dict[str, Any], merged: Rows) -> None:
    members = [(TURN @ right).tolist() for right in RIGHT]
    close(
        on_matrices(made("knots", **parameters), *members), (TURN @ torch.tensor(merged)).tolist()
    )


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize("kind", ["vector", "embedding", "output"])
def test_what_is_no_matrix_is_averaged(name: str, kind: str) -> None:
    method = made(name, weights={"a": 3}, scale=2.0)
    close(on_matrices(method, [[4.0, 0]], [[0, 8.0]], kind=kind), [[6.0, 4.0]])
    with pytest.raises(ConfigError, match="add up to 0"):
        on_matrices(made(name, weights={"a": -1}), [[4.0, 0]], [[0, 8.0]], kind=kind)


@pytest.mark.parametrize("name", SPECTRAL)
def test_members_without_a_change(name: str) -> None:
    zero = torch.zeros(3, 4).tolist()
    assert not on_matrices(made(name), zero, zero).any()
    one = torch.randn(3, 4).tolist()
    assert on_matrices(made(name), one, zero).isfinite().all()


@pytest.mark.parametrize("shape", [(1, 5), (7, 4), (4, 7), (300, 200), (130, 600)])
def test_decomposition_is_torchs_own(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    matrix = torch.randn(shape)
    assert spectral._range(matrix.double()) is None
    found = spectral.svd(matrix)
    expected = torch.linalg.svdvals(matrix.double())
    torch.testing.assert_close(found.s_R, expected, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close((found.u_MR * found.s_R) @ found.v_RN, matrix.double())
    unit = torch.eye(min(shape), dtype=torch.float64)
    torch.testing.assert_close(found.u_MR.T @ found.u_MR, unit)
    torch.testing.assert_close(found.v_RN @ found.v_RN.T, unit)


def test_low_rank_is_found_and_rounding_noise_is_not() -> None:
    torch.manual_seed(2)
    weights = torch.randn(400, 300) * 0.1
    delta = torch.randn(400, 6) @ torch.randn(6, 300)
    noisy = (weights + delta) - weights  # as two checkpoints in float32 give it
    basis = spectral._range(noisy.double())
    assert basis is not None
    assert basis.shape == (400, 32)
    found = spectral.svd(noisy)
    assert len(found.s_R) == 6
    expected = torch.linalg.svdvals(delta.double())[:6]
    torch.testing.assert_close(found.s_R, expected, atol=1e-4, rtol=1e-6)
    torch.testing.assert_close((found.u_MR * found.s_R) @ found.v_RN, delta.double(),
                               atol=1e-5, rtol=1e-4)  # fmt: skip
    assert len(spectral.svd(torch.diag(torch.tensor([1.0, 1e-3, 1e-6]))).s_R) == 2


def test_nearest_orthonormal_matrix() -> None:
    torch.manual_seed(3)
    matrix = torch.randn(6, 3, dtype=torch.float64)
    found = spectral.orthonormal(matrix)
    torch.testing.assert_close(found.T @ found, torch.eye(3, dtype=torch.float64))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    torch.testing.assert_close(found, u @ v)
