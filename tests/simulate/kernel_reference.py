"""Mean kernel of two inputs and its Jacobian, written out pair by pair, and cases to test with."""

from __future__ import annotations

import numpy as np

from companion.architecture import ResNetSpec

#: Settings of the reference numbers, all of width 200.
ERF = ResNetSpec.field_theory(10, 200, 0.35, sigma_w2=1.2, sigma_b2=0.05, d=2)
DEEP = ResNetSpec.field_theory(30, 200, 0.25)
RELU = ResNetSpec.field_theory(
    10, 200, 0.35, sigma_w2=1.5, sigma_b2=0.05, K0=0.3, activation="relu"
)


def pair_path(spec: ResNetSpec, cosine: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Layers of (K11, K22, K12), and of their derivatives by (K11, K22, K12) of layer 0.

    The last entry is the output; shapes (L + 2, 3) and (L + 2, 3, 3). Single blocks only.
    """
    k0, phi = spec.input_variance, spec.activation
    state, jacobian = np.array([k0, k0, cosine * k0]), np.eye(3)
    states, jacobians = [state], [jacobian]
    for scale in spec.scales:
        moved, slope = _moments(phi, state)
        weight = scale**2 * spec.weight_variance
        jacobian = (spec.skip**2 * np.eye(3) + weight * slope) @ jacobian
        state = spec.skip**2 * state + scale**2 * spec.bias_variance + weight * moved
        states.append(state)
        jacobians.append(jacobian)
    if spec.readout == "activation":
        state, slope = _moments(phi, state)
    else:
        slope = np.eye(3)
    states.append(spec.readout_bias_variance + spec.readout_variance * state)
    jacobians.append(spec.readout_variance * slope @ jacobian)
    return np.stack(states), np.stack(jacobians)


def _moments(phi, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p1, p2, q = state
    values = [phi.second_moment(p1), phi.second_moment(p2), phi.pair_moment(p1, p2, q)]
    slope = np.diag(
        [
            phi.second_moment_derivative(p1),
            phi.second_moment_derivative(p2),
            phi.pair_derivative(p1, p2, q),
        ]
    ).astype(float)
    slope[2, :2] = (
        phi.pair_derivative_variance(p1, p2, q),
        phi.pair_derivative_variance(p2, p1, q),
    )
    return np.array(values, dtype=float), slope


def pair(spec: ResNetSpec, cosine: float) -> np.ndarray:
    """Kernel of two inputs of the spec's variance."""
    return spec.input_variance * np.array([[1.0, cosine], [cosine, 1.0]])
