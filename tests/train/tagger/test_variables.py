"""The names and shapes of a head's variables agree with the graph."""

import itertools

import pytest
import tensorflow.compat.v1 as tf

from bert import modeling
from train.models import build_tagger
from train.tagger.calibration import UNCALIBRATED
from train.tagger.settings import TaggerSettings
from train.tagger.variables import LABEL_AXES, head_shapes

CONFIG = modeling.BertConfig(
    vocab_size=7, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6,
    max_position_embeddings=8, type_vocab_size=2,
)  # fmt: skip
HEADS = [
    *itertools.product(["crf", "crf_only", "softmax"], ["lstm"], [1]),
    *itertools.product(["blstm_crf", "blstm_softmax"], ["lstm", "gru"], [1, 2]),
]


@pytest.mark.one_tensorflow
@pytest.mark.parametrize("head,cell,num_layers", HEADS)
def test_the_shapes_are_those_of_the_graph(head, cell, num_layers, graph):
    labels = ["O", "B-PER", "X", "[CLS]", "[SEP]"]
    settings = TaggerSettings(
        cell=cell, lstm_size=3, num_layers=num_layers, head=head, subword_labels="x", max_seq_length=8,
        do_lower_case=True, labels=labels, scheme="BIO", bert_config=CONFIG.to_dict(), constrain=True,
        word_units="words", splitter=None, context=0, calibration=UNCALIBRATED,
    )  # fmt: skip
    ids = tf.zeros([1, 8], tf.int32)
    build_tagger(settings, {"input_ids": ids, "input_mask": ids, "segment_ids": ids}, False)
    built = {var.op.name: var.shape.as_list() for var in tf.trainable_variables()}
    assert dict(modeling.encoder_shapes(CONFIG), **head_shapes(settings)) == built
    more = head_shapes(settings, 9)
    for name, shape in head_shapes(settings).items():
        axes = LABEL_AXES.get(name, ())
        assert more[name] == [9 if axis in axes else size for axis, size in enumerate(shape)]
    assert set(LABEL_AXES) - set(more) == (set() if settings.has_crf else {"crf_loss/transitions"})
