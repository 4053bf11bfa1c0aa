"""Linear-chain conditional random field: log-likelihood, best path, posterior marginals.

A path y over a sentence of n tokens scores
    sum over t < n of potentials[t, y[t]]  +  sum over 1 <= t < n of transitions[y[t-1], y[t]]
and has probability exp(score) / Z (Lafferty, McCallum and Pereira, 2001). Tokens at or after `lengths` are
padding and count for nothing.

T is the number of time steps and L the number of labels. `transitions` is [L, L]; its rows are the previous labels.
It may also be a table of K matrices, [K, L, L], for rules that depend on the kinds of the two tokens. Then `kinds`,
int [batch, T], says which matrix scores each step: entry t is for the step from t - 1 to t. Entry 0 is not used.
"""

import tensorflow.compat.v1 as tf

from train.tagger.shapes import check_shapes


def crf_log_likelihood(potentials, tags, lengths, transitions):
    """Log-probability of each sentence's tags.

    Args:
      potentials: float [batch, T, L].
      tags: int [batch, T]; values at padding are ignored.
      lengths: int [batch], tokens in each sentence, at least 0.
      transitions: float [L, L].

    Returns:
      float [batch]; 0 for a sentence without tokens.
    """
    return crf_path_score(potentials, tags, lengths, transitions) - crf_log_norm(potentials, lengths, transitions)


def crf_path_score(potentials, tags, lengths, transitions):
    """Unnormalised score of one path for each sentence, [batch]; arguments as `crf_log_likelihood`."""
    _check(potentials, lengths, transitions)
    check_shapes(potentials=(potentials, "batch T L"), tags=(tags, "batch T"))
    num_labels = tf.shape(transitions)[-1]
    real = _real_tokens(potentials, lengths)  # [batch, T]
    # One-hot products instead of gathers: their gradient is a matmul, not a scatter.
    chosen = tf.one_hot(tags, num_labels, dtype=potentials.dtype) * real[:, :, None]  # [batch, T, L]
    emitted = tf.reduce_sum(potentials * chosen, axis=[1, 2])  # [batch]
    from_previous = tf.tensordot(chosen[:, :-1], transitions, [[2], [0]])  # [batch, T-1, L]
    return emitted + tf.reduce_sum(from_previous * chosen[:, 1:], axis=[1, 2])


def crf_log_norm(potentials, lengths, transitions, kinds=None):
    """log Z, the log of the sum of exp(score) over all paths: float [batch]; 0 for a sentence without tokens."""
    _check(potentials, lengths, transitions, kinds)
    alphas = _forward(potentials, lengths, transitions, kinds, tf.reduce_logsumexp)  # [T, batch, L]
    return _at_end(tf.reduce_logsumexp(alphas[-1], axis=-1), lengths)  # [batch]


def crf_decode(potentials, lengths, transitions, kinds=None):
    """The path with the highest score (Viterbi).

    Args:
      potentials: float [batch, T, L].
      lengths: int [batch].
      transitions: float [L, L], or [K, L, L] with `kinds`.
      kinds: int [batch, T] or None.

    Returns:
      (tags, score): int32 [batch, T], 0 at padding; float [batch], the path's score, 0 for no tokens.
    """
    _check(potentials, lengths, transitions, kinds)
    alphas = _forward(potentials, lengths, transitions, kinds, tf.reduce_max)  # [T, batch, L]

    def step_back(next_tag, inputs):
        """The best tag of token t, given the tag of token t + 1: [batch]."""
        t, alpha, *kind = inputs
        into_next = _columns(_matrix(transitions, kind), next_tag)  # [batch, L]
        best = tf.argmax(alpha + into_next, axis=-1, output_type=tf.int32)  # [batch]
        # Where no token follows, next_tag is already the tag of the sentence's last token.
        return tf.where(t + 1 < lengths, best, next_tag)

    last = tf.argmax(alphas[-1], axis=-1, output_type=tf.int32)  # [batch]
    steps = _steps(lengths, alphas, None if kinds is None else _next_token(tf.transpose(kinds)))
    tags = tf.transpose(_scan_back(step_back, steps, last))  # [batch, T]
    score = _at_end(tf.reduce_max(alphas[-1], axis=-1), lengths)  # [batch]
    return tags * tf.cast(_real_tokens(potentials, lengths), tf.int32), score


def crf_marginals(potentials, lengths, transitions, kinds=None):
    """Posterior probability of each label at each token, by forward-backward.

    Args:
      As `crf_decode`.

    Returns:
      float [batch, T, L]; sums to 1 over L at tokens, 0 at padding.
    """
    forward, backward = crf_forward_backward(potentials, lengths, transitions, kinds)
    return tf.nn.softmax(forward + backward) * _real_tokens(potentials, lengths)[:, :, None]


