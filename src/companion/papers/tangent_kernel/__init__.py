"""Evidence on the residual tangent kernel and the scale of the branch (Tian and Yu; Yu et al.)."""

from companion.papers.tangent_kernel.claims import CLAIMS
from companion.papers.tangent_kernel.experiments import EXPERIMENTS

__all__ = ["CLAIMS", "EXPERIMENTS"]
