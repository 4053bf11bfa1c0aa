"""Named-entity recognition on top of bert/: BERT, BiLSTM, CRF.

At the top lies what the archive has, under its names, and the commands. Everything else is in folders; each imports
only what stands to its left:

    (conlleval, run_dir), pages | data | tagger, report, sweeping | (lstm_crf_layer, models) | inference |
    serving, finetuning | (predictor, bert_lstm_ner) | bulk | (commands)

  pages       what HTML pages are built of
  data        CoNLL files to windows to records
  tagger      what models.py is made of
  report      the page of -report
  sweeping    many runs with different flags
  inference   a trained tagger at work
  serving     the SavedModel and its client
  finetuning  one run of -do_train, -do_eval, -do_predict
  bulk        tagging files
"""

__version__ = "0.1.0"
