"""What modeling.py is made of: the config, layers and kernels of the encoder."""
