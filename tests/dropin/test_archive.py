"""The archive's functions one by one, on small data."""

import os
import pickle

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.sentence2veclib import Sentence2Vec
from bert.system.errors import UserError
from train import bert_lstm_ner, conlleval, models, mymetrics, run_dir, tf_metrics
from train.data.records import file_based_input_fn_builder

DATA = "Ann B-PER\nmet O\nunaffable O\n\nParis B-LOC\n. O\n"


@pytest.fixture
def directory(tmp_path):
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.txt").write_text(DATA)
    return str(tmp_path)


def test_from_files_to_batches(release, directory, evaluate):
    processor = bert_lstm_ner.NerProcessor(directory)
    examples = processor.get_train_examples(directory)
    assert [(example.guid, example.text, example.label) for example in examples] == [
        ("train-0", "Ann met unaffable", "B-PER O O"),
        ("train-1", "Paris .", "B-LOC O"),
    ]
    labels = processor.get_labels()
    assert labels == ["O", "B-LOC", "B-PER", "X", "[CLS]", "[SEP]"]
    assert bert_lstm_ner.NerProcessor(directory).get_labels() == labels  # from the run's label2id.json
    with open(os.path.join(directory, "label2id.pkl"), "rb") as reader:
        assert pickle.load(reader)["B-PER"] == 3
    record_file = os.path.join(directory, "test.tf_record")
    bert_lstm_ner.filed_based_convert_examples_to_features(
        examples, labels, 8, release.tokenizer, record_file, directory, mode="test"
    )
    with open(os.path.join(directory, "token_test.txt"), encoding="utf-8") as reader:
        tokens = reader.read().split()
    assert tokens == "[CLS] ann met un ##aff ##able [SEP] [CLS] paris . [SEP]".split()
    input_fn = file_based_input_fn_builder(record_file, 8, False, False)
    features = evaluate(tf.data.make_one_shot_iterator(input_fn({"batch_size": 2})).get_next())
    assert features["label_ids"].tolist() == [[5, 3, 1, 1, 4, 4, 6, 0], [5, 2, 1, 6, 0, 0, 0, 0]]
    assert features["input_mask"].tolist() == [[1] * 7 + [0], [1] * 4 + [0] * 4]
    assert features["input_ids"].dtype == np.int32 and set(features) == set(
        models.InputFeatures([], [], [], []).__dict__
    )


def test_examples_that_do_not_fit(release, directory, caplog):
    labels = ["O", "B-PER", "X", "[CLS]", "[SEP]"]

    def convert(text, label, length=8):
        example = models.InputExample("train-7", text, label)
        return bert_lstm_ner.convert_single_example(9, example, labels, length, release.tokenizer, directory, "train")

    features = convert("Ann met unaffable", "B-PER O O", length=6)
    assert features.label_ids == [4, 2, 1, 1, 3, 5] and "train-7: 5 pieces, 1 cut off" in caplog.text
    with pytest.raises(UserError, match="train-7: the tag 'B-LOC'"):
        convert("Ann", "B-LOC")
    with pytest.raises(UserError, match="2 words and 1 tags"):
        convert("Ann met", "O")
    with pytest.raises(UserError, match="label2id.json: no such file; expected"):
        bert_lstm_ner.NerProcessor(os.path.join(directory, "none")).get_labels()
    with open(os.path.join(directory, "dev.txt"), "w") as writer:
        writer.write("New York\tB-LOC\nor\tO\nRome\tB-LOC\n")
    with pytest.raises(UserError, match="dev.txt:1: the word 'New York' has a space in it"):
        bert_lstm_ner.NerProcessor(directory).get_dev_examples(directory)


def test_labels_in_the_order_that_is_given(directory):
    processor = bert_lstm_ner.NerProcessor(directory)
    assert processor.get_labels("B-PER,O") == ["B-PER", "O", "X", "[CLS]", "[SEP]"]
    assert [each.label for each in processor.get_test_examples(directory)] == ["B-PER O O", "B-LOC O"]


