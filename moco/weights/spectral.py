"""Thin singular value decompositions for merges, in float64; matrices of low rank, such as the
deltas of adapters, take a fraction of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CUT = 1e-5
"""Directions whose singular value is a smaller share of the largest are the rounding noise of a
float32 difference, and left out.
"""
SKETCHES = (32, 128, 512)
"""Ranks that are tried before a matrix is taken for one of full rank."""


@dataclass(frozen=True, slots=True)
class Svd:
    """U · diag(s) · V of a matrix [M, N], over the directions that it has."""

    u_MR: Tensor
    s_R: Tensor
    v_RN: Tensor

    def top(self, count: int) -> Svd:
        """The directions with the largest singular values."""
        return Svd(self.u_MR[:, :count], self.s_R[:count], self.v_RN[:count])


def svd(matrix: Tensor) -> Svd:
    """The decomposition, singular values in descending order; none for a matrix of zeros."""
    a_MN = matrix.to(torch.float64)
    if not bool(a_MN.any()):
        rows, columns = a_MN.shape
        return Svd(a_MN.new_zeros(rows, 0), a_MN.new_zeros(0), a_MN.new_zeros(0, columns))
    basis_MK = _range(a_MN)
    if basis_MK is None:
        return _full(a_MN)
    inner = _full(basis_MK.T @ a_MN)
    return Svd(basis_MK @ inner.u_MR, inner.s_R, inner.v_RN)


def orthonormal(matrix: Tensor) -> Tensor:
    """The matrix nearest to it whose singular values are all 1 (orthogonal Procrustes)."""
    found = svd(matrix)
    return found.u_MR @ found.v_RN


def _full(a_MN: Tensor) -> Svd:
    """By the eigenvectors of the smaller of the two Gram matrices: in float64 as exact as `CUT`
    asks for, and several times as fast as a decomposition of the matrix itself.
    """
    if a_MN.shape[0] > a_MN.shape[1]:
        turned = _full(a_MN.T)
        return Svd(turned.v_RN.T, turned.s_R, turned.u_MR.T)
    squares_M, u_MM = torch.linalg.eigh(a_MN @ a_MN.T)
    s_M = squares_M.clamp(min=0).sqrt()
    kept = torch.nonzero(s_M > CUT * s_M[-1]).flip(0).reshape(-1)
    u_MR, s_R = u_MM[:, kept], s_M[kept]
    return Svd(u_MR, s_R, (u_MR.T @ a_MN) / s_R[:, None])


def _range(a_MN: Tensor) -> Tensor | None:
    """Orthonormal columns that span those of a matrix of low rank; None where its rank is not far
    below the full one.
    """
    total = a_MN.square().sum()
    for count in SKETCHES:
        if 4 * count > min(a_MN.shape):
            return None
        drawn = torch.Generator().manual_seed(count)
        mixed = torch.randn(a_MN.shape[1], count, dtype=a_MN.dtype, generator=drawn)
        basis_MK: Tensor = torch.linalg.qr(a_MN @ mixed.to(a_MN.device)).Q
        left = total - (basis_MK.T @ a_MN).square().sum()
        if left <= CUT**2 * total / count:  # below the cut, as the largest square is total / rank
            return basis_MK
    return None
