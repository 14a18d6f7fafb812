"""Figures of the tangent-kernel chapter draw the rows they are told to, on the axes they get."""

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
from companion.papers.tangent_kernel.experiments import EXPERIMENTS
from companion.plots import tangent_kernel as figures

#: What turns the quick grid of an experiment into a toy; networks that are not drawn are few.
TOYS = {
    "tk-risk": {"networks": 2},
    "tk-harmonics": {"networks": 2, "depths": (0.1, 1.0, 100.0, 1000.0)},
    "tk-digits": {"samples": 200, "networks": 2, "deepest": 20_000},
    "tk-networks": {"width": 16, "networks": 2, "checkpoints": (1, 2)},
    "tk-empirical": {"networks": 2},
    "tk-convergence": {"networks": 4},
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def toy(name: str, params: dict) -> dict:
    small = {**params, **TOYS.get(name, {})}
    if name == "tk-risk":
        small["samples"] = params["samples"] // 4
    if name == "tk-empirical":
        small["width"] = params["width"] // 8
    return small


@cache
def rows(name: str) -> pd.DataFrame:
    """Table of an experiment at the sizes of a toy."""
    (found,) = (e for e in EXPERIMENTS if e.id == name)
    grid = [toy(name, dict(params)) for params in found.grids["quick"]]
    return sweeps.run(replace(found, grids={"quick": grid}), device="cpu")


def data(name: str) -> pd.DataFrame:
    frame = rows(name).copy()
    if name == "tk-networks":  # toys are narrower than what is drawn
        frame["width"] = 128
    return frame


CASES = {
    "kernel curves": ("tk-kernel", figures.kernel_curves),
    "peak": ("tk-kernel", figures.peak),
    "collapse": ("tk-flow", figures.collapse),
    "collapse error": ("tk-flow", figures.collapse_error),
    "rates": ("tk-rates", figures.rates),
    "log correction": ("tk-rates", figures.log_correction),
    "antipode": ("tk-rates", figures.antipode),
    "spectrum": ("tk-spectrum", figures.spectrum),
    "decay": ("tk-spectrum", figures.decay),
    "risk": ("tk-risk", figures.risk),
    "stopping time": ("tk-risk", figures.stopping_time),
    "harmonics": ("tk-harmonics", figures.harmonics),
    "early stopping": ("tk-harmonics", figures.early_stopping),
    "threshold": ("tk-harmonics", figures.threshold),
    "digits": ("tk-digits", figures.digits),
    "centring": ("tk-digits", figures.centring),
    "training": ("tk-networks", figures.training),
    "empirical": ("tk-empirical", figures.empirical),
    "variation": ("tk-empirical", figures.variation),
    "convergence": ("tk-convergence", figures.convergence),
    "phase": ("tk-phase", figures.phase),
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
    assert found.get_xlabel()
    assert found.get_ylabel()
    assert found.lines or found.collections
    assert not left.lines, "nothing is drawn elsewhere"
    found.figure.canvas.draw()  # every text can be set
    legend = found.get_legend()
    if legend is not None:
        labels = [text.get_text() for text in legend.get_texts()]
        assert len(labels) == len(set(labels)), "every label once"


def drawn(ax: Axes) -> set[float]:
    """Ordinates of everything that is drawn as points or lines."""
    parts = [np.asarray(line.get_ydata(), dtype=float) for line in ax.lines]
    every = np.concatenate(parts)
    return set(np.round(every[np.isfinite(every)], 9))


def values(frame: pd.DataFrame, column: str) -> set[float]:
    return set(np.round(frame[column].dropna().to_numpy(dtype=float), 9))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("kernel curves", "kernel_theory"),
        ("peak", "kernel_theory"),
        ("collapse", "kernel_theory"),
        ("log correction", "offset_theory"),
        ("spectrum", "eigenvalue_theory"),
        ("risk", "risk"),
        ("stopping time", "log_time"),
        ("harmonics", "risk"),
        ("threshold", "risk"),
        ("digits", "accuracy"),
        ("centring", "accuracy"),
        ("training", "accuracy"),
        ("empirical", "accuracy"),
        ("variation", "variation"),
        ("convergence", "ratio"),
        ("phase", "beta"),
    ],
)
def test_live_points_are_drawn_on_top(name, column):
    experiment, draw = CASES[name]
    frame = data(experiment)
    live = frame.assign(**{column: frame[column] * 1.01 + 1e-4})
    before = drawn(draw(frame, plt.figure().gca()))
    after = drawn(draw(frame, plt.figure().gca(), live=live))
    assert before < after
    assert (after - before) <= values(live, column)


@pytest.mark.parametrize("beta", [0.0, 0.25, 0.5, 1.0])
def test_curves_of_one_exponent_are_drawn(beta):
    frame = data("tk-kernel")
    ax = figures.kernel_curves(frame, plt.figure().gca(), beta=beta)
    own = frame[(frame["beta"] == beta) & (frame["kind"] == "angle")]
    assert values(own, "kernel_theory") <= drawn(ax)
    assert len(ax.lines) == 3 + 1
    dashed = ax.lines[-1].get_ydata()
    if beta < 0.5:
        assert set(dashed) == {0.25}


