"""Figures take data and Axes, return the Axes, and draw what they are given."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes

from companion import plots, sweeps
from companion.papers import find_experiment
from companion.papers.log_gaussian.experiments import network
from companion.plots import log_gaussian as figures

SMALL = {"networks": 60, "layers": (1, 10), "lags": (0, 1, 2)}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def data(name: str):
    """Rows of an experiment at the sizes of a toy."""
    found = find_experiment(name)
    shrink = {100: 20, 50: 16, 200: 24, 400: 28, 25: 12}
    grid = []
    for params in found.grid("quick"):
        depth = {"depth": min(params["depth"], 12)} if "depth" in params else {}
        grid.append({**params, **depth, **SMALL, "width": shrink[params["width"]]})
    return sweeps.run(replace(found, grids={"quick": grid}), device="cpu")


CASES = {
    "lg-norms": lambda d, ax: figures.norm_law(d, "variance", ax),
    "lg-hypoactivation": lambda d, ax: figures.hypoactivation(d, "active", ax),
    "lg-interlayer": figures.interlayer,
    "lg-second-moment": figures.moment_growth,
    "lg-gradients": lambda d, ax: figures.gradient_fan(d, "vanilla", ax),
    "lg-next-order": figures.next_order,
    "lg-alignment": figures.alignment,
    "lg-histogram": lambda d, ax: figures.output_histogram(
        d[d["depth"] == 12], network({"depth": 12, "width": 20}), ax
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_figures_draw_on_the_axes_they_get(name):
    _, (left, right) = plt.subplots(1, 2)
    found = CASES[name](data(name), right)
    assert isinstance(found, Axes)
    assert found is right
    assert found.get_xlabel()
    assert found.get_ylabel()
    assert len(found.lines) + len(found.containers) + len(found.collections) >= 2
    assert not left.lines, "nothing is drawn elsewhere"


def test_points_are_the_data():
    frame = data("lg-next-order")
    ax = figures.next_order(frame, plt.figure().gca())
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.lines])
    assert set(np.round(frame["variance"], 9)) <= set(np.round(drawn, 9))


def test_error_bars_are_two_standard_errors():
    ax = plots.style.errorbars(plt.figure().gca(), [0.0], [1.0], [0.25], role="vanilla")
    (segments,) = ax.containers[0].lines[2]
    assert segments.get_segments()[0][:, 1].tolist() == [0.5, 1.5]


def test_style_is_the_book_s():
    with mpl.rc_context():
        plots.use_style()
        assert mpl.rcParams["savefig.facecolor"] == "white"
        assert not mpl.rcParams["axes.spines.top"]


def test_colours_differ_for_every_common_vision():
    """Pairwise distance after simulated loss of the red or green cones stays visible."""
    roles = ("vanilla", "balanced", "fully connected", "infinite width", "second", "theory")
    rgb = np.array([mpl.colors.to_rgb(plots.PALETTE[role]) for role in roles])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    # Machado, Oliveira and Fernandes 2009, severity 1: protan and deutan.
    visions = (
        np.eye(3),
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    )
    for matrix in visions:
        seen = np.clip(linear @ np.array(matrix).T, 0, 1) ** (1 / 2.4)
        gaps = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[np.triu_indices(len(roles), 1)]
        assert gaps.min() > 0.12


def test_legends_of_panels_go_below_them_with_each_label_once():
    fig, axes = plt.subplots(1, 2)
    for ax in axes:
        ax.plot([0, 1], [0, 1], label="line")
        ax.plot([0, 1], [1, 0], label="line")
        ax.plot([0, 1], [1, 1], label="other")
        ax.legend()
    plots.legends_below(axes)
    fig.canvas.draw()
    for ax in axes:
        legend = ax.get_legend()
        assert [text.get_text() for text in legend.texts] == ["line", "other"]
        assert legend.get_window_extent().y1 < ax.get_window_extent().y0
    plt.close(fig)
