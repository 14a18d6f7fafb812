r"""Response of kernels to the input, its optimal branch scale, and fluctuations at finite width.

Notation
--------
===================================  ===========================  =================================
symbol                               name                         book label
===================================  ===========================  =================================
:math:`\chi^{(l)},\ \chi^y`          `diagonal_response`          ``eq-ft-response``
:math:`\chi_{12,12},\ \chi_{12,11}`  `pair_response`              ``eq-ft-pair-response``
:math:`r=s^2`                        ``squared_scale``            ``eq-ft-output-response``
:math:`\beta=\sigma_b^2/\sigma_w^2`  ``bias_ratio``               ``eq-ft-operating-point``
:math:`v=2\gamma^2K`                 erf of gain :math:`\gamma`   ``eq-ft-operating-point-erf``
:math:`K^*`                          `operating_kernel`           ``eq-ft-operating-point``
:math:`\tau^*`                       `flow_time`                  ``eq-ft-flow``
:math:`c_1`                          `depth_correction`           ``eq-ft-depth-correction``
:math:`s^*`                          `optimal_scale`              ``eq-ft-leading-scale``
:math:`S_{lm}`                       `Fluctuations.noise`         ``eq-ft-noise``
:math:`M`                            a recursion                  ``eq-ft-propagator``
:math:`\hat q^l,\ \hat C^y`          `Fluctuations`               ``eq-ft-fluctuations``
:math:`\psi`                         `influence_covariance`       ``eq-ft-influence``
===================================  ===========================  =================================

The question and the field theory are those of Fischer, Dahmen and Helias (2023); every formula
here was derived for this book and tested against simulation. Responses are natural logarithms and
refer to the kernel of the input, a variance.
"""

from __future__ import annotations

from companion.response.closedform import (
    corrected_scale,
    depth_correction,
    explicit_scale,
    leading_scale,
    reduced_operating_point,
)
from companion.response.finite_width import Fluctuations, fluctuations
from companion.response.influence import influence_covariance
from companion.response.optimum import (
    Plateau,
    depth_range,
    elasticity,
    entropy_scale,
    flow_time,
    has_optimum,
    initial_slope,
    operating_kernel,
    optimal_scale,
    plateau,
    reaching_scale,
)
from companion.response.pairs import deep_pair_kernel, log_pair_response, optimal_pair_scale
from companion.response.propagation import (
    PairResponse,
    Response,
    diagonal_response,
    gram_response,
    jacobian_response,
    pair_response,
)
from companion.response.settings import Settings, curvature, log_output_response, top_kernel

__all__ = [
    "Fluctuations",
    "PairResponse",
    "Plateau",
    "Response",
    "Settings",
    "corrected_scale",
    "curvature",
    "deep_pair_kernel",
    "depth_correction",
    "depth_range",
    "diagonal_response",
    "elasticity",
    "entropy_scale",
    "explicit_scale",
    "flow_time",
    "fluctuations",
    "gram_response",
    "has_optimum",
    "influence_covariance",
    "initial_slope",
    "jacobian_response",
    "leading_scale",
    "log_output_response",
    "log_pair_response",
    "operating_kernel",
    "optimal_pair_scale",
    "optimal_scale",
    "pair_response",
    "plateau",
    "reaching_scale",
    "reduced_operating_point",
    "top_kernel",
]
