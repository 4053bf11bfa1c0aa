"""From features to batches: pairs of texts, record files, their shards, batches by length."""
