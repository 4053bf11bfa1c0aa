"""The parts of bert/modeling.py: the encoder's config, layers and kernels."""
