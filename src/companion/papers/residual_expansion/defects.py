"""Defects planted in what the claims on the residual expansion call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from companion import expansion
from companion.expansion import energies
from companion.papers.defects import Patch
from companion.simulate import jets
from companion.simulate.jets import draws, series, unexpanded

__all__ = [
    "all_paths_alike",
    "blocks_reversed",
    "correlation_ignored",
    "kinks_of_one_block",
    "masks_never_switch",
    "no_trees",
    "quarter_of_the_scale",
    "scale_for_square",
    "tied_blocks",
]


def blocks_reversed(patch: Patch) -> None:
    """Apply the last block first."""
    true = jets.Tower.layers
    patch.setattr(jets.Tower, "layers", lambda self: iter(list(true(self))[::-1]))


def tied_blocks(patch: Patch) -> None:
    """Use the weights of the first block in every block."""
    true = jets.Tower.layers

    def wrong(self: Any) -> Iterator[Any]:
        first = next(true(self))
        return iter([first] * self.depth)

    patch.setattr(jets.Tower, "layers", wrong)


def no_trees(patch: Patch) -> None:
    """Keep the slope of the activation at the input: no term in which two blocks feed one."""
    true = series.apply

    def wrong(activation: Any, z: Any) -> Any:
        out = true(activation, z)
        if z.shape[1] > 2:  # the first coefficient is the slope times that of the argument
            slope = (out[:, 1] / z[:, 1]).nan_to_num(0.0)
            out[:, 2:] = slope[:, None] * z[:, 2:]
        return out

    patch.setattr(series, "apply", wrong)


def scale_for_square(patch: Patch) -> None:
    """Put the scale where its square belongs."""
    true, jacobian = energies.block_ratios, expansion.log_jacobian_energy

    def grown(spec: Any) -> float:
        return jacobian(spec.replace(scale=tuple(np.sqrt(spec.scales))))

    patch.setattr(energies, "block_ratios", lambda network: np.sqrt(true(network)))
    patch.setattr(expansion, "log_jacobian_energy", grown)


def masks_never_switch(patch: Patch) -> None:
    """Let no unit of a ReLU network change its sign with the scale."""

    def forward(network: Any, start: Any, scales: Any) -> Any:
        jet = jets.taylor(network, start, min(network.depth, 18))
        return np.array([jet.partial_sums(float(s))[-1] for s in np.atleast_1d(scales)])

    for module in (jets, unexpanded):
        patch.setattr(module, "forward", forward)
    patch.setattr(
        jets, "sample_kinks", lambda spec, networks, **rest: np.full((networks, 1), np.inf)
    )


def quarter_of_the_scale(patch: Patch) -> None:
    """Draw networks with a quarter of their branch scale."""
    true = jets.draw

    def wrong(spec: Any, *args: Any, **kwargs: Any) -> Any:
        return true(spec.replace(scale=tuple(spec.scales / 4)), *args, **kwargs)

    for module in (jets, draws):
        patch.setattr(module, "draw", wrong)


def all_paths_alike(patch: Patch) -> None:
    """Weigh all paths of a normalised network alike."""
    patch.setattr(
        expansion.PathLaw,
        "prenormalised",
        classmethod(lambda cls, blocks: cls(np.full(blocks, 0.5))),
    )


def correlation_ignored(patch: Patch) -> None:
    """Take correlated blocks for independent ones where the critical scale is computed."""
    patch.setattr(expansion, "critical_scale", lambda covariance: len(covariance) ** -0.5)


def kinks_of_one_block(patch: Patch) -> None:
    """Count the units of one block only where the first kink is computed."""
    true = expansion.first_kink
    patch.setattr(
        expansion, "first_kink", lambda spec: expansion.FirstKink(true(spec).rate / spec.depth)
    )
