"""Evidence on the residual expansion (Dherin and Munn 2025)."""

from companion.papers.residual_expansion.claims import CLAIMS
from companion.papers.residual_expansion.experiments import EXPERIMENTS

__all__ = ["CLAIMS", "EXPERIMENTS"]
