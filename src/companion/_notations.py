"""The five papers' own parameterisations of one residual network.

:class:`PaperNotations` is a base of :class:`companion.architecture.ResNetSpec`; each constructor
takes the letters of its paper, and its docstring maps them. The concordance, with the book's
labels, is the notation page (``sec-notation``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

from companion._validation import positive_integer, real_number
from companion.activations import Activation, Erf, as_activation
from companion.weights import IID, WeightLaw

__all__ = ["PaperNotations"]


class PaperNotations:
    """Named constructors, one per paper."""

    @classmethod
    def _build(cls, **fields: Any) -> Self:
        """The object with these fields; the subclass declares and checks them."""
        return cls(**fields)

    @classmethod
    def residual_expansion(
        cls,
        n: int,
        lam: float | Sequence[float],
        *,
        width: int,
        sigma_w2: float = 2.0,
        sigma_v2: float = 1.0,
        activation: Activation | str = "relu",
        block: str = "two-layer",
        inputs: int = 1,
        outputs: int = 1,
    ) -> Self:
        r"""Network of "On residual network depth" (Dherin and Munn), in its letters.

        ============================  ========================================================
        paper                         here
        ============================  ========================================================
        ``n``, residual modules       ``depth``; **not** the width, which is a keyword
        :math:`\lambda`               ``scale`` (one number, or one per module); ``skip = 1``
        ``sigma_w2``, ``sigma_v2``    ``weight_variance``, ``outer_variance``
        ============================  ========================================================

        The theorem holds for any module; the reference block of the chapter is
        ``V phi(W h)`` with gain 1 for ReLU. The name ``"erf"`` means ``erf(x/sqrt(2))`` here.
        ``block="single"`` with ``activation="linear"`` is the linear tower ``h + lambda W h``; a
        single block takes no ``sigma_v2`` other than 1.
        """
        phi = Erf(gain=1 / math.sqrt(2)) if activation == "erf" else as_activation(activation)
        return cls._build(
            depth=n,
            width=width,
            inputs=inputs,
            outputs=outputs,
            scale=lam,
            block=block,
            activation=phi,
            weight_variance=sigma_w2,
            outer_variance=sigma_v2,
        )

    @classmethod
    def large_depth(
        cls,
        L: int,
        d: int,
        beta: float | None = None,
        *,
        alpha: float | None = None,
        block: str = "two-layer",
        law: WeightLaw | None = None,
        activation: Activation | str = "relu",
        d_in: int = 64,
        outputs: int = 1,
        input_variance: float = 1 / 3,
    ) -> Self:
        r"""Network of "Scaling ResNets in the Large-depth Regime" (Marion et al.), in its letters.

        ==========================  ========================================================
        paper                       here
        ==========================  ========================================================
        ``L``, ``d``                ``depth``, ``width`` (the paper's ``d`` is the width)
        :math:`\alpha_L`            ``scale``, :math:`L^{-\beta}`; give ``beta`` or ``alpha``
        res-3, ``V ReLU(W h)``      ``block="two-layer"``, the default
        res-1, ``V ReLU(h)``        ``block="single"``
        variance ``1/d`` (entries)  ``weight_variance = outer_variance = 1``: gain 1/2
        ``d_in``                    ``inputs``
        ==========================  ========================================================

        ``skip = 1``. ``law`` defaults to uniform i.i.d. entries, as in the authors' code. Inputs
        uniform on the unit cube have ``E|x|^2/d_in = 1/3``, the default ``input_variance``.

        Raises
        ------
        ValueError
            Unless exactly one of ``beta`` and ``alpha`` is given.
        """
        depth = positive_integer(L, "L")
        return cls._build(
            depth=depth,
            width=d,
            inputs=d_in,
            outputs=outputs,
            scale=_power_or_scale(depth, beta, "beta", alpha),
            block=block,
            activation=as_activation(activation),
            input_variance=input_variance,
            weight_law=IID("uniform") if law is None else law,
        )

    @classmethod
    def field_theory(
        cls,
        L: int,
        n: int,
        rho: float,
        *,
        sigma_w2: float = 1.0,
        sigma_b2: float = 0.0,
        K0: float = 0.1,
        activation: Activation | str = "erf",
        sigma_out2: float = 1.0,
        sigma_b_out2: float = 0.0,
        d: int = 1,
        d_out: int = 1,
        sigma_w_in2: float = 1.0,
        sigma_b_in2: float = 0.0,
    ) -> Self:
        r"""Network of "Field theory for optimal signal propagation in ResNets", in its letters.

        =====================================  ==========================================
        paper (Fischer, Dahmen, Helias)        here
        =====================================  ==========================================
        ``L``, ``n``                           ``depth``, ``width``
        :math:`\rho`                           ``scale``; ``skip = 1``
        :math:`W\phi(h)+b`                     ``block="single"``; the scale multiplies ``b`` too
        :math:`K^0`                            ``input_variance``
        :math:`W_{out}\phi(h^L)+b_{out}`       ``readout="activation"``
        :math:`\sigma_{w,in}^2,\sigma_{b,in}^2`  ``input_weight_variance``, ``input_bias_variance``
        =====================================  ==========================================

        The name ``"erf"`` means the unit-slope ``erf(sqrt(pi)/2 x)``, the default.
        """
        return cls._build(
            depth=L,
            width=n,
            inputs=d,
            outputs=d_out,
            scale=rho,
            block="single",
            activation=as_activation(activation),
            weight_variance=sigma_w2,
            bias_variance=sigma_b2,
            input_weight_variance=sigma_w_in2,
            input_bias_variance=sigma_b_in2,
            readout_variance=sigma_out2,
            readout_bias_variance=sigma_b_out2,
            readout="activation",
            input_variance=K0,
        )

    @classmethod
    def log_gaussian(
        cls,
        d: int,
        n: int,
        alpha: float,
        lam: float,
        *,
        n_in: int = 10,
        n_out: int = 10,
        balanced: bool = False,
    ) -> Self:
        r"""Network of "The Future is Log-Gaussian" (Li, Nica and Roy), in its letters.

        ==================================  ==============================================
        paper                               here
        ==================================  ==============================================
        ``d``, ``n``                        ``depth`` (**not** an input dimension), ``width``
        :math:`\alpha,\ \lambda`            ``skip``, ``scale``
        :math:`\sqrt{2/n}\,W\varphi(z)`     ``block="single"``, ReLU, ``weight_variance = 2``
        Balanced ResNet                     ``balanced=True``
        fully connected                     ``alpha=0, lam=1``
        ==================================  ==============================================

        The gain is 1, so the share is :math:`\lambda^2/(\alpha^2+\lambda^2)`.
        """
        return cls._build(
            depth=d,
            width=n,
            inputs=n_in,
            outputs=n_out,
            skip=alpha,
            scale=lam,
            block="single",
            balanced=balanced,
            weight_variance=2.0,
        )

    @classmethod
    def tangent_kernel(
        cls,
        L: int,
        m: int,
        *,
        alpha: float | None = None,
        gamma: float | None = None,
        d: int = 3,
    ) -> Self:
        r"""Network of the residual-tangent-kernel papers (Tian and Yu; Yu et al.).

        =========================================  ==========================================
        paper                                      here
        =========================================  ==========================================
        ``L``, ``m``                               ``depth``, ``width`` (``n`` is a sample size)
        :math:`\alpha`                             ``scale``, or :math:`L^{-\gamma}`
        :math:`m^{-1/2}V\sigma((2/m)^{1/2}Wh)`     ``block="two-layer"``, ``weight_variance = 2``
        :math:`h_0=m^{-1/2}Ax,\ |x|=1`             ``input_weight_variance = d/m``, ``K^0 = 1/m``
        :math:`f=v^\top h_L,\ v\sim N(0,I)`        ``readout_variance = m``
        =========================================  ==========================================

        ``skip = 1`` and the gain is 1, so the share is :math:`\alpha^2/(1+\alpha^2)`.

        Raises
        ------
        ValueError
            Unless exactly one of ``alpha`` and ``gamma`` is given.
        """
        depth, width = positive_integer(L, "L"), positive_integer(m, "m")
        return cls._build(
            depth=depth,
            width=width,
            inputs=positive_integer(d, "d"),
            scale=_power_or_scale(depth, gamma, "gamma", alpha),
            weight_variance=2.0,
            input_weight_variance=d / width,
            readout_variance=float(width),
            input_variance=1 / width,
        )


def _power_or_scale(depth: int, exponent: float | None, name: str, alpha: float | None) -> float:
    """``alpha``, or ``depth ** -exponent``: exactly one of the two must be given."""
    if (exponent is None) == (alpha is None):
        raise ValueError(
            f"exactly one of {name} and alpha must be given, got {name}={exponent} and "
            f"alpha={alpha}; alpha is the branch scale itself, {name} its exponent in L**-{name}"
        )
    if alpha is not None:
        return alpha
    return float(depth) ** -real_number(exponent, name)
