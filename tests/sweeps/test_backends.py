"""Real cells give the same bits however they are computed, and devices have names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from companion import _checkout, sweeps
from companion.papers import all_experiments, find_experiment
from companion.sweeps import backends
from companion.sweeps.experiment import NORMALS_PER_SHARD, plan
from companion.sweeps.manifest import digest


def small(name: str, monkeypatch) -> sweeps.Experiment:
    """Cut an experiment into many small shards."""
    monkeypatch.setattr(sweeps.experiment, "NORMALS_PER_SHARD", 400_000)
    found = find_experiment(name)
    grid = [{**params, "depth": 10, "networks": 900} for params in found.grid("quick")[:2]]
    return replace(found, grids={"quick": grid})


@pytest.mark.parametrize("name", ["lg-norms", "lg-hypoactivation"])
def test_real_cells_on_two_processes(name, monkeypatch, tmp_path):
    made = small(name, monkeypatch)
    assert len(plan(made, "quick", 0, "cpu").shards) > 4
    here = sweeps.run(made, device="cpu")
    there = sweeps.run(made, device="cpu", jobs=2, folder=tmp_path)
    pd.testing.assert_frame_equal(here, there)
    assert digest(here) == digest(there)


def test_shards_of_a_cell_are_different_networks(monkeypatch):
    made = replace(small("lg-norms", monkeypatch), finish=None, pool=lambda frame: frame)
    frame = sweeps.run(made, device="cpu")
    last = frame[(frame["layer"] == 10) & (frame["width"] == 50)]
    assert last["log_norm_average"].nunique() == len(last) > 1


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_no_shard_is_much_longer_than_a_few_seconds(preset):
    divisible = [one for one in all_experiments().values() if one.pool is not None]
    assert divisible
    for experiment in divisible:
        for shard in plan(experiment, preset, 0, "cpu").shards:
            size = np.prod([shard.params[name] for name in ("depth", "width", "networks")])
            assert size <= 2 * NORMALS_PER_SHARD, experiment.id


def test_devices_have_names(monkeypatch):
    import torch

    assert backends.device_name("cpu")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A Card")
    assert backends.device_name("cuda") == "A Card"


def test_a_cpu_has_a_name_where_there_is_no_list_of_them(monkeypatch):
    def fail(*_arguments, **_options):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", fail)
    assert backends.device_name("cpu")


def test_versions_of_what_numbers_depend_on():
    assert {"python", "numpy", "scipy", "torch", "pandas"} <= set(backends.versions())


def test_the_checkout_is_that_of_the_package_or_of_the_working_folder(root, tmp_path, monkeypatch):
    assert _checkout.checkout() == root
    installed = tmp_path / "lib" / "site-packages" / "companion" / "_checkout.py"
    monkeypatch.setattr(_checkout, "__file__", str(installed))
    monkeypatch.chdir(tmp_path)
    assert _checkout.checkout() is None
    monkeypatch.chdir(root / "tests")
    assert _checkout.checkout() == root
