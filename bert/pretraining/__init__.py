"""Plain text to masked pieces: corpus, examples, records, model."""
