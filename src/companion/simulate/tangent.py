r"""Tangent kernels of networks of finite width, without a Jacobian.

Notation
--------
===========================================  ==================  =================
symbol                                       name                label in the book
===========================================  ==================  =================
:math:`h_l,\ z_l=(2/n)^{1/2}W_lh_{l-1}`      ``Tape``            ``eq-tk-model``
:math:`g_l=\partial f/\partial h_l`          ``Signals.stream``  ``eq-tk-finite``
:math:`q_l=\partial f/\partial z_l`          ``Signals.hidden``  ``eq-tk-finite``
:math:`\hat\Theta(x,x')`                     `EmpiricalTangent`  ``eq-tk-finite``
===========================================  ==================  =================

The gradient of the output with respect to a matrix is an outer product of a signal that came down
and one that went up, so its part of the kernel is, up to the factors in front, the entrywise
product of two Gram matrices,
:math:`\langle g_l,g_l'\rangle\langle\phi_l,\phi_l'\rangle` for the outer matrix and
:math:`\langle q_l,q_l'\rangle\langle h_{l-1},h_{l-1}'\rangle` for the inner one: ``k`` inputs cost
:math:`O(kn^2+k^2n)` per layer instead of the :math:`O(k^2n^2)` of a Jacobian, and no memory for it.

Matrices have standard normal entries; their variances over fan-in stand in front of them, and
gradients are those with respect to the entries. A homogeneous network is run with the steps that
keep its mean squared norm, and the growth is kept as a logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from companion._validation import choice
from companion.architecture import ResNetSpec
from companion.simulate.blocks import (
    Noise,
    batches,
    one_thread,
    resolve_device,
    resolve_dtype,
    resolve_seed,
)
from companion.simulate.ingredients import branch_functions, input_rows
from companion.simulate.observables import to_numpy
from companion.weights import IID

__all__ = [
    "NETWORKS_PER_BLOCK",
    "TRAINED",
    "EmpiricalTangent",
    "FiniteNetwork",
    "Signals",
    "Tape",
    "sample",
]

#: Networks that share one random stream: each is seeded by the root seed and its own index.
NETWORKS_PER_BLOCK: Final = 1

#: Parameters that a kernel counts: the matrices of the blocks, or input map and readout as well.
TRAINED: Final = ("blocks", "all")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EmpiricalTangent:
    """Tangent kernels of simulated networks (``eq-tk-finite``), of one output.

    Attributes
    ----------
    normalized : ndarray, shape (networks, k, k)
        The kernels in the unit ``exp(log_unit)``, linear.
    log_unit : float
        Natural log of the growth of the mean squared norm of a homogeneous network; 0 for others.
    """

    normalized: Array
    log_unit: float

    @property
    def values(self) -> Array:
        """The kernels, shape ``(networks, k, k)``.

        Raises
        ------
        OverflowError
            If they are outside the range of float64.
        """
        if self.log_unit > 700.0:
            raise OverflowError(
                f"the kernel is of size exp({self.log_unit:.4g}), outside float64; use "
                "`normalized` with `log_unit`."
            )
        return self.normalized * math.exp(self.log_unit)


class Tape(NamedTuple):
    """What a forward run keeps: streams ``h_0..h_L`` and arguments ``z_1..z_L``, each (k, n)."""

    streams: list[torch.Tensor]
    hidden: list[torch.Tensor]


class Signals(NamedTuple):
    """Derivatives of the output at one layer, each of shape ``(k, n)``.

    Attributes
    ----------
    layer : int
        Number ``l`` of the block, from 1.
    stream : Tensor
        With respect to the stream ``h_l`` after the block.
    hidden : Tensor
        With respect to the argument ``z_l`` of its activation.
    """

    layer: int
    stream: torch.Tensor
    hidden: torch.Tensor


class FiniteNetwork:
    r"""One two-layer-block network with explicit weights, for its kernel or for training.

    Parameters
    ----------
    spec : ResNetSpec
        Two-layer blocks without biases, not balanced, read out linearly, normal i.i.d. weights.
    noise : Noise or int
        Source of the weights, or a seed (then on the CPU in float64).

    Attributes
    ----------
    input_map, readout : Tensor, shapes (n, d) and (n, outputs)
        Standard normal.
    inner, outer : list of Tensor, shape (n, n) each
        :math:`W_l` and :math:`V_l`, standard normal; training may change them in place.
    log_unit : float
        Natural log of the squared factor by which the true output is larger than that of
        `output`: the network is run with :math:`a^2+s^2c=1` if it is homogeneous.

    Raises
    ------
    ValueError
        For a network of another kind; the message names the field.
    """

    def __init__(self, spec: ResNetSpec, noise: Noise | int) -> None:
        _check(spec)
        if not isinstance(noise, Noise):
            noise = Noise(resolve_seed(noise), range(1), 1, torch.device("cpu"), torch.float64)
        n = spec.width
        self.spec = spec
        self.phi, self.slope = branch_functions(spec.activation)
        self.skips, self.scales, self.log_unit = _coefficients(spec)
        self.factor_in = math.sqrt(spec.input_weight_variance / spec.inputs)
        self.factor_inner = math.sqrt(spec.weight_variance / n)
        self.factor_outer = math.sqrt(spec.outer_variance / n)
        self.factor_out = math.sqrt(spec.readout_variance / n)
        self.input_map = noise.normal(n, spec.inputs)
        self.inner, self.outer = [], []
        for _ in range(spec.depth):
            self.inner.append(noise.normal(n, n))
            self.outer.append(noise.normal(n, n))
        self.readout = noise.normal(n, spec.outputs)

    def forward(self, x: torch.Tensor) -> Tape:
        """Run ``k`` inputs of shape ``(k, d)`` up and keep what the way down needs."""
        streams, hidden = [self.factor_in * (x @ self.input_map.T)], []
        for layer in range(self.spec.depth):
            h = streams[-1]
            z = self.factor_inner * (h @ self.inner[layer].T)
            branch = self.factor_outer * (self.phi(z) @ self.outer[layer].T)
            hidden.append(z)
            streams.append(self.skips[layer] * h + self.scales[layer] * branch)
        return Tape(streams, hidden)

    def output(self, tape: Tape) -> torch.Tensor:
        """Outputs, shape ``(k, outputs)``, in the unit ``exp(log_unit / 2)``."""
        return self.factor_out * (tape.streams[-1] @ self.readout)

    def backward(self, tape: Tape, cotangent: torch.Tensor) -> Iterator[Signals]:
        """Signals of the layers, the last first.

        Parameters
        ----------
        tape : Tape
        cotangent : Tensor, shape (k, outputs)
            Weights of the outputs whose sum is differentiated, for every input by itself.
        """
        g = self.factor_out * (cotangent @ self.readout.T)
        for layer in reversed(range(self.spec.depth)):
            down = (self.scales[layer] * self.factor_outer) * (g @ self.outer[layer])
            q = self.slope(tape.hidden[layer]) * down
            yield Signals(layer + 1, g, q)
            g = self.skips[layer] * g + self.factor_inner * (q @ self.inner[layer])

    def gradients(
        self, tape: Tape, cotangent: torch.Tensor
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Layer, gradient of ``W_l`` and gradient of ``V_l``, the last layer first.

        Gradients of the sum over inputs and outputs of ``cotangent * output``, shape (n, n) each.
        """
        for layer, g, q in self.backward(tape, cotangent):
            inner = self.factor_inner * (q.T @ tape.streams[layer - 1])
            up = self.phi(tape.hidden[layer - 1])
            yield layer, inner, (self.scales[layer - 1] * self.factor_outer) * (g.T @ up)

    def tangent(self, x: torch.Tensor, trained: str = "blocks") -> torch.Tensor:
        """Tangent kernel of the first output, shape ``(k, k)``, in the unit ``exp(log_unit)``."""
        tape = self.forward(x)
        first = torch.zeros(len(x), self.spec.outputs, dtype=x.dtype, device=x.device)
        first[:, 0] = 1.0
        total = torch.zeros(len(x), len(x), dtype=x.dtype, device=x.device)
        for signals in self.backward(tape, first):
            total += self._outer_part(tape, signals)
            total += self._inner_part(tape, signals)
        if trained == "all":
            top = tape.streams[-1]
            total += self.factor_out**2 * (top @ top.T)
            bottom = self._bottom(signals)
            total += self.factor_in**2 * (bottom @ bottom.T) * (x @ x.T)
        return total

    def _outer_part(self, tape: Tape, signals: Signals) -> torch.Tensor:
        layer, g = signals.layer, signals.stream
        up = self.phi(tape.hidden[layer - 1])
        return (self.scales[layer - 1] * self.factor_outer) ** 2 * (g @ g.T) * (up @ up.T)

    def _inner_part(self, tape: Tape, signals: Signals) -> torch.Tensor:
        h, q = tape.streams[signals.layer - 1], signals.hidden
        return self.factor_inner**2 * (q @ q.T) * (h @ h.T)

    def _bottom(self, signals: Signals) -> torch.Tensor:
        """Derivative with respect to ``h_0``, from the signals of the first block."""
        return self.skips[0] * signals.stream + self.factor_inner * (signals.hidden @ self.inner[0])


