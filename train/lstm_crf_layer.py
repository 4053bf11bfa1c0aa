"""The tagger's head: dropout, BiLSTM or BiGRU, dropout, projection to one score per label, CRF."""

import tensorflow.compat.v1 as tf

from bert.modeling import dropout
from train.tagger import crf
from train.tagger.rnn import bidirectional_rnn
from train.tagger.settings import has_rnn
from train.tagger.shapes import check_shapes


class BLSTM_CRF:
    """The head on top of any token vectors, with the archive's keywords.

    Args:
      embedded_chars: float [batch, steps, width], as the encoder gives them.
      hidden_unit: RNN units in each direction.
      cell_type: "lstm" or "gru".
      num_layers: RNN layers.
      dropout_rate: fraction dropped, before and after the RNN, when training.
      initializers: for the archive's interface, whose tf.contrib has no successor; every weight begins as Xavier's.
      num_labels: number of label ids, padding included.
      seq_length: ignored, kept for the archive's interface; the shape of embedded_chars counts.
      labels: int [batch, steps], or None where they are not known.
      lengths: int [batch], tokens in each sentence; nothing after them counts.
      is_training: whether dropout is on.

    Raises:
      ValueError: an argument is missing, dropout_rate is 1.0 or more in training, or a shape is not as above.
    """

    def __init__(
        self,
        embedded_chars,
        hidden_unit,
        cell_type,
        num_layers,
        dropout_rate=0.0,
        initializers=None,
        num_labels=None,
        seq_length=None,
        labels=None,
        lengths=None,
        is_training=False,
    ):
        del seq_length, initializers
        if num_labels is None or lengths is None:
            raise ValueError("BLSTM_CRF needs num_labels and lengths")
        if cell_type not in ("lstm", "gru"):
            raise ValueError(f"cell_type is '{cell_type}'; expected lstm or gru")
        if is_training and dropout_rate >= 1.0:
            raise ValueError(
                f"dropout_rate is {dropout_rate}; expected the fraction dropped, below 1 (the archive's is the "
                f"fraction kept: its 1.0 is 0.0 here)"
            )
        given = {"embedded_chars": (embedded_chars, "batch steps width"), "lengths": (lengths, "batch")}
        check_shapes(**given, **({} if labels is None else {"labels": (labels, "batch steps")}))
        self.embedded_chars = embedded_chars
        self.hidden_unit = hidden_unit
        self.cell_type = cell_type
        self.num_layers = num_layers
        self.dropout_rate = dropout_rate if is_training else 0.0
        self.num_labels = num_labels
        self.labels = labels
        self.lengths = lengths

    def add_blstm_crf_layer(self, crf_only):
        """Builds the head.

        Args:
          crf_only: leave out the RNN and use `tanh(x W + b)` as scores, as the archive did.

        Returns:
          (loss, logits, trans, pred_ids): mean negative log-likelihood, None without labels; float [batch, steps,
          num_labels]; float [num_labels, num_labels]; int32 [batch, steps], the best path over all labels, 0 at
          padding.
        """
        logits = self.logits("crf_only" if crf_only else "blstm_crf")
        trans = self.transitions()
        loss = None if self.labels is None else tf.reduce_mean(self.losses(logits, trans))
        pred_ids, _ = crf.crf_decode(logits, self.lengths, trans)
        return loss, logits, trans, pred_ids

    def logits(self, head):
        """Score of each label at each step, before the CRF if there is one: [batch, steps, num_labels].

        Args:
          head: as of settings.TaggerSettings.
        """
        inputs = dropout(self.embedded_chars, self.dropout_rate)
        if not has_rnn(head):
            with tf.variable_scope("project"):
                scores = _affine(inputs, self.num_labels, "logits")
            return tf.tanh(scores) if head == "crf_only" else scores
        with tf.variable_scope("rnn_layer"):
            outputs = bidirectional_rnn(inputs, self.lengths, self.cell_type, self.hidden_unit, self.num_layers)
        outputs = dropout(outputs, self.dropout_rate)
        with tf.variable_scope("project"):
            hidden = tf.tanh(_affine(outputs, self.hidden_unit, "hidden"))
            return _affine(hidden, self.num_labels, "logits")

    def transitions(self):
        """Score of each label (column) after each label (row): the variable [num_labels, num_labels]."""
        with tf.variable_scope("crf_loss"):
            return tf.get_variable("transitions", [self.num_labels] * 2, initializer=tf.glorot_uniform_initializer())

    def losses(self, logits, trans):
        """Negative log-likelihood of each sentence's labels: [batch]."""
        return -crf.crf_log_likelihood(logits, self.labels, self.lengths, trans)


def _affine(inputs, units, scope):
    """`inputs @ W + b` on the last dimension: [batch, steps, width] to [batch, steps, units]."""
    width = inputs.shape.as_list()[-1]
    with tf.variable_scope(scope):
        weights = tf.get_variable("W", [width, units], initializer=tf.glorot_uniform_initializer())
        bias = tf.get_variable("b", [units], initializer=tf.zeros_initializer())
    shape = tf.shape(inputs)
    rows = tf.nn.xw_plus_b(tf.reshape(inputs, [-1, width]), weights, bias)
    return tf.reshape(rows, [shape[0], shape[1], units])
