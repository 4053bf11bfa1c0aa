"""The models: encoder and tagging head, then tags and their probabilities; encoder and classifier.

`create_model` and what follows it, up to `Model`, have the archive's parameters, for scripts written against it.
"""

import collections
import functools

import tensorflow.compat.v1 as tf

from bert import modeling
from bert.classification import model
from bert.encoder import kernels
from bert.tokenization import convert_to_unicode
from train.data import schemes
from train.data.examples import DataProcessor, InputExample, InputFeatures  # noqa: F401  for scripts
from train.data.labels import CLS, SEP
from train.lstm_crf_layer import BLSTM_CRF
from train.tagger import decoding
from train.tagger.calibration import NO_CALIBRATION
from train.tagger.shapes import check_shapes

# The tagger's graph over the steps the CRF sees: all pieces, or the first pieces of words only.
#   logits [batch, steps, num_labels], transitions [num_labels, num_labels], lengths [batch],
#   losses [batch]: negative log-likelihood of each sentence, None without labels,
#   positions [batch, steps]: which piece each step stands for, None where steps are pieces,
#   word_vectors [batch, seq_len, hidden]: the pieces' vectors that the encoder begins with.
TaggerGraph = collections.namedtuple(
    "TaggerGraph", ["logits", "transitions", "lengths", "losses", "positions", "word_vectors"]
)


def create_model(
    bert_config,
    is_training,
    input_ids,
    input_mask,
    segment_ids,
    labels,
    num_labels,
    use_one_hot_embeddings,
    dropout_rate=0.0,
    lstm_size=1,
    cell="lstm",
    num_layers=1,
    crf_only=None,
):
    """The tagger on all pieces, decoded without constraint, with the archive's arguments.

    It may be called again where variables are reused, as in `tf.variable_scope(tf.get_variable_scope(), reuse=True)`.

    Args:
      bert_config: BertConfig.
      is_training: whether dropout is on.
      input_ids, input_mask, segment_ids: int [batch, seq_len].
      labels: int [batch, seq_len], 0 at padding; None where they are not known.
      num_labels: number of label ids, padding included.
      use_one_hot_embeddings: look words up by matmul, as a TPU prefers.
      dropout_rate: fraction dropped in the head; in the archive, whose default is 1.0, it is the fraction kept.
      lstm_size: RNN units in each direction.
      cell: "lstm" or "gru".
      num_layers: RNN layers.
      crf_only: leave the RNN out. Default: where lstm_size is 1, the value of whoever does not mention it; the
        archive, and so its checkpoints, never had the RNN.

    Raises:
      ValueError: dropout_rate is 1.0 or more in training, or a shape is not as above.

    Returns:
      (total_loss, logits, trans, pred_ids): scalar mean over sentences, None without labels; float [batch, seq_len,
      num_labels]; float [num_labels, num_labels]; int32 [batch, seq_len].
    """
    crf_only = lstm_size == 1 if crf_only is None else crf_only
    encoder, lengths = _encode(bert_config, is_training, input_ids, input_mask, segment_ids, use_one_hot_embeddings)
    head = BLSTM_CRF(
        embedded_chars=encoder.get_sequence_output(),
        hidden_unit=lstm_size,
        cell_type=cell,
        num_layers=num_layers,
        dropout_rate=dropout_rate,
        num_labels=num_labels,
        labels=labels,
        lengths=lengths,
        is_training=is_training,
    )
    return head.add_blstm_crf_layer(crf_only)


def create_classification_model(bert_config, is_training, input_ids, input_mask, segment_ids, labels, num_labels):
    """The classifier of texts on BERT's pooled output, which bert/run_classifier.py trains.

    Args:
      bert_config: BertConfig.
      is_training: whether dropout is on, 0.1 of the pooled output.
      input_ids, input_mask, segment_ids: int [batch, seq_len].
      labels: int [batch], from 0; None where they are not known.
      num_labels: number of labels; 1 for a regression, whose labels are float.

    Returns:
      (loss, per_example_loss, logits, probabilities): scalar mean, [batch], [batch, num_labels] twice; the losses are
      None without labels.
    """
    return model.create_model(bert_config, is_training, input_ids, input_mask, segment_ids, labels, num_labels, False)


