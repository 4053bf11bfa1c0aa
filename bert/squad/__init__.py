"""Questions to answers: SQuAD's files, windows, records, model, answers, scores."""
