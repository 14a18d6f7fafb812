"""Evidence on the log-Gaussian limit (Li, Nica and Roy 2021)."""

from companion.papers.log_gaussian.claims import CLAIMS
from companion.papers.log_gaussian.experiments import EXPERIMENTS

__all__ = ["CLAIMS", "EXPERIMENTS"]
