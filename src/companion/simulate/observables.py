r"""What a simulation reports, and the network's ingredients in PyTorch.

Notation
--------
=====================  ==================  ===================================================
symbol                 name                meaning (label in the book)
=====================  ==================  ===================================================
:math:`h_l`            ``h``               residual stream after block ``l`` (``eq-lg-model``)
:math:`R_l`            ``norm``            squared norm :math:`\|h_l\|^2`
:math:`\delta_l`       ``delta``           activation imbalance (``eq-lg-delta``)
:math:`f_l`            ``active``          fraction of active units
:math:`g_l`            ``gradient``        :math:`\partial\,\text{readout}/\partial h_l`
:math:`h_l-a^lh_0`     ``difference``      what the blocks have added (``eq-ld-observables``)
=====================  ==================  ===================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = [
    "BACKWARD_RECORDS",
    "LAYER_RECORDS",
    "Propagation",
    "Recorder",
    "check_pairs",
    "cosine",
    "join",
    "log_mean_square",
    "to_numpy",
    "truncate",
]

#: Quantities that a forward run can record at every layer.
LAYER_RECORDS = ("log_norm", "log_difference", "delta", "active", "cosine")

#: Quantities that a backward run can record.
BACKWARD_RECORDS = (
    *LAYER_RECORDS,
    "log_gradient",
    "log_gradient_difference",
    "gradient_cosine",
    "pairing",
    "log_weight_gradient",
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Propagation:
    r"""Log norms of simulated networks, all in float64 and natural logarithms.

    Leading axes are ``(networks,)``, or ``(networks, 2)`` for antithetic pairs; ``k`` counts the
    inputs and ``L`` the blocks.

    Attributes
    ----------
    log_norm : ndarray, shape (..., k)
        :math:`\ln(\|h_L\|^2/n)`; ``-inf`` for a dead network.
    layers : dict of ndarray
        What was recorded: ``log_norm`` and ``cosine`` (between the first two inputs) at
        ``l = 0..L``, shapes (..., L+1, k) and (..., L+1); ``log_difference`` =
        :math:`\ln\|h_l-a^lh_0\|^2-\ln\|h_0\|^2`, shape (..., L+1, k); ``delta`` and ``active`` of
        the pre-activations of blocks ``1..L``, shape (..., L, k), 0 where all of them vanish. A
        backward run adds ``log_gradient`` = :math:`\ln\|g_l\|^2-\ln\|g_L\|^2` and
        ``log_gradient_difference`` = :math:`\ln\|g_l-a^{L-l}g_L\|^2-\ln\|g_L\|^2`, both of shape
        (..., L+1, k), ``gradient_cosine``,
        ``pairing`` = :math:`\langle g_l,h_l\rangle/(\|g_L\|\|h_L\|)` and
        ``log_weight_gradient`` = :math:`\ln\|\partial/\partial W_l\|_F^2-\ln\|g_L\|^2`, shape
        (..., L, k), for matrices of N(0, 1) entries in front of which the scale stands.
    log_output : ndarray, shape (..., k), optional
        :math:`\ln\|y\|^2` of the readout.
    log_tangent : ndarray, shape (..., k), optional
        :math:`\ln(\|Jt\|^2/\|t\|^2)` for an isotropic direction :math:`t`.
    """

    log_norm: Array
    layers: dict[str, Array] = field(default_factory=dict)
    log_output: Array | None = None
    log_tangent: Array | None = None


class Recorder:
    """Collects per-layer quantities of one batch as float64 arrays.

    States are stored divided by ``exp(log_scale / 2)``; the recorder adds the scale back.
    """

    def __init__(self, wanted: Iterable[str], known: tuple[str, ...] = LAYER_RECORDS) -> None:
        self.wanted = tuple(wanted)
        for name in self.wanted:
            if name not in known:
                raise ValueError(f"record must be drawn from {known}, got {name!r}.")
        self._rows: dict[str, list[torch.Tensor]] = {name: [] for name in self.wanted}

    def add(self, name: str, value: torch.Tensor) -> None:
        """Append the value of one layer."""
        self._rows.setdefault(name, []).append(value.detach().to(torch.float64))

    def stream(self, h: torch.Tensor, log_scale: torch.Tensor) -> None:
        """Record what concerns the stream itself; ``h`` has shape (..., k, n)."""
        if "log_norm" in self.wanted:
            self.add("log_norm", log_mean_square(h, log_scale))
        if "cosine" in self.wanted:
            self.add("cosine", cosine(h[..., 0, :], h[..., 1, :]))

    def preactivation(self, u: torch.Tensor) -> None:
        """Record what concerns the argument of the activation."""
        if "delta" in self.wanted:
            squares = u * u
            signed = torch.where(u > 0, squares, -squares).sum(-1)
            total = squares.sum(-1)
            self.add("delta", torch.where(total > 0, signed / total, 0.0))
        if "active" in self.wanted:
            self.add("active", (u > 0).sum(-1).to(torch.float64) / u.shape[-1])

    def gradient(self, g: torch.Tensor, log_scale: torch.Tensor, top: torch.Tensor) -> None:
        """Record what concerns the gradient ``g`` of a layer; ``top`` is the log at the top."""
        if "log_gradient" in self.wanted:
            self.add("log_gradient", log_mean_square(g, log_scale) - top)
        if "gradient_cosine" in self.wanted:
            self.add("gradient_cosine", cosine(g[..., 0, :], g[..., 1, :]))

    def pairing(self, g: torch.Tensor, h: torch.Tensor, log_size: torch.Tensor) -> None:
        """Record the mean product of ``g`` and ``h`` times ``exp(log_size / 2)``; 0 if dead."""
        if "pairing" in self.wanted:
            product = (g.to(torch.float64) * h.to(torch.float64)).mean(-1)
            scaled = product * torch.exp(log_size / 2)
            self.add("pairing", torch.where(product != 0, scaled, 0.0))

    def collect(self, *, reverse: tuple[str, ...] = ()) -> dict[str, Array]:
        """Stack the layers; ``reverse`` names what was recorded from the top down."""
        out = {}
        for name, rows in self._rows.items():
            if not rows:
                continue
            axis = rows[0].ndim if name in ("cosine", "gradient_cosine") else rows[0].ndim - 1
            ordered = rows[::-1] if name in reverse else rows
            out[name] = torch.stack(ordered, dim=axis).cpu().numpy()
        return out


def log_mean_square(h: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
    """``ln(|h|^2 / n)`` over the last axis, in float64, with the log scale added."""
    return torch.log(h.square().mean(-1).to(torch.float64)) + log_scale


def cosine(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cosine over the last axis; zero vectors give 0."""
    product = (x * y).sum(-1)
    size = torch.sqrt(x.square().sum(-1)) * torch.sqrt(y.square().sum(-1))
    return torch.where(size > 0, product / torch.clamp(size, min=torch.finfo(x.dtype).tiny), 0.0)


