"""What scripts written against Google BERT's modules and the archive's rely on."""
