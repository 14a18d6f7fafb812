"""The plane of Hurst index and exponent: phase diagrams, boundaries, accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from companion import depthlimits
from companion.plots.large_depth.curves import SYMBOL
from companion.plots.style import PALETTE, errorbars, overlay
from companion.weights import FractionalNoise

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["accuracy", "generators", "phase_map", "single_boundary"]

_DECADES = 1.0  # range of colours of the phase diagram, to both sides


def phase_map(
    data: pd.DataFrame,
    direction: str,
    ax: Axes | None = None,
    *,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Heat map of the mean log displacement of two-layer networks, with four boundaries."""
    ax = ax or plt.gca()
    rows = _boundary_rows(data, direction=direction)
    grid = rows.pivot_table(index="beta", columns="hurst", values="log10")
    mesh = ax.pcolormesh(
        grid.columns,
        grid.index,
        np.clip(np.nan_to_num(grid, posinf=_DECADES, neginf=-_DECADES), -_DECADES, _DECADES),
        cmap="RdBu_r",
        vmin=-_DECADES,
        vmax=_DECADES,
        rasterized=True,
    )
    label = rf"mean of $\log_{{10}}\Delta_{SYMBOL[direction]}$"
    ax.figure.colorbar(mesh, ax=ax, location="top", shrink=0.8, label=label, extend="both")
    lines = rows.drop_duplicates("hurst").sort_values("hurst")
    ink = PALETTE["theory"]
    if lines["boundary_theory"].notna().any():
        ax.plot(lines["hurst"], lines["boundary_theory"], color=ink, label="recursion")
    ax.plot(lines["hurst"], lines["first_order_theory"], "--", color=ink, label="first order")
    fine = np.linspace(0.02, 0.98, 97)
    limit = depthlimits.backward_exponent if direction == "gradient" else _forward
    ax.plot(fine, [limit(float(h)) for h in fine], ":", color=ink, label="asymptotic, $n=\\infty$")
    some = lines[:: max(1, len(lines) // 17)]
    errorbars(
        ax, some["hurst"], some["boundary"], some["boundary_sem"], role="second", label="measured"
    )
    if live is not None:
        found = _boundary_rows(live, direction=direction).drop_duplicates("hurst")
        overlay(ax, found, found["hurst"], "boundary")
    ax.set(xlabel="Hurst index $H$", ylabel=r"$\beta$", ylim=(0, rows["beta"].max()))
    ax.set_xlim(rows["hurst"].min(), rows["hurst"].max())
    return ax


def generators(
    data: pd.DataFrame,
    boundaries: pd.DataFrame,
    ax: Axes | None = None,
    *,
    live: pd.DataFrame | None = None,
) -> Axes:
    """Boundary of the output for exact noise and for that of the published generator.

    Parameters
    ----------
    data, live : DataFrame
        ``ld-phase``: measured.
    boundaries : DataFrame
        ``ld-boundaries``: the recursion, at the depth of ``data``.
    """
    ax = ax or plt.gca()
    theory = boundaries[boundaries["depth"] == data["depth"].iloc[0]]
    roles = {"exact": "vanilla", "published": "balanced"}
    for generator, role in roles.items():
        chosen = (theory["block"] == "two-layer") & (theory["generator"] == generator)
        line = theory[chosen].sort_values("hurst")
        ax.plot(line["hurst"], line["recursion_theory"], color=PALETTE[role])
        rows = _boundary_rows(data, generator=generator).drop_duplicates("hurst")
        label = f"{generator} generator"
        errorbars(ax, rows["hurst"], rows["boundary"], rows["boundary_sem"], role=role, label=label)
    if live is not None:
        for generator in roles:
            found = _boundary_rows(live, generator=generator).drop_duplicates("hurst")
            overlay(ax, found, found["hurst"], "boundary")
    ax.set(xlabel="Hurst index $H$", ylabel=r"boundary $\beta^*$")
    handles, labels = ax.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    ax.legend(unique.values(), unique.keys(), title="points: simulation, lines: recursion")
    return ax


def single_boundary(
    data: pd.DataFrame, ax: Axes | None = None, *, live: pd.DataFrame | None = None
) -> Axes:
    """Boundary of single blocks, both directions, with the recursion and the asymptotic line."""
    ax = ax or plt.gca()
    fine = np.linspace(0.02, 0.98, 97)
    limit = [depthlimits.forward_exponent(float(h), "single") for h in fine]
    ax.plot(fine, limit, ":", color=PALETTE["theory"], label="asymptotic, $n=\\infty$")
    for direction, role in (("output", "vanilla"), ("gradient", "balanced")):
        rows = _boundary_rows(data, direction=direction, block="single").drop_duplicates("hurst")
        if direction == "output":
            label = "recursion, output"
            line = rows.sort_values("hurst")
            ax.plot(line["hurst"], line["boundary_theory"], color=PALETTE[role], label=label)
        errorbars(
            ax, rows["hurst"], rows["boundary"], rows["boundary_sem"], role=role, label=direction
        )
        if live is not None:
            found = _boundary_rows(live, direction=direction, block="single")
            found = found.drop_duplicates("hurst")
            overlay(ax, found, found["hurst"], "boundary")
    ax.set(xlabel="Hurst index $H$", ylabel=r"boundary $\beta^*$")
    handles, labels = ax.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    ax.legend(unique.values(), unique.keys())
    return ax


def _forward(hurst: float) -> float:
    return depthlimits.forward_exponent(hurst, "two-layer")


def _boundary_rows(
    data: pd.DataFrame,
    *,
    direction: str = "output",
    block: str = "two-layer",
    generator: str = "exact",
) -> pd.DataFrame:
    chosen = (data["block"] == block) & (data["generator"] == generator)
    return data[chosen & (data["direction"] == direction)]


def accuracy(data: pd.DataFrame, column: str, depth: int, ax: Axes | None = None) -> Axes:
    """Heat map of accuracy, mean over networks, with the boundary at initialization.

    Parameters
    ----------
    data : DataFrame
        ``hurst``, ``beta`` and ``column``, several rows for a point being averaged.
    column : str
        The accuracy to show.
    depth : int
        Of the trained networks, for the boundary of single blocks.
    """
    ax = ax or plt.gca()
    grid = data.pivot_table(index="beta", columns="hurst", values=column, aggfunc="mean")
    mesh = ax.pcolormesh(grid.columns, grid.index, grid, cmap="viridis", vmin=0, vmax=1)
    ax.figure.colorbar(mesh, ax=ax, location="top", shrink=0.8, label="accuracy on test data")
    hursts = np.linspace(grid.columns[0], grid.columns[-1], 17)
    line = [
        depthlimits.critical_exponent(
            depthlimits.layer_covariance(FractionalNoise(float(h)), depth), "single"
        )
        for h in hursts
    ]
    ax.plot(hursts, line, color="white", linestyle="--")
    ax.set(xlabel="Hurst index $H$", ylabel=r"$\beta$")
    return ax
