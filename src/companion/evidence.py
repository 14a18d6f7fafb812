"""Published results beside a live run: one for the figure, the other to see that it still holds.

A chapter draws the published full preset and, on it, a run of the package as it is now. The two
must agree; where they do not, the code, a library or the published file has drifted.

Tables are compared by these rules, which every experiment follows: an estimate ``x`` has its
standard error in ``x_sem`` (``sem`` alone belongs to ``density``), theory ends in ``_theory``, the
columns of `INDEX` count rows inside a cell, and the other columns that the grid names are its
parameters. What has no standard error, such as a quantile, is drawn and not compared.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from companion._optional import require

require("pandas", extra="evidence", purpose="compare results")

import pandas as pd  # noqa: E402

from companion import results  # noqa: E402
from companion.montecarlo import AGREEMENT_SIGMAS  # noqa: E402
from companion.papers import find_experiment  # noqa: E402
from companion.sweeps import Experiment, preset_from_environment, run  # noqa: E402

__all__ = ["INDEX", "LIVE_SEED", "SAMPLE_SIZES", "Agreement", "Evidence", "compare", "gather"]

#: Columns that number the rows of one cell.
INDEX: Final = (
    "layer",
    "lag",
    "x",
    "beta",
    "direction",
    "steps",
    "learning_rate",
    "kind",
    "entry",
)

#: Parameters that say how many were drawn, not of what.
SAMPLE_SIZES: Final = ("networks", "inputs")

#: Seed of live runs: not that of the published ones, so that the two are independent.
LIVE_SEED: Final = 1

_THEORY_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Agreement:
    """Outcome of a comparison of two tables.

    Attributes
    ----------
    count : int
        Numbers compared.
    limit : float
        Largest distance allowed, in standard errors of the difference: 4.5, widened (Bonferroni)
        so that the chance of a false alarm in the whole family is that of one comparison.
    worst : float
        Largest distance found.
    where : str
        The number with the largest distance.
    """

    count: int
    limit: float
    worst: float
    where: str

    @property
    def holds(self) -> bool:
        """Whether everything agrees."""
        return self.worst <= self.limit


@dataclass(frozen=True)
class Evidence:
    """Published table of an experiment, its manifest, and a live run on demand.

    Attributes
    ----------
    experiment : Experiment
    full : DataFrame
        The published table; the live one where nothing is published.
    manifest : mapping, optional
        Of the published run.
    device : str
        For the live run.
    """

    experiment: Experiment
    full: pd.DataFrame
    manifest: Mapping[str, Any] | None
    device: str = "auto"

    @cached_property
    def quick(self) -> pd.DataFrame:
        """A run of the package as it is, at the preset named by ``COMPANION_PRESET``."""
        if self.manifest is None:
            return self.full
        return _live(self.experiment, self.device)

    @property
    def comparable(self) -> bool:
        """Whether the table holds estimates with standard errors."""
        return bool(_estimates(self.full))

    @property
    def live(self) -> pd.DataFrame | None:
        """The live run where it is something else than ``full``, to be drawn on top."""
        return None if self.manifest is None else self.quick

    def assert_agree(self) -> Evidence:
        """Fail unless the live run agrees with the published one; return this evidence.

        Raises
        ------
        AssertionError
            Naming the number that differs most; also if the two tables share no cell, because
            then nothing is tested.
        """
        if self.manifest is not None:
            found = compare(self.full, self.quick, self.experiment)
            if not found.count:
                raise AssertionError(
                    f"no number of the live run of {self.experiment.id} has a published one to be "
                    "compared with; let the presets share a cell, and estimates carry errors."
                )
            if not found.holds:
                raise AssertionError(
                    f"{self.experiment.id} drifted from its published result: {found.where} "
                    f"differs by {found.worst:.1f} standard errors, {found.limit:.1f} allowed "
                    f"among {found.count}; find the change, or publish the experiment anew."
                )
        return self

    @property
    def stamp(self) -> str:
        """Preset, device and date of both runs, in one line."""
        today = datetime.date.today().isoformat()
        preset = preset_from_environment()
        if self.manifest is None:
            return f"{preset} run of {today}, nothing published yet"
        name = self.manifest["device"]["name"]
        day = str(self.manifest["date"])[:10]
        return f"published: full, {name}, {day}; live: {preset}, {today}"


def gather(name: str, *, device: str = "auto") -> Evidence:
    """Evidence of the experiment called ``name``.

    Raises
    ------
    ValueError
        If there is no such experiment, or its published files are damaged.
    """
    experiment = find_experiment(name)
    if name not in results.published() and f"{name}.json" not in results.ASSETS:
        return Evidence(experiment, _live(experiment, device), None, device)
    full, manifest = results.load(name)
    return Evidence(experiment, full, manifest, device)


def _live(experiment: Experiment, device: str) -> pd.DataFrame:
    return run(experiment, preset_from_environment(), seed=LIVE_SEED, device=device)


def compare(full: pd.DataFrame, quick: pd.DataFrame, experiment: Experiment) -> Agreement:
    """Compare the cells that two tables of an experiment share.

    Cells are the same if all parameters but the `SAMPLE_SIZES` are. Estimates may differ by
    their joint standard error times a limit, theory not at all.
    """
    keys = _keys(full, quick, experiment)
    # Bins are compared by their centres, which are computed and may differ in the last digit.
    one, two = (frame.assign(**_rounded(frame, keys)) for frame in (full, quick))
    joined = one.merge(two, on=keys, suffixes=("", "_live"))
    distances = {name: _distance(joined, name) for name in _estimates(full)}
    distances |= {
        name: _mismatch(joined[name], joined[f"{name}_live"])
        for name in full.columns
        if name.endswith("_theory")
    }
    count = sum(values.size for values in distances.values())
    if not count:
        return Agreement(0, AGREEMENT_SIGMAS, 0.0, "")
    name = max(distances, key=lambda key: float(distances[key].max()))
    row = int(distances[name].argmax())
    place = ", ".join(f"{key}={joined[key].iloc[row]}" for key in keys)
    return Agreement(count, _limit(count), float(distances[name][row]), f"{name} at {place}")


def _limit(count: int) -> float:
    from scipy.stats import norm

    return float(norm.isf(norm.sf(AGREEMENT_SIGMAS) / count))


def _keys(full: pd.DataFrame, quick: pd.DataFrame, experiment: Experiment) -> list[str]:
    grids = [*experiment.grids["quick"], *experiment.grids["full"]]
    parameters = {name for params in grids for name in params} - set(SAMPLE_SIZES)
    shared = [name for name in full.columns if name in quick.columns]
    return [name for name in shared if name in parameters or name in INDEX]


def _rounded(frame: pd.DataFrame, keys: Sequence[str]) -> dict[str, Any]:
    floats = [key for key in keys if frame[key].dtype.kind == "f"]
    return {key: frame[key].round(9) for key in floats}


def _estimates(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if _error_of(name) in frame.columns]


def _error_of(name: str) -> str:
    return "sem" if name == "density" else f"{name}_sem"


def _distance(joined: pd.DataFrame, name: str) -> np.ndarray:
    """Difference in standard errors.

    The live error is at least the published one scaled to the smaller sample: a bin that the live
    run happened to leave empty does not claim to be exact.
    """
    error, live = (joined[f"{_error_of(name)}{end}"].to_numpy() for end in ("", "_live"))
    if "networks_live" in joined:
        with np.errstate(invalid="ignore"):  # cells of theory alone have no networks
            ratio = joined["networks"].to_numpy() / joined["networks_live"].to_numpy()
        live = np.maximum(live, error * np.sqrt(ratio))
    one, two = joined[name].to_numpy(), joined[f"{name}_live"].to_numpy()
    gap, absent = np.abs(one - two), np.isnan(one) & np.isnan(two)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((gap == 0) | absent, 0.0, gap / np.hypot(error, live))


def _mismatch(one: pd.Series, two: pd.Series) -> np.ndarray:
    """Infinite where two exact numbers differ, else zero; two absent ones do not differ."""
    pair = one.to_numpy(), two.to_numpy()
    same = np.isclose(*pair, rtol=_THEORY_TOLERANCE, atol=1e-12, equal_nan=True)
    return np.where(same, 0.0, np.inf)