def convert_id_to_label(pred_ids_result, idx2label, batch_size):
    """Label ids as labels: up to the padding, without [CLS] and [SEP].

    Args:
      pred_ids_result: int [batch, seq_len], a list or an array.
      idx2label: dict from id to label.
      batch_size: how many rows to convert.

    Returns:
      (labels, ids): for each row a list of str, and a list of the ids that they are from.
    """
    labels, ids = [], []
    for row in pred_ids_result[:batch_size]:
        row = list(row)
        row = row[: row.index(0)] if 0 in row else row
        kept = [number for number in row if idx2label[number] not in (CLS, SEP)]
        labels.append([idx2label[number] for number in kept])
        ids.append(kept)
    return labels, ids


def convert_id_str(input_ids, batch_size):
    """Rows of pieces, str or bytes, as lists of str: up to `**PAD**`, without [CLS] and [SEP]."""
    rows = []
    for row in input_ids[:batch_size]:
        row = [convert_to_unicode(piece) for piece in row]
        row = row[: row.index("**PAD**")] if "**PAD**" in row else row
        rows.append([piece for piece in row if piece not in (CLS, SEP)])
    return rows


def decode_labels(labels, batch_size):
    """As `convert_id_str`, for labels."""
    return convert_id_str(labels, batch_size)


def result_to_json(self, string, tags):
    """The entities of a text as a JSON value; unlike the archive's, each starts at its first character.

    Args:
      self: an object whose `append(word, start, end, type)` is called for each entity; None for none.
      string: str, or a list of words.
      tags: list of str, one for each character or word; of a scheme with B, I, E and S.

    Returns:
      {"entities": [{"word", "start", "end", "type"}, ...]}, `end` exclusive.
    """
    found = []
    for kind, start, end in schemes.entities(list(tags), None):
        word = "".join(string[start:end])
        if self is not None:
            self.append(word, start, end, kind)
        found.append({"word": word, "start": start, "end": end, "type": kind})
    return {"entities": found}


class Model:
    """An empty base class, which scripts written against the archive may derive from."""

    def __init__(self, *args, **kwargs):
        pass


def build_tagger(
    settings,
    features,
    is_training,
    label_ids=None,
    dropout_rate=0.0,
    compute=kernels.REFERENCE,
    use_one_hot_embeddings=False,
    word_offsets=None,
):
    """The tagger's graph up to the CRF's scores.

    Args:
      settings: settings.TaggerSettings.
      features: dict of int [batch, seq_len] `input_ids`, `input_mask`, `segment_ids`; and `word_start`, 1 at the first
        piece of each word, which is read with subword_labels "first" only: RNN and CRF then run over words.
      is_training: whether dropout is on.
      label_ids: int [batch, seq_len], 0 at padding; None where they are not known.
      dropout_rate: fraction dropped in the head.
      compute: kernels.Compute, how the encoder computes.
      use_one_hot_embeddings: look words up by matmul, as a TPU prefers.
      word_offsets: float [batch, seq_len, hidden] that are added to the pieces' vectors, or None.

    Returns:
      TaggerGraph.

    Raises:
      ValueError: a shape is not as above.
    """
    names = ["input_ids", "input_mask", "segment_ids"]
    names += ["word_start"] if settings.subword_labels == "first" else []
    given = {name: (features[name], "batch seq_len") for name in names}
    check_shapes(**given, **({} if label_ids is None else {"label_ids": (label_ids, "batch seq_len")}))
    input_mask = features["input_mask"]
    encoder, lengths = _encode(
        modeling.BertConfig.from_dict(settings.bert_config),
        is_training,
        features["input_ids"],
        input_mask,
        features["segment_ids"],
        use_one_hot_embeddings,
        compute,
        word_offsets,
    )
    vectors, positions = encoder.get_sequence_output(), None
    if settings.subword_labels == "first":
        word_start = features["word_start"]
        positions, lengths = decoding.word_positions(word_start * tf.cast(input_mask, word_start.dtype))
        vectors = decoding.gather_steps(vectors, positions)
        label_ids = None if label_ids is None else decoding.gather_steps(label_ids, positions)

    head = BLSTM_CRF(
        embedded_chars=vectors,
        hidden_unit=settings.lstm_size,
        cell_type=settings.cell,
        num_layers=settings.num_layers,
        dropout_rate=dropout_rate,
        num_labels=settings.num_labels,
        labels=label_ids,
        lengths=lengths,
        is_training=is_training,
    )
    logits = head.logits(settings.head)
    # Without a CRF any label may follow any other: the paths' probabilities are products of the labels'.
    transitions = head.transitions() if settings.has_crf else tf.zeros([settings.num_labels] * 2)
    losses = None if label_ids is None else head.losses(logits, transitions)
    return TaggerGraph(logits, transitions, lengths, losses, positions, encoder.word_vectors)


