"""The CRF against an enumeration of every path in float64."""

import itertools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from train.tagger import crf


def path_scores(potentials, transitions, length, kinds=None):
    """{path: score} over all label sequences of a sentence; potentials [T, L], transitions [L, L] or [K, L, L]."""
    num_labels = potentials.shape[1]
    scores = {}
    for path in itertools.product(range(num_labels), repeat=length):
        score = sum(potentials[t, y] for t, y in enumerate(path))
        for t in range(1, length):
            matrix = transitions if kinds is None else transitions[kinds[t]]
            score += matrix[path[t - 1], path[t]]
        scores[path] = score
    return scores


def log_sum_exp(values):
    values = np.array(list(values))
    top = values.max()
    return top + np.log(np.exp(values - top).sum())


@pytest.fixture(params=["plain", "by kind"])
def problem(request):
    """(potentials [4, T, L], lengths [4], transitions, kinds), lengths from 1 to T; float64."""
    rng = np.random.RandomState(3)
    batch, steps, num_labels = 4, 5, 3
    potentials = rng.normal(size=[batch, steps, num_labels]) * 3
    lengths = np.array([5, 1, 3, 2], np.int32)
    if request.param == "plain":
        return potentials, lengths, rng.normal(size=[num_labels, num_labels]) * 2, None
    kinds = rng.randint(0, 4, size=[batch, steps]).astype(np.int32)
    return potentials, lengths, rng.normal(size=[4, num_labels, num_labels]) * 2, kinds


def by_sentence(problem):
    potentials, lengths, transitions, kinds = problem
    for b, length in enumerate(lengths):
        yield b, path_scores(potentials[b], transitions, length, None if kinds is None else kinds[b])


def test_log_norm(problem, evaluate):
    potentials, lengths, transitions, kinds = problem
    found = evaluate(crf.crf_log_norm(tf.constant(potentials), lengths, tf.constant(transitions), kinds))
    for b, scores in by_sentence(problem):
        np.testing.assert_allclose(found[b], log_sum_exp(scores.values()), rtol=1e-12)


def test_decode_finds_the_best_path_and_its_score(problem, evaluate):
    potentials, lengths, transitions, kinds = problem
    tags, score = evaluate(crf.crf_decode(tf.constant(potentials), lengths, tf.constant(transitions), kinds))
    for b, scores in by_sentence(problem):
        best = max(scores, key=scores.get)
        assert tuple(tags[b, : lengths[b]]) == best
        assert not tags[b, lengths[b] :].any()
        np.testing.assert_allclose(score[b], scores[best], rtol=1e-12)


def test_marginals(problem, evaluate):
    potentials, lengths, transitions, kinds = problem
    found = evaluate(crf.crf_marginals(tf.constant(potentials), lengths, tf.constant(transitions), kinds))
    for b, scores in by_sentence(problem):
        norm = log_sum_exp(scores.values())
        expected = np.zeros(potentials.shape[1:])
        for path, score in scores.items():
            for t, label in enumerate(path):
                expected[t, label] += np.exp(score - norm)
        np.testing.assert_allclose(found[b], expected, atol=1e-12)


def test_log_likelihood_and_its_gradients(graph, evaluate):
    rng = np.random.RandomState(5)
    batch, steps, num_labels = 3, 4, 3
    potentials, transitions = rng.normal(size=[batch, steps, num_labels]), rng.normal(size=[num_labels] * 2)
    tags = rng.randint(0, num_labels, size=[batch, steps])
    lengths = np.array([4, 2, 1], np.int32)

    def expected(potentials, transitions):
        total = []
        for b in range(batch):
            scores = path_scores(potentials[b], transitions, lengths[b])
            total.append(scores[tuple(tags[b, : lengths[b]])] - log_sum_exp(scores.values()))
        return np.array(total)

    inputs = tf.constant(potentials), tf.constant(transitions)
    log_likelihood = crf.crf_log_likelihood(inputs[0], tags, lengths, inputs[1])
    gradients = tf.gradients(tf.reduce_sum(log_likelihood), inputs)
    found, found_gradients = evaluate([log_likelihood, gradients])
    np.testing.assert_allclose(found, expected(potentials, transitions), rtol=1e-12)

    for k, values in enumerate([potentials, transitions]):
        numeric = np.zeros_like(values)
        for index in np.ndindex(values.shape):
            sums = []
            for shift in (1e-5, -1e-5):
                moved = [potentials.copy(), transitions.copy()]
                moved[k][index] += shift
                sums.append(expected(*moved).sum())
            numeric[index] = (sums[0] - sums[1]) / 2e-5
        np.testing.assert_allclose(found_gradients[k], numeric, atol=1e-8)


def test_padding_contributes_nothing(graph, evaluate):
    rng = np.random.RandomState(6)
    lengths = np.array([2, 3, 0], np.int32)
    transitions = tf.constant(rng.normal(size=[3, 3]))
    clean = rng.normal(size=[3, 6, 3])
    noisy = clean.copy()
    for b, length in enumerate(lengths):
        noisy[b, length:] = rng.normal(size=noisy[b, length:].shape) * 1e3
    tags = rng.randint(0, 3, size=[3, 6])
    fed = tf.placeholder(tf.float64, [None, None, 3])
    likelihood = crf.crf_log_likelihood(fed, tags, lengths, transitions)
    fetches = [
        likelihood,
        tf.gradients(likelihood, transitions)[0],
        tf.gradients(likelihood, fed)[0],
        crf.crf_decode(fed, lengths, transitions),
        crf.crf_marginals(fed, lengths, transitions),
    ]
    for one, other in zip(*[tf.nest.flatten(evaluate(fetches, {fed: value})) for value in (clean, noisy)]):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert evaluate(likelihood, {fed: clean})[2] == 0


def test_a_batch_of_one_word_sentences(graph, evaluate):
    """One step of time, sizes unknown until run time: what a sentence of one word gives."""
    fed = tf.placeholder(tf.float32, [None, None, 3])
    lengths = tf.placeholder(tf.int32, [None])
    potentials = np.array([[[1.0, 3.0, 2.0]], [[0.0, -1.0, 5.0]]], np.float32)
    transitions = tf.zeros([3, 3])
    tags, score = crf.crf_decode(fed, lengths, transitions)
    marginals = crf.crf_marginals(fed, lengths, transitions)
    likelihood = crf.crf_log_likelihood(fed, [[1], [2]], lengths, transitions)
    tags, score, marginals, likelihood = evaluate(
        [tags, score, marginals, likelihood], {fed: potentials, lengths: [1, 1]}
    )
    softmax = np.exp(potentials) / np.exp(potentials).sum(-1, keepdims=True)
    assert tags.tolist() == [[1], [2]] and score.tolist() == [3.0, 5.0]
    np.testing.assert_allclose(marginals, softmax, rtol=1e-5)
    np.testing.assert_allclose(likelihood, np.log([softmax[0, 0, 1], softmax[1, 0, 2]]), atol=1e-6)
