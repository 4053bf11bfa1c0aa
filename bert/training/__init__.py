"""A training run, on one device or many: clusters, strategies, stopping, the loop."""
