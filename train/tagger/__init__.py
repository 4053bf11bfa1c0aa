"""What models.py is made of: settings, CRF, RNN, decoding."""
