"""Tagging files: texts in, formats out, resumable."""
