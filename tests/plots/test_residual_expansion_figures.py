"""Figures of the residual expansion draw the rows they are told to, on the axes they get."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from companion import sweeps
from companion.papers.residual_expansion.experiments import EXPERIMENTS
from companion.plots import residual_expansion as figures

#: What turns the quick grid of an experiment into a toy.
TOYS = {
    "re-paths": {"networks": 6, "depth": 14, "width": 8},
    "re-jacobian": {"networks": 6, "depth": 14, "width": 8},
    "re-prenorm": {"networks": 4, "width": 8},
    "re-smooth": {"networks": 6, "depth": 8, "width": 8, "orders": 4},
    "re-truncation": {"networks": 2, "depth": 40, "width": 8, "orders": 33},
    "re-remainder": {"networks": 6, "depth": 20, "width": 8},
    "re-kink": {"networks": 40},
    "re-correlation": {"networks": 4, "depth": 8, "width": 8},
    "re-lengths": {},
    "re-explorer": {"depth": 40, "width": 8, "scales": (0.1, 1.0)},
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def toy(name: str, params: dict) -> dict:
    small = {**params, **TOYS[name]}
    if name in ("re-paths", "re-jacobian"):
        small["orders"] = min(params["orders"], 5)
        small["networks"] = min(params["networks"], 6)
    if name == "re-kink":
        small["width"] = params["width"] // 4
    if name == "re-prenorm":
        small["depth"] = min(params["depth"], 54)
    return small


@cache
def rows(name: str) -> pd.DataFrame:
    """Table of an experiment at the sizes of a toy."""
    (found,) = (e for e in EXPERIMENTS if e.id == name)
    grid = [toy(name, dict(params)) for params in found.grids["quick"]]
    if name == "re-explorer":
        grid = grid[::2]
    if name == "re-lengths":
        grid = [p for p in grid if p["correlation"] in (0.0, 0.1) and p["gain"] != 0.5]
    return sweeps.run(replace(found, grids={"quick": grid}), device="cpu")


def trained(name: str) -> pd.DataFrame:
    """Tables of trained networks, invented: what is drawn does not depend on the training."""
    rng = np.random.default_rng(5)
    if name == "re-training":
        frame = pd.DataFrame(
            [
                {"depth": depth, "epochs": epochs, "kind": kind, "x": x}
                for depth, epochs in ((100, 40), (10, 40), (10, 15))
                for kind in ("sgd 0.1", "sgd 0.02", "clipped", "adam 0.002", "layer norm")
                for x in (0.0, 0.01, 0.1, 1.0)
            ]
        )
        names = ["accuracy", "features_before", "features_after", "logits_before", "logits_after"]
        frame["reduced"] = frame["x"] * frame["depth"] ** 0.5
        frame["features_theory"] = 1.5 + frame["x"]
        frame["diverged"] = np.where((frame["x"] == 1) & (frame["kind"] == "sgd 0.1"), 1.0, 0.0)
        names.append("ratio")
    elif name == "re-rates":
        frame = pd.DataFrame(
            [
                {"depth": depth, "epochs": epochs, "protocol": protocol, "x": x}
                for depth, epochs in ((100, 40), (30, 15))
                for protocol in ("sgd 0.1", "adam 0.002")
                for x in (0.0, 1.0, 30.0)
            ]
        )
        frame["diverged"] = np.where(frame["x"] == 30, 0.2, 0.0)
        names = ["accuracy"]
    else:
        points = [("sgd 0.1", 0.1, 1.0), ("sgd 0.1", 0.01, 100.0), ("adam 0.002", 0.01, 1.0)]
        frame = pd.DataFrame(
            [
                {
                    **{"depth": depth, "epochs": epochs, "kind": kind, "x": x},
                    **{"protocol": protocol, "scale": scale, "multiplier": multiplier},
                }
                for depth, epochs in ((100, 40), (30, 15))
                for protocol, scale, multiplier in points
                for kind, x in [("order", k) for k in range(4)] + [("coherence", -1)]
            ]
        )
        frame["energy_theory"] = -frame["x"].astype(float)
        names = ["before", "after"]
    for column in names:
        frame[column] = rng.uniform(0.5, 1.0, len(frame)).round(6)
        frame[f"{column}_sem"] = 0.01
        if "diverged" in frame:
            frame.loc[frame["diverged"] == 1, column] = np.nan
    return frame


def data(name: str) -> pd.DataFrame:
    return rows(name).copy() if name in TOYS else trained(name)


def tanh(frame, ax=None, *, live=None):
    return figures.truncation(frame, ax, depth=40, live=live)


def coefficients(frame, ax=None, *, live=None):
    return figures.coefficients(frame, ax, depth=40, live=live)


CASES = {
    "path energies": ("re-paths", figures.path_energies),
    "counting": ("re-paths", figures.counting),
    "jacobian": ("re-jacobian", figures.jacobian),
    "prenorm": ("re-prenorm", figures.prenorm),
    "smooth orders": ("re-smooth", figures.smooth_orders),
    "truncation": ("re-truncation", tanh),
    "coefficients": ("re-truncation", coefficients),
    "remainder": ("re-remainder", figures.remainder),
    "kinks": ("re-kink", figures.kinks),
    "crossover": ("re-correlation", figures.crossover),
    "training accuracy": ("re-training", figures.training_accuracy),
    "complexity": ("re-training", figures.complexity),
    "complexity ratio": ("re-training", figures.complexity_ratio),
    "branch rates": ("re-rates", figures.branch_rates),
    "trained orders": ("re-orders", figures.trained_orders),
}


def test_every_figure_is_tried():
    others = {"ensemble", "lengths_explorer", "truncation_explorer", "truncation"}
    assert {f.__name__ for _, f in CASES.values()} - {"tanh"} == set(figures.__all__) - others


@pytest.mark.parametrize("name", CASES)
def test_figures_draw_on_the_axes_they_get(name):
    experiment, draw = CASES[name]
    _, (left, right) = plt.subplots(1, 2)
    found = draw(data(experiment), right, live=data(experiment))
    assert isinstance(found, Axes)
    assert found is right
    assert found.get_ylabel()
    assert found.lines or found.patches
    assert not left.lines, "nothing is drawn elsewhere"
    found.figure.canvas.draw()  # every text can be set


def drawn(ax: Axes) -> set[float]:
    """Ordinates of everything that is drawn as points or lines."""
    parts = [np.asarray(line.get_ydata(), dtype=float) for line in ax.lines]
    return set(np.round(np.concatenate(parts), 9))


def values(frame: pd.DataFrame, column: str) -> set[float]:
    return set(np.round(frame[column].dropna().to_numpy(dtype=float), 9))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("path energies", "energy"),
        ("jacobian", "value"),
        ("prenorm", "value"),
        ("smooth orders", "value"),
        ("remainder", "value"),
        ("kinks", "density"),
        ("training accuracy", "accuracy"),
        ("complexity ratio", "ratio"),
        ("branch rates", "accuracy"),
        ("trained orders", "after"),
    ],
)
def test_live_points_are_drawn_on_top(name, column):
    experiment, draw = CASES[name]
    frame = data(experiment)
    live = frame.assign(**{column: frame[column] * 1.01 + 0.01})
    before = drawn(draw(frame, plt.figure().gca()))
    after = drawn(draw(frame, plt.figure().gca(), live=live))
    assert before < after
    assert (after - before) <= values(live, column)


@pytest.mark.parametrize("name", ["truncation", "coefficients", "complexity"])
def test_live_logarithms_are_drawn_as_powers(name):
    experiment, draw = CASES[name]
    frame = data(experiment)
    column = "features_after" if name == "complexity" else "value"
    live = frame.assign(**{column: frame[column] + 0.01})
    before = drawn(draw(frame, plt.figure().gca()))
    after = drawn(draw(frame, plt.figure().gca(), live=live))
    assert before < after
    powers = set(np.round(10 ** live[column].dropna().to_numpy(), 9))
    assert (after - before) <= powers


def test_scales_and_networks_are_drawn_apart():
    frame = data("re-paths")
    for exponent in (0.0, 0.5, 1.0):
        own = frame[(frame["exponent"] == exponent) & (frame["alignment"] == "independent")]
        ax = figures.path_energies(frame, plt.figure().gca(), exponent=exponent)
        seen = drawn(ax)
        orders = own[(own["kind"] == "order") & (own["energy_theory"] > 1e-7)]
        assert values(orders, "energy_theory") <= seen
        total = own[own["kind"] == "total"]["energy_theory"].iloc[0]
        assert f"total {total:.4g}" in ax.get_title()
    frame = data("re-truncation")
    for activation, variance in (("erf", 1.0), ("erf", 1.5), ("linear", 1.0)):
        own = frame[(frame["activation"] == activation) & (frame["variance"] == variance)]
        own = own[(own["kind"] == "error") & (own["x"] == 0.5)]
        ax = figures.truncation(
            frame, plt.figure().gca(), activation=activation, variance=variance, depth=40
        )
        assert set(np.round(10 ** own["value"], 9)) <= drawn(ax)


def test_counting_shows_three_laws_that_sum_to_one():
    ax = figures.counting(data("re-paths"), plt.figure().gca())
    heights = [sum(bar.get_height() for bar in group) for group in ax.containers]
    np.testing.assert_allclose(heights, 1, rtol=1e-6)


def test_curves_collapse_on_the_critical_scale():
    frame = data("re-correlation")
    spread = []
    for collapsed in (False, True):
        ax = figures.crossover(frame, plt.figure().gca(), collapsed=collapsed)
        first = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) > 10]
        assert len(first) == 8
        spread.append(np.ptp(first))
    assert spread[1] < 1e-12 < spread[0]


def test_diverged_runs_are_crossed_and_a_scale_of_zero_has_its_place():
    frame = data("re-training")
    ax = figures.training_accuracy(frame, plt.figure().gca())
    crosses = [line for line in ax.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in crosses] == [[1.0]]
    low = min(min(line.get_xdata()) for line in ax.lines if len(line.get_xdata()))
    assert low == pytest.approx(0.005)


def test_cells_that_do_not_exist_are_named():
    with pytest.raises(ValueError, match=r"depth and epochs must be one of .*got \(7, 40\)"):
        figures.training_accuracy(data("re-training"), plt.figure().gca(), depth=7)


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_the_ensemble_has_all_paths(depth):
    ax = figures.ensemble(depth, plt.figure().gca())
    boxes = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    assert len(boxes) == depth * 2 ** (depth - 1)
    assert len([t for t in ax.texts if t.get_text() == "$h_0$"]) == 2**depth
    assert len([t for t in ax.texts if t.get_text().startswith("order")]) == depth + 1
    ax.figure.canvas.draw()


def test_a_large_ensemble_is_refused():
    with pytest.raises(ValueError, match="depth must be 1 to 4 to be drawn, got 9"):
        figures.ensemble(9, plt.figure().gca())


def states(figure) -> dict[str, dict]:
    """What a reader's browser gets."""
    match = re.search(r'type="application/json"[^>]*>(.*?)</script>', figure.to_html(), re.DOTALL)
    assert match is not None
    return json.loads(match.group(1))


