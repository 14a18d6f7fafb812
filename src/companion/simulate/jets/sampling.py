r"""Orders and first kinks of random networks, one row per network.

Notation
--------
===========================================  =====================  ========================
symbol                                       name                   book label
===========================================  =====================  ========================
:math:`E_k`                                  ``Orders.energies``    ``thm-re-energy``
:math:`\|h_L\|^2/\|h_0\|^2`                  ``Orders.total``       ``thm-re-energy``
:math:`\|h_L-\sum_{k\le K}s^kh^{(k)}\|^2`    ``Orders.remainder``   ``eq-re-remainder``
:math:`\|Jv\|^2/\|v\|^2` and its orders      ``tangent=True``       ``eq-re-jacobian-energy``
:math:`s_*`                                  `sample_kinks`         ``prop-re-kink``
===========================================  =====================  ========================

Means and errors are for the caller to take (`companion.montecarlo.Estimate`): rows are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from companion._validation import choice
from companion.architecture import ResNetSpec
from companion.simulate.jets import series
from companion.simulate.jets.draws import Drawn, draw
from companion.simulate.jets.kinks import first_kink
from companion.simulate.jets.transport import paths, taylor
from companion.simulate.jets.unexpanded import forward, push_forward

__all__ = ["Orders", "sample_kinks", "sample_orders"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Orders:
    """Squared lengths in units of that of order 0, averaged over the samples of each network.

    Attributes
    ----------
    gram : ndarray, shape (networks, K + 1, K + 1)
        Inner products of the terms ``s^j h^(j)`` and ``s^k h^(k)``.
    total : ndarray, shape (networks,)
        Of the network's output (with tangents: of the transported direction).
    remainder : ndarray, shape (networks, K + 1)
        Of the output minus the partial sum up to each order.
    """

    gram: Array
    total: Array
    remainder: Array

    @property
    def energies(self) -> Array:
        """Squared lengths of the terms, shape (networks, K + 1)."""
        return np.asarray(np.diagonal(self.gram, axis1=1, axis2=2))


def sample_orders(
    spec: ResNetSpec,
    networks: int,
    order: int,
    *,
    seed: int | np.random.SeedSequence,
    masks: str = "frozen",
    tangent: bool = False,
    samples: int = 1,
    start: ArrayLike | None = None,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device = "cpu",
    batch: int = 1,
) -> Orders:
    """Expand random networks at the scales of ``spec``.

    Parameters
    ----------
    spec : ResNetSpec
        As in `companion.simulate.jets.draw`; ``scale`` enters the terms.
    networks, order : int
    masks : str
        ``"frozen"`` for the Taylor expansion, ``"actual"`` for the path decomposition; the same
        for linear activations, and smooth ones know the first only.
    tangent : bool
        Transport a direction uniform on the sphere in the place of the stream, by the masks of
        the stream: orders of the input-output Jacobian.
    seed, samples, start, dtype, device, batch
        As in `companion.simulate.jets.draw`.

    Returns
    -------
    Orders

    Raises
    ------
    ValueError
        For unknown masks or a network that cannot be expanded so.
    """
    choice(masks, "masks", ("frozen", "actual"))
    parts = []
    for drawn in draw(
        spec, networks, seed=seed, samples=samples, start=start, dtype=dtype, device=device,
        batch=batch,
    ):  # fmt: skip
        parts.append(_measure(drawn, order, masks, tangent))
    return Orders(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _measure(drawn: Drawn, order: int, masks: str, tangent: bool) -> tuple[Array, Array, Array]:
    tower, start = drawn.tower, drawn.start
    probe: Any = drawn.direction if tangent else None
    if masks == "actual":
        jet = paths(tower, start, order, 1.0, tangent=probe)
    else:
        jet = taylor(tower, start, order, tangent=probe)
    if tangent:
        output = push_forward(tower, start, probe, 1.0)
    else:
        output = forward(tower, start, [1.0])[0] if jet.stream is None else jet.stream
    first = jet.coefficients[0]
    size = (first**2).sum(-1)
    gaps = output - jet.partial_sums()
    return (
        jet.gram().mean(-1).transpose(2, 0, 1),
        ((output**2).sum(-1) / size).mean(-1),
        ((gaps**2).sum(-1) / size).mean(-1).T,
    )


def sample_kinks(
    spec: ResNetSpec,
    networks: int,
    *,
    seed: int | np.random.SeedSequence,
    limit: float = 1.0,
    samples: int = 1,
    start: ArrayLike | None = None,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device = "cpu",
    batch: int = 1,
) -> Array:
    """First kinks of random networks, in units of the scale of ``spec``.

    With scale 1 in ``spec`` they are values of ``s``. Parameters are those of
    `companion.simulate.jets.first_kink` and `companion.simulate.jets.draw`.

    Returns
    -------
    Array of shape (networks, samples).
    """
    if not series.piecewise_linear(spec.activation):
        raise ValueError(f"activation must be ReLU or leaky ReLU to have kinks, got {spec!r}")
    return np.concatenate(
        [
            first_kink(drawn.tower, drawn.start, limit)
            for drawn in draw(
                spec, networks, seed=seed, samples=samples, start=start, dtype=dtype,
                device=device, batch=batch,
            )
        ]
    )  # fmt: skip