def test_a_corpus_of_ones_own_reads_as_the_archives(directory):
    """A subclass of either processor calls the methods that the archive's has."""

    class Own(models.DataProcessor):
        def get_train_examples(self, data_dir):
            return self._read_data(os.path.join(data_dir, "train.txt"))

    class Renamed(bert_lstm_ner.NerProcessor):
        def get_train_examples(self, data_dir):
            return self._create_example(self._read_data(os.path.join(data_dir, "dev.txt")), "own")

    expected = [["B-PER O O", "Ann met unaffable"], ["B-LOC O", "Paris ."]]  # tags, then words
    assert Own().get_train_examples(directory) == expected
    processor = Renamed(directory)
    examples = processor.get_train_examples(directory)
    assert [[example.label, example.text] for example in examples] == expected and examples[1].guid == "own-1"
    assert processor.get_labels()[:3] == ["O", "B-LOC", "B-PER"]


def test_ids_to_labels_and_entities():
    names = {1: "O", 2: "B-PER", 3: "I-PER", 4: "[CLS]", 5: "[SEP]"}
    ids = np.array([[4, 2, 3, 1, 5, 0, 0], [4, 1, 5, 0, 0, 0, 0]])
    assert models.convert_id_to_label(ids, names, 2) == ([["B-PER", "I-PER", "O"], ["O"]], [[2, 3, 1], [1]])
    assert models.convert_id_to_label(ids.tolist(), names, 1)[1] == [[2, 3, 1]]
    rows = [[b"[CLS]", "北".encode(), b"[SEP]", b"**PAD**", b"x"]]
    assert models.decode_labels(rows, 1) == models.convert_id_str(rows, 1) == [["北"]]

    class Kept(list):
        def append(self, *entity):
            super().append(entity)

    kept = Kept()
    found = models.result_to_json(kept, "李明在北京市。", ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "I-LOC", "O"])
    assert found == {
        "entities": [
            {"word": "李明", "start": 0, "end": 2, "type": "PER"},
            {"word": "北京市", "start": 3, "end": 6, "type": "LOC"},
        ]
    }
    assert kept == [("李明", 0, 2, "PER"), ("北京市", 3, 6, "LOC")]
    assert models.result_to_json(None, "李", ["S-PER"])["entities"][0]["type"] == "PER"
    assert models.Model(1, a=2) is not None
    with pytest.raises(NotImplementedError):
        models.DataProcessor().get_labels()


def test_without_the_slots_of_the_optimizer(tmp_path, evaluate):
    directory = str(tmp_path)
    assert bert_lstm_ner.get_last_checkpoint(directory) is None
    bert_lstm_ner.adam_filter(directory)
    assert os.listdir(directory) == []
    for name in ("w", "w/adam_m", "w/adam_v"):
        tf.get_variable(name, initializer=1.0)
    evaluate(tf.no_op())
    prefix = tf.train.Saver().save(evaluate.session, os.path.join(directory, "model.ckpt"), 3)
    assert bert_lstm_ner.get_last_checkpoint(directory) == prefix
    bert_lstm_ner.adam_filter(directory)
    assert tf.train.list_variables(os.path.join(directory, run_dir.CHECKPOINT)) == [("w", [])]


def test_metrics_of_a_confusion_matrix(evaluate):
    matrix = tf.constant([[5, 1, 0], [2, 3, 1], [0, 0, 4]])
    micro = evaluate(tf_metrics.pr_re_fbeta(matrix, [1, 2]))
    np.testing.assert_allclose(micro, [7 / 9, 7 / 10, 2 * 7 / 19], rtol=1e-6)
    precision, recall, _ = evaluate(tf_metrics.metrics_from_confusion_matrix(matrix, average="macro", beta=2))
    np.testing.assert_allclose([precision, recall], [(5 / 7 + 3 / 4 + 4 / 5) / 3, (5 / 6 + 3 / 6 + 1) / 3], rtol=1e-6)
    assert evaluate(tf_metrics.safe_div([1, 2], [2, 0])).tolist() == [0.5, 0.0]


def test_accuracy_of_each_label(capsys):
    found = mymetrics.compute([[4, 2, 1, 3, 5, 0]], [[4, 2, 2, 3, 5, 0]], ["O", "B-PER", "I-PER", "[CLS]", "[SEP]"])
    assert found == {"B-PER": 0.8, "I-PER": 1.0}
    assert capsys.readouterr().out == "accuracy: B-PER 0.80\naccuracy: I-PER 1.00\n"
    assert mymetrics.compute([[1]], [[1]], ["O"], labels=["O"]) == {"O": 1.0}