def check_pairs(names: tuple[str, ...], k: int, known: tuple[str, ...]) -> None:
    """Check the names of records, and that cosines have two inputs to compare."""
    Recorder(names, known)
    if k < 2 and {"cosine", "gradient_cosine"} & set(names):
        raise ValueError(
            f"record={names!r} holds a cosine, which needs at least two inputs; pass inputs of "
            "shape (2, d)."
        )


def truncate(run: Propagation, keep: slice, *, mirror: int | None = None) -> Propagation:
    """First networks of a run; ``mirror`` selects one entry of the antithetic axis."""

    def cut(value: Array) -> Array:
        return value[keep] if mirror is None else value[keep, mirror]

    return Propagation(
        cut(run.log_norm),
        {name: cut(rows) for name, rows in run.layers.items()},
        None if run.log_output is None else cut(run.log_output),
        None if run.log_tangent is None else cut(run.log_tangent),
    )


def join(parts: list[Propagation]) -> Propagation:
    """Runs of consecutive blocks as one."""

    def joined(arrays: list[Array | None]) -> Array | None:
        present = [a for a in arrays if a is not None]
        return np.concatenate(present) if present else None

    return Propagation(
        np.concatenate([p.log_norm for p in parts]),
        {name: np.concatenate([p.layers[name] for p in parts]) for name in parts[0].layers},
        joined([p.log_output for p in parts]),
        joined([p.log_tangent for p in parts]),
    )


def to_numpy(value: torch.Tensor) -> Array:
    """Detached float64 array on the host."""
    return np.asarray(value.detach().to(torch.float64).cpu().numpy())
