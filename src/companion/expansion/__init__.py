r"""The residual expansion, order by order: how many paths, how much they carry, and until where.

Energies of the orders (:mod:`~companion.expansion.energies`), the law of the path length
(:mod:`~companion.expansion.paths`), blocks correlated along depth
(:mod:`~companion.expansion.correlated`, :mod:`~companion.expansion.alignment`), smooth activations
(:mod:`~companion.expansion.smooth`, :mod:`~companion.expansion.torus`), the kinks of ReLU
(:mod:`~companion.expansion.kinks`), and Jacobians (:mod:`~companion.expansion.complexity`).
"""

from companion.expansion.alignment import (
    block_covariance,
    coherence,
    critical_scale,
    critical_scale_of,
    equicorrelated,
    expected_coherence,
    mean_correlation,
    ornstein_uhlenbeck,
)
from companion.expansion.complexity import (
    GradientEnergies,
    branch_rate_multiplier,
    gradient_energies,
    log_geometric_complexity,
    log_jacobian_energy,
)
from companion.expansion.correlated import (
    log_correlated_energy,
    log_order_norms,
    log_shared_limit,
)
from companion.expansion.energies import (
    block_ratios,
    log_aligned_norms,
    log_elementary_symmetric,
    log_order_energies,
    log_total_energy,
)
from companion.expansion.kinks import (
    FirstKink,
    first_kink,
    gap_energy,
    remainder_energies,
    remainder_leading,
)
from companion.expansion.paths import PathLaw, poisson_pmf
from companion.expansion.smooth import (
    ClosedEnergies,
    SmoothGains,
    closed_order_energies,
    smooth_gains,
)
from companion.expansion.torus import OrderCovariances, order_covariances

__all__ = [
    "ClosedEnergies",
    "FirstKink",
    "GradientEnergies",
    "OrderCovariances",
    "PathLaw",
    "SmoothGains",
    "block_covariance",
    "block_ratios",
    "branch_rate_multiplier",
    "closed_order_energies",
    "coherence",
    "critical_scale",
    "critical_scale_of",
    "equicorrelated",
    "expected_coherence",
    "first_kink",
    "gap_energy",
    "gradient_energies",
    "log_aligned_norms",
    "log_correlated_energy",
    "log_elementary_symmetric",
    "log_geometric_complexity",
    "log_jacobian_energy",
    "log_order_energies",
    "log_order_norms",
    "log_shared_limit",
    "log_total_energy",
    "mean_correlation",
    "order_covariances",
    "ornstein_uhlenbeck",
    "poisson_pmf",
    "remainder_energies",
    "remainder_leading",
    "smooth_gains",
]
