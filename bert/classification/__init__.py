"""Texts and pairs of texts to labels: tasks, inputs, model, metrics."""
