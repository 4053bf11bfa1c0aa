"""The head against numpy: scores, loss and best path; its variables; dropout."""

import inspect
import itertools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests.train.tagger.test_crf import log_sum_exp, path_scores
from tests.train.tagger.test_rnn import behind, load, names_and_shapes, numpy_rnn, randomise
from train.lstm_crf_layer import BLSTM_CRF

WIDTH, SIZE, NUM_LABELS = 6, 4, 3
LENGTHS = np.array([4, 1, 3], np.int32)
ONCE, OTHERS = pytest.mark.one_tensorflow, [("lstm", 1), ("gru", 2)]  # of the same operations as the rest
HEADS = [("lstm", 1, False), ("lstm", 2, False), ("gru", 1, False), ("gru", 2, False), ("lstm", 1, True)]


def numpy_scores(vectors, lengths, variables, cell, size, num_layers, crf_only):
    """The head up to the CRF, without dropout: [batch, steps, width] to [batch, steps, num_labels]; float64."""

    def affine(inputs, name):
        return inputs @ variables[f"project/{name}/W"] + variables[f"project/{name}/b"]

    vectors = np.asarray(vectors, np.float64)
    if crf_only:
        return np.tanh(affine(vectors, "logits"))
    outputs = numpy_rnn(vectors, lengths, cell, size, num_layers, behind("rnn_layer/bidirectional_rnn/", variables))
    return affine(np.tanh(affine(outputs, "hidden")), "logits")


def numpy_loss(scores, labels, lengths, transitions):
    """Negative log-likelihood of each sentence, by enumeration of all label sequences: [batch]."""
    losses = []
    for sentence, gold, length in zip(scores, labels, lengths):
        paths = path_scores(np.asarray(sentence, np.float64), transitions, length)
        losses.append(log_sum_exp(paths.values()) - paths[tuple(gold[:length])])
    return np.array(losses)


def best_paths(scores, lengths, transitions):
    """The path with the highest score of each sentence, then 0: int [batch, steps]."""
    tags = np.zeros(scores.shape[:2], int)
    for b, length in enumerate(lengths):
        paths = path_scores(np.asarray(scores[b], np.float64), transitions, length)
        tags[b, :length] = max(paths, key=paths.get)
    return tags


def random_vectors(steps=4):
    return np.random.RandomState(3).normal(size=[len(LENGTHS), steps, WIDTH]).astype(np.float32)


def random_labels(steps=4):
    return np.random.RandomState(4).randint(0, NUM_LABELS, size=[len(LENGTHS), steps])


def head(vectors, labels=None, cell="lstm", num_layers=1, lengths=LENGTHS, **kwargs):
    """A head with the archive's keywords."""
    return BLSTM_CRF(
        embedded_chars=tf.convert_to_tensor(vectors),
        hidden_unit=SIZE,
        cell_type=cell,
        num_layers=num_layers,
        num_labels=NUM_LABELS,
        seq_length=vectors.shape[1],
        labels=labels,
        lengths=tf.convert_to_tensor(lengths),
        **kwargs,
    )


def test_keywords_are_the_archives():
    parameters = inspect.signature(BLSTM_CRF).parameters
    assert list(parameters) == (
        "embedded_chars hidden_unit cell_type num_layers dropout_rate initializers num_labels seq_length labels "
        "lengths is_training"
    ).split(" ")
    assert parameters["dropout_rate"].default == 0 and parameters["labels"].default is None
    assert list(inspect.signature(BLSTM_CRF.add_blstm_crf_layer).parameters) == ["self", "crf_only"]