def test_conlleval_as_a_module():
    options = conlleval.parse_args(["-b", "==", "--delimiter", ",", "--otag=_", "file"])
    assert (options.boundary, options.delimiter, options.otag, options.file) == ("==", ",", "_", "file")
    options = conlleval.parse_args([])
    assert (options.boundary, options.delimiter, options.otag, options.file) == ("-X-", conlleval.ANY_SPACE, "O", None)
    lines = ["a B-PER B-PER", "-X- O O", "b I-PER O"]
    assert conlleval.evaluate(lines, options).found_correct == conlleval.evaluate(lines).found_correct == 2
    with pytest.raises(conlleval.FormatError, match="line 2: unexpected number of features"):
        conlleval.evaluate(["a O O", "b O"], options)
    assert conlleval.parse_tag("B-A-B") == ("B", "A-B") and conlleval.uniq("abca") == ["a", "b", "c"]
    assert conlleval.calculate_metrics(1, 2, 4)[:5] == (1, 1, 3, 0.5, 0.25)
    cases = [("O", "B", "", "PER"), ("B", "I", "PER", "PER"), ("B", "I", "PER", "LOC"), ("I", "O", "PER", "")]
    assert [conlleval.start_of_chunk(*case) for case in cases] == [True, False, True, False]
    assert [conlleval.end_of_chunk(*case) for case in cases] == [False, False, True, True]
    with pytest.raises(UserError, match="usage"):
        conlleval.parse_args(["--nothing"])


def test_sentence_vectors_by_the_archives_keys(release):
    config = {
        "bert_model_root": "unused",
        "vocab_file": release.vocab_file,
        "bert_config_file": release.config_file,
        "init_checkpoint": release.checkpoint,
        "feature_pooling_layer": -2,
        "use_one_hot_embeddings": False,
        "max_seq_length": 16,
        "batch_size": 8,
        "do_lower_case": True,
    }
    sentences = ["Ann met Bob", "北京 ||| London"]
    with Sentence2Vec(sen2vec_conf_file=config) as sentence2vec:
        found, expected = sentence2vec.run(sentences), sentence2vec.encode(sentences)
        assert sentence2vec.run([]) == []
    assert [(each.unique_id, each.sentence) for each in found] == list(enumerate(sentences))
    np.testing.assert_allclose([each.vector for each in found], expected, atol=1e-6)
    assert found[0].vector[0] == round(found[0].vector[0], 6)
    with Sentence2Vec(
        config={**{key: config[key] for key in list(config)[1:4]}, "max_seq_length": 16, "layer": -2}
    ) as by_layer:
        np.testing.assert_allclose(by_layer.encode(sentences), expected, atol=1e-6)
    with pytest.raises(UserError, match="feature_pooling_layer is -2 and layer -1; expected one of them"):
        Sentence2Vec(dict(config, layer=-1))
    for given in ({}, {"config": config, "sen2vec_conf_file": config}):
        with pytest.raises(TypeError, match="needs its config once"):
            Sentence2Vec(**given)


@pytest.mark.parametrize("scope,lstm_size", [(None, 1), ("", 4), ("tagger", 4)])
def test_create_model_twice_shares_its_variables(release, scope, lstm_size):
    """For training and for evaluation in one graph, as scripts build it, at the root or in a scope."""

    def build(is_training):
        ids = tf.ones([2, 4], tf.int32)
        return models.create_model(release.config, is_training, ids, ids, ids, ids, 3, False, 0.1, lstm_size)

    with tf.Graph().as_default():
        if scope is None:
            build(True)
        else:
            with tf.variable_scope(scope):
                build(True)
        names = [variable.name for variable in tf.global_variables()]
        with tf.variable_scope(tf.get_variable_scope() if scope is None else scope, reuse=True):
            build(False)
        with tf.variable_scope(scope or "", reuse=tf.AUTO_REUSE):
            build(False)
        assert [variable.name for variable in tf.global_variables()] == names
        assert any(name.endswith("bert/encoder/layer_0/output/LayerNorm/gamma:0") for name in names)
