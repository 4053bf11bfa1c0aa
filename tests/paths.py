"""Where the repository lies, for tests that start its programs or read its files."""

import os

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
