"""Benchmarks: ratios of contestants timed in one run, and the record the book shows."""