def test_explorer_of_lengths_has_a_state_for_every_choice():
    frame = data("re-lengths")
    found = states(figures.lengths_explorer(frame))
    assert set(found) == {f"0,{j},{k},{m}" for j in range(5) for k in range(2) for m in range(2)}
    state = found["0,2,0,0"]  # depth 20, exponent 1/2, independent, gain 1
    own = frame[(frame["beta"] == 0.5) & (frame["correlation"] == 0) & (frame["gain"] == 1)]
    shares = own.sort_values("x")["share_theory"].to_numpy()
    np.testing.assert_allclose(state["data"][0]["y"], shares[: len(state["data"][0]["y"])], 1e-3)
    assert "total 2.65" in state["layout"]["title"]["text"]
    assert state["layout"]["title"]["text"].endswith("s = 0.224 = 1 s_c")
    exploded = found["0,0,1,1"]["layout"]["title"]["text"]
    assert re.search(r"total 10\^\d", exploded)


def test_explorer_of_truncations_says_where_the_expansion_ends():
    frame = data("re-explorer")
    found = states(figures.truncation_explorer(frame))
    assert set(found) == {f"{i},0,{k}" for i in range(5) for k in range(2)}
    titles = [found[f"{i},0,1"]["layout"]["title"]["text"] for i in range(5)]
    assert "a polynomial" in titles[0]
    assert "beyond the first kink at" in titles[1]
    assert all("the apparent radius" in title for title in titles[2:])
    own = frame[(frame["activation"] == "tanh") & (frame["x"] == 1.0)].sort_values("entry")
    np.testing.assert_allclose(found["2,0,1"]["data"][0]["y"], own["error"], rtol=1e-3)
    best = found["2,0,1"]["data"][1]
    assert best["y"][0] == pytest.approx(own["error"].min(), rel=1e-3)
