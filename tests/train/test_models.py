"""The tagger against the encoder's vectors and a head in numpy: over pieces and over words, padded and compiled."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.modeling import BertConfig, BertModel
from tests.train.tagger.test_crf import log_sum_exp, path_scores
from tests.train.tagger.test_rnn import load, random_values, randomise
from tests.train.test_lstm_crf_layer import HEADS, best_paths, numpy_loss, numpy_scores
from train.data import labels, schemes
from train.lstm_crf_layer import BLSTM_CRF
from train.models import build_tagger, create_model, predict_tags
from train.tagger.settings import TaggerSettings

CONFIG = BertConfig(
    vocab_size=20,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
    type_vocab_size=2,
)
SIZE, NUM_LABELS, PIECE = 4, 4, 9
CRF_ONLY = ("lstm", 1, True)
INPUT_IDS = np.array([[2, 7, 9, 5, 11, 3], [2, 6, 3, 0, 0, 0], [2, 8, 8, 19, 3, 0], [2, 3, 0, 0, 0, 0]])
INPUT_MASK = (INPUT_IDS > 0).astype(int)
SEGMENT_IDS = np.array([[0, 0, 0, 1, 1, 1], [0, 1, 1, 0, 0, 0], [0] * 6, [0] * 6])
LABELS = np.array([[1, 3, 2, 1, 2, 3], [3, 1, 1, 0, 0, 0], [2, 3, 1, 3, 2, 0], [3, 2, 0, 0, 0, 0]])
WORD_START = np.array([[0, 1, 0, 1, 1, 0], [0, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0] * 6])
LENGTHS = INPUT_MASK.sum(1)
WORDS = [np.flatnonzero(row) for row in WORD_START]  # where the words of each sentence begin
NUM_WORDS = WORD_START.sum(1)
ALL = {"ids": INPUT_IDS, "mask": INPUT_MASK, "segments": SEGMENT_IDS, "labels": LABELS, "starts": WORD_START}


def placeholders(seq_len=None, batch=None):
    return {name: tf.placeholder(tf.int32, [batch, seq_len], name) for name in ALL}


def feed(fed, values):
    return {fed[name]: values[name] for name in fed}


def tagger_over(fed, kind, by_words, num_labels=NUM_LABELS, is_training=False, dropout_rate=0.0, head=None, **others):
    cell, num_layers, crf_only = kind
    settings = TaggerSettings.from_json(
        {
            "cell": cell, "lstm_size": SIZE, "num_layers": num_layers, "crf_only": crf_only,
            "subword_labels": "first" if by_words else "x", "max_seq_length": 16, "do_lower_case": True,
            "labels": [str(i) for i in range(1, num_labels)], "scheme": None, "bert_config": CONFIG.to_dict(),
            "constrain": False, "head": head,
        },
        "the test",
    )  # fmt: skip
    keys = {"input_ids": "ids", "input_mask": "mask", "segment_ids": "segments", "word_start": "starts"}
    features = {name: fed[key] for name, key in keys.items()}
    return build_tagger(settings, features, is_training, fed["labels"], dropout_rate, **others)


def encoder_vectors(fed):
    """The encoder a second time, on the same variables."""
    with tf.variable_scope("", reuse=True):
        model = BertModel(CONFIG, False, fed["ids"], fed["mask"], fed["segments"], scope="bert")
    return model.get_sequence_output()


def padded(values, steps):
    return {name: np.pad(value, [[0, 0], [0, steps]], "constant") for name, value in values.items()}


def gathered(values, positions):
    """Row b of `values` at positions[b], 0 behind them: [batch, steps, ...] to [batch, longest, ...]."""
    result = np.zeros((len(values), max(map(len, positions))) + values.shape[2:], values.dtype)
    for b, chosen in enumerate(positions):
        result[b, : len(chosen)] = values[b, chosen]
    return result


def marginals(scores, length, transitions):
    """Posterior probability of each label at each step, by enumeration: [length, num_labels]."""
    paths = path_scores(np.asarray(scores, np.float64), transitions, length)
    norm = log_sum_exp(paths.values())
    result = np.zeros([length, scores.shape[-1]])
    for path, score in paths.items():
        result[np.arange(length), list(path)] += np.exp(score - norm)
    return result


ONCE = pytest.mark.one_tensorflow  # other operations than those of the other cases there are none


@pytest.mark.parametrize("cell,num_layers,crf_only", [pytest.param(*HEADS[0], marks=ONCE), HEADS[3], HEADS[4]])
def test_create_model(cell, num_layers, crf_only, evaluate):
    fed = placeholders()
    arguments = [CONFIG, False, fed["ids"], fed["mask"], fed["segments"], fed["labels"], NUM_LABELS, False]
    outputs = create_model(*arguments, 0.5, SIZE, cell, num_layers, crf_only)
    vectors = encoder_vectors(fed)
    variables = randomise(evaluate)
    (loss, logits, trans, pred_ids), vectors = evaluate([outputs, vectors], feed(fed, ALL))

    np.testing.assert_array_equal(trans, variables["crf_loss/transitions"])
    expected = numpy_scores(vectors, LENGTHS, variables, cell, SIZE, num_layers, crf_only)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(loss, numpy_loss(expected, LABELS, LENGTHS, trans).mean(), rtol=1e-5)
    np.testing.assert_array_equal(pred_ids, best_paths(expected, LENGTHS, trans))


def test_what_may_be_left_out(evaluate):
    """No labels, no mask, no segments, words looked up by matmul; the rest stays the same."""
    fed = placeholders()
    outputs = create_model(CONFIG, False, fed["ids"], fed["mask"], fed["segments"], fed["labels"], NUM_LABELS, False)
    variables = randomise(evaluate)
    full = dict(ALL, mask=np.ones_like(INPUT_MASK), segments=np.zeros_like(SEGMENT_IDS))
    expected = evaluate(outputs[1:], feed(fed, full))
    with tf.Graph().as_default(), tf.Session() as session:
        ids = tf.constant(INPUT_IDS)
        loss, *others = create_model(CONFIG, False, ids, None, None, None, NUM_LABELS, True)
        assert loss is None
        load(variables, session)
        for found, reference in zip(session.run(others), expected):
            np.testing.assert_allclose(found, reference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*(pytest.param(name, marks=ONCE) for name in ("crf", "softmax")), "blstm_softmax"])
def test_other_heads(name, evaluate):
    """Linear scores; without a CRF the loss is the cross-entropy of each label and the tags are the best labels."""
    fed = placeholders()
    tagger = tagger_over(fed, HEADS[0], False, head=name)
    tags, scores = predict_tags(tagger, fed["mask"], fed["starts"], None, PIECE)[:2]
    vectors = encoder_vectors(fed)
    variables = randomise(evaluate)
    outputs = tagger.logits, tagger.losses, tags, scores, vectors
    logits, losses, tags, scores, vectors = evaluate(outputs, feed(fed, ALL))
    if name == "blstm_softmax":
        expected = numpy_scores(vectors, LENGTHS, variables, "lstm", SIZE, 1, False)
    else:
        expected = vectors.astype(np.float64) @ variables["project/logits/W"] + variables["project/logits/b"]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert ("crf_loss/transitions" in variables) == (name == "crf")
    if name == "crf":
        of_paths = numpy_loss(expected, LABELS, LENGTHS, variables["crf_loss/transitions"])
        np.testing.assert_allclose(losses, of_paths, rtol=1e-4)
        return
    chances = np.exp(expected - np.log(np.exp(expected).sum(-1, keepdims=True)))
    for b, length in enumerate(LENGTHS):
        gold = chances[b, np.arange(length), LABELS[b, :length]]
        np.testing.assert_allclose(losses[b], -np.log(gold).sum(), rtol=1e-4)
        np.testing.assert_array_equal(tags[b, :length], chances[b, :length].argmax(-1))
        np.testing.assert_allclose(scores[b, :length], chances[b, :length].max(-1), rtol=1e-4)


@pytest.mark.parametrize(
    "head,by_words", [pytest.param(HEADS[1], False, marks=ONCE), (HEADS[2], True), (HEADS[4], False)]
)
def test_padding_and_company_change_nothing(head, by_words, evaluate):
    """A sentence gets the same in a longer batch and alone, without padding."""
    fed = placeholders()
    tagger = tagger_over(fed, head, by_words)
    names = ["O", "B-A", "I-A", "B-B", "I-B", "B-C", "I-C"][: NUM_LABELS - 1]
    entities = labels.entity_rules(names, "BIO")
    outputs = [tagger.losses, predict_tags(tagger, fed["mask"], fed["starts"], None, PIECE, entities=entities)]
    randomise(evaluate)
    logits, (losses, (tags, *scores)) = evaluate([tagger.logits, outputs], feed(fed, ALL))
    steps = NUM_WORDS if by_words else LENGTHS
    longer = evaluate([tagger.logits, outputs], feed(fed, padded(ALL, 5)))
    alone = []
    for b, length in enumerate(LENGTHS):
        one = {name: value[b : b + 1, :length] for name, value in ALL.items()}
        alone.append(evaluate([tagger.logits, outputs], feed(fed, one)))

    for b, length in enumerate(LENGTHS):
        assert not any(values[b, length:].any() for values in longer[1][1])
        for row, (other_logits, (other_losses, (other_tags, *other_scores))) in ((b, longer), (0, alone[b])):
            np.testing.assert_allclose(other_logits[row, : steps[b]], logits[b, : steps[b]], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(other_losses[row], losses[b], rtol=1e-4, atol=1e-5)
            np.testing.assert_array_equal(other_tags[row, :length], tags[b, :length])
            for found, expected in zip(other_scores, scores):
                np.testing.assert_allclose(found[row, :length], expected[b, :length], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head,seq_len", [pytest.param(HEADS[0], 6, marks=ONCE), (HEADS[4], None)])
def test_over_words(head, seq_len, evaluate):
    """Scores, loss and tags are those of the head on the vectors of first pieces, gathered by hand."""
    fed = placeholders(seq_len)
    tagger = tagger_over(fed, head, by_words=True)
    pred_ids, scores, _ = predict_tags(tagger, fed["mask"], fed["starts"], None, PIECE)
    assert pred_ids.dtype == tf.int32 and scores.dtype == tf.float32
    vectors = encoder_vectors(fed)
    variables = randomise(evaluate)
    found, pred_ids, scores, vectors = evaluate([tagger, pred_ids, scores, vectors], feed(fed, ALL))
    assert tagger.positions is not None and found.logits.shape[1] == (seq_len or 3)

    transitions = variables["crf_loss/transitions"]
    np.testing.assert_array_equal(found.transitions, transitions)
    np.testing.assert_array_equal(found.lengths, NUM_WORDS)
    expected = numpy_scores(gathered(vectors, WORDS), NUM_WORDS, variables, head[0], SIZE, *head[1:])
    for b, count in enumerate(NUM_WORDS):
        np.testing.assert_array_equal(found.positions[b, :count], WORDS[b])
        np.testing.assert_allclose(found.logits[b, :count], expected[b, :count], rtol=1e-4, atol=1e-4)
    with_words = NUM_WORDS > 0
    losses = numpy_loss(expected[with_words], gathered(LABELS, WORDS)[with_words], NUM_WORDS[with_words], transitions)
    np.testing.assert_allclose(found.losses[with_words], losses, rtol=1e-5)
    assert not found.losses[~with_words].any()

    # Tags stand where the words begin.
    best = best_paths(expected, NUM_WORDS, transitions)
    for b, count in enumerate(NUM_WORDS):
        tags = np.where(INPUT_MASK[b], PIECE, 0)
        tags[WORDS[b]] = best[b, :count]
        np.testing.assert_array_equal(pred_ids[b], tags)
        probability = np.zeros(INPUT_IDS.shape[1])
        chosen = marginals(expected[b], count, transitions)[np.arange(count), best[b, :count]]
        probability[WORDS[b]] = chosen
        np.testing.assert_allclose(scores[b], probability, rtol=1e-4)


@pytest.mark.parametrize("seq_len", [pytest.param(6, marks=ONCE), None])
def test_gradients_over_words(seq_len, evaluate):
    """Those of the same head on vectors that tf.gather_nd fetched from places written down here."""
    fed = placeholders(seq_len)
    tagger = tagger_over(fed, CRF_ONLY, by_words=True)
    variables = tf.trainable_variables()
    places = tf.constant([[[b, t] for t in row] for b, row in enumerate([[1, 3, 4], [1, 0, 0], [1, 2, 0], [0, 0, 0]])])
    with tf.variable_scope("", reuse=True):
        vectors, labels = (tf.gather_nd(values, places) for values in (encoder_vectors(fed), fed["labels"]))
        head = BLSTM_CRF(vectors, SIZE, "lstm", 1, 0.0, None, NUM_LABELS, 3, labels, tf.constant(NUM_WORDS))
        expected, _, _, _ = head.add_blstm_crf_layer(crf_only=True)
    gradients = [
        [tf.convert_to_tensor(gradient) for gradient in tf.gradients(loss, variables) if gradient is not None]
        for loss in (tf.reduce_mean(tagger.losses), expected)
    ]
    randomise(evaluate)
    found, expected = evaluate(gradients, feed(fed, ALL))
    assert len(found) == len(expected) == len(variables) - 2  # all but the pooler's
    for one, other in zip(found, expected):
        assert np.abs(other).max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("by_words,seq_len", [(False, None), pytest.param(True, 6, marks=ONCE)])
def test_sentences_without_any_word(by_words, seq_len, evaluate):
    """A batch of nothing but such: no tag, no NaN."""
    names = ["O", "B-A", "X", "[CLS]", "[SEP]"]
    fed = placeholders(seq_len)
    tagger = tagger_over(fed, CRF_ONLY, by_words, len(names) + 1)
    outputs = [
        predict_tags(tagger, fed["mask"], fed["starts"], rules, 3, entities=labels.entity_rules(names, "BIO"))
        for rules in (labels.constraint(names, "BIO"), None)
    ]
    gradients = [g for g in tf.gradients(tagger.losses, tf.trainable_variables()) if g is not None]
    randomise(evaluate)
    values = dict(ALL, mask=np.array([[1] * 2 + [0] * 4] * 3 + [[0] * 6]), starts=np.zeros_like(WORD_START))
    (constrained, free), losses, gradients = evaluate([outputs, tagger.losses, gradients], feed(fed, values))
    if by_words:
        assert constrained[0].tolist() == free[0].tolist() == [[3, 3, 0, 0, 0, 0]] * 3 + [[0] * 6]
        assert not losses.any() and not constrained[1].any()
    else:
        assert constrained[0].tolist() == [[4, 5, 0, 0, 0, 0]] * 3 + [[0] * 6]
        assert losses[3] == 0 and not constrained[1][:, 2:].any()
    for value in tf.nest.flatten([losses, gradients, constrained, free]):
        value = value.values if hasattr(value, "values") else value
        assert np.isfinite(value).all()


@pytest.mark.parametrize("scheme", ["BIO", pytest.param(None, marks=ONCE)])
@pytest.mark.parametrize("by_words", [False, True])
def test_constrained_tags(by_words, scheme, evaluate):
    """Words carry tags that may stand there, everything else says X or, over pieces, [CLS] and [SEP]."""
    names = ["I-A", "X", "[SEP]", "O", "B-A", "[CLS]"]
    fed = placeholders()
    tagger = tagger_over(fed, CRF_ONLY, by_words, len(names) + 1)
    output = predict_tags(tagger, fed["mask"], fed["starts"], labels.constraint(names, scheme), 2)[:2]
    for seed in range(10):
        randomise(evaluate, seed)
        tags, scores = evaluate(output, feed(fed, ALL))
        for b, length in enumerate(LENGTHS):
            found = [names[i - 1] for i in tags[b, :length]]
            words = [found[t] for t in WORDS[b]]
            assert set(words) <= {"I-A", "O", "B-A"}
            assert scheme is None or schemes.well_formed(words, scheme)
            for t in WORDS[b]:
                found[t] = "X"
            ends = ("X", "X") if by_words else ("[CLS]", "[SEP]")
            assert found == [ends[0]] + ["X"] * (length - 2) + [ends[1]]
            assert not tags[b, length:].any() and not scores[b, length:].any()
            assert (scores[b, WORDS[b]] > 0).all() and (scores <= 1 + 1e-5).all()


def test_dropout_is_for_training(evaluate):
    """That of the encoder and that of the head; the config is left as it is."""
    fed, rates = placeholders(), (CONFIG.hidden_dropout_prob, CONFIG.attention_probs_dropout_prob)
    logits = tagger_over(fed, CRF_ONLY, True, dropout_rate=0.9).logits
    randomise(evaluate)
    one, other = (evaluate(logits, feed(fed, ALL)) for _ in range(2))
    assert (one == other).all()
    assert rates == (CONFIG.hidden_dropout_prob, CONFIG.attention_probs_dropout_prob)
    with tf.Graph().as_default(), tf.Session() as session:
        fed = placeholders()
        logits = tagger_over(fed, CRF_ONLY, True, is_training=True).logits
        load(random_values(), session)
        one, other = (session.run(logits, feed(fed, ALL)) for _ in range(2))
        assert (one != other).any()


@pytest.mark.parametrize(
    "head,by_words",
    # tests/bert/training/test_tpu_graph.py compiles more of it
    [pytest.param(HEADS[0], False, marks=ONCE), pytest.param(HEADS[2], True, marks=ONCE), (HEADS[4], True)],
)
def test_static_shapes_compile(head, by_words):
    """XLA gives the training loss and the gradients of every variable as TensorFlow does."""

    def loss_and_gradients(ids, mask, segments, labels, starts):
        fed = {"ids": ids, "mask": mask, "segments": segments, "labels": labels, "starts": starts}
        tagger = tagger_over(fed, head, by_words)
        loss = tf.reduce_mean(tagger.losses)
        gradients = tf.gradients(loss, tf.trainable_variables())
        return [loss] + [tf.convert_to_tensor(gradient) for gradient in gradients if gradient is not None]

    results = []
    for compiled in (False, True):
        with tf.Graph().as_default(), tf.Session() as session, tf.variable_scope("", use_resource=True):
            inputs = [tf.constant(ALL[name], tf.int32) for name in ("ids", "mask", "segments", "labels", "starts")]
            outputs = (
                tf.xla.experimental.compile(loss_and_gradients, inputs) if compiled else loss_and_gradients(*inputs)
            )
            load(random_values(), session)
            results.append(session.run(outputs))
    assert len(results[0]) == len(results[1]) > 20
    for plain, compiled in zip(*results):
        np.testing.assert_allclose(compiled, plain, rtol=1e-3, atol=1e-4)
