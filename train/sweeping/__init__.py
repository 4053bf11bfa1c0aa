"""Many runs of run.py with different flags: which there are, their processes, their results."""
