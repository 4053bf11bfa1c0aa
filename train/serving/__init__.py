"""The SavedModel and its client."""
