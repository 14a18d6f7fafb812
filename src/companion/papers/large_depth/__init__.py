"""Evidence on the large-depth regime (Marion, Fermanian, Biau and Vert 2025)."""

from companion.papers.large_depth.claims import CLAIMS
from companion.papers.large_depth.experiments import EXPERIMENTS

__all__ = ["CLAIMS", "EXPERIMENTS"]
