"""The embeddings of words, segments and positions, with Google BERT's arguments."""

import tensorflow.compat.v1 as tf

from bert.encoder.layers import create_initializer, get_shape_list, layer_norm_and_dropout


def embedding_lookup(
    input_ids,
    vocab_size,
    embedding_size=128,
    initializer_range=0.02,
    word_embedding_name="word_embeddings",
    use_one_hot_embeddings=False,
):
    """The word embeddings of a batch.

    Args:
      input_ids: int [batch, seq_len], or [batch, seq_len, inputs] for several ids a token, side by side in the result.
      vocab_size, embedding_size: rows and columns of the table.
      initializer_range: standard deviation of the table's initialisation.
      word_embedding_name: name of the table.
      use_one_hot_embeddings: look words up by a matmul with one-hot vectors, which is faster on a TPU.

    Returns:
      (embeddings float [batch, seq_len, inputs * embedding_size], table [vocab_size, embedding_size]).
    """
    batch, seq_len, *inputs = get_shape_list(input_ids, expected_rank=[2, 3])
    table = tf.get_variable(
        word_embedding_name, [vocab_size, embedding_size], initializer=create_initializer(initializer_range)
    )
    if use_one_hot_embeddings:
        one_hot = tf.one_hot(tf.reshape(input_ids, [-1]), vocab_size)  # [rows, vocab_size]
        embedded = tf.matmul(one_hot, table)  # [rows, embedding_size]
    else:
        embedded = tf.gather(table, input_ids)  # [batch, seq_len, (inputs,) embedding_size]
        if not inputs:
            return embedded, table
    return tf.reshape(embedded, [batch, seq_len, (inputs[0] if inputs else 1) * embedding_size]), table


def embedding_postprocessor(
    input_tensor,
    use_token_type=False,
    token_type_ids=None,
    token_type_vocab_size=16,
    token_type_embedding_name="token_type_embeddings",
    use_position_embeddings=True,
    position_embedding_name="position_embeddings",
    initializer_range=0.02,
    max_position_embeddings=512,
    dropout_prob=0.1,
):
    """Adds the embeddings of segments and positions to those of words, then normalises and drops.

    Args:
      input_tensor: float [batch, seq_len, width].
      use_token_type: add segment embeddings.
      token_type_ids: int [batch, seq_len], the segment of each token.
      token_type_vocab_size: number of segment ids.
      token_type_embedding_name, position_embedding_name: names of the tables.
      use_position_embeddings: add position embeddings.
      initializer_range: standard deviation of the tables' initialisation.
      max_position_embeddings: rows of the table of positions.
      dropout_prob: fraction dropped.

    Returns:
      float [batch, seq_len, width].

    Raises:
      ValueError: token_type_ids is missing, or the sequence is longer than max_position_embeddings.
    """
    batch, seq_len, width = get_shape_list(input_tensor, expected_rank=3)
    output = input_tensor

    def table(name, rows):
        return tf.get_variable(name, [rows, width], initializer=create_initializer(initializer_range))

    if use_token_type:
        if token_type_ids is None:
            raise ValueError("use_token_type is set; expected token_type_ids")
        # The segment table is so small that a one-hot matmul is faster than a gather on every device.
        segments = tf.one_hot(tf.reshape(token_type_ids, [-1]), token_type_vocab_size)  # [rows, token_type_vocab_size]
        segment_rows = tf.matmul(segments, table(token_type_embedding_name, token_type_vocab_size))  # [rows, width]
        output += tf.reshape(segment_rows, [batch, seq_len, width])
    if use_position_embeddings:
        if isinstance(seq_len, int) and seq_len > max_position_embeddings:
            raise ValueError(
                f"a sequence of {seq_len} tokens is longer than "
                f"the encoder's max_position_embeddings, {max_position_embeddings}"
            )
        output += table(position_embedding_name, max_position_embeddings)[:seq_len]  # [seq_len, width], broadcast
    return layer_norm_and_dropout(output, dropout_prob)
