r"""Kernels of infinitely wide networks: mean kernel of every layer and of the output.

Notation
--------
==================================  ================================  ======================
symbol                              name                              book label
==================================  ================================  ======================
:math:`K^0_{\alpha\beta}`           `input_kernel`                    ``eq-ft-input-kernel``
:math:`K^l_{\alpha\beta}`           `stream_kernels`, `cross_kernels`  ``eq-ft-kernel``
:math:`K^y_{\alpha\beta}`           `output_kernel`, `nngp`           ``eq-ft-output-kernel``
:math:`f(p_1,p_2,q)`                moment of an activation           ``eq-pair-moment``
:math:`F`                           `Branch.moment`                   ``eq-ft-branch``
:math:`F'`                          `Branch.slope`                    ``eq-ft-branch``
==================================  ================================  ======================

:math:`K^{l}=a^2K^{l-1}+s_l^2F(K^{l-1})` entry by entry, where :math:`F` of a pair of inputs needs
the two variances and the covariance. The variances are walked first, for all inputs; then blocks
of pairs of a size that stays in the cache go through all layers, each pair once. Kernels of
piecewise linear activations grow or shrink exponentially with depth: they are kept in the unit
:math:`e^{u_l}` of the largest variance of their layer.

Source of the recursion: standard (the limit of large width), derived in the book.
"""

from __future__ import annotations

from companion.kernels.branch import Branch
from companion.kernels.gram import (
    StreamKernels,
    cross_kernels,
    input_kernel,
    nngp,
    output_kernel,
    stream_kernels,
    symmetric_gram,
)
from companion.kernels.walk import StreamVariances, pair_layers, stream_variances

__all__ = [
    "Branch",
    "StreamKernels",
    "StreamVariances",
    "cross_kernels",
    "input_kernel",
    "nngp",
    "output_kernel",
    "pair_layers",
    "stream_kernels",
    "stream_variances",
    "symmetric_gram",
]
