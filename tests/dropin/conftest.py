"""A tiny encoder in the files of a release, with a checkpoint."""

import pytest
import tensorflow.compat.v1 as tf

from bert import modeling
from tests.dropin.release import VOCAB, Release


@pytest.fixture(scope="session")
def release(once):
    def fill(directory):
        config = modeling.BertConfig(len(VOCAB), 16, 2, 2, 32, max_position_embeddings=32, type_vocab_size=2)
        config.initializer_range = 0.2
        (directory / "bert_config.json").write_text(config.to_json_string())
        (directory / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(3)
            modeling.BertModel(config, False, tf.zeros([1, 2], tf.int32))
            session.run(tf.global_variables_initializer())
            tf.train.Saver().save(session, str(directory / "bert_model.ckpt"), write_meta_graph=False)

    return Release(str(once("dropin_release", fill)))
