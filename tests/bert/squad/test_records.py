"""What stands in the record files, which answers are left out of training and how that is told; logits and loss."""

import logging

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import modeling
from bert.data.batches import Reading
from bert.data.records import count_records
from bert.squad import model
from bert.squad import records as squad_records
from bert.squad.questions import Question
from bert.system.errors import UserError
from bert.tokenization import FullTokenizer

PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] who ? a b c d e f g caf ##e 北 京 . jap ##anese".split()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_bytes("\n".join(PIECES).encode("utf-8"))
    return FullTokenizer(str(path))


@pytest.fixture
def messages(monkeypatch):
    """What is logged."""
    found = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())
    logger = logging.getLogger("bert")
    monkeypatch.setattr(logger, "handlers", [handler])
    before = logger.level
    logger.setLevel(logging.INFO)
    yield found
    logger.setLevel(before)


SETTINGS = squad_records.WindowSettings(max_seq_length=10, doc_stride=2, max_query_length=2)


def asked(context, answer, given=None, name="q"):
    """A question whose answer is `answer` in the context, written `given` in the file; None: unanswerable."""
    if answer is None:
        return Question(name, "Who?", context, (), None)
    start = context.index(answer)
    return Question(name, "Who?", context, (given or answer,), (start, start + len(answer)))


def read(path):
    """The records as dicts of lists, by TensorFlow's own parser."""
    found = []
    for serialized in tf.python_io.tf_record_iterator(path):
        feature = tf.train.Example.FromString(serialized).features.feature
        found.append({name: list(value.int64_list.value) for name, value in feature.items()})
    return found


def shown(record):
    """(tokens, text of the target) of a record."""
    tokens = [PIECES[i] for i, mask in zip(record["input_ids"], record["input_mask"]) if mask]
    return " ".join(tokens), tokens[record["start_positions"][0] : record["end_positions"][0] + 1]


def test_training_records(tokenizer, tmp_path):
    path = str(tmp_path / "train.tf_record")
    questions = [asked("A b  c d E f g", "d E"), asked("a", None)]
    squad_records.write_training(path, questions, tokenizer, SETTINGS, {}, "train.json")
    records = read(path)
    assert count_records(path) == len(records) == 3
    assert [shown(record) for record in records] == [
        ("[CLS] who ? [SEP] a b c d e [SEP]", ["d", "e"]),
        ("[CLS] who ? [SEP] c d e f g [SEP]", ["d", "e"]),
        ("[CLS] who ? [SEP] a [SEP]", ["[CLS]"]),
    ]
    assert [record["unique_ids"] for record in records] == [[1000000000], [1000000001], [1000000002]]
    assert [record["is_impossible"] for record in records] == [[0], [0], [1]]
    for record in records:
        length = sum(record["input_mask"])
        assert len(record["input_ids"]) == len(record["input_mask"]) == len(record["segment_ids"]) == 10
        assert record["input_mask"] == [1] * length + [0] * (10 - length)
        assert record["segment_ids"] == [0] * 4 + [1] * (length - 4) + [0] * (10 - length)


def test_a_window_without_the_whole_answer_points_to_cls(tokenizer, tmp_path):
    path = str(tmp_path / "train.tf_record")
    squad_records.write_training(path, [asked("a b c d e f g", "b c")], tokenizer, SETTINGS, {}, "train.json")
    assert [shown(record)[1] for record in read(path)] == [["b", "c"], ["[CLS]"]]


def test_answers_that_cannot_be_recovered(tokenizer, tmp_path, messages):
    path = str(tmp_path / "train.tf_record")
    questions = [
        asked("a \u200b b", "\u200b", name="dropped"),
        asked("a \u200bb", "\u200bb", name="half"),
        asked("Café  b", "Café  b", "Café b", name="space"),
        asked("the Japanese", "Japan", name="inside"),
        asked("在北京.", "北京", name="fine"),
    ]
    squad_records.write_training(path, questions, tokenizer, SETTINGS, {}, "train.json")
    assert [shown(record)[1] for record in read(path)] == [["caf", "##e", "b"], ["jap", "##anese"], ["北", "京"]]
    told = "\n".join(messages)
    assert "3 questions, 3 windows, 0 of them without the answer" in told
    assert "warning: 2 of 5 answers cannot be recovered from the word pieces" in told
    assert "warning: 1 of 5 answers differ from the context in white space" in told
    assert "warning: 1 of 5 answers begin or end inside a word piece" in told
    assert "question half" not in told and "-verbose_logging lists them" in told

    del messages[:]
    squad_records.write_training(path + "-again", questions, tokenizer, SETTINGS, {}, "train.json", True)
    told = "\n".join(messages)
    for name, kind in (
        ("dropped", "skipped"),
        ("half", "skipped"),
        ("space", "other white space"),
        ("inside", "wider"),
    ):
        assert sum(f"question {name}:" in line and kind in line for line in messages) == 1
    assert "question fine" not in told and "-verbose_logging lists them" not in told


