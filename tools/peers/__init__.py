"""Comparisons with other software, each in an environment of its own."""
