"""A model on this machine: the Estimator, devices, checkpoints, SavedModels, prediction."""
