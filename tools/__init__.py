"""Scripts that build and check the book; run them as ``python -m tools.NAME``."""
