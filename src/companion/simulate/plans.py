r"""What a simulation with explicit weights is asked for, checked, and how it fits in memory.

Notation
--------
====================  ============  ==================================
symbol                name          label in the book
====================  ============  ==================================
:math:`\alpha_L`      ``scales``    ``eq-ld-model``
:math:`x`             ``rows``      ``eq-ld-model``
====================  ============  ==================================
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from companion._validation import finite_array, positive_integer
from companion.architecture import ResNetSpec
from companion.simulate.blocks import resolve_device, resolve_dtype
from companion.simulate.columns import Branch
from companion.simulate.ingredients import input_rows
from companion.weights import GaussianLaw

__all__ = ["Plan"]

Array = NDArray[np.float64]

#: Weights drawn in one block of networks, which holds at least one network, and most networks.
BLOCK_WEIGHTS: Final = {"cpu": 2**23, "cuda": 2**25}
BLOCK_NETWORKS: Final = {"cpu": 128, "cuda": 4096}

#: Columns of one product: enough for its full speed, few enough to stay in cache.
CHUNK_COLUMNS: Final = {"cpu": 350, "cuda": 2**16}

#: Bytes of the activations that a backward pass keeps of one block.
TAPE_BYTES: Final = {"cpu": 2**27, "cuda": 2**31}

#: Bytes of the weights and columns of one batch.
BUDGET_BYTES: Final = {"cpu": 3 * 2**28, "cuda": 2**33}

#: Largest branch scale: one block then stays far inside the range of float32.
LARGEST_SCALE: Final = 1e6

#: Layers between two rescalings, at most, and the log2 of the growth allowed between them.
RESCALE_EVERY, RESCALE_BITS = 32, 60

#: Layers that a stream of smooth weights holds at once, coefficients included.
LOW_RANK_LAYERS: Final = 170


class Plan:
    """Checked arguments, and how the work is cut.

    Attributes
    ----------
    scales, profile
        Scales of the columns, shape (S,), and what multiplies them in each layer.
    rows, k
        Given inputs, shape (k, d), or ``None`` for random ones, and their number.
    every
        Layers between two rescalings.
    size
        Networks of a block: a constant of their shape and of the device kind.
    most
        Blocks of the largest batch that fits in `BUDGET_BYTES`.
    chunk
        Columns of one product.
    streamed
        Whether the layers are drawn one by one, because they do not all fit.
    """

    def __init__(
        self,
        spec: ResNetSpec,
        scales: ArrayLike | None,
        inputs: int | ArrayLike,
        device: str | torch.device,
        dtype: str | torch.dtype,
        *,
        gradients: bool,
    ) -> None:
        _check(spec)
        self.spec, self.branch = spec, Branch(spec)
        self.device, self.dtype = resolve_device(device), resolve_dtype(dtype)
        self.scales, self.profile = _scales(spec, scales)
        self.rows, self.k = _inputs(spec, inputs)
        step = 8 * self.branch.steepest * (spec.weight_variance * spec.outer_variance) ** 0.5
        growth = math.log2(1 + step * float(self.scales.max()) * max(self.profile))
        if growth > RESCALE_BITS:
            raise ValueError(
                f"scale times the deviations of the weights must let a block grow by less than "
                f"2**{RESCALE_BITS}, got 2**{growth:.0f}; lower scale, weight_variance or "
                "outer_variance"
            )
        self.every = max(1, int(min(RESCALE_EVERY, RESCALE_BITS / max(growth, 1e-9))))
        self._fit(gradients)

    def _fit(self, gradients: bool) -> None:
        """Choose the sizes of blocks, batches and products."""
        spec, kind, item = self.spec, self.device.type, self.dtype.itemsize
        matrices = 2 if spec.block == "two-layer" else 1
        layer = spec.width**2 * matrices
        fill = BLOCK_WEIGHTS[kind] // (layer * spec.depth)
        self.size = max(1, min(fill, BLOCK_NETWORKS[kind]))
        columns = self.scales.size * self.k
        vector = self.size * spec.width * item
        self.chunk, tape = min(CHUNK_COLUMNS[kind], columns), 0
        if gradients:
            self.chunk = max(1, min(self.chunk, TAPE_BYTES[kind] // (vector * spec.depth)))
            tape = vector * spec.depth * self.chunk
        ends = vector * (self.k + spec.inputs)
        # A stack of matrices is held twice while it is drawn; a product works on a few copies.
        stacks = self.size * layer * spec.depth * item * (matrices + 1) // matrices
        needed = stacks + tape + ends + 8 * vector * self.chunk
        self.streamed = needed > BUDGET_BYTES[kind]
        if self.streamed:
            whole, law = needed, spec.weight_law
            low_rank = isinstance(law, GaussianLaw) and law.low_rank
            held = 2
            if isinstance(law, GaussianLaw) and law.low_rank:
                held = max(LOW_RANK_LAYERS, 128 + law.factor(spec.depth).shape[1])
            needed = self.size * layer * held * item + ends + 8 * vector * columns
            fits = needed <= BUDGET_BYTES[kind] and (low_rank or spec.weight_law.independent)
            if gradients or not fits:
                raise _too_large(spec, whole, BUDGET_BYTES[kind], fits)
        # Products of one lone network are computed on another path, with other rounding errors.
        self.most = 1 if self.size == 1 else max(1, BUDGET_BYTES[kind] // needed)


def _check(spec: ResNetSpec) -> None:
    """Refuse what has no displacement from the input, or too little use to be carried along."""
    if spec.skip != 1:
        raise ValueError(
            f"skip must be 1 for displacements from the input, got {spec.skip:g}; divide stream "
            "and scale by it, or use companion.simulate.dense"
        )
    if spec.balanced or spec.bias_variance or spec.input_bias_variance:
        raise ValueError(
            "biases and balanced blocks are not simulated here, got "
            f"balanced={spec.balanced}, bias_variance={spec.bias_variance:g} and "
            f"input_bias_variance={spec.input_bias_variance:g}; use companion.simulate.dense"
        )


def _scales(spec: ResNetSpec, scales: ArrayLike | None) -> tuple[Array, list[float]]:
    """Scales of the columns, and the scale of every layer where theirs is 1."""
    profile = np.ones(spec.depth)
    if scales is None:
        flat = not isinstance(spec.scale, tuple)
        found = np.array([spec.scale if flat else 1.0])
        profile = profile if flat else spec.scales
    else:
        found = finite_array(scales, "scales")
    if found.ndim != 1 or found.size == 0:
        raise ValueError(
            f"scales must have shape (S,) with S at least 1, got {found.shape}; pass a list, one "
            "scale per simulation"
        )
    largest = max(found.max(), profile.max())
    if found.min() < 0 or largest > LARGEST_SCALE:
        raise ValueError(
            f"scales must lie between 0 and {LARGEST_SCALE:g}, got {found.min():g} to "
            f"{largest:g}; a larger one belongs to the variance of the weights"
        )
    return found, profile.tolist()


def _inputs(spec: ResNetSpec, inputs: int | ArrayLike) -> tuple[Array | None, int]:
    """Rows of given inputs or ``None`` for random ones, and their number."""
    if np.ndim(inputs) == 0:
        return None, positive_integer(inputs, "inputs", "pass their number, or rows (k, d)")
    rows = input_rows(spec, inputs)
    sizes = np.abs(rows).max(1, keepdims=True)
    if sizes.min() == 0:
        raise ValueError("inputs must not hold a zero row: its ratios of norms are 0/0; remove it")
    if not spec.homogeneous and (sizes.min() < 1e-15 or sizes.max() > 1e15):
        raise ValueError(
            f"inputs must have entries between 1e-15 and 1e15 for {spec.activation.name}, got "
            f"{sizes.min():g} to {sizes.max():g}; rescale them"
        )
    if spec.homogeneous:  # their size is a factor of everything
        rows = np.ldexp(rows, -np.frexp(sizes)[1])
    return rows, len(rows)


def _too_large(spec: ResNetSpec, needed: int, budget: int, streams: bool) -> ValueError:
    remedy = "pass gradients=False, which holds one layer at a time" if streams else "lower them"
    return ValueError(
        f"depth={spec.depth} and width={spec.width} need {needed / 2**20:.0f} MiB for the weights "
        f"and activations of a block, more than the {budget / 2**20:.0f} MiB of BUDGET_BYTES; "
        f"{remedy}, or simulate i.i.d. Gaussian weights with companion.simulate.matrixfree"
    )
