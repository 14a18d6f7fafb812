"""Figures of the tangent-kernel chapter; data come from ``companion.papers.tangent_kernel``."""

from companion.plots.tangent_kernel.curves import (
    antipode,
    collapse,
    collapse_error,
    kernel_curves,
    log_correction,
    peak,
    rates,
)
from companion.plots.tangent_kernel.explorer import explorer
from companion.plots.tangent_kernel.learning import (
    centring,
    digits,
    early_stopping,
    harmonics,
    phase,
    risk,
    stopping_time,
    threshold,
)
from companion.plots.tangent_kernel.networks import convergence, empirical, training, variation
from companion.plots.tangent_kernel.spectra import decay, spectrum

__all__ = [
    "antipode",
    "centring",
    "collapse",
    "collapse_error",
    "convergence",
    "decay",
    "digits",
    "early_stopping",
    "empirical",
    "explorer",
    "harmonics",
    "kernel_curves",
    "log_correction",
    "peak",
    "phase",
    "rates",
    "risk",
    "spectrum",
    "stopping_time",
    "threshold",
    "training",
    "variation",
]
