"""Claims: a statement, where it comes from, and a function that tests it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from companion.montecarlo import AGREEMENT_SIGMAS, Estimate
from companion.papers.defects import Defect
from companion.sweeps import PRESETS

__all__ = ["Check", "Claim", "Finding", "at_least", "at_most", "exceeds", "matches", "within"]

Sizes = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """One comparison inside a claim.

    Attributes
    ----------
    quantity : str
        What is compared.
    observed, expected : str
        What simulation or an independent algorithm gives, and what is claimed, for people.
    criterion : str
        How they were compared.
    passed : bool
        The outcome.
    estimate, sem, target : float, optional
        The same as numbers: the observation, its standard error where it has one, and the value
        or bound it is compared with.
    n : int, optional
        Independent networks (or pairs) behind the estimate; none for a deterministic one.
    resolved : bool
        Whether the estimate was sharp enough to tell; a check that was not does not pass, and
        its failure shows nothing either.
    """

    quantity: str
    observed: str
    expected: str
    criterion: str
    passed: bool
    estimate: float | None = None
    sem: float | None = None
    target: float | None = None
    n: int | None = None
    resolved: bool = True


@dataclass(frozen=True)
class Finding:
    """Outcome of a claim's test.

    A claim with a ``condition`` is supported conditionally when every check inside the condition
    passes and every check ``outside`` of it is seen to fail.

    Raises
    ------
    ValueError
        If nothing was checked, or if a condition is named and not tested on both sides.
    """

    checks: tuple[Check, ...]
    condition: str = ""
    outside: tuple[Check, ...] = ()

    def __post_init__(self) -> None:
        if not self.checks:
            raise ValueError("checks must hold at least one check, got none; a claim is tested.")
        if bool(self.condition) != bool(self.outside):
            raise ValueError(
                f"condition and outside go together, got condition {self.condition!r} and "
                f"{len(self.outside)} checks outside; a condition is tested on both sides."
            )

    @property
    def verdict(self) -> str:
        """``supported``, ``conditional: ...`` or ``not supported``."""
        if not all(check.passed for check in self.checks):
            return "not supported"
        if not self.condition:
            return "supported"
        if any(check.passed or not check.resolved for check in self.outside):
            return "supported"
        return f"conditional: {self.condition}"


@dataclass(frozen=True)
class Claim:
    """A statement that is tested.

    Attributes
    ----------
    id : str
        Such as ``LG-05``.
    statement : str
        One sentence.
    origin : str
        Where the statement comes from: the abstract, public code, or derived here.
    recorded : str
        The verdict on record.
    anchor : str
        Label of the section of the book that discusses it.
    sizes : mapping
        For each preset the sample sizes and dimensions, fixed in advance.
    seed : int
        Root seed, fixed in advance.
    test : callable
        ``test(sizes, seed, device) -> Finding``.
    defect : callable
        A patch of one function of the library that changes the verdict: the proof that the test
        can come out differently (see `companion.papers.defects`).
    note : str
        Changes of size or criterion, and why.
    """

    id: str
    statement: str
    origin: str
    recorded: str
    anchor: str
    sizes: Mapping[str, Sizes]
    seed: int
    test: Callable[[Sizes, int, str], Finding]
    defect: Defect
    note: str = ""

    def check_preset(self, preset: str) -> None:
        """Refuse a preset for which the claim has no sizes."""
        if preset not in self.sizes:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}.")

    def run(self, preset: str = "quick", device: str = "auto") -> Finding:
        """Test the claim at the sizes of ``preset``."""
        self.check_preset(preset)
        return self.test(self.sizes[preset], self.seed, device)


def matches(
    quantity: str,
    estimate: Estimate,
    target: float,
    *,
    effect: float,
    allowance: float = 0.0,
    k: float = AGREEMENT_SIGMAS,
) -> Check:
    """Agreement within ``k * sem + allowance``, by an estimate that resolves ``effect``.

    ``effect`` is the size of the deviation that the claim excludes; an estimate too noisy to see
    it fails the check, and so does an allowance that would swallow it.
    """
    band = k * float(estimate.sem) + allowance
    resolved = bool(band < abs(effect))
    extra = f" + {allowance:.3g}" if allowance else ""
    return Check(
        quantity,
        f"{estimate}",
        _number(target),
        f"|difference| ≤ {k:g} s.e.{extra}, band < effect {abs(effect):.3g}",
        bool(estimate.agrees(target, k=k, allowance=allowance) and resolved),
        **_numbers(estimate, target),
        resolved=resolved,
    )


def exceeds(
    quantity: str, estimate: Estimate, bound: float, *, k: float = AGREEMENT_SIGMAS
) -> Check:
    """One-sided: the estimate lies above ``bound`` by more than ``k`` standard errors."""
    return Check(
        quantity,
        f"{estimate}",
        f"> {bound:g}",
        f"by more than {k:g} s.e.",
        bool(float(estimate.value) - k * float(estimate.sem) > bound),
        **_numbers(estimate, bound),
    )


def within(
    quantity: str, value: float, target: float, tolerance: float, *, n: int | None = None
) -> Check:
    """A plain number, from ``n`` samples if it is random, lies within ``tolerance`` of a target."""
    return Check(
        quantity,
        f"{value:.4g}",
        _number(target),
        f"|difference| ≤ {tolerance:g}",
        bool(abs(value - target) <= tolerance),
        float(value),
        None,
        float(target),
        n,
    )


def at_most(quantity: str, value: float, bound: float, *, n: int | None = None) -> Check:
    """A plain number, from ``n`` samples if it is random, stays below ``bound``."""
    passed = bool(value < bound)
    shown = f"{value:.4g}"
    return Check(
        quantity, shown, f"< {bound:g}", "below the bound", passed, float(value), None, bound, n
    )


def at_least(quantity: str, value: float, bound: float, *, n: int | None = None) -> Check:
    """A plain number, from ``n`` samples if it is random, lies above ``bound``."""
    passed = bool(value > bound)
    shown = f"{value:.4g}"
    return Check(
        quantity, shown, f"> {bound:g}", "above the bound", passed, float(value), None, bound, n
    )


def _numbers(estimate: Estimate, target: float) -> dict[str, Any]:
    return {
        "estimate": float(estimate.value),
        "sem": float(estimate.sem),
        "target": float(target),
        "n": estimate.n,
    }


def _number(value: float) -> str:
    return f"{round(value, 12) + 0:.4g}"  # a rounding error of zero is zero
