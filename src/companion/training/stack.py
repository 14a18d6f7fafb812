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
from companion.training.settings import BranchWeights
from companion.weights import IID

__all__ = ["BRANCH", "Stack", "draw", "shape_key"]

#: Parameters of the branches, as opposed to input map and readout.
BRANCH = ("outer", "inner", "bias")

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
    """

    def __init__(
        self,
        specs: Sequence[ResNetSpec],
        drawn: Sequence[dict[str, np.ndarray]],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        spec = specs[0]
        self.single, self.skip, self.depth = spec.block == "single", spec.skip, spec.depth
        self.through_activation = spec.readout == "activation"
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

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs of shape (R, outputs, b) for inputs of shape (R, b, d) or (b, d)."""
        t, phi = self.tensors, self.phi
        h = t["input"] @ x.mT
        # The scale of the branch goes to its weights, once for all examples.
        outer = (self.scales * t["outer"]).unbind(1)
        inner = t["inner"].unbind(1) if "inner" in t else ()
        bias = (self.scales * t["bias"]).unbind(1) if "bias" in t else ()
        for layer in range(self.depth):
            u = phi(h) if self.single else phi(torch.bmm(inner[layer], h))
            h = torch.baddbmm(h, outer[layer], u, beta=self.skip)
            if bias:
                h = h + bias[layer]
        return t["readout"] @ (phi(h) if self.through_activation else h)

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

    def branch_weights(self, row: int) -> BranchWeights:
        """Copy of the matrices of one run."""
        member = self.members[row]
        copies = {
            name: member[name].detach().float().cpu().numpy().copy()
            for name in ("outer", "inner")
            if name in member
        }
        return BranchWeights(**copies)
