r"""What the generator of fractional noise in the authors' published code samples.

Notation
--------
==================================  ==========================  ============================
symbol                              name                        book label
==================================  ==========================  ============================
:math:`\gamma_H`                    `FractionalNoise`           ``eq-ld-fractional``
:math:`\lambda_k`                   ``WeightLaw.spectrum``      ``eq-ld-circulant``
:math:`\tilde\lambda_k`             `published_spectrum`        ``eq-ld-published-spectrum``
:math:`\tilde\gamma(k)`             `published_covariance`      ``eq-ld-published-covariance``
==================================  ==========================  ============================

The authors' code embeds the covariance in a circulant and departs from the exact method in three
places: the element of the first row where it wraps around, :math:`\gamma_H(L)`, is 0; the
coefficient of highest frequency has the variance of the lowest; and where the first departure
makes an eigenvalue negative, its square root is imaginary and makes an imaginary path, which is
dropped when the path becomes a matrix of real numbers. The consequences are derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._validation import positive_integer
from companion.weights import FractionalNoise, GaussianLaw, hurst_index, integer_lags

__all__ = [
    "PublishedFractionalNoise",
    "emulate",
    "published_covariance",
    "published_spectrum",
]

FloatArray = NDArray[np.float64]


def published_spectrum(hurst: float, depth: int) -> FloatArray:
    r"""Variances of the Fourier coefficients of the paths that the published generator returns.

    ``eq-ld-published-spectrum``: the eigenvalues of the row without its wrap-around element, the
    negative ones replaced by 0 and the last one by the first.

    Parameters
    ----------
    hurst
        Hurst index that is asked for, strictly between 0 and 1.
    depth
        Number of layers ``L``, at least 1.

    Returns
    -------
    :math:`\tilde\lambda_0..\tilde\lambda_L`, shape ``(depth + 1,)``, on the scale of
    `companion.weights.WeightLaw.spectrum`.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    Notes
    -----
    An eigenvalue is dropped if its two conjugate roots have equal signs, which rounding decides in
    the published code: they had, but for one pair in a thousand, at all depths tried.
    """
    spectrum = np.maximum(_row_eigenvalues(hurst, depth), 0.0)
    spectrum[-1] = spectrum[0]
    return spectrum


def published_covariance(hurst: float, depth: int) -> FloatArray:
    r"""Covariance :math:`\tilde\gamma(k)` of the published generator at lags ``0..depth - 1``.

    ``eq-ld-published-covariance``; the value at lag 0, the variance of a layer, is not 1. Arguments
    and errors as in `published_spectrum`.
    """
    spectrum = published_spectrum(hurst, depth)
    return np.asarray(np.fft.irfft(spectrum, 2 * depth)[:depth])


@dataclass(frozen=True)
class PublishedFractionalNoise(GaussianLaw):
    """The law of the layers drawn by the published generator: stationary, **not** unit variance.

    Parameters
    ----------
    hurst
        Hurst index that is asked for, strictly between 0 and 1.

    Raises
    ------
    ValueError
        If ``hurst`` is outside the open interval.
    """

    hurst: float
    kind: ClassVar[str] = "fractional-published"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hurst", hurst_index(self.hurst))

    def covariance(self, lags: ArrayLike, depth: int | None = None) -> FloatArray:
        """`published_covariance`, periodic; needs ``depth``; see `WeightLaw.covariance`."""
        if depth is None:
            raise ValueError(
                "depth must be given for the published generator, got None; what it samples "
                "depends on the number of layers"
            )
        period = np.fft.irfft(self.spectrum(depth), 2 * depth)
        return np.asarray(period[np.abs(integer_lags(lags)).astype(np.intp) % (2 * depth)])[()]

    def spectrum(self, depth: int) -> FloatArray:
        """`published_spectrum`; see `WeightLaw.spectrum`."""
        return published_spectrum(self.hurst, depth)

    def to_dict(self) -> dict[str, Any]:
        """``{"kind": "fractional-published", "hurst": ...}``."""
        return {"kind": self.kind, "hurst": self.hurst}


def emulate(hurst: float, depth: int, paths: int, rng: np.random.Generator) -> FloatArray:
    """Draw by the published recipe, step by step, with its three departures.

    An independent route to the law of `PublishedFractionalNoise`, for testing the closed form.

    Parameters
    ----------
    hurst, depth
        As in `published_spectrum`.
    paths
        Number of independent paths.
    rng
        Source of randomness; the draw advances it.

    Returns
    -------
    Array of shape ``(depth, paths)``.
    """
    row = FractionalNoise(hurst).covariance(np.arange(positive_integer(depth, "depth")))
    period = np.concatenate([row, [0.0], row[:0:-1]])  # the wrap-around element is lost
    roots = np.sqrt(np.fft.fft(period).real.astype(np.complex128))  # imaginary below 0
    size, size_paths = 2 * depth, positive_integer(paths, "paths")
    coefficients = np.zeros((size, size_paths), np.complex128)
    coefficients[0] = roots[0] * rng.standard_normal(size_paths)
    coefficients[depth] = roots[0] * rng.standard_normal(size_paths)  # not roots[depth]
    upper = np.arange(1, depth)
    real, imaginary = rng.standard_normal((2, depth - 1, size_paths)) / np.sqrt(2)
    coefficients[upper] = roots[upper, None] * (real + 1j * imaginary)
    coefficients[size - upper] = roots[size - upper, None] * (real - 1j * imaginary)
    complex_paths = np.fft.fft(coefficients, axis=0)[:depth] / np.sqrt(size)
    return np.asarray(complex_paths.real)


def _row_eigenvalues(hurst: float, depth: int) -> FloatArray:
    """Eigenvalues of the circulant whose row has 0 in place of its wrap-around element."""
    row = FractionalNoise(hurst).covariance(np.arange(positive_integer(depth, "depth")))
    return np.fft.rfft(np.concatenate([row, [0.0], row[:0:-1]])).real
