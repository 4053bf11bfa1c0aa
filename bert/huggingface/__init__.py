"""Weights to and from Hugging Face: directories, weights, file formats."""