@pytest.mark.parametrize("cell,num_layers", [("lstm", 2), ("gru", 1), *(pytest.param(*x, marks=ONCE) for x in OTHERS)])
@pytest.mark.parametrize("crf_only", [False, True])
def test_variables(cell, num_layers, crf_only, graph):
    expected = {"crf_loss/transitions": (3, 3), "project/logits/W": (6 if crf_only else 4, 3), "project/logits/b": (3,)}
    if not crf_only:
        expected.update({"project/hidden/W": (8, 4), "project/hidden/b": (4,)})
        for direction, k in itertools.product(("fw", "bw"), range(num_layers)):
            scope = f"rnn_layer/bidirectional_rnn/{direction}/"
            scope += f"multi_rnn_cell/cell_{k}/" if num_layers == 2 else ""
            width = (6 if k == 0 else 4) + 4
            if cell == "lstm":
                variables = {"lstm_cell/kernel": (width, 16), "lstm_cell/bias": (16,)}
            else:
                variables = {
                    "gru_cell/gates/kernel": (width, 8),
                    "gru_cell/gates/bias": (8,),
                    "gru_cell/candidate/kernel": (width, 4),
                    "gru_cell/candidate/bias": (4,),
                }
            expected.update({scope + name: shape for name, shape in variables.items()})
    head(random_vectors(), random_labels(), cell, num_layers).add_blstm_crf_layer(crf_only)
    assert names_and_shapes() == expected
    assert all(var.dtype.base_dtype == tf.float32 for var in tf.trainable_variables())
    assert tf.global_variables() == tf.trainable_variables()


@pytest.mark.parametrize(
    "cell,num_layers,crf_only",
    [pytest.param(*each, marks=[ONCE] * (each[:2] in OTHERS and not each[2])) for each in HEADS],
)
def test_against_numpy(cell, num_layers, crf_only, evaluate):
    vectors, labels = random_vectors(), random_labels()
    loss, logits, trans, pred_ids = head(vectors, labels, cell, num_layers).add_blstm_crf_layer(crf_only)
    assert loss.shape == [] and logits.shape == [3, 4, 3] and pred_ids.dtype == tf.int32
    variables = randomise(evaluate)
    loss, logits, trans, pred_ids = evaluate([loss, logits, trans, pred_ids])

    np.testing.assert_array_equal(trans, variables["crf_loss/transitions"])
    expected = numpy_scores(vectors, LENGTHS, variables, cell, SIZE, num_layers, crf_only)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss, numpy_loss(expected, labels, LENGTHS, trans).mean(), rtol=1e-5)
    np.testing.assert_array_equal(pred_ids, best_paths(expected, LENGTHS, trans))


@pytest.mark.parametrize("crf_only", [False, True])
def test_sizes_unknown_until_run_time_and_padding(crf_only, evaluate):
    fed = tf.placeholder(tf.float32, [None, None, WIDTH])
    labels, lengths = tf.placeholder(tf.int64, [None, None]), tf.placeholder(tf.int64, [None])
    built = BLSTM_CRF(fed, SIZE, "gru", 1, num_labels=NUM_LABELS, labels=labels, lengths=lengths)
    outputs = built.add_blstm_crf_layer(crf_only)
    gradients = tf.gradients(outputs[0], tf.trainable_variables())
    variables = randomise(evaluate)
    short = {fed: random_vectors(), labels: random_labels(), lengths: LENGTHS}
    longer = {
        fed: np.concatenate([random_vectors(), np.full([3, 3, WIDTH], 50.0)], axis=1),
        labels: np.concatenate([random_labels(), np.ones([3, 3], int)], axis=1),
        lengths: LENGTHS,
    }
    (loss, logits, trans, pred_ids), expected_gradients = evaluate([outputs, gradients], short)
    expected = numpy_scores(short[fed], LENGTHS, variables, "gru", SIZE, 1, crf_only)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    (other_loss, _, _, other_ids), other_gradients = evaluate([outputs, gradients], longer)
    np.testing.assert_allclose(other_loss, loss, rtol=1e-6)
    np.testing.assert_array_equal(other_ids, np.pad(pred_ids, [[0, 0], [0, 3]], "constant"))
    for one, other in zip(expected_gradients, other_gradients):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6)


