"""Figures of the large-depth chapter draw the rows they are told to, on the axes they get."""

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

from companion import depthlimits, sweeps
from companion.papers.large_depth.experiments import EXPERIMENTS
from companion.plots import large_depth as figures

SHALLOW = 64

#: What turns the quick grid of an experiment into a toy.
TOYS = {
    "ld-iid": {"width": 6, "networks": 20},
    "ld-smooth": {"width": 6, "networks": 6},
    "ld-histogram": {"depth": 20, "width": 12, "networks": 60},
    "ld-fraction": {"depth": 20, "networks": 60},
    "ld-paths": {"depth": 40},
    "ld-phase": {"depth": SHALLOW, "width": 8, "networks": 6},
    "ld-boundaries": {},
    "ld-sde": {"width": 2, "networks": 5},
    "ld-ode": {"width": 3, "networks": 3},
    "ld-stages": {"width": 2},
    "ld-contraction": {"networks": 10},
    "ld-roughness": {"depth": 4, "width": 6, "networks": 2, "epochs": 1},
    "ld-accuracy": {"depth": 4, "width": 6, "networks": 2, "epochs": 1},
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@cache
def rows(name: str) -> pd.DataFrame:
    """Table of an experiment at the sizes of a toy."""
    (found,) = (e for e in EXPERIMENTS if e.id == name)
    grid = [{**params, **TOYS[name]} for params in found.grids["quick"]]
    if name in ("ld-iid", "ld-smooth", "ld-contraction", "ld-boundaries"):
        depths = sorted({params["depth"] for params in grid})
        grid = [{**p, "depth": SHALLOW * (1 + depths.index(p["depth"]))} for p in grid]
    return sweeps.run(replace(found, grids={"quick": grid}), device="cpu")


def data(name: str) -> pd.DataFrame:
    return rows(name).copy()


CASES = {
    "displacement": lambda ax: figures.displacement(data("ld-iid"), "gradient", ax),
    "smooth": lambda ax: figures.displacement(data("ld-smooth"), "output", ax),
    "typical growth": lambda ax: figures.typical_growth(data("ld-fraction"), ax),
    "shrinking": lambda ax: figures.shrinking(data("ld-fraction"), ax),
    "quotients": lambda ax: figures.quotients(data("ld-histogram"), "output", ax),
    "strong order": lambda ax: figures.strong_order(data("ld-sde"), ax),
    "Euler order": lambda ax: figures.euler_order(data("ld-ode"), ax),
    "noise": lambda ax: figures.noise(data("ld-paths").query("hurst == 0.2"), ax),
    "path": lambda ax: figures.path(data("ld-paths").query("hurst == 0.2"), ax),
    "phase map": lambda ax: figures.phase_map(data("ld-phase"), "output", ax),
    "contraction": lambda ax: figures.contraction(data("ld-contraction"), ax),
    "single boundary": lambda ax: figures.single_boundary(data("ld-phase"), ax),
    "generators": lambda ax: figures.generators(data("ld-phase"), data("ld-boundaries"), ax),
    "accuracy": lambda ax: figures.accuracy(data("ld-accuracy"), "chosen", 20, ax),
}


@pytest.mark.parametrize("name", CASES)
def test_figures_draw_on_the_axes_they_get(name):
    _, (left, right) = plt.subplots(1, 2)
    found = CASES[name](right)
    assert isinstance(found, Axes)
    assert found is right
    assert found.get_xlabel()
    assert found.lines or found.collections
    assert not left.lines, "nothing is drawn elsewhere"
    found.figure.canvas.draw()  # every text can be set


def drawn(ax: Axes) -> np.ndarray:
    """Ordinates of everything that is drawn as points or lines."""
    parts = [np.asarray(line.get_ydata(), dtype=float) for line in ax.lines]
    return np.round(np.concatenate(parts), 9)


@pytest.mark.parametrize("direction", ["output", "gradient"])
def test_displacement_draws_one_direction_with_its_theory(direction):
    frame = data("ld-iid")
    frame.loc[frame["direction"] == "gradient", ["mean", "rms_theory"]] *= 7
    seen = set(drawn(figures.displacement(frame, direction, plt.figure().gca())))
    mine, other = (frame[(frame["direction"] == direction) == same] for same in (True, False))
    for column in ("mean", "rms_theory"):
        assert set(np.round(mine[column], 9)) <= seen
        assert not set(np.round(other[column], 9)) & seen


def test_live_points_are_drawn_on_top():
    frame = data("ld-fraction")
    live = frame.assign(log_mean=frame["log_mean"] + 0.123)
    plain = drawn(figures.typical_growth(frame, plt.figure().gca()))
    both = drawn(figures.typical_growth(frame, plt.figure().gca(), live=live))
    assert both.size > plain.size
    assert set(np.round(live["log_mean"], 9)) <= set(both)


def test_fraction_that_shrinks_is_the_normal_law():
    """The smooth line passes through the theory of the table."""
    frame = data("ld-fraction")
    line = figures.shrinking(frame, plt.figure().gca()).lines[0]
    x, y = (np.asarray(v, dtype=float) for v in (line.get_xdata(), line.get_ydata()))
    expected = frame.sort_values("width")
    found = np.interp(expected["width"], x, y)
    np.testing.assert_allclose(found, expected["below_theory"], atol=3e-4)


def test_slopes_of_the_orders():
    for function, name, slope in (
        (figures.strong_order, "ld-sde", -0.5),
        (figures.euler_order, "ld-ode", -1.0),
    ):
        line = function(data(name), plt.figure().gca()).lines[0]
        x, y = np.log(line.get_xdata()), np.log(line.get_ydata())
        assert np.polyfit(x, y, 1)[0] == pytest.approx(slope)


def phase(direction: str, block: str, generator: str) -> pd.DataFrame:
    """Four cells of a map whose numbers name where they belong."""
    number = len(direction) + 100 * len(block) + 10_000 * len(generator)
    return pd.DataFrame(
        {
            "block": block,
            "generator": generator,
            "direction": direction,
            "depth": 12,
            "hurst": [0.3, 0.3, 0.8, 0.8],
            "beta": [0.2, 0.9, 0.2, 0.9],
            "log10": [np.inf, -0.5, 0.25, np.nan],
            "boundary": np.repeat([0.4, 0.5], 2) + number,
            "boundary_sem": 0.01,
            "boundary_theory": np.repeat([0.41, 0.51], 2) + number,
            "first_order_theory": np.repeat([0.42, 0.52], 2) + number,
        }
    )


def test_boundaries_are_those_of_the_block_generator_and_direction():
    kinds = [("two-layer", "exact"), ("two-layer", "published"), ("single", "exact")]
    frame = pd.concat([phase(d, *kind) for d in ("output", "gradient") for kind in kinds])
    for direction in ("output", "gradient"):
        seen = set(drawn(figures.phase_map(frame, direction, plt.figure().gca())))
        own = phase(direction, "two-layer", "exact")
        for column in ("boundary", "first_order_theory"):
            assert set(np.round(own[column], 9)) <= seen
        strange = set(np.round(frame["boundary"], 9)) - set(np.round(own["boundary"], 9))
        assert not strange & seen
    single = set(drawn(figures.single_boundary(frame, plt.figure().gca())))
    for direction in ("output", "gradient"):
        assert set(np.round(phase(direction, "single", "exact")["boundary"], 9)) <= single
    assert not set(np.round(phase("output", "two-layer", "exact")["boundary"], 9)) & single


def test_generators_are_drawn_with_their_recursions():
    ax = figures.generators(data("ld-phase"), data("ld-boundaries"), plt.figure().gca())
    theory = data("ld-boundaries").query("block == 'two-layer' and depth == @SHALLOW")
    for generator in ("exact", "published"):
        expected = theory[theory["generator"] == generator]["recursion_theory"]
        assert len(expected)
        assert set(np.round(expected, 9)) <= set(drawn(ax))


def test_phase_map_shows_decades_and_survives_overflow():
    frame = pd.concat([phase(d, "two-layer", "exact") for d in ("output", "gradient")])
    ax = figures.phase_map(frame, "output", plt.figure().gca())
    values = np.asarray(ax.collections[0].get_array()).reshape(2, 2)  # beta by hurst
    assert values[0].tolist() == [1.0, 0.25]
    assert values[1, 0] == -0.5
    assert ax.collections[0].get_clim() == (-1.0, 1.0)


def test_accuracy_is_averaged_over_networks():
    frame = pd.DataFrame(
        {
            "hurst": [0.1, 0.1, 0.9, 0.9] * 2,
            "beta": [0.1, 0.9] * 4,
            "chosen": [0.2, 0.4, 0.6, 0.8, 0.4, 0.6, 0.8, 1.0],
            "maximum": 1.0,
        }
    )
    ax = figures.accuracy(frame, "chosen", 20, plt.figure().gca())
    values = np.asarray(ax.collections[0].get_array()).reshape(2, 2)
    np.testing.assert_allclose(values, [[0.3, 0.7], [0.5, 0.9]])


def test_roughness_has_a_column_for_each_initialization():
    _, axes = plt.subplots(2, 3)
    figures.roughness(data("ld-roughness"), axes)
    for above, below in axes.T:
        initial, final = (np.asarray(line.get_ydata(), dtype=float) for line in above.lines)
        (update,) = below.lines
        np.testing.assert_allclose(update.get_ydata(), final - initial)
        assert above.get_title()
    assert len({above.get_title() for above in axes[0]}) == 3


def states(figure) -> dict[str, list[dict]]:
    """What a reader's browser gets: the traces of every state."""
    match = re.search(r'type="application/json"[^>]*>(.*?)</script>', figure.to_html(), re.DOTALL)
    assert match is not None
    return {key: state["data"] for key, state in json.loads(match.group(1)).items()}


def test_stages_show_the_depth_that_is_chosen():
    frame = data("ld-stages")
    depths = sorted(set(frame["steps"]))
    found = states(figures.stages(frame))
    assert set(found) == {f"{i},{j}" for i in range(len(depths) - 1) for j in range(2)}
    rough = frame[(frame["kind"] == "rough") & (frame["steps"] == depths[1])]
    np.testing.assert_allclose(found["1,0"][1]["y"], rough["value"], rtol=1e-3, atol=1e-9)
    assert found["1,0"][0]["y"] == found["0,0"][0]["y"], "the limit stays"
    assert found["1,0"][0]["y"] != found["1,1"][0]["y"]


def test_explorer_shows_depth_and_width():
    hursts = [0.2, 0.8]
    frame = pd.concat(
        pd.DataFrame(
            {
                "block": block,
                "generator": "exact",
                "depth": depth,
                "hurst": hursts,
                "recursion_theory": [0.5 + depth / 1e4, 0.7],
                "output_theory": 0.4,
                "gradient_40_theory": 0.4 + depth / 1e4,
                "gradient_inf_theory": 0.3,
                "gradient_10_theory": 0.6,
                "gradient_160_theory": 0.35,
                "asymptotic_output_theory": [0.5, 0.8],
                "asymptotic_gradient_theory": [depthlimits.backward_exponent(h) for h in hursts],
            }
        )
        for depth in (100, 1000)
        for block in ("two-layer", "single")
    )
    found = states(figures.boundary_explorer(frame))
    assert set(found) == {f"{i},{j}" for i in range(2) for j in range(4)}
    gradients = {key: state[3]["y"][0] for key, state in found.items()}
    assert [gradients[f"0,{j}"] for j in range(4)] == [0.6, 0.41, 0.35, 0.3], "in order"
    assert gradients["1,1"] == 0.5
    assert found["1,0"][0]["y"] == [0.6, 0.7]
    assert len(found["0,0"][0]["x"]) == 2, "one block only"
