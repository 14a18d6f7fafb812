"""Evidence on the field theory of residual networks (Fischer, Dahmen and Helias 2023)."""

from companion.papers.field_theory.claims import CLAIMS
from companion.papers.field_theory.experiments import EXPERIMENTS

__all__ = ["CLAIMS", "EXPERIMENTS"]
