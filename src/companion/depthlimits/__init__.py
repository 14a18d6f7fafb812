r"""How the norms of a residual network behave as its depth grows.

With independent weights: exact second moments (:mod:`~companion.depthlimits.moments`), the law of
the log norm, in the limit (:mod:`~companion.depthlimits.lognormal`) and exact
(:mod:`~companion.depthlimits.exact`), and its exact sampling at O(1) per layer
(:mod:`~companion.depthlimits.chain`). With weights correlated along depth: the covariance recursion
of wide networks (:mod:`~companion.depthlimits.correlated`), the critical scale
(:mod:`~companion.depthlimits.critical`) and the phase diagram of fractional weights
(:mod:`~companion.depthlimits.phase`). Limits in continuous depth:
:mod:`~companion.depthlimits.limits`.
"""

from companion.depthlimits.chain import (
    Displacements,
    Norms,
    sample_displacements,
    sample_log_norm,
    sample_norms,
)
from companion.depthlimits.correlated import (
    covariance_matrix,
    kappa,
    kappa_zero,
    layer_covariance,
    log_displacement,
    log_gradient_displacement,
)
from companion.depthlimits.critical import (
    FirstOrder,
    critical_exponent,
    critical_scale,
    first_order_exponent,
    first_order_sums,
)
from companion.depthlimits.exact import ExactLaw, exact_law
from companion.depthlimits.limits import (
    brownian_log_norm,
    kernel_flow,
    kernel_recursion,
    log_brownian_moment,
    ode_differences,
    strong_errors,
    weak_error,
)
from companion.depthlimits.lognormal import (
    LEAST_GROWING_WIDTH,
    LimitLaw,
    limit_law,
    log_fourth_moment,
    stagnation_bound,
)
from companion.depthlimits.moments import (
    Regime,
    displacement_bound,
    log_mean_square_displacement,
    log_second_moment,
    mean_branch_log_norms,
    mean_square_displacement,
    regime,
    single_block_bounds,
    single_block_log_second_moment,
)
from companion.depthlimits.phase import (
    asymptotic_sums,
    backward_constant,
    backward_exponent,
    contraction_log_norm,
    forward_constant,
    forward_exponent,
    local_exponent,
)

__all__ = [
    "LEAST_GROWING_WIDTH",
    "Displacements",
    "ExactLaw",
    "FirstOrder",
    "LimitLaw",
    "Norms",
    "Regime",
    "asymptotic_sums",
    "backward_constant",
    "backward_exponent",
    "brownian_log_norm",
    "contraction_log_norm",
    "covariance_matrix",
    "critical_exponent",
    "critical_scale",
    "displacement_bound",
    "exact_law",
    "first_order_exponent",
    "first_order_sums",
    "forward_constant",
    "forward_exponent",
    "kappa",
    "kappa_zero",
    "kernel_flow",
    "kernel_recursion",
    "layer_covariance",
    "limit_law",
    "local_exponent",
    "log_brownian_moment",
    "log_displacement",
    "log_fourth_moment",
    "log_gradient_displacement",
    "log_mean_square_displacement",
    "log_second_moment",
    "mean_branch_log_norms",
    "mean_square_displacement",
    "ode_differences",
    "regime",
    "sample_displacements",
    "sample_log_norm",
    "sample_norms",
    "single_block_bounds",
    "single_block_log_second_moment",
    "stagnation_bound",
    "strong_errors",
    "weak_error",
]