def test_without_labels_there_is_no_loss(evaluate):
    vectors = random_vectors()
    loss, logits, trans, pred_ids = head(vectors).add_blstm_crf_layer(False)
    assert loss is None
    variables = randomise(evaluate)
    expected = numpy_scores(vectors, LENGTHS, variables, "lstm", SIZE, 1, False)
    np.testing.assert_array_equal(evaluate(pred_ids), best_paths(expected, LENGTHS, variables["crf_loss/transitions"]))


@pytest.mark.parametrize("crf_only", [False, True])
def test_no_dropout_outside_training(crf_only, evaluate):
    vectors = random_vectors()
    logits = head(vectors, dropout_rate=0.9).logits("crf_only" if crf_only else "blstm_crf")
    variables = randomise(evaluate)
    expected = numpy_scores(vectors, LENGTHS, variables, "lstm", SIZE, 1, crf_only)
    np.testing.assert_allclose(evaluate(logits), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(evaluate(logits), evaluate(logits))


def check_dropped(found, kept, rate):
    """A share `rate` of the elements is 0, the others are as `kept`; and another share the next time."""
    dropped = found == 0
    assert abs(dropped.mean() - rate) < 0.05
    np.testing.assert_allclose(found[~dropped], kept[~dropped], rtol=1e-4)


def test_what_the_archive_kept_is_not_what_is_dropped_here():
    with tf.Graph().as_default():
        with pytest.raises(ValueError, match="dropout_rate is 1.0.*fraction dropped.*archive.*fraction kept"):
            head(random_vectors(), dropout_rate=1.0, is_training=True)
        head(random_vectors(), dropout_rate=1.0)  # as predictors pass it on


def test_dropout_before_the_rnn_in_training(evaluate):
    """Seen through a projection that changes nothing: W is the identity, b is 0."""
    rate, vectors = 0.3, np.random.RandomState(0).uniform(0.5, 1, size=[20, 30, NUM_LABELS]).astype(np.float32)
    logits = head(vectors, lengths=[30] * 20, dropout_rate=rate, is_training=True).logits("crf_only")
    evaluate([])
    load({"project/logits/W": np.eye(NUM_LABELS), "project/logits/b": np.zeros(NUM_LABELS)}, evaluate.session)
    first, second = evaluate(logits), evaluate(logits)
    check_dropped(first, np.tanh(vectors / (1 - rate)), rate)
    assert (first != second).any()


def test_dropout_behind_the_rnn_in_training(evaluate):
    """The input is 0, so the first dropout changes nothing; what is left of the RNN's output is shown by W."""
    rate, steps = 0.3, 200
    vectors = np.zeros([5, steps, WIDTH], np.float32)
    logits = head(vectors, lengths=[steps] * 5, dropout_rate=rate, is_training=True).logits("blstm_crf")
    variables = randomise(evaluate)
    projection = {name: value for name, value in variables.items() if name.startswith("project/")}
    plain = {name: np.eye(*value.shape) if value.ndim == 2 else 0 * value for name, value in projection.items()}
    load(plain, evaluate.session)
    outputs = numpy_rnn(vectors, [steps] * 5, "lstm", SIZE, 1, behind("rnn_layer/bidirectional_rnn/", variables))
    first, second = evaluate(logits), evaluate(logits)
    check_dropped(first, np.tanh(outputs[:, :, :NUM_LABELS] / (1 - rate)), rate)
    assert (first != second).any()


@pytest.mark.parametrize(
    "wrong,message",
    [
        ({"num_labels": None}, "num_labels and lengths"),
        ({"lengths": None}, "num_labels and lengths"),
        ({"cell_type": "rnn"}, "cell_type is 'rnn'; expected lstm or gru"),
        ({"cell_type": "LSTM"}, "expected lstm or gru"),
    ],
)
def test_errors(wrong, message, graph):
    arguments = {
        "embedded_chars": tf.zeros([3, 4, WIDTH]),
        "hidden_unit": SIZE,
        "cell_type": "lstm",
        "num_layers": 1,
        "num_labels": NUM_LABELS,
        "lengths": LENGTHS,
    }
    with pytest.raises(ValueError, match=message):
        BLSTM_CRF(**dict(arguments, **wrong))
