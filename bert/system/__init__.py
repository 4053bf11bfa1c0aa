"""The process and its files: errors, signals, files, locks, flags, worker processes. No TensorFlow."""
