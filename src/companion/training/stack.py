r"""Networks of one shape, evaluated and differentiated side by side.

The runs of a stack share every matrix product, because a deep and narrow network by itself spends
its time on the overhead of its thousand small operations. Runs are the first axis and examples the
last one, which measured 1.6 times faster than examples before coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from companion.architecture import ResNetSpec
from companion.simulate.ingredients import branch_functions
from companion.training.settings import Weights
from companion.weights import IID

__all__ = ["BRANCH", "Moments", "Stack", "draw", "shape_key"]

#: Mean and variance of every coordinate, each (R, n), at the input of every branch and at the end.
Moments = list[tuple[torch.Tensor, torch.Tensor]]

#: Parameters of the branches, as opposed to input map and readout.
BRANCH = ("outer", "inner", "bias")

#: All parameters, in the order of their use.
PARAMETERS = ("input", "inner", "outer", "bias", "readout")

_ABSENT = {
    "input_bias_variance": "set it to 0",
    "readout_bias_variance": "set it to 0",
    "balanced": "use balanced=False",
}


def shape_key(spec: ResNetSpec) -> tuple[object, ...]:
    """What the networks of one stack have in common.

    Raises
    ------
    ValueError
        For a network that the training loop does not build.
    """
    for name, remedy in _ABSENT.items():
        if getattr(spec, name):
            raise ValueError(
                f"{name}={getattr(spec, name)!r} cannot be trained here; {remedy}, the training "
                "loop knows biases in the branches only"
            )
    return (
        spec.depth,
        spec.width,
        spec.inputs,
        spec.outputs,
        spec.skip,
        spec.block,
        repr(spec.activation),
        spec.readout,
    )


def draw(
    spec: ResNetSpec, rng: np.random.Generator, *, branch_bias: bool = False
) -> dict[str, np.ndarray]:
    """Parameters of one network at initialization, float64, in the order of their use.

    Returns
    -------
    dict
        ``input`` (n, d), ``outer`` (L, n, n), for two-layer blocks ``inner`` (L, n, n), with
        biases ``bias`` (L, n, 1), and ``readout`` (outputs, n). Entries of a matrix have the
        variances of ``spec`` over fan-in.
    """
    n, depth, law = spec.width, spec.depth, spec.weight_law
    ends = law if isinstance(law, IID) else IID()
    single = spec.block == "single"

    def end(rows: int, columns: int, variance: float) -> np.ndarray:
        return ends.sample(1, (rows, columns), rng)[0] * (variance / columns) ** 0.5

    found = {"input": end(n, spec.inputs, spec.input_weight_variance)}
    if not single:
        found["inner"] = law.sample(depth, (n, n), rng) * (spec.weight_variance / n) ** 0.5
    outer = spec.weight_variance if single else spec.outer_variance
    found["outer"] = law.sample(depth, (n, n), rng) * (outer / n) ** 0.5
    if spec.bias_variance > 0:
        found["bias"] = rng.standard_normal((depth, n, 1)) * spec.bias_variance**0.5
    elif branch_bias:
        found["bias"] = np.zeros((depth, n, 1))
    found["readout"] = end(spec.outputs, n, spec.readout_variance)
    return found


class Stack:
    """Parameters of R networks of one shape.

    Parameters
    ----------
    specs : sequence of ResNetSpec
        Of one `shape_key`.
    drawn : sequence of dict
        For each network the parameters of `draw`.
    device, dtype
        Where and in which precision the networks are held.
    normalisation : str
        One of ``Settings.NORMALISATIONS``.
    """

    def __init__(
        self,
        specs: Sequence[ResNetSpec],
        drawn: Sequence[dict[str, np.ndarray]],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        normalisation: str = "none",
    ) -> None:
        spec = specs[0]
        self.single, self.skip, self.depth = spec.block == "single", spec.skip, spec.depth
        self.through_activation = spec.readout == "activation"
        self.normalisation = normalisation
        self.phi, _ = branch_functions(spec.activation)
        scales = np.array([s.scales for s in specs])[:, :, None, None]
        self.scales = torch.as_tensor(scales, device=device, dtype=dtype)
        self.tensors = {
            name: torch.as_tensor(
                np.stack([d[name] for d in drawn]), device=device, dtype=dtype
            ).requires_grad_()
            for name in drawn[0]
        }
        self.members = [
            {name: torch.nn.Parameter(t.detach()[r]) for name, t in self.tensors.items()}
            for r in range(len(specs))
        ]

    @classmethod
    def load(
        cls,
        specs: Sequence[ResNetSpec],
        weights: Sequence[Weights],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        normalisation: str = "none",
    ) -> tuple[Stack, Moments | None]:
        """Networks that were kept, and the moments of their batch normalisation."""
        names = [n for n in PARAMETERS if getattr(weights[0], n) is not None]
        drawn = [{name: getattr(w, name) for name in names} for w in weights]
        stack = cls(specs, drawn, device, dtype, normalisation)
        if normalisation != "batch":
            return stack, None
        mean, variance = (
            torch.as_tensor(np.stack([getattr(w, name) for w in weights], 1), device=device)
            for name in ("mean", "variance")
        )
        return stack, list(zip(mean.to(dtype), variance.to(dtype), strict=True))

    def logits(self, x: torch.Tensor, moments: Moments | None = None) -> torch.Tensor:
        """Outputs of shape (R, outputs, b) for inputs of shape (R, b, d) or (b, d).

        Batch normalisation uses ``moments``, those of the batch if there are none.
        """
        h = self._normalised(self.features(x, moments), moments, -1)
        return self.tensors["readout"] @ (self.phi(h) if self.through_activation else h)

    def features(self, x: torch.Tensor, moments: Moments | None = None) -> torch.Tensor:
        """End of the stream, of shape (R, n, b), before any normalisation of it."""
        for h in self._stream(x, moments):
            last = h
        return last

    @torch.no_grad()
    def moments(self, x: torch.Tensor) -> Moments | None:
        """What batch normalisation divides by if ``x`` is the batch; ``None`` without it."""
        if self.normalisation != "batch":
            return None
        return [(h.mean(-1), h.var(-1, correction=0)) for h in self._stream(x, None)]

    def _stream(self, x: torch.Tensor, moments: Moments | None) -> Iterator[torch.Tensor]:
        """The stream at the input of every block and at the end."""
        t, phi = self.tensors, self.phi
        h = t["input"] @ x.mT
        # The scale of the branch goes to its weights, once for all examples.
        outer = (self.scales * t["outer"]).unbind(1)
        inner = t["inner"].unbind(1) if "inner" in t else ()
        bias = (self.scales * t["bias"]).unbind(1) if "bias" in t else ()
        for layer in range(self.depth):
            yield h
            u = self._normalised(h, moments, layer)
            u = phi(u) if self.single else phi(torch.bmm(inner[layer], u))
            h = torch.baddbmm(h, outer[layer], u, beta=self.skip)
            if bias:
                h = h + bias[layer]
        yield h

    def _normalised(self, h: torch.Tensor, moments: Moments | None, place: int) -> torch.Tensor:
        if self.normalisation == "none":
            return h
        if self.normalisation == "layer":
            return torch.nn.functional.layer_norm(h.mT, h.shape[1:2]).mT
        # Coordinates of all runs are the channels, examples the places.
        flat = h.reshape(1, -1, h.shape[2])
        mean, variance = (m.flatten() for m in moments[place]) if moments else (None, None)
        found = torch.nn.functional.batch_norm(flat, mean, variance, training=moments is None)
        return found.reshape(h.shape)

    def share_gradients(self, loss: torch.Tensor) -> None:
        """Differentiate the sum of the losses of shape (R,); each member sees its own part."""
        names = list(self.tensors)
        found = torch.autograd.grad(loss.sum(), [self.tensors[name] for name in names])
        for name, gradient in zip(names, found, strict=True):
            for member, part in zip(self.members, gradient.unbind(0), strict=True):
                member[name].grad = part

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all runs but those in ``rows``; parameters keep their identity."""
        index = torch.as_tensor(rows, device=self.scales.device)
        self.scales = self.scales[index]
        self.members = [self.members[r] for r in rows]
        for name, tensor in self.tensors.items():
            kept = tensor.detach()[index].requires_grad_()
            self.tensors[name] = kept
            for r, member in enumerate(self.members):
                member[name].data = kept.detach()[r]

    def groups(self, row: int) -> Iterator[tuple[bool, list[torch.nn.Parameter]]]:
        """Parameters of one run, those of the branches apart: pairs of (is branch, parameters)."""
        member = self.members[row]
        for branch in (False, True):
            yield branch, [p for name, p in member.items() if (name in BRANCH) == branch]

    def weights(self, row: int, moments: Moments | None = None) -> Weights:
        """Copy of the parameters of one run, with its row of the moments."""
        copies = {name: p.detach() for name, p in self.members[row].items()}
        if moments is not None:
            pair = zip(*moments, strict=True)
            copies |= {
                name: torch.stack([m[row] for m in part])
                for name, part in zip(("mean", "variance"), pair, strict=True)
            }
        return Weights(**{name: c.float().cpu().numpy().copy() for name, c in copies.items()})
