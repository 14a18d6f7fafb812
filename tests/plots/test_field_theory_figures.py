"""Figures of the field-theory chapter draw the rows they are told to, on the axes they get."""

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

from companion import sweeps
from companion.papers.field_theory.experiments import EXPERIMENTS
from companion.plots import field_theory as figures

#: What turns the quick grid of an experiment into a toy.
TOYS = {
    "ft-kernels": {"depth": 6, "width": 12, "networks": 4},
    "ft-response": {"width": 12, "networks": 4},
    "ft-optimum": {"depths": (2, 5, 20)},
    "ft-variance": {"sigmas": (0.5, 1.0, 2.0)},
    "ft-fluctuations": {"networks": 30},
    "ft-accumulation": {},
    "ft-training": {"width": 8, "networks": 2, "scales": (0.1, 0.5)},
    "ft-regression": {"scales": (0.1, 0.5)},
    "ft-kinds": {},
    "ft-pairs": {"cosines": (0.0, 0.5)},
    "ft-criterion": {},
    "ft-explorer": {"scales": tuple(np.geomspace(0.02, 2.0, 9))},
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def toy(name: str, params: dict) -> dict:
    small = {**params, **TOYS[name]}
    if name == "ft-accumulation":
        small["networks"] = 6 if params["networks"] else 0
        small["depth"] = min(params["depth"], 40)
    if name == "ft-fluctuations":
        small["width"] = params["width"] // 10
    return small


@cache
def rows(name: str) -> pd.DataFrame:
    """Table of an experiment at the sizes of a toy."""
    (found,) = (e for e in EXPERIMENTS if e.id == name)
    grid = [toy(name, dict(params)) for params in found.grids["quick"]]
    if name == "ft-explorer":
        grid = [p for p in grid if p["weight_variance"] in (0.25, 1.0)]
    return sweeps.run(replace(found, grids={"quick": grid}), device="cpu")


def data(name: str) -> pd.DataFrame:
    return rows(name).copy()


CASES = {
    "kernels": ("ft-kernels", figures.kernels),
    "responses": ("ft-kernels", figures.responses),
    "output response": ("ft-response", figures.output_response),
    "optimum": ("ft-optimum", figures.optimum),
    "approximations": ("ft-optimum", figures.approximations),
    "final kernel": ("ft-optimum", figures.final_kernel),
    "variance": ("ft-variance", figures.variance),
    "elasticity": ("ft-variance", figures.elasticity),
    "fluctuations": ("ft-fluctuations", figures.fluctuations),
    "cross layer": ("ft-fluctuations", figures.cross_layer),
    "accumulation": ("ft-accumulation", figures.accumulation),
    "training": ("ft-training", figures.training),
    "training loss": ("ft-training", figures.training_loss),
    "practitioner": ("ft-training", figures.practitioner),
    "regression": ("ft-regression", figures.regression),
    "kinds": ("ft-kinds", figures.kinds),
    "pairs": ("ft-pairs", figures.pairs),
    "criterion": ("ft-criterion", figures.criterion),
}


def test_every_figure_is_tried():
    assert {f.__name__ for _, f in CASES.values()} == set(figures.__all__) - {"explorer"}


@pytest.mark.parametrize("name", CASES)
def test_figures_draw_on_the_axes_they_get(name):
    experiment, draw = CASES[name]
    _, (left, right) = plt.subplots(1, 2)
    found = draw(data(experiment), right, live=data(experiment))
    assert isinstance(found, Axes)
    assert found is right
    assert found.get_ylabel()
    assert found.lines or found.collections
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
        ("kernels", "kernel"),
        ("responses", "response"),
        ("fluctuations", "variance"),
        ("accumulation", "relative"),
        ("training", "accuracy"),
        ("training loss", "loss"),
        ("practitioner", "chosen"),
        ("regression", "error"),
        ("output response", "response"),
    ],
)
def test_live_points_are_drawn_on_top(name, column):
    experiment, draw = CASES[name]
    frame = data(experiment)
    live = frame.assign(**{column: frame[column] * 1.01 + 0.01})
    if name == "fluctuations":  # the live curve is that of one width
        live = live.assign(width=np.where(live["width"] == 20, 200, live["width"]))
    before = drawn(draw(frame, plt.figure().gca()))
    after = drawn(draw(frame, plt.figure().gca(), live=live))
    assert before < after
    assert (after - before) <= values(live, column)


def test_activations_are_drawn_apart():
    frame = data("ft-kernels")
    for activation in ("erf", "relu"):
        seen = drawn(figures.kernels(frame, plt.figure().gca(), activation=activation))
        own = frame["activation"] == activation
        assert values(frame[own], "kernel_theory") <= seen
        assert not values(frame[~own], "kernel") & seen


def test_optimum_shows_every_network():
    frame = data("ft-optimum")
    ax = figures.optimum(frame, plt.figure().gca())
    assert values(frame, "exact_theory") == drawn(ax)
    assert len(ax.lines) == 4
    assert len(ax.patches) + len(ax.collections) == 2, "practice, and the band of one network"


def test_approximations_show_the_worst_network():
    frame = data("ft-optimum")
    worst = np.abs(frame["leading_theory"] / frame["exact_theory"] - 1).groupby(frame["x"]).max()
    seen = drawn(figures.approximations(frame, plt.figure().gca()))
    assert set(np.round(worst, 9)) <= seen


def test_variance_shows_one_input():
    frame = data("ft-variance")
    for k0 in (0.1, 0.05):
        own = frame["input_variance"] == k0
        seen = drawn(figures.variance(frame, plt.figure().gca(), input_variance=k0))
        assert values(frame[own], "optimum_theory") <= seen
        assert not values(frame[~own], "optimum_theory") & seen


def test_criterion_is_white_where_there_is_no_optimum():
    frame = data("ft-criterion")
    ax = figures.criterion(frame, plt.figure().gca())
    shown = np.ma.masked_invalid(ax.collections[0].get_array())
    assert np.ma.count(shown) == (frame["optimum_theory"] > 0).sum() < len(frame)


def test_maxima_are_marked_where_there_are_some():
    ax = figures.kinds(data("ft-kinds"), plt.figure().gca())
    assert len(ax.lines) == 5 + 2


def states(figure) -> dict[str, dict]:
    """What a reader's browser gets."""
    match = re.search(r'type="application/json"[^>]*>(.*?)</script>', figure.to_html(), re.DOTALL)
    assert match is not None
    return json.loads(match.group(1))


def test_explorer_has_a_state_for_every_choice():
    frame = data("ft-explorer")
    found = states(figures.explorer(frame))
    assert set(found) == {f"0,{j},{k},{m}" for j in range(2) for k in range(3) for m in range(9)}
    biased = found["0,0,2,4"]
    rows_ = frame[(frame["weight_variance"] == 0.25) & (frame["bias_variance"] == 0.1)]
    np.testing.assert_allclose(
        biased["data"][0]["y"], rows_.sort_values("x")["response_theory"], rtol=1e-3
    )
    assert "no optimal scale" in biased["layout"]["title"]["text"], "beta = .4 exceeds 1/pi"
    assert biased["layout"].get("shapes", []) == []
    plain = found["0,1,0,4"]
    assert plain["layout"]["title"]["text"].startswith("s* = 0.309")
    line = next(s for s in plain["layout"]["shapes"] if s["type"] == "line")
    assert line["x0"] == pytest.approx(0.3095, abs=1e-4)
    assert plain["data"][1]["x"] == [pytest.approx(0.2, abs=1e-3)]
