"""A trained tagger at work: on ids, on sentences, on text, in a prompt."""
