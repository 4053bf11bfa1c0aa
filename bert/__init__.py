"""BERT and its programs, beneath the tagger of train/.

At the top lies what Google's release has, under its names: the encoder (modeling.py, tokenization.py,
optimization.py) and the programs. Everything else is in folders; each imports only folders to its left:

    system | data, encoder | (modeling, optimization) | runtime | pretraining, squad, classification, training |
    huggingface | (programs)

  system          the process and its files; no TensorFlow
  data            from features to batches of records
  encoder         what modeling.py is made of
  runtime         a model on this machine: Estimator, devices, checkpoints, SavedModels
  training        a training run, on one device or many
  classification  texts and pairs of texts to labels
  squad           questions to answers
  pretraining     plain text to masked pieces
  huggingface     weights to and from Hugging Face
"""
