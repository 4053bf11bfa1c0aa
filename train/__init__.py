"""Named-entity recognition on top of `bert`: BERT, BiLSTM, CRF."""

__version__ = "0.1.0"
