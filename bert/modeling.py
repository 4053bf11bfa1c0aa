"""The BERT encoder: token ids in, one contextual vector per token and one vector per sequence out.

The architecture is that of "BERT: Pre-training of Deep Bidirectional Transformers" (Devlin et al., 2018). Variables
have the names of Google's release, so that released checkpoints load. Nothing here depends on a task. As in Google's
release, the config and the layers can be imported from this module; they are defined in bert/encoder.

Shapes in comments: batch is the number of sequences, seq_len their length in tokens, hidden the width of the encoder;
rows = batch * seq_len, or with packing, see encoder/packing.py, the number of the batch's tokens.
"""

import collections
import copy
import os
import sys

if not __package__:  # imported as `modeling`, by a script in this folder
    sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tensorflow.compat.v1 as tf

from bert.encoder import kernels, masks
from bert.encoder.attention import (  # noqa: F401
    attend,
    attention_layer,
    create_attention_mask_from_input_mask,
    scores_of_mask,
)
from bert.encoder.config import BertConfig
from bert.encoder.embeddings import embedding_lookup, embedding_postprocessor
from bert.encoder.kernels import gelu
from bert.encoder.layers import (  # noqa: F401
    assert_rank,
    create_initializer,
    dense,
    dropout,
    get_activation,
    get_shape_list,
    layer_norm,
    layer_norm_and_dropout,
    reshape_from_matrix,
    reshape_to_matrix,
)
from bert.encoder.packing import pack, packing_of, unpack


class BertModel:
    """The encoder's graph for one batch.

    Example:
      config = BertConfig(vocab_size=32000, hidden_size=512, num_hidden_layers=8, num_attention_heads=8)
      model = BertModel(config, is_training=True, input_ids=ids, input_mask=mask, token_type_ids=segments)
      words = model.get_sequence_output()    # [batch, seq_len, hidden]
      sentence = model.get_pooled_output()   # [batch, hidden]

    Args:
      config: BertConfig; copied, not changed.
      is_training: whether dropout is on.
      input_ids: int [batch, seq_len]; either size may be unknown until run time.
      input_mask: int [batch, seq_len], 1 for tokens, 0 for padding; default: all ones.
      token_type_ids: int [batch, seq_len], the segment of each token; default: all zeros.
      use_one_hot_embeddings: look words up by a matmul with one-hot vectors, which is faster on a TPU.
      scope: variable scope; default "bert".
      compute: kernels.Compute: type of activations and matmuls, kernels, recomputation, packing. The methods return
        float32 with any of them. With packing the layers' vectors at padding are those of some token. Nothing is packed
        where the graph knows batch and seq_len, as on a TPU.
      word_offsets: float [batch, seq_len, hidden] that are added to the words' vectors; default: none.

    Attributes:
      word_vectors: float [batch, seq_len, hidden], the words' vectors, before positions and segments are added.

    Raises:
      ValueError: hidden_size is not a multiple of num_attention_heads, or seq_len is above max_position_embeddings.
    """

    def __init__(
        self,
        config,
        is_training,
        input_ids,
        input_mask=None,
        token_type_ids=None,
        use_one_hot_embeddings=False,
        scope=None,
        compute=kernels.REFERENCE,
        word_offsets=None,
    ):
        config = copy.deepcopy(config)
        if not is_training:
            config.hidden_dropout_prob = 0.0
            config.attention_probs_dropout_prob = 0.0
            compute = kernels.without_gradient(compute)
        _check_heads(config)
        batch, seq_len = get_shape_list(input_ids, expected_rank=2)
        if input_mask is None:
            input_mask = tf.ones([batch, seq_len], tf.int32)
        if token_type_ids is None:
            token_type_ids = tf.zeros([batch, seq_len], tf.int32)

        with tf.variable_scope(scope, default_name="bert"):
            with tf.variable_scope("embeddings"):
                self.word_vectors, self.embedding_table = embedding_lookup(
                    input_ids,
                    config.vocab_size,
                    config.hidden_size,
                    config.initializer_range,
                    use_one_hot_embeddings=use_one_hot_embeddings,
                )
                if word_offsets is not None:
                    self.word_vectors += word_offsets
                self.embedding_output = embedding_postprocessor(
                    self.word_vectors,
                    use_token_type=True,
                    token_type_ids=token_type_ids,
                    token_type_vocab_size=config.type_vocab_size,
                    initializer_range=config.initializer_range,
                    max_position_embeddings=config.max_position_embeddings,
                    dropout_prob=config.hidden_dropout_prob,
                )
            with tf.variable_scope("encoder"):
                # The same scores are added for every head and every query.
                mask_scores = scores_of_mask(input_mask[:, None, :])  # [batch, 1, 1, seq_len]
                is_packed = compute.packed and not input_mask.shape.is_fully_defined()
                packing = packing_of(input_mask, few_sizes=compute.is_compiled) if is_packed else None
                self.all_encoder_layers = _encode(config, self.embedding_output, mask_scores, compute, packing)
            self.sequence_output = self.all_encoder_layers[-1]  # [batch, seq_len, hidden]
            with tf.variable_scope("pooler"):
                first_token = self.sequence_output[:, 0, :]  # [batch, hidden]
                self.pooled_output = dense(first_token, config.hidden_size, "dense", config.initializer_range, tf.tanh)

    def get_pooled_output(self):
        """[batch, hidden]: a tanh layer on the first token; pre-training trains it by next-sentence prediction."""
        return self.pooled_output

    def get_sequence_output(self):
        """[batch, seq_len, hidden]: the last layer."""
        return self.sequence_output

    def get_all_encoder_layers(self):
        """List of num_hidden_layers tensors [batch, seq_len, hidden], lowest layer first."""
        return self.all_encoder_layers

    def get_embedding_output(self):
        """[batch, seq_len, hidden]: sum of word, position and segment embeddings, normalised."""
        return self.embedding_output

    def get_embedding_table(self):
        """[vocab_size, hidden]: the word embeddings."""
        return self.embedding_table


