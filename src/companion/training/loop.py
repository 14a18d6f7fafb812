"""The training loop: runs of one shape in stacks, a divergence as an outcome."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from companion._validation import positive_integer
from companion.architecture import ResNetSpec
from companion.datasets import Dataset
from companion.simulate.blocks import one_thread, resolve_device, resolve_seed
from companion.training.runs import Bar, Examples, Run
from companion.training.settings import Outcome, Settings
from companion.training.stack import Moments, Stack, draw, shape_key

__all__ = ["STACK_ELEMENTS", "train"]

#: Numbers of the stream (layers x width x batch) of all runs of one stack that autograd keeps,
#: by device kind; on a CPU 100 MB of tape.
STACK_ELEMENTS: Final = {"cpu": 12_000_000, "cuda": 2_000_000_000}

_EVALUATION_BATCH = 1000
_Seed = int | np.random.SeedSequence


def train(
    specs: Sequence[ResNetSpec],
    data: Dataset,
    settings: Settings | Sequence[Settings],
    *,
    seeds: Sequence[_Seed],
    device: str | torch.device = "auto",
    stack: int | None = None,
    keep_weights: bool = False,
    progress: bool = False,
) -> list[Outcome]:
    r"""Train networks as classifiers, runs of one shape side by side.

    Parameters
    ----------
    specs : sequence of ResNetSpec
        One per run; ``inputs`` and ``outputs`` are those of ``data``.
    data : Dataset
        With a validation part (`Dataset.hold_out`), accuracy on it is measured as well.
    settings : Settings or sequence of Settings
        For all runs, or one per run.
    seeds : sequence of int or SeedSequence
        One per run: of its weights and of the order of its examples.
    device : str
    stack : int, optional
        Runs trained at once; default by the size of the networks (`STACK_ELEMENTS`).
    keep_weights : bool
        Keep the parameters before and after training.
    progress : bool
        Show a bar over epochs of stacks.

    Returns
    -------
    list of Outcome
        In the order of ``specs``. A run depends on its own spec, settings and seed alone: its
        weights and its batches have the same bits in every stack. Sums of products are cut
        differently in stacks of different size, so losses agree to float32 rounding, which
        training amplifies; stacks of one size give the same bits on the same machine.

    Raises
    ------
    ValueError
        If lengths or shapes do not fit, or for a network with biases outside the branches or
        random signs.

    Notes
    -----
    Loss ``eq-ld-training-loss``, procedure ``alg-ld-training``. A run diverges when its loss is
    not finite or beyond the bound; that is recorded, and the others go on.
    """
    every = [settings] * len(specs) if isinstance(settings, Settings) else list(settings)
    _check(specs, data, every, seeds)
    where = resolve_device(device)
    size = None if stack is None else positive_integer(stack, "stack")
    groups: dict[tuple[object, ...], list[int]] = {}
    for run, (spec, chosen) in enumerate(zip(specs, every, strict=True)):
        shared = (chosen.optimiser, chosen.epochs, chosen.batch_size, chosen.normalisation)
        key = (*shape_key(spec), *shared, _biased(spec, chosen))
        groups.setdefault(key, []).append(run)
    chunks = [
        runs[start : start + step]
        for runs in groups.values()
        for step in [size or _stack_size(specs[runs[0]], every[runs[0]], where)]
        for start in range(0, len(runs), step)
    ]
    outcomes: dict[int, Outcome] = {}
    examples = Examples.on(data, where)
    with one_thread(), Bar(sum(every[c[0]].epochs for c in chunks), shown=progress) as bar:
        for chunk in chunks:
            runs = [Run(specs[r], every[r], resolve_seed(seeds[r])) for r in chunk]
            found = _train_stack(runs, examples, where, keep_weights, bar)
            outcomes.update(zip(chunk, found, strict=True))
    return [outcomes[run] for run in range(len(specs))]


def _train_stack(
    runs: Sequence[Run],
    data: Examples,
    device: torch.device,
    keep_weights: bool,
    bar: Bar,
) -> list[Outcome]:
    start = time.perf_counter()
    drawn = [draw(r.spec, r.weights, branch_bias=r.settings.branch_bias) for r in runs]
    kind = runs[0].settings.normalisation
    stack = Stack([r.spec for r in runs], drawn, device, normalisation=kind)
    if keep_weights:
        moments = stack.moments(data.train[0])
        for row, run in enumerate(runs):
            run.initial = stack.weights(row, moments)
    optimiser = _optimiser(stack, runs)
    alive, step = list(runs), 0
    for epoch in range(runs[0].settings.epochs):
        if alive:
            _set_rates(optimiser, alive, epoch)
            step = _epoch(stack, optimiser, alive, data.train, step)
            alive = _drop_diverged(stack, optimiser, alive)
        if alive:
            _evaluate(stack, alive, data)
        bar.update()
    if keep_weights and alive:
        moments = stack.moments(data.train[0])
        for row, run in enumerate(alive):
            run.trained = stack.weights(row, moments)
    seconds = (time.perf_counter() - start) / len(runs)
    return [run.outcome(seconds, data.validation is not None) for run in runs]


def _epoch(
    stack: Stack,
    optimiser: torch.optim.Optimizer,
    runs: Sequence[Run],
    data: tuple[torch.Tensor, torch.Tensor],
    step: int,
) -> int:
    """One pass over the data, each run in its own order; returns the number of steps so far."""
    x, y = data
    size = runs[0].settings.batch_size
    order = torch.as_tensor(
        np.stack([run.order.permutation(len(y)) for run in runs]), device=x.device
    )
    bounds = torch.tensor([r.settings.divergence_bound for r in runs], device=x.device)
    total = torch.zeros(len(runs), device=x.device, dtype=torch.float64)
    for batch in order.split(size, dim=1):
        loss = torch.nn.functional.cross_entropy(
            stack.logits(x[batch]), y[batch], reduction="none"
        ).mean(1)
        stack.share_gradients(loss)
        lost = (~(loss.detach() <= bounds)).tolist()  # so that NaN is lost, too
        for run, diverged in zip(runs, lost, strict=True):
            if diverged and run.diverged_at is None:
                run.diverged_at = step
        _clip(stack, runs)
        optimiser.step()
        total += loss.detach().double() * batch.shape[1]
        step += 1
    for run, member in zip(runs, stack.members, strict=True):  # no loss has seen the last step
        if run.diverged_at is None and not all(bool(w.isfinite().all()) for w in member.values()):
            run.diverged_at = step - 1
    for run, value in zip(runs, (total / len(y)).tolist(), strict=True):
        if run.diverged_at is None:
            run.loss.append(value)
    return step


def _evaluate(stack: Stack, runs: Sequence[Run], data: Examples) -> None:
    parts = [(data.test, "test")]
    if data.validation is not None:
        parts.append((data.validation, "validation"))
    moments = stack.moments(data.train[0])
    for part, name in parts:
        for run, value in zip(runs, _accuracy(stack, *part, moments), strict=True):
            getattr(run, name).append(value)


@torch.no_grad()
def _accuracy(
    stack: Stack, x: torch.Tensor, y: torch.Tensor, moments: Moments | None
) -> list[float]:
    right = torch.zeros(len(stack.members), device=x.device, dtype=torch.int64)
    pairs = zip(x.split(_EVALUATION_BATCH), y.split(_EVALUATION_BATCH), strict=True)
    for some, labels in pairs:
        right += (stack.logits(some, moments).argmax(1) == labels).sum(1)
    return [int(count) / len(y) for count in right]


def _optimiser(stack: Stack, runs: Sequence[Run]) -> torch.optim.Optimizer:
    # Two groups per run, in the order of the runs: the ends, then the branches.
    adam = runs[0].settings.optimiser == "adam"
    groups = [
        {
            "params": parameters,
            "branch": branch,
            "lr": run.settings.learning_rate,
            **({"betas": run.settings.betas} if adam else {"momentum": run.settings.momentum}),
        }
        for row, run in enumerate(runs)
        for branch, parameters in stack.groups(row)
    ]
    return (torch.optim.Adam if adam else torch.optim.SGD)(groups, fused=True)


def _set_rates(optimiser: torch.optim.Optimizer, runs: Sequence[Run], epoch: int) -> None:
    settings = [run.settings for run in runs for _ in range(2)]
    for group, chosen in zip(optimiser.param_groups, settings, strict=True):
        group["lr"] = chosen.branch_rate(epoch) if group["branch"] else chosen.rate(epoch)


def _clip(stack: Stack, runs: Sequence[Run]) -> None:
    for run, member in zip(runs, stack.members, strict=True):
        if run.settings.clip is not None:
            torch.nn.utils.clip_grad_norm_(list(member.values()), run.settings.clip)


def _drop_diverged(stack: Stack, optimiser: torch.optim.Optimizer, runs: list[Run]) -> list[Run]:
    rows = [row for row, run in enumerate(runs) if run.diverged_at is None]
    if len(rows) == len(runs):
        return runs
    optimiser.param_groups = [optimiser.param_groups[2 * r + part] for r in rows for part in (0, 1)]
    if rows:
        stack.keep(rows)
    return [runs[row] for row in rows]


def _biased(spec: ResNetSpec, settings: Settings) -> bool:
    return settings.branch_bias or spec.bias_variance > 0


def _stack_size(spec: ResNetSpec, settings: Settings, device: torch.device) -> int:
    return max(1, STACK_ELEMENTS[device.type] // (spec.depth * spec.width * settings.batch_size))


def _check(
    specs: Sequence[ResNetSpec],
    data: Dataset,
    settings: Sequence[Settings],
    seeds: Sequence[_Seed],
) -> None:
    for name, given in (("settings", settings), ("seeds", seeds)):
        if len(given) != len(specs):
            raise ValueError(
                f"{name} must hold one entry per run, got {len(given)} for {len(specs)} specs; "
                "pass sequences of one length"
            )
    need = data.x_train.shape[1], data.classes
    for spec in specs:
        if (spec.inputs, spec.outputs) != need:
            raise ValueError(
                f"specs must have inputs={need[0]} and outputs={need[1]} for the data set "
                f"{data.name!r}, got {spec.inputs} and {spec.outputs}; use "
                "spec.replace(inputs=..., outputs=...)"
            )