def _encode(
    bert_config,
    is_training,
    input_ids,
    input_mask,
    segment_ids,
    use_one_hot_embeddings,
    compute=kernels.REFERENCE,
    word_offsets=None,
):
    """The encoder, a BertModel, and the number of pieces of each sentence, int32 [batch]."""
    if input_mask is None:
        input_mask = tf.ones_like(input_ids)
    encoder = modeling.BertModel(
        config=bert_config,
        is_training=is_training,
        input_ids=input_ids,
        input_mask=input_mask,
        token_type_ids=segment_ids,
        use_one_hot_embeddings=use_one_hot_embeddings,
        scope="bert",  # by name, as the default name would be another at a second call that reuses the variables
        compute=compute,
        word_offsets=word_offsets,
    )
    return encoder, tf.cast(tf.reduce_sum(input_mask, axis=1), tf.int32)


def predict_tags(
    tagger,
    input_mask,
    word_start,
    constraint=None,
    piece_id=0,
    fused=False,
    entities=None,
    calibration=NO_CALIBRATION,
):
    """Tags and their probabilities for every piece.

    Args:
      tagger: TaggerGraph.
      input_mask: int [batch, seq_len].
      word_start: int [batch, seq_len], 1 at the first piece of each word.
      constraint: labels.Constraint, or None for decoding over all label sequences.
      piece_id: what a tagger over words gives, with score 0, where no word begins: it says nothing about that.
      fused: compile the decoding by XLA, see `kernels.can_fuse`.
      entities: labels.EntityRules, for the probabilities of entities; None: they are not asked for.
      calibration: calibration.LabelCalibration of the probabilities, of one or of several.

    Returns:
      decoding.Decoded by piece, int32 and float32 [batch, seq_len]; 0 at padding. Several calibrations give the scores
      a leading axis.
    """
    compiled = kernels.compiled if fused else lambda function: function
    by_words = tagger.positions is not None
    decode, given = decoding.decode, {}
    if constraint is not None:
        decode = functools.partial(decoding.decode_words if by_words else decoding.decode_pieces, constraint=constraint)
    if not by_words and word_start is not None:
        given["word_start"] = word_start
    decode = functools.partial(decode, entities=entities)
    steps = tagger.logits, tagger.lengths, tagger.transitions
    decoded = compiled(decode)(*steps, calibration=calibration, **given)
    if not by_words:
        return decoded
    is_word = tf.logical_and(tf.cast(word_start, tf.bool), tf.cast(input_mask, tf.bool))
    word_number = tf.maximum(tf.cumsum(tf.cast(is_word, tf.int32), axis=1) - 1, 0)

    def by_piece(values):
        """Scores [batch, steps], or [calibrations, batch, steps], to those of pieces."""
        if len(values.shape) == 2:
            return tf.where_v2(is_word, decoding.gather_steps(values, word_number), 0.0)
        of_pieces = decoding.gather_steps(tf.transpose(values, [1, 2, 0]), word_number)
        return tf.where_v2(is_word, tf.transpose(of_pieces, [2, 0, 1]), 0.0)

    return decoding.Decoded(
        tf.where_v2(
            is_word, decoding.gather_steps(decoded.tags, word_number), tf.cast(input_mask, tf.int32) * piece_id
        ),
        by_piece(decoded.scores),
        None if entities is None else by_piece(decoded.entity_scores),
    )