def transformer_model(
    input_tensor,
    attention_mask=None,
    hidden_size=768,
    num_hidden_layers=12,
    num_attention_heads=12,
    intermediate_size=3072,
    intermediate_act_fn=gelu,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
    initializer_range=0.02,
    do_return_all_layers=False,
):
    """The encoder's layers alone, with Google BERT's arguments: on any vectors, with any attention mask.

    Args:
      input_tensor: float [batch, seq_len, hidden].
      attention_mask: [batch, seq_len, seq_len], 1 where a token (row) may look at another one (column), else 0.
      hidden_size: width of the input and of every layer.
      num_hidden_layers, num_attention_heads, intermediate_size, hidden_dropout_prob, attention_probs_dropout_prob,
        initializer_range: as of BertConfig.
      intermediate_act_fn: as BertConfig's hidden_act.
      do_return_all_layers: return all layers, not the last one alone.

    Returns:
      float [batch, seq_len, hidden], or a list of num_hidden_layers of them, the lowest layer first.

    Raises:
      ValueError: hidden_size is not a multiple of num_attention_heads, or not the input's width.
    """
    config = BertConfig(
        vocab_size=None,
        hidden_size=hidden_size,
        num_hidden_layers=num_hidden_layers,
        num_attention_heads=num_attention_heads,
        intermediate_size=intermediate_size,
        hidden_act=intermediate_act_fn,
        hidden_dropout_prob=hidden_dropout_prob,
        attention_probs_dropout_prob=attention_probs_dropout_prob,
        initializer_range=initializer_range,
    )
    _check_heads(config)
    width = get_shape_list(input_tensor, expected_rank=3)[2]
    if width != hidden_size:
        raise ValueError(f"the input is {width} wide; expected hidden_size, {hidden_size}")
    layers = _encode(config, input_tensor, scores_of_mask(attention_mask), kernels.REFERENCE)
    return layers if do_return_all_layers else layers[-1]


