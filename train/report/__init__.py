"""The page of -report: scores, learning curves, sentences, mistakes."""
