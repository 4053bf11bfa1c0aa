"""Measurements of speed and memory; run from the repository, `python -m benchmarks.speed`."""