def _check_heads(config):
    """ValueError where the heads cannot share the width evenly."""
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"hidden_size {config.hidden_size} is not a multiple of num_attention_heads {config.num_attention_heads}"
        )


def _encode(config, embedded, mask_scores, compute, packing=None):
    """The stack of Transformer layers.

    Args:
      embedded: float32 [batch, seq_len, hidden].
      mask_scores: float32 [batch, 1, 1 or seq_len, seq_len], see attention.scores_of_mask.
      packing: packing.Packing, to compute the tokens alone; None to compute padding too.

    Returns:
      List of float32 [batch, seq_len, hidden], the lowest layer first.
    """
    batch, seq_len, hidden = get_shape_list(embedded, expected_rank=3)
    # Layers work on two dimensions, so that their matmuls need no reshapes.
    rows = tf.reshape(embedded, [-1, hidden])
    rows = tf.cast(pack(rows, packing), compute.dtype)  # [rows, hidden]
    layers = []
    for i in range(config.num_hidden_layers):
        with tf.variable_scope(f"layer_{i}"):
            weights = _layer_weights(config)
        rows = _computed_layer(config, compute, weights, rows, mask_scores, seq_len, packing)  # [rows, hidden]
        layers.append(tf.cast(tf.reshape(unpack(rows, packing), [batch, seq_len, hidden]), tf.float32))
    return layers


def _layer_weights(config):
    """The variables of one layer in the current scope: dict from the names of `_layer_shapes` to tensors."""
    initializers = {
        "kernel": create_initializer(config.initializer_range),
        "bias": tf.zeros_initializer(),
        "beta": tf.zeros_initializer(),
        "gamma": tf.ones_initializer(),
    }
    weights = {}
    for name, shape in _layer_shapes(config).items():
        variable = tf.get_variable(name, shape, initializer=initializers[name.rpartition("/")[2]])
        weights[name] = tf.convert_to_tensor(variable)
    return weights


def _computed_layer(config, compute, weights, rows, mask_scores, seq_len, packing):
    """`_transformer_layer` with new seeds; compute.recompute: the backward pass computes it again, with these seeds."""
    has_dropout = config.hidden_dropout_prob or config.attention_probs_dropout_prob
    seeds = masks.new_seeds(3) if has_dropout else [None] * 3
    names = sorted(weights)

    def layer(rows, *values):
        given = dict(zip(names, values))
        return _transformer_layer(config, compute, given, rows, mask_scores, seq_len, seeds, packing)

    if compute.recompute:
        layer = kernels.recomputed(layer)
    return layer(rows, *[weights[name] for name in names])


def _transformer_layer(config, compute, weights, rows, mask_scores, seq_len, seeds, packing):
    """Self-attention, then the feed-forward layer; each is followed by dropout, residual sum and LayerNorm.

    Args:
      weights: dict of tensors, see `_layer_weights`.
      rows: [rows, hidden] of compute.dtype.
      mask_scores, packing: as of `_encode`.
      seeds: int32 [3], for the dropout of the attention weights and of both outputs.

    Returns:
      [rows, hidden] of compute.dtype.
    """

    def product(x, scope):  # [rows, inputs] to [rows, units]
        return tf.matmul(x, tf.cast(weights[f"{scope}/kernel"], compute.dtype))

    def residual_norm(x, residual, scope, seed):  # [rows, hidden]
        norm = f"{scope}/LayerNorm"
        return compute.kernels.residual_norm(
            x,
            weights[f"{scope}/dense/bias"],
            residual,
            weights[f"{norm}/gamma"],
            weights[f"{norm}/beta"],
            config.hidden_dropout_prob,
            seed,
        )

    def heads(name):  # [batch, heads, seq_len, head_size]
        scope = f"attention/self/{name}"
        x = unpack(product(rows, scope), packing)
        return compute.kernels.bias_to_heads(x, weights[f"{scope}/bias"], seq_len, config.num_attention_heads)

    context = attend(
        heads("query"),
        heads("key"),
        heads("value"),
        mask_scores,
        config.attention_probs_dropout_prob,
        seeds[0],
        compute.kernels,
    )
    projected = product(pack(context, packing), "attention/output/dense")  # [rows, hidden]
    attended = residual_norm(projected, rows, "attention/output", seeds[1])  # [rows, hidden]

    widened = product(attended, "intermediate/dense")  # [rows, intermediate]
    widened = _add_bias_and_activate(config, compute, widened, weights["intermediate/dense/bias"])
    narrowed = product(widened, "output/dense")  # [rows, hidden]
    return residual_norm(narrowed, attended, "output", seeds[2])  # [rows, hidden]


