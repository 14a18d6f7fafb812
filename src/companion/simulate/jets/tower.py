r"""Residual blocks given by their weights.

Notation
--------
====================  ======================  ===============
symbol                name                    book label
====================  ======================  ===============
:math:`V_l,\ W_l`     ``outer, inner``        ``eq-re-block``
:math:`s_l=s\omega_l`  ``relative_scales``    ``eq-re-model``
:math:`h_0`           ``start``               ``eq-re-model``
====================  ======================  ===============

:math:`F_l(h)=V_l\phi(W_lh+b_l)+b'_l`, or :math:`V_l\phi(h)+b'_l` for a single matrix per block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from companion.activations import Activation, as_activation

__all__ = ["Layer", "Tower", "floating", "streams", "tangents"]


class Layer(NamedTuple):
    """Weights of one block in float64, ready for rows: ``rows @ outer`` (so, transposed).

    ``outer`` and its bias carry the relative scale of the block.
    """

    outer: torch.Tensor
    inner: torch.Tensor | None
    outer_bias: torch.Tensor | None
    inner_bias: torch.Tensor | None


@dataclass(frozen=True, eq=False)
class Tower:
    r"""The blocks of one network, or of many networks side by side.

    Parameters
    ----------
    outer
        Matrices :math:`V_l`, shape ``(L, n, m)`` for one network or ``(L, N, n, m)`` for ``N``;
        arrays or tensors of any floating type.
    inner
        Matrices :math:`W_l`, shape ``(L, m, n)`` or ``(L, N, m, n)``; without it the activation
        acts on the stream itself, and ``m = n``.
    activation
        An activation or its name, with `SiLU` and `GELU` of this package beside those of
        `companion.activations`.
    relative_scales
        :math:`\omega_l`: a number, or shape ``(L,)``, or ``(L, N)``. With :math:`L^{-1/2}` the
        variable of the expansion is the reduced scale :math:`\hat s=s\sqrt L`, in which the
        coefficients keep to a few decades.
    outer_bias, inner_bias
        Shape ``(L, n)`` and ``(L, m)``, or with ``N`` after the ``L``.

    Raises
    ------
    ValueError
        If shapes do not fit together, or a weight is not finite.
    """

    outer: Any
    inner: Any = None
    activation: Activation | str = "relu"
    relative_scales: Any = 1.0
    outer_bias: Any = None
    inner_bias: Any = None
    stacked: bool = field(init=False, default=False)  # whether the axis N was given

    def __post_init__(self) -> None:
        self._set("activation", as_activation(self.activation))
        outer = floating(self.outer, "outer")
        if outer.ndim not in (3, 4) or not outer.numel():
            raise ValueError(
                f"outer must have shape (L, n, m) or (L, N, n, m), got {tuple(outer.shape)}; put "
                "the depth first"
            )
        self._set("stacked", outer.ndim == 4)
        outer = outer if self.stacked else outer[:, None]
        depth, networks, n, m = outer.shape
        self._set("outer", outer)
        shapes = {
            "inner": (depth, networks, m, n),
            "outer_bias": (depth, networks, n),
            "inner_bias": (depth, networks, m),
        }
        for name, shape in shapes.items():
            self._set(name, self._part(name, shape))
        if self.inner is None and (n != m or self.inner_bias is not None):
            raise ValueError(
                f"inner must be given for outer of shape {tuple(outer.shape[2:])} or with "
                "inner_bias; without it outer is square and acts on phi(h)"
            )
        self._set("relative_scales", self._scales())

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _part(self, name: str, shape: tuple[int, ...]) -> torch.Tensor | None:
        given = getattr(self, name)
        if given is None:
            return None
        found = floating(given, name)
        found = found if self.stacked else found[:, None]
        if found.shape != shape or found.device != self.outer.device:
            wanted = shape if self.stacked else (shape[0], *shape[2:])
            raise ValueError(
                f"{name} must have shape {wanted} on {self.outer.device} to fit outer, got "
                f"{tuple(np.shape(given))} on {found.device}; rows are outputs, columns inputs"
            )
        return found

    def _scales(self) -> torch.Tensor:
        found = floating(self.relative_scales, "relative_scales").double().to(self.outer.device)
        depth, networks = self.depth, self.networks
        if found.shape not in ((), (depth,), (depth, networks)):
            raise ValueError(
                f"relative_scales must be a number or have shape ({depth},) or "
                f"({depth}, {networks}), got {tuple(found.shape)}"
            )
        column = found[:, None] if found.ndim == 1 else found
        return column.expand(depth, networks)

    @property
    def phi(self) -> Activation:
        """The activation as an object."""
        return as_activation(self.activation)

    @property
    def depth(self) -> int:
        """Number of blocks ``L``."""
        return int(self.outer.shape[0])

    @property
    def networks(self) -> int:
        """Number of networks ``N``; 1 for matrices without that axis."""
        return int(self.outer.shape[1])

    @property
    def width(self) -> int:
        """Coordinates of the stream ``n``."""
        return int(self.outer.shape[2])

    def scaled(self, factor: ArrayLike) -> Tower:
        """The same blocks with relative scales times ``factor``: a number, or shape ``(N,)``."""
        times = floating(factor, "factor").double().to(self.outer.device)
        return self._with(relative_scales=self.relative_scales * times)

    def as_stack(self) -> Tower:
        """The same networks, with the axis ``N`` in every result."""
        return self._with(stacked=True)

    def select(self, networks: Any) -> Tower:
        """The networks with these indices."""
        index = torch.as_tensor(networks, device=self.outer.device)
        parts = ("outer", "inner", "outer_bias", "inner_bias", "relative_scales")
        return self._with(
            **{
                name: None if (part := getattr(self, name)) is None else part[:, index]
                for name in parts
            }
        )

    def _with(self, **changes: Any) -> Tower:
        copy = object.__new__(Tower)  # checked already; a new check would add the axis N
        for part in fields(self):
            object.__setattr__(copy, part.name, changes.get(part.name, getattr(self, part.name)))
        return copy

    def layers(self) -> Iterator[Layer]:
        """The blocks in the order of the stream, converted to float64 one at a time."""
        for index in range(self.depth):
            scale = self.relative_scales[index][:, None, None]
            outer = self.outer[index].double().mT * scale
            inner = None if self.inner is None else self.inner[index].double().mT
            yield Layer(
                outer,
                inner,
                _row(self.outer_bias, index, scale[..., None]),
                _row(self.inner_bias, index, 1.0),
            )


def _row(bias: torch.Tensor | None, index: int, scale: torch.Tensor | float) -> torch.Tensor | None:
    return None if bias is None else bias[index].double()[:, None, None] * scale


def floating(values: Any, name: str) -> torch.Tensor:
    """``values`` as a finite floating tensor; float32 stays, plain numbers become float64."""
    try:
        if not isinstance(values, torch.Tensor):
            array = np.asarray(values)
            # torch takes no negative strides, and warns of what it could write to
            values = array if _as_torch_wants(array) else array.copy()
        found = torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be an array or a tensor, got {type(values)}") from error
    if found.is_complex():
        raise TypeError(f"{name} must be real, got {found.dtype}; pass its real part")
    if not found.is_floating_point():
        found = found.double()
    if not bool(torch.isfinite(found).all()):
        raise ValueError(
            f"{name} must be finite, got NaN or infinity; has a training run diverged?"
        )
    return found


def _as_torch_wants(array: NDArray[Any]) -> bool:
    return bool(array.flags.writeable) and all(stride >= 0 for stride in array.strides)


def streams(tower: Tower, start: Any, name: str = "start") -> torch.Tensor:
    """``start`` as float64 of shape (N, B, n); a missing axis of networks is repeated.

    Raises
    ------
    ValueError
        If the shape is not ``(n,)``, ``(B, n)`` or, for many networks, ``(N, B, n)``.
    """
    rows = floating(start, name).double().to(tower.outer.device)
    shape = tuple(rows.shape)
    rows = rows[None] if rows.ndim == 1 else rows
    rows = rows[None] if rows.ndim == 2 else rows
    known = rows.ndim == 3 and rows.shape[0] in (1, tower.networks) and rows.shape[1] > 0
    if not known or rows.shape[2] != tower.width or (len(shape) == 3 and not tower.stacked):
        many = f" or ({tower.networks}, B, {tower.width})" if tower.stacked else ""
        raise ValueError(
            f"{name} must have shape ({tower.width},), (B, {tower.width}){many}, one row per "
            f"sample, got {shape}"
        )
    return rows.expand(tower.networks, -1, -1)


def tangents(tower: Tower, start: Any, tangent: Any) -> torch.Tensor:
    """``tangent`` as `streams`: a row for each stream, or rows for a single stream.

    Raises
    ------
    ValueError
        If there are several streams and another number of tangents.
    """
    streams_, rows = streams(tower, start), streams(tower, tangent, "tangent")
    if streams_.shape[1] not in (1, rows.shape[1]):
        raise ValueError(
            f"tangent must have one row for each of the {streams_.shape[1]} samples of start, got "
            f"{rows.shape[1]}; give both the same shape"
        )
    return rows