def crf_forward_backward(potentials, lengths, transitions, kinds=None):
    """The two halves of the posterior.

    Args:
      As `crf_decode`.

    Returns:
      (forward, backward), float [batch, T, L]: log of the sum of exp(score) over all that can stand up to a token of
      that label, the token included, and over all that can follow it. At padding both are repeated.
    """
    _check(potentials, lengths, transitions, kinds)
    alphas = _forward(potentials, lengths, transitions, kinds, tf.reduce_logsumexp)  # [T, batch, L]

    def step_back(next_beta, inputs):
        """beta[t, i] = log sum over j of exp(transitions[i, j] + potentials[t + 1, j] + beta[t + 1, j])."""
        t, next_potential, *kind = inputs
        onward = _matrix(transitions, kind) + (next_potential + next_beta)[:, None, :]  # [batch, L, L]
        return tf.where_v2((t + 1 < lengths)[:, None], tf.reduce_logsumexp(onward, axis=2), next_beta)

    next_potentials = _next_token(tf.transpose(potentials, [1, 0, 2]))  # [T, batch, L]
    steps = _steps(lengths, next_potentials, None if kinds is None else _next_token(tf.transpose(kinds)))
    betas = _scan_back(step_back, steps, tf.zeros_like(potentials[:, 0]))  # [T, batch, L]
    return tf.transpose(alphas, [1, 0, 2]), tf.transpose(betas, [1, 0, 2])


def _check(potentials, lengths, transitions, kinds=None):
    """ValueError where a shape is wrong; arguments as `crf_decode`."""
    check_shapes(
        potentials=(potentials, "batch T L"),
        lengths=(lengths, "batch"),
        transitions=(transitions, "L L" if kinds is None else "K L L"),
        **({} if kinds is None else {"kinds": (kinds, "batch T")}),
    )


def _forward(potentials, lengths, transitions, kinds, reduce):
    """alpha[t, j]: the scores of all paths that end in j at token t, reduced by logsumexp or max: [T, batch, L].

    After the last token of a sentence, alpha is repeated. So alpha[-1] belongs to the last token of every sentence.
    """

    def step(alpha, inputs):
        t, potential, *kind = inputs
        before = reduce(alpha[:, :, None] + _matrix(transitions, kind), axis=1)  # [batch, L]
        after = tf.where_v2(t > 0, before, tf.zeros_like(before)) + potential  # the first has no predecessor
        return tf.where_v2((t < lengths)[:, None], after, alpha)

    by_time = tf.transpose(potentials, [1, 0, 2])  # [T, batch, L]
    steps = _steps(lengths, by_time, None if kinds is None else tf.transpose(kinds))
    return tf.scan(step, steps, initializer=tf.zeros_like(potentials[:, 0]))  # [T, batch, L]


def _scan_back(step, elements, initializer):
    """As tf.scan with reverse=True, but its loop counts upwards: tf2onnx ignores the direction of a loop."""
    backwards = tuple(tf.reverse(each, [0]) for each in elements)
    return tf.reverse(tf.scan(step, backwards, initializer=initializer), [0])


def _steps(lengths, by_time, kinds_by_time):
    """The elements of a scan: the numbers of the steps [T], their values and, if given, their kinds [T, batch]."""
    steps = (tf.range(tf.shape(by_time, out_type=lengths.dtype)[0]), by_time)
    return steps if kinds_by_time is None else steps + (kinds_by_time,)


def _next_token(by_time):
    """[T, ...] moved up by one step: entry t holds what belongs to token t + 1; the last entry holds zeros."""
    return tf.concat([by_time[1:], tf.zeros_like(by_time[:1])], axis=0)


def _matrix(transitions, kind):
    """The transition matrix of one step, [L, L]; with kinds, one for each sentence, [batch, L, L]."""
    return tf.gather(transitions, kind[0]) if kind else transitions


def _columns(matrix, labels):
    """Column `labels[b]` of the matrix, or of sentence b's own matrix: [batch, L]."""
    chosen = tf.one_hot(labels, tf.shape(matrix)[-1], dtype=matrix.dtype.base_dtype)  # [batch, L]
    return tf.reduce_sum(matrix * chosen[:, None, :], axis=2)


def _at_end(values, lengths):
    """Values of the sentences' last tokens, [batch]; 0 for a sentence that has none."""
    return tf.where(lengths > 0, values, tf.zeros_like(values))


def _real_tokens(potentials, lengths):
    """1 at tokens, 0 at padding: float [batch, T]."""
    return tf.sequence_mask(lengths, tf.shape(potentials)[1], dtype=potentials.dtype)
