"""The training loop: gradients, rates, divergence, and what a run may depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from companion import datasets
from companion.architecture import ResNetSpec
from companion.datasets import Dataset
from companion.training import Outcome, Settings, train
from companion.training import loop as loops
from companion.training.stack import Stack, draw
from companion.weights import IID, WeightLaw
from tests.networks import Frozen


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return datasets.load()


def spec(depth: int = 10, beta: float = 0.5, **changes: object) -> ResNetSpec:
    """A network of single blocks for digits."""
    law = changes.pop("law", IID("uniform"))
    made = ResNetSpec.large_depth(depth, 20, beta, block="single", law=law, d_in=64, outputs=10)
    return made.replace(**changes)


class Plain(torch.nn.Module):
    """The same network, written as one writes it: one layer after the other, examples first."""

    def __init__(
        self, spec: ResNetSpec, drawn: dict[str, np.ndarray], normalisation: str = "none"
    ) -> None:
        super().__init__()
        self.spec = spec
        kinds = {
            "none": torch.nn.Identity,
            "layer": lambda: torch.nn.LayerNorm(spec.width, elementwise_affine=False),
            # Without a momentum the running statistics are plain means over the batches.
            "batch": lambda: torch.nn.BatchNorm1d(spec.width, affine=False, momentum=None),
        }
        self.norms = torch.nn.ModuleList(kinds[normalisation]() for _ in range(spec.depth + 1))
        for name, value in drawn.items():
            setattr(self, name, torch.nn.Parameter(torch.tensor(value)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        phi = torch.tanh if self.spec.activation.name == "tanh" else torch.relu
        h = torch.nn.functional.linear(x, self.input)
        for layer, scale in enumerate(self.spec.scales):
            inner = self.norms[layer](h)
            if self.spec.block == "two-layer":
                inner = torch.nn.functional.linear(inner, self.inner[layer])
            bias = self.bias[layer, :, 0] if hasattr(self, "bias") else None
            branch = torch.nn.functional.linear(phi(inner), self.outer[layer], bias)
            h = self.spec.skip * h + scale * branch
        h = self.norms[-1](h)
        h = phi(h) if self.spec.readout == "activation" else h
        return torch.nn.functional.linear(h, self.readout)


NETWORKS = {
    "single": spec(6),
    "biased": spec(6, bias_variance=0.3),
    "two-layer": spec(5, block="two-layer", outer_variance=1.4, weight_variance=0.8),
    "tanh": spec(5, activation="tanh", skip=0.9, readout="activation"),
    "layer scales": spec(4).replace(scale=(0.1, 0.5, 1.0, 2.0)),
}


def check_against_a_plain_module(network: ResNetSpec, normalisation: str = "none") -> None:
    """Logits, losses and every gradient of a stack of three equal those of three modules."""
    # Members that differ in scale catch a scale that goes to the wrong run.
    specs = [network.replace(scale=tuple(network.scales * f)) for f in (1.0, 0.5, 1.7)]
    drawn = [draw(s, np.random.default_rng(i)) for i, s in enumerate(specs)]
    stack = Stack(specs, drawn, torch.device("cpu"), torch.float64, normalisation)
    rng = np.random.default_rng(7)
    x = torch.tensor(rng.standard_normal((3, 11, 64)))
    y = torch.tensor(rng.integers(0, 10, (3, 11)))
    logits = stack.logits(x)
    loss = torch.nn.functional.cross_entropy(logits, y, reduction="none").mean(1)
    stack.share_gradients(loss)
    for r, (one, parameters) in enumerate(zip(specs, drawn, strict=True)):
        module = Plain(one, parameters, normalisation).double()
        expected = module(x[r])
        torch.nn.functional.cross_entropy(expected, y[r]).backward()
        assert torch.allclose(logits[r].T, expected, rtol=1e-10, atol=1e-12)
        for name, parameter in module.named_parameters():
            found = stack.members[r][name].grad
            if (name, normalisation) != ("bias", "batch"):  # the mean takes a bias away
                assert parameter.grad.abs().max() > 1e-6
            assert torch.allclose(found, parameter.grad, rtol=1e-9, atol=1e-12), name


@pytest.mark.parametrize("normalisation", Settings.NORMALISATIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_stack_is_the_plain_network(name, normalisation):
    check_against_a_plain_module(NETWORKS[name], normalisation)


@pytest.mark.parametrize("normalisation", ["batch", "layer"])
@pytest.mark.parametrize("defect", ["the end is left out", "the first run is taken for all"])
def test_a_wrong_normalisation_is_noticed(monkeypatch, normalisation, defect):
    right = Stack._normalised

    def broken(self, h, moments, place):
        if defect == "the end is left out":
            return h if place == -1 else right(self, h, moments, place)
        return right(self, h, moments, place)[:1].expand_as(h)

    monkeypatch.setattr(Stack, "_normalised", broken)
    with pytest.raises(AssertionError):
        check_against_a_plain_module(NETWORKS["two-layer"], normalisation)


@pytest.mark.parametrize("defect", ["scale ignored", "scale of another run", "skip ignored"])
def test_a_wrong_network_is_noticed(monkeypatch, defect):
    build = Stack.__init__

    def broken(self, *args, **kwargs):
        build(self, *args, **kwargs)
        if defect == "scale ignored":
            self.scales = torch.ones_like(self.scales)
        elif defect == "scale of another run":
            self.scales = self.scales.roll(1, 0)
        else:
            self.skip = 1.0

    monkeypatch.setattr(Stack, "__init__", broken)
    with pytest.raises(AssertionError):
        check_against_a_plain_module(NETWORKS["tanh"])


def test_initial_parameters_have_the_variances_of_the_spec():
    network = ResNetSpec(
        depth=3,
        width=200,
        inputs=300,
        outputs=100,
        weight_variance=0.7,
        outer_variance=1.9,
        bias_variance=0.4,
        input_weight_variance=2.3,
        readout_variance=1.3,
    )
    drawn = draw(network, np.random.default_rng(0))
    wanted = {
        "input": 2.3 / 300,
        "inner": 0.7 / 200,
        "outer": 1.9 / 200,
        "bias": 0.4,
        "readout": 1.3 / 200,
    }
    assert set(drawn) == set(wanted)
    for name, variance in wanted.items():
        # The variance of n squared normals over its mean has standard error sqrt(2/n).
        assert abs(np.mean(drawn[name] ** 2) / variance - 1) < 4.5 * (2 / drawn[name].size) ** 0.5


def test_the_law_of_the_branches_is_that_of_the_spec():
    class Halves(Frozen):
        def sample(self, depth, shape, rng):
            return np.full((depth, *shape), 0.5) * np.arange(1, depth + 1)[:, None, None]

    assert isinstance(Halves(), WeightLaw)
    drawn = draw(spec(3, law=Halves()), np.random.default_rng(0))
    assert np.allclose(drawn["outer"][:, 3, 4], np.array([0.5, 1.0, 1.5]) / 20**0.5)
    assert np.unique(drawn["input"]).size == drawn["input"].size, "normal under any other law"
    uniform = draw(spec(3), np.random.default_rng(0))
    for name, columns in (("input", 64), ("outer", 20), ("readout", 20)):
        assert np.abs(uniform[name]).max() <= (3 / columns) ** 0.5


def kept(data: Dataset, normalisation: str = "batch", **changes: object) -> Outcome:
    """A short run with a trainable bias that starts at random; everything is kept."""
    settings = Settings(epochs=2, learning_rate=1e-2, normalisation=normalisation)
    specs = [spec(4, block="two-layer", bias_variance=0.1, **changes)] * 2
    return train(specs, data, settings, seeds=[5, 6], device="cpu", keep_weights=True)[1]


def check_kept_weights(data: Dataset, normalisation: str) -> None:
    """What is kept is the whole network: in a plain module it has the accuracy of the run."""
    run = kept(data, normalisation)
    before, after = run.initial, run.trained
    names = ("input", "inner", "outer", "bias", "readout")
    shapes = [getattr(after, name).shape for name in names]
    assert shapes == [(20, 64), (4, 20, 20), (4, 20, 20), (4, 20, 1), (10, 20)]
    drawn = draw(run.spec, np.random.default_rng(np.random.SeedSequence(6, spawn_key=(0,))))
    for name in names:
        assert np.array_equal(getattr(before, name), drawn[name].astype(np.float32)), name
        assert not np.array_equal(getattr(before, name), getattr(after, name)), name
    plain = Plain(run.spec, {name: getattr(after, name) for name in names}, normalisation)
    x, y = torch.tensor(data.x_test), torch.tensor(data.y_test)
    plain(torch.tensor(data.x_train))  # the running statistics: of one batch, the training data
    if normalisation == "batch":
        assert after.mean.shape == after.variance.shape == (5, 20)
        for norm, mean, variance in zip(plain.norms, after.mean, after.variance, strict=True):
            assert np.allclose(norm.running_mean, mean, rtol=1e-3, atol=1e-4)
            # torch keeps the unbiased variance, and normalises by the other one.
            assert np.allclose(norm.running_var * (1 - 1 / len(data.y_train)), variance, rtol=2e-3)
    else:
        assert after.mean is None
        assert after.variance is None
    logits = plain.eval()(x)
    stack, moments = Stack.load(
        [run.spec], [after], torch.device("cpu"), normalisation=normalisation
    )
    found = stack.logits(x, moments)[0].T
    assert torch.allclose(found, logits, rtol=5e-3, atol=5e-3)
    assert abs(float((logits.argmax(1) == y).double().mean()) - run.accuracy) < 0.004
    # An example is judged by itself: statistics of a batch would tell where it came with others.
    assert torch.allclose(stack.logits(x[:7], moments)[0].T, found[:7], rtol=1e-4, atol=1e-4)
    end = stack.features(x, moments)[0].T
    assert torch.allclose(
        torch.nn.functional.linear(plain.norms[-1](end), plain.readout),
        logits,
        rtol=5e-3,
        atol=5e-3,
    )


@pytest.mark.parametrize("normalisation", Settings.NORMALISATIONS)
def test_kept_weights_are_the_whole_network(digits, normalisation):
    check_kept_weights(digits, normalisation)


def test_evaluation_by_statistics_of_another_batch_is_noticed(digits, monkeypatch):
    moments = Stack.moments
    monkeypatch.setattr(Stack, "moments", lambda self, x: moments(self, x[:64]))
    with pytest.raises(AssertionError):
        check_kept_weights(digits, "batch")


def learns(data: Dataset) -> None:
    (run,) = train([spec()], data, Settings(learning_rate=1e-2), seeds=[0], device="cpu")
    assert not run.diverged
    assert run.accuracy > 0.9
    assert run.train_loss[-1] < 0.2 < run.train_loss[0]
    assert run.test_accuracy.shape == run.train_loss.shape == (10,)
    assert run.validation_accuracy is None


def test_a_network_learns_digits(digits):
    learns(digits)


def test_a_network_that_ignores_its_gradients_does_not_learn(digits, monkeypatch):
    share = Stack.share_gradients

    def without(self, loss):
        share(self, loss)
        for member in self.members:
            for parameter in member.values():
                parameter.grad.zero_()

    monkeypatch.setattr(Stack, "share_gradients", without)
    with pytest.raises(AssertionError):
        learns(digits)


def check_first_step(data: Dataset, multiplier: float) -> None:
    """One epoch of one batch with SGD is one step of ``rate * gradient``, group by group."""
    small = Dataset(
        data.x_train[:64], data.y_train[:64], data.x_test, data.y_test, "few", *_rest(data)
    )
    network = spec(4, block="two-layer")
    settings = Settings(
        optimiser="sgd",
        learning_rate=0.1,
        epochs=1,
        batch_size=64,
        branch_rate_multiplier=multiplier,
    )
    (run,) = train([network], small, settings, seeds=[3], device="cpu", keep_weights=True)
    seed = np.random.SeedSequence(3, spawn_key=(0,))
    module = Plain(network, draw(network, np.random.default_rng(seed))).double()
    logits = module(torch.tensor(small.x_train).double())
    torch.nn.functional.cross_entropy(logits, torch.tensor(small.y_train)).backward()
    assert run.initial is not None
    assert run.trained is not None
    for name in ("outer", "inner"):
        step = getattr(run.trained, name) - getattr(run.initial, name)
        expected = -0.1 * multiplier * getattr(module, name).grad.numpy()
        assert np.abs(expected).max() > 1e-4
        assert np.allclose(step, expected, atol=1e-3 * np.abs(expected).max())


def _rest(data: Dataset) -> tuple[object, ...]:
    return data.labels, data.shape, data.source, data.split


def test_the_branch_multiplier_scales_the_rate_of_the_branches(digits):
    for multiplier in (1.0, 3.0):
        check_first_step(digits, multiplier)


def test_an_ignored_multiplier_is_noticed(digits, monkeypatch):
    monkeypatch.setattr(Settings, "branch_rate", Settings.rate)
    check_first_step(digits, 1.0)
    with pytest.raises(AssertionError):
        check_first_step(digits, 3.0)


OPTIMISERS = {
    "momentum": ({"optimiser": "sgd", "momentum": 0.8}, torch.optim.SGD, {"momentum": 0.8}),
    "betas": ({"optimiser": "adam", "betas": (0.7, 0.9)}, torch.optim.Adam, {"betas": (0.7, 0.9)}),
}


def check_four_steps(data: Dataset, name: str) -> None:
    """Four steps, each on all of 64 examples, end where those of a plain module end."""
    small = Dataset(
        data.x_train[:64], data.y_train[:64], data.x_test, data.y_test, "few", *_rest(data)
    )
    chosen, kind, options = OPTIMISERS[name]
    plain = {**chosen, "momentum": 0.0, "betas": (0.9, 0.999)}  # of another run in the stack
    settings = [
        Settings(learning_rate=0.02, epochs=4, batch_size=64, normalisation="batch", **changes)
        for changes in (plain, chosen)
    ]
    network = spec(4, block="two-layer")
    runs = train([network] * 2, small, settings, seeds=[4, 3], device="cpu", keep_weights=True)
    seed = np.random.SeedSequence(3, spawn_key=(0,))
    module = Plain(network, draw(network, np.random.default_rng(seed)), "batch").double()
    start = {key: value.detach().numpy().copy() for key, value in module.named_parameters()}
    optimiser = kind(module.parameters(), lr=0.02, **options)
    x, y = torch.tensor(small.x_train).double(), torch.tensor(small.y_train)
    for _ in range(4):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(module(x), y).backward()
        optimiser.step()
    for key, first in start.items():
        expected = getattr(module, key).detach().numpy() - first
        found = getattr(runs[1].trained, key) - first
        assert np.linalg.norm(found - expected) < 1e-2 * np.linalg.norm(expected), key


@pytest.mark.parametrize("name", OPTIMISERS)
def test_options_of_the_optimisers_belong_to_the_run(digits, name):
    check_four_steps(digits, name)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_options_of_another_run_are_noticed(digits, name, monkeypatch):
    build = loops._optimiser
    monkeypatch.setattr(loops, "_optimiser", lambda stack, runs: build(stack, [runs[0]] * 2))
    with pytest.raises(AssertionError):
        check_four_steps(digits, name)


def test_normalised_networks_of_any_scale_learn(digits):
    """A constant scale, at which a network of this depth is lost without normalisation."""
    kinds = Settings.NORMALISATIONS
    settings = [
        Settings(optimiser="sgd", learning_rate=0.05, epochs=10, normalisation=kind)
        for kind in kinds
    ]
    network = spec(40, 0.0, block="two-layer")
    runs = train([network] * 3, digits, settings, seeds=[1] * 3, device="cpu")
    assert [run.settings.normalisation for run in runs] == list(kinds)
    assert [run.diverged for run in runs] == [True, False, False]
    assert min(run.accuracy for run in runs[1:]) > 0.8


def test_frozen_branches_stay_and_the_ends_learn(digits):
    settings = Settings(epochs=1, branch_rate_multiplier=0.0, learning_rate=1e-2)
    (run,) = train([spec()], digits, settings, seeds=[0], device="cpu", keep_weights=True)
    assert np.array_equal(run.initial.outer, run.trained.outer)
    assert run.initial.inner is None
    assert run.test_accuracy[-1] > 0.3


def test_the_schedule():
    settings = Settings(learning_rate=0.1, schedule_step=2, branch_rate_multiplier=5.0)
    rates = [settings.rate(epoch) for epoch in range(5)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
    assert settings.branch_rate(4) == pytest.approx(0.005)
    assert Settings(learning_rate=0.1).rate(1000) == 0.1


def test_the_schedule_reaches_the_optimiser(digits):
    """With a factor of almost 0 nothing moves after the first epoch."""
    settings = Settings(epochs=3, learning_rate=1e-2, schedule_step=1, schedule_factor=1e-12)
    (run,) = train([spec()], digits, settings, seeds=[0], device="cpu")
    assert run.test_accuracy[0] == run.test_accuracy[1] == run.test_accuracy[2]
    (free,) = train([spec()], digits, Settings(epochs=3, learning_rate=1e-2), seeds=[0])
    assert free.test_accuracy[2] > free.test_accuracy[0]


def test_clipping_bounds_the_step(digits):
    def longest(clip):
        settings = Settings(
            optimiser="sgd", learning_rate=1.0, epochs=1, batch_size=1437, clip=clip
        )
        (run,) = train([spec()], digits, settings, seeds=[0], device="cpu", keep_weights=True)
        return np.linalg.norm(run.trained.outer - run.initial.outer)

    assert longest(1e-3) <= 1.001e-3
    assert longest(None) > 2e-3


def test_divergence_is_an_outcome_and_spares_the_others(digits):
    """An exploding network, one with a wild rate, and two sane ones, in one stack."""
    specs = [spec(40, -1.5), spec(), spec(40, 0.2), spec(40)]
    specs = [s.replace(depth=40, scale=float(s.scales[0])) for s in specs]
    settings = [
        Settings(epochs=4, learning_rate=1e-2),
        Settings(epochs=4, learning_rate=1e-2),
        Settings(epochs=4, learning_rate=30.0, optimiser="adam"),
        Settings(epochs=4, learning_rate=1e-2),
    ]
    runs = train(specs, digits, settings, seeds=range(4), device="cpu", keep_weights=True)
    assert [run.diverged for run in runs] == [True, False, True, False]
    assert runs[0].diverged_at == 0, "its logits overflow before the first step"
    assert runs[2].diverged_at > 0
    for run in (runs[0], runs[2]):
        assert np.all(np.isnan(run.train_loss))
        assert np.array_equal(run.test_accuracy, np.full(4, 0.1))
        assert run.trained is None
    for alone in (1, 3):
        (other,) = train([specs[alone]], digits, settings[alone], seeds=[alone], device="cpu")
        assert np.allclose(other.train_loss, runs[alone].train_loss, rtol=1e-3)
        assert runs[alone].accuracy > 0.85


def test_a_bound_on_the_loss(digits):
    large = spec(4).replace(readout_variance=1e8)
    strict = Settings(epochs=1, divergence_bound=100.0)
    runs = train([large, large], digits, [strict, Settings(epochs=1)], seeds=[0, 0], device="cpu")
    assert [run.diverged_at for run in runs] == [0, None]


def test_a_run_depends_on_its_own_seed_and_settings_alone(digits):
    """Alone, in a stack of four, in stacks of three and one, in another order."""
    specs = [spec(beta=beta) for beta in (0.5, 0.3, 1.0, 0.7)]
    settings = [Settings(epochs=2, learning_rate=rate) for rate in (1e-3, 1e-2, 3e-3, 1e-3)]
    seeds = [np.random.SeedSequence(5, spawn_key=(i,)) for i in range(4)]

    def go(rows, stack):
        chosen = [[values[r] for r in rows] for values in (specs, settings, seeds)]
        runs = train(
            chosen[0],
            digits,
            chosen[1],
            seeds=chosen[2],
            device="cpu",
            stack=stack,
            keep_weights=True,
        )
        return dict(zip(rows, runs, strict=True))

    whole = go(range(4), None)
    for other in (go(range(4), 3), go([3, 2, 1, 0], None), go([2], None)):
        for row, run in other.items():
            assert np.array_equal(run.initial.outer, whole[row].initial.outer)
            # Sums of float32 products are cut differently; nothing else differs.
            assert np.allclose(run.train_loss, whole[row].train_loss, rtol=1e-4)
            assert abs(run.accuracy - whole[row].accuracy) < 0.01
    losses = {run.train_loss[0] for run in whole.values()}
    assert len(losses) == 4


def test_the_same_call_gives_the_same_bits(digits):
    def go():
        return train([spec()] * 2, digits, Settings(epochs=1), seeds=[1, 2], device="cpu")

    first, again = go(), go()
    for run, other in zip(first, again, strict=True):
        assert np.array_equal(run.train_loss, other.train_loss)
    assert first[0].train_loss[0] != first[1].train_loss[0], "seeds matter"


def test_every_example_is_seen_once_per_epoch(digits, monkeypatch):
    seen = []
    logits = Stack.logits

    def listening(self, x, moments=None):
        if x.ndim == 3:
            seen.append(x.clone())
        return logits(self, x, moments)

    monkeypatch.setattr(Stack, "logits", listening)
    train([spec(2)] * 2, digits, Settings(epochs=2, batch_size=500), seeds=[0, 1], device="cpu")
    epochs = [torch.cat(seen[3 * e : 3 * e + 3], dim=1) for e in range(2)]
    ordered = np.sort(digits.x_train @ np.arange(1.0, 65.0))
    for epoch in epochs:
        for run in range(2):
            assert np.allclose(np.sort(epoch[run].numpy() @ np.arange(1.0, 65.0)), ordered)
    assert not torch.equal(epochs[0][0], epochs[1][0]), "a new order in every epoch"
    assert not torch.equal(epochs[0][0], epochs[0][1]), "and for every run"


def test_the_validation_part_is_measured_and_not_trained_on(digits, monkeypatch):
    held = digits.hold_out(0.2)
    (run,) = train([spec()], held, Settings(epochs=3, learning_rate=1e-2), seeds=[0], device="cpu")
    assert run.validation_accuracy.shape == (3,)
    assert run.validation_accuracy[-1] > 0.6
    wrong = Dataset(
        held.x_train,
        held.y_train,
        held.x_test,
        held.y_test,
        "wrong labels",
        *_rest(held),
        held.x_validation,
        (held.y_validation + 1) % 10,
    )
    (other,) = train(
        [spec()], wrong, Settings(epochs=3, learning_rate=1e-2), seeds=[0], device="cpu"
    )
    assert np.array_equal(other.test_accuracy, run.test_accuracy)
    assert other.validation_accuracy[-1] < 0.2


def test_threads_are_given_back(digits):
    before = torch.get_num_threads()
    train([spec(2)], digits, Settings(epochs=1), seeds=[0], device="cpu")
    assert torch.get_num_threads() == before


def test_progress_counts_epochs_of_stacks(digits, capsys):
    train(
        [spec(2)] * 2,
        digits,
        Settings(epochs=3),
        seeds=[0, 1],
        device="cpu",
        stack=1,
        progress=True,
    )
    assert "training" in capsys.readouterr().err


def test_the_size_of_a_stack_bounds_its_memory():
    deep = spec(1000).replace(width=100)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert loops._stack_size(deep, Settings(), cpu) == 1
    assert loops._stack_size(spec(200).replace(width=30), Settings(), cpu) == 15
    assert loops._stack_size(deep, Settings(), cuda) > 100


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimiser": "lion"}, "optimiser must be one of 'adam', 'sgd', got 'lion'"),
        ({"epochs": 0}, "epochs must be a positive integer"),
        ({"batch_size": 2.0}, "batch_size must be a positive integer"),
        ({"schedule_step": 0}, "schedule_step must be a positive integer"),
        ({"learning_rate": 0.0}, "learning_rate must be greater than 0"),
        ({"branch_rate_multiplier": -1.0}, "branch_rate_multiplier must be at least 0"),
        ({"clip": 0.0}, "clip must be greater than 0"),
        ({"branch_bias": 1}, "branch_bias must be True or False"),
        ({"divergence_bound": float("nan")}, "divergence_bound must be finite"),
        ({"momentum": 1.0}, "momentum must be below 1, got 1.0; pass 0.9, say"),
        ({"momentum": -0.1}, "momentum must be at least 0"),
        ({"betas": (0.9, 1.5)}, "betas must be below 1, got 1.5"),
        ({"betas": (0.9,)}, r"betas must be a pair, got \(0.9,\); pass \(0.9, 0.999\)"),
        ({"normalisation": "group"}, "normalisation must be one of 'none', 'batch', 'layer'"),
    ],
)
def test_bad_settings_are_named(values, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Settings(**values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": 10}, "specs must have inputs=64 and outputs=10 .* got 10 and 10"),
        ({"balanced": True}, "balanced=True cannot be trained here; use balanced=False"),
        ({"readout_bias_variance": 0.1}, "readout_bias_variance=0.1 cannot be trained here"),
    ],
)
def test_networks_that_do_not_fit(digits, changes, message):
    with pytest.raises(ValueError, match=message):
        train([spec().replace(**changes)], digits, Settings(), seeds=[0])


def test_lengths_must_agree(digits):
    with pytest.raises(ValueError, match="seeds must hold one entry per run, got 2 for 1 specs"):
        train([spec()], digits, Settings(), seeds=[0, 1])
    with pytest.raises(ValueError, match="settings must hold one entry per run, got 0 for 1"):
        train([spec()], digits, [], seeds=[0])


def test_a_stack_holds_at_least_one_run(digits):
    with pytest.raises(ValueError, match="stack must be a positive integer, got 0"):
        train([spec()], digits, Settings(), seeds=[0], stack=0)


def test_a_divergence_in_the_last_step_is_recorded():
    """No loss is taken after it, but the weights are lost."""
    data = datasets.load()
    few = slice(0, 100)
    small = Dataset(
        **{
            **{name: getattr(data, name) for name in ("x_test", "y_test", "name", "labels")},
            **{name: getattr(data, name) for name in ("shape", "source", "split")},
            "x_train": data.x_train[few],
            "y_train": data.y_train[few],
        }
    )
    spec = ResNetSpec.large_depth(3, 8, 0.5, block="single", d_in=64, outputs=10)
    settings = Settings(optimiser="sgd", learning_rate=1e39, epochs=1, batch_size=100)
    (run,) = train([spec], small, settings, seeds=[1], device="cpu")
    assert run.diverged
    assert run.diverged_at == 0
    assert run.accuracy == 0.1