def test_degenerate_limit_leaves_out_the_diagonal():
    ax = figures.kernel_curves(data("tk-kernel"), plt.figure().gca(), beta=0.0)
    assert min(ax.lines[-1].get_xdata()) > 0


def test_collapse_shows_limits_depths_and_schedules():
    frame = data("tk-flow")
    ax = figures.collapse(frame, plt.figure().gca())
    assert values(frame, "flow_theory") <= drawn(ax)
    assert {line.get_marker() for line in ax.lines} >= {"o", "^", "s"}


@pytest.mark.parametrize("name", ["rates", "antipode"])
def test_rates_are_drawn_with_their_predictions(name):
    experiment, draw = CASES[name]
    frame = data(experiment)
    ax = draw(frame, plt.figure().gca())
    gap = (frame["kernel_theory"] - frame["limit_theory"]).abs()
    shown = frame[(frame["x"] == 1.0) & (frame["beta"] == 1.0)]
    assert set(np.round(gap[shown.index], 9)) <= drawn(ax)
    assert set(np.round(shown["predicted_theory"].abs(), 9)) <= drawn(ax)


@pytest.mark.parametrize(("beta", "depth"), [(0.0, 10_000), (1.0, 1000), (0.0, 1), (0.5, 1000)])
def test_spectra_show_both_parities(beta, depth):
    frame = data("tk-spectrum")
    ax = figures.spectrum(frame, plt.figure().gca(), beta=beta, depth=depth)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[:2] == ["even degrees", "odd degrees"]
    assert ("plateau" in str(labels) or any("8T" in label for label in labels)) == (depth == 10_000)
    odd = next(line for line in ax.lines if line.get_label() == "odd degrees")
    if depth == 1:
        assert list(odd.get_xdata()) == [1], "the others vanish"


def test_decay_ends_at_the_dimension():
    ax = figures.decay(data("tk-spectrum"), plt.figure().gca())
    curves = [line for line in ax.lines if line.get_marker() not in ("None", "")]
    assert [round(line.get_ydata()[-1]) for line in curves] == [-2, -3, -5, -8]


def test_harmonics_of_one_domain_are_drawn():
    frame = data("tk-harmonics")
    for domain, degrees in (("sphere", 3), ("orthant", 1)):
        ax = figures.harmonics(frame, plt.figure().gca(), samples=400, domain=domain)
        own = frame[(frame["domain"] == domain) & (frame["samples"] == 400)]
        other = frame[(frame["domain"] != domain) & (frame["samples"] == 400)]
        assert values(own, "risk") <= drawn(ax)
        assert not values(other, "risk") & drawn(ax)
        assert len(ax.get_legend().get_texts()) == degrees


def test_threshold_collapses_on_one_curve():
    """Where the formula applies, it is the curve that is drawn."""
    frame = data("tk-harmonics")
    ax = figures.threshold(frame, plt.figure().gca())
    (line,) = (line for line in ax.lines if line.get_label() == "theory")
    use = frame[(frame["domain"] == "sphere") & frame["threshold_theory"].notna()]
    place = use["x"] * (2 * use["degree"] + 1) / (np.pi * use["samples"])
    shown = np.interp(np.log(place), np.log(line.get_xdata()), line.get_ydata())
    np.testing.assert_allclose(shown, use["threshold_theory"], atol=2e-3)


@pytest.mark.parametrize("depth", [5, 16])
def test_convergence_has_a_star_for_every_angle(depth):
    frame = data("tk-convergence")
    ax = figures.convergence(frame, plt.figure().gca(), depth=depth)
    stars = [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "*"]
    own = frame[frame["depth"] == depth].drop_duplicates("x")
    np.testing.assert_allclose(stars, own["ratio_theory"])


def test_quantities_of_the_digits_are_drawn_apart():
    frame = data("tk-digits")
    ax = figures.digits(frame, plt.figure().gca(), quantity="error")
    assert ax.get_ylabel() == "relative squared error"
    assert values(frame[frame["kind"] == "raw"], "error") <= drawn(ax)


def states(figure) -> dict[str, dict]:
    """What a reader's browser gets."""
    match = re.search(r'type="application/json"[^>]*>(.*?)</script>', figure.to_html(), re.DOTALL)
    assert match is not None
    return json.loads(match.group(1))


def test_explorer_has_a_state_for_every_choice():
    frame = data("tk-explorer")
    found = states(figures.explorer(frame))
    assert set(found) == {f"{i},{j}" for i in range(2) for j in range(4)}
    deep = found["1,0"]
    own = frame[(frame["depth"] == 1000) & (frame["beta"] == 0)]
    curve = own[own["kind"] == "kernel"].sort_values("x")
    np.testing.assert_allclose(deep["data"][0]["y"], curve["value_theory"], rtol=1e-3)
    assert deep["layout"]["title"]["text"] == "L = 1000, β = 0: T = 500"
    assert deep["data"][1]["xaxis"] == "x2"
    even, odd = deep["data"][1]["x"], deep["data"][2]["x"]
    assert all(k % 2 == 0 for k in even)
    assert all(k % 2 == 1 for k in odd)
    sizes = [len(json.dumps(state)) for state in found.values()]
    assert max(sizes) < 8000, "64 states fit into a page"
