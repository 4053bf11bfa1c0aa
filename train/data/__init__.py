"""CoNLL files to windows to records: labels, sentences, windows, record files."""