def test_nothing_left_to_train_on(tokenizer, tmp_path):
    path = tmp_path / "train.tf_record"
    path.write_text("old")
    with pytest.raises(UserError, match="train.json: none of its answers"):
        squad_records.write_training(str(path), [asked("\u200b a", "\u200b")], tokenizer, SETTINGS, {}, "train.json")
    assert path.read_text() == "old"


def batches(input_fn, batch_size, count):
    with tf.Graph().as_default(), tf.Session() as session:
        batch = tf.data.make_one_shot_iterator(input_fn({"batch_size": batch_size})).get_next()
        found = []
        for _ in range(count):
            try:
                found.append(session.run(batch))
            except tf.errors.OutOfRangeError:
                break
        return found


def test_prediction_sees_every_window_once(tokenizer, tmp_path):
    path = str(tmp_path / "eval.tf_record")
    questions = [asked("a b c d e f g", None), asked("", None), asked("a", None)]
    contents = squad_records.write_prediction(path, questions, tokenizer, SETTINGS, {})
    assert [len(windows) for _, windows in contents] == [2, 1, 1]
    found = batches(squad_records.input_fn_builder(path, 10, False), 3, 10)
    assert [batch["unique_ids"].tolist() for batch in found] == [[1000000000, 1000000001, 1000000002], [1000000003]]
    assert [batch["input_ids"].shape for batch in found] == [(3, 10), (1, 6)]  # as long as the longest


def test_training_goes_on_where_it_was(tokenizer, tmp_path):
    path = str(tmp_path / "train.tf_record")
    squad_records.write_training(path, [asked("a b c d e f g", "c")] * 4, tokenizer, SETTINGS, {}, "train.json")
    whole = batches(squad_records.input_fn_builder(path, 10, True, reading=Reading(3)), 3, 8)
    rest = batches(squad_records.input_fn_builder(path, 10, True, reading=Reading(3, 5)), 3, 3)
    for one, other in zip(whole[5:], rest):
        np.testing.assert_array_equal(one["unique_ids"], other["unique_ids"])
    seen = np.concatenate([batch["unique_ids"] for batch in whole])
    assert sorted(seen[:8].tolist()) == sorted(seen[8:16].tolist()) == list(range(1000000000, 1000000008))


def test_loss_is_the_cross_entropy_over_what_is_no_padding(evaluate):
    rng = np.random.RandomState(0)
    logits = rng.randn(3, 6).astype(np.float32)
    lengths, positions = [6, 4, 2], [5, 0, 1]
    mask = np.array([[1] * n + [0] * (6 - n) for n in lengths])
    losses = evaluate(model.position_losses(tf.constant(logits), tf.constant(positions), tf.constant(mask)))
    for row, (length, position) in enumerate(zip(lengths, positions)):
        values = logits[row, :length].astype(np.float64)
        np.testing.assert_allclose(losses[row], np.log(np.exp(values).sum()) - values[position], rtol=1e-5)


def test_logits_and_variables(evaluate):
    config = modeling.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=8, type_vocab_size=2,
    )  # fmt: skip
    features = {
        "input_ids": tf.constant([[1, 2, 3, 0], [4, 5, 0, 0]]),
        "input_mask": tf.constant([[1, 1, 1, 0], [1, 1, 0, 0]]),
        "segment_ids": tf.zeros([2, 4], tf.int32),
    }
    start, end = model.span_logits(config, False, features)
    variables = {var.op.name: var for var in tf.trainable_variables()}
    head = {name: var.shape.as_list() for name, var in variables.items() if not name.startswith("bert/")}
    assert head == model.head_shapes(config) == {"cls/squad/output_weights": [2, 8], "cls/squad/output_bias": [2]}
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        ids, mask, segments = (features[name] for name in ("input_ids", "input_mask", "segment_ids"))
        hidden = modeling.BertModel(config, False, ids, mask, segments, scope="bert").get_sequence_output()
    names = ("cls/squad/output_weights", "cls/squad/output_bias")
    hidden, weights, bias, start, end = evaluate([hidden] + [variables[name] for name in names] + [start, end])
    np.testing.assert_allclose(start, hidden @ weights[0] + bias[0], atol=1e-5)
    np.testing.assert_allclose(end, hidden @ weights[1] + bias[1], atol=1e-5)
