r"""Gaussian matrices known only through the products that were formed with them.

Given :math:`X=QR` with orthonormal columns, :math:`WX=\Gamma R` with :math:`\Gamma` fresh standard
normal, and, given everything seen so far,

.. math:: W\overset{d}{=}\Gamma Q^\top+\tilde W(I-QQ^\top),

with an independent copy :math:`\tilde W` (``lem-lg-conditioning`` in the book).

Notation
--------
=====================  =================  ====================================================
symbol                 name               meaning (label in the book)
=====================  =================  ====================================================
:math:`Q,R`            ``q``, ``r``       thin QR factors of the features (``lem-lg-conditioning``)
:math:`\Gamma`         ``gamma``          image :math:`WQ`, standard normal
:math:`\Xi`            ``xi``             fresh normals of the transposed product
=====================  =================  ====================================================
"""

from __future__ import annotations

import torch

from companion.simulate.blocks import Noise

__all__ = ["ConditionedGaussian", "combine", "orthonormalize", "transfer"]


class ConditionedGaussian:
    r"""A matrix of independent N(0, 1) entries, known only through its products.

    ``apply`` reveals :math:`WX=\Gamma R`; a later ``apply_transpose`` draws :math:`W^\top H` from
    its exact conditional law. Vectors are rows of arrays of shape ``(b, p, k, n)``: ``b``
    networks, ``p`` mirror images, ``k`` columns of :math:`X`.
    """

    def __init__(self, noise: Noise, signs: torch.Tensor | None = None) -> None:
        self._noise, self._signs = noise, signs

    def apply(
        self, x: torch.Tensor, rows: int, *, factor: float = 1.0, keep: bool = False
    ) -> torch.Tensor:
        """Sample ``factor * W x``; ``keep`` stores what a transposed product will need."""
        b, p, k, _ = x.shape
        if k == 1 and not keep:
            r = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return self._mirrored(self._noise.normal(b, 1, 1, rows), p).mul_(r.mul_(factor))
        q, r = orthonormalize(x)
        gamma = self._mirrored(self._noise.normal(b, 1, k, rows), p)
        if keep:
            self.q, self.gamma = q, gamma
        r = r * factor
        return gamma * r if k == 1 else combine(gamma, r)

    def apply_transpose(self, h: torch.Tensor, *, factor: float = 1.0) -> torch.Tensor:
        r"""Sample ``factor`` times :math:`W^\top h=Q\Gamma^\top h+(I-QQ^\top)\Xi R_h`.

        The law is conditional on everything that `apply` has revealed.
        """
        b, p, k, _ = h.shape
        q, gamma = self.q, self.gamma
        xi = self._noise.normal(b, p, k, q.shape[-1])
        if k == 1:
            r = torch.linalg.vector_norm(h, dim=-1, keepdim=True).mul_(factor)
            along = torch.linalg.vecdot(gamma, h)[..., None].mul_(factor)
            seen = torch.linalg.vecdot(q, xi)[..., None]
            return xi.mul_(r).addcmul_(q, along - r * seen)
        _, r = orthonormalize(h)
        fresh = combine(xi - transfer(q, q, xi), r)
        return fresh.add_(transfer(q, gamma, h)).mul_(factor)

    def _mirrored(self, gamma: torch.Tensor, p: int) -> torch.Tensor:
        return gamma if p == 1 or self._signs is None else gamma * self._signs


def orthonormalize(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Thin QR of the ``k`` rows of ``x``, shape (..., k, n), safe for dependent rows.

    Two-pass Gram-Schmidt. A row that lies in the span of its predecessors, to about ten rounding
    errors of its norm, gets a zero vector and a zero diagonal, so the noise that would multiply
    it never acts. (Cholesky of the Gram matrix would square the condition number and fail here.)

    Returns
    -------
    q : tensor, shape (..., k, n)
        Orthonormal or zero rows.
    r : tensor, shape (..., k, k)
        Upper triangular, ``x[j] = sum_i r[i, j] q[i]``.
    """
    k = x.shape[-2]
    floor = 10 * torch.finfo(x.dtype).eps
    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    if k == 1:
        return x / torch.where(size > 0, size, 1.0), size
    q = torch.zeros_like(x)
    r = x.new_zeros((*x.shape[:-2], k, k))
    for j in range(k):
        rest = x[..., j, :].clone()
        for _ in range(2):
            for i in range(j):
                part = torch.linalg.vecdot(q[..., i, :], rest)
                r[..., i, j] += part
                rest -= part[..., None] * q[..., i, :]
        length = torch.linalg.vector_norm(rest, dim=-1)
        length = torch.where(length > floor * size[..., j, 0], length, 0.0)
        r[..., j, j] = length
        q[..., j, :] = torch.where(
            length[..., None] > 0, rest / torch.where(length > 0, length, 1.0)[..., None], 0.0
        )
    return q, r


def combine(vectors: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """Rows ``sum_i r[i, j] vectors[i]``, written out so that no batch size changes the bits."""
    k = r.shape[-1]
    out = r[..., 0, :, None] * vectors[..., 0:1, :]
    for i in range(1, k):
        out.addcmul_(r[..., i, :, None], vectors[..., i : i + 1, :])
    return out


def transfer(q: torch.Tensor, gamma: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Rows ``sum_i q[i] <gamma[i], h[j]>``: a projection when ``gamma`` is ``q``."""
    out = h.new_zeros((*h.shape[:-1], q.shape[-1]))
    for i in range(q.shape[-2]):
        weight = torch.linalg.vecdot(gamma[..., i : i + 1, :], h)
        out.addcmul_(weight[..., None], q[..., i : i + 1, :])
    return out