def sample(
    spec: ResNetSpec,
    networks: int,
    *,
    seed: int | np.random.SeedSequence,
    inputs: ArrayLike | None = None,
    trained: str = "blocks",
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float64",
) -> EmpiricalTangent:
    """Tangent kernels of ``k`` inputs in ``networks`` independent random networks.

    Parameters
    ----------
    spec : ResNetSpec
        As for `FiniteNetwork`, e.g. ``ResNetSpec.tangent_kernel``.
    networks : int
        Number of networks; one is in memory at a time, with ``2 L n^2`` weights and ``2 L k n``
        numbers of its runs.
    seed : int or SeedSequence
        Root seed; a network depends on it, its own index, the device kind and the dtype.
    inputs : array_like, shape (k, d), optional
        One row per input; default one input with the variance declared in ``spec``.
    trained : {"blocks", "all"}
        Count the matrices of the blocks, or those of input and readout as well.
    device, dtype : str
        Where and how networks and kernels are computed. In float32 the kernel carries errors of
        1e-6 of its diagonal, more than the small eigenvalues of a Gram matrix.

    Returns
    -------
    EmpiricalTangent

    Raises
    ------
    ValueError
        For an argument that cannot be simulated; the message names it.
    OverflowError
        If a kernel leaves the range of the numbers.
    """
    where, kind = resolve_device(device), resolve_dtype(dtype)
    choice(trained, "trained", TRAINED)
    _check(spec)
    x = torch.as_tensor(input_rows(spec, inputs), device=where, dtype=kind)
    found, log_unit = [], _coefficients(spec)[2]
    with one_thread():
        for block in batches(networks, NETWORKS_PER_BLOCK, seed=seed, device=where, dtype=kind):
            kernel = to_numpy(FiniteNetwork(spec, block.noise).tangent(x, trained))
            found.append((kernel + kernel.T) / 2)
    kernels = np.asarray(found, dtype=np.float64)
    if not np.all(np.isfinite(kernels)):
        raise OverflowError(
            "the kernels leave the range of the numbers; use dtype='float64' or fewer layers."
        )
    return EmpiricalTangent(kernels, log_unit)


def _coefficients(spec: ResNetSpec) -> tuple[list[float], list[float], float]:
    """Skips and branch factors of the layers, and the log of the growth taken out of them."""
    if not spec.homogeneous:
        return [spec.skip] * spec.depth, spec.scales.tolist(), 0.0
    steps = spec.normalized_coefficients()
    branch = steps.scale / math.sqrt(float(spec.gain()))
    return steps.skip.tolist(), branch.tolist(), steps.log_growth


def _check(spec: ResNetSpec) -> None:
    """Refuse networks whose parameters are not those of the kernel."""
    wanted: dict[str, object] = {
        "block": "two-layer",
        "balanced": False,
        "readout": "linear",
        "bias_variance": 0.0,
        "input_bias_variance": 0.0,
        "readout_bias_variance": 0.0,
        "weight_law": IID(),
    }
    for name, value in wanted.items():
        if getattr(spec, name) != value:
            raise ValueError(
                f"{name} must be {value!r} for a tangent kernel of finite width, got "
                f"{getattr(spec, name)!r}; start from ResNetSpec.tangent_kernel(L, m)."
            )