def _add_bias_and_activate(config, compute, x, bias):
    """hidden_act(x + bias); x: [rows, intermediate] of compute.dtype, bias: float32 [intermediate]."""
    activation = get_activation(config.hidden_act)
    if activation is gelu:
        return compute.kernels.bias_gelu(x, bias)
    shifted = tf.cast(x, tf.float32) + bias
    return tf.cast(shifted if activation is None else activation(shifted), x.dtype)


def encoder_shapes(config):
    """The shape of every variable of an encoder with this config, to check a checkpoint before a graph is built.

    Returns:
      Dict from name to list of int.
    """
    hidden = config.hidden_size
    shapes = {
        "bert/embeddings/word_embeddings": [config.vocab_size, hidden],
        "bert/embeddings/token_type_embeddings": [config.type_vocab_size, hidden],
        "bert/embeddings/position_embeddings": [config.max_position_embeddings, hidden],
    }
    shapes.update(_layer_norm_shapes("bert/embeddings", hidden))
    for i in range(config.num_hidden_layers):
        shapes.update({f"bert/encoder/layer_{i}/{name}": shape for name, shape in _layer_shapes(config).items()})
    shapes.update(_dense_shapes("bert/pooler/dense", hidden, hidden))
    return shapes


def _layer_shapes(config):
    """The shapes of the variables of one Transformer layer: dict from names such as "output/dense/kernel"."""
    hidden, intermediate = config.hidden_size, config.intermediate_size
    shapes = {}
    for name in ("query", "key", "value"):
        shapes.update(_dense_shapes(f"attention/self/{name}", hidden, hidden))
    shapes.update(_dense_shapes("attention/output/dense", hidden, hidden))
    shapes.update(_layer_norm_shapes("attention/output", hidden))
    shapes.update(_dense_shapes("intermediate/dense", hidden, intermediate))
    shapes.update(_dense_shapes("output/dense", intermediate, hidden))
    shapes.update(_layer_norm_shapes("output", hidden))
    return shapes


def _dense_shapes(scope, inputs, units):
    return {f"{scope}/kernel": [inputs, units], f"{scope}/bias": [units]}


def _layer_norm_shapes(scope, size):
    return {f"{scope}/LayerNorm/{name}": [size] for name in ("beta", "gamma")}


def get_assignment_map_from_checkpoint(tvars, init_checkpoint):
    """Which of the model's variables a checkpoint holds.

    Args:
      tvars: the model's variables.
      init_checkpoint: checkpoint prefix.

    Returns:
      (assignment_map, initialized_variable_names). assignment_map is an OrderedDict from names in the checkpoint to
      names in the model, which are the same; `tf.train.init_from_checkpoint` takes it. initialized_variable_names is
      a dict with the keys `name` and `name:0` for each variable found.
    """
    in_checkpoint = {name for name, _ in tf.train.list_variables(init_checkpoint)}
    assignment_map = collections.OrderedDict()
    initialized_variable_names = {}
    for var in tvars:
        name = var.name.split(":")[0]
        if name in in_checkpoint:
            assignment_map[name] = name
            initialized_variable_names[name] = 1
            initialized_variable_names[name + ":0"] = 1
    return assignment_map, initialized_variable_names
