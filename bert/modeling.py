"""The BERT encoder: token ids in, one contextual vector a token and one vector a sequence out.

Architecture and variable names are those of "BERT: Pre-training of Deep Bidirectional Transformers" (Devlin et
al., 2018) as released by Google, so that released checkpoints load by name. This file knows nothing of any task.
"""

import collections
import copy
import json
import math

import six
import tensorflow.compat.v1 as tf

from bert import kernels
from bert.errors import UserError
from bert.kernels import gelu

MASKED_SCORE = -10000.0  # added to the attention scores of padding, as the released checkpoints were trained


class BertConfig:
    """Sizes and rates of an encoder; the content of `bert_config.json`.

    Args:
      vocab_size: entries in the vocabulary.
      hidden_size: width of the encoder; a multiple of num_attention_heads.
      num_hidden_layers: Transformer layers.
      num_attention_heads: attention heads in each layer.
      intermediate_size: width of the feed-forward layer.
      hidden_act: activation of the feed-forward layer: gelu, relu, tanh, linear or a function.
      hidden_dropout_prob: fraction dropped from embeddings and from each sublayer's output.
      attention_probs_dropout_prob: fraction dropped from the attention weights.
      max_position_embeddings: longest sequence, in tokens.
      type_vocab_size: number of segment ids.
      initializer_range: standard deviation of the truncated-normal initialisation.
    """

    def __init__(
        self,
        vocab_size,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        hidden_act="gelu",
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        max_position_embeddings=512,
        type_vocab_size=16,
        initializer_range=0.02,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.initializer_range = initializer_range

    @classmethod
    def from_dict(cls, json_object):
        """A config from a dict; keys this class does not know are kept as attributes."""
        config = cls(vocab_size=None)
        for key, value in six.iteritems(json_object):
            setattr(config, key, value)
        return config

    @classmethod
    def from_json_file(cls, json_file):
        """A config from a JSON file; UserError names the file when it is no such thing or no encoder can be of it."""
        try:
            with tf.gfile.GFile(json_file, "r") as reader:
                values = json.loads(reader.read())
        except tf.errors.OpError as error:
            raise UserError(f"{json_file}: cannot be read: {error.message}")
        except ValueError as error:  # covers undecodable bytes and malformed JSON
            raise UserError(f"{json_file}: expected a BERT config in JSON: {error}")
        if not isinstance(values, dict) or "vocab_size" not in values:
            raise UserError(f"{json_file}: expected a JSON object with a 'vocab_size'")
        config = cls.from_dict(values)
        problem = _config_problem(config)
        if problem:
            raise UserError(f"{json_file}: {problem}")
        return config

    def to_dict(self):
        """The config as a dict that shares nothing with it."""
        return copy.deepcopy(self.__dict__)

    def to_json_string(self):
        """The config as indented JSON with sorted keys and a final newline."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"


def _config_problem(config):
    """What no encoder can be built of, in words; None where one can."""
    for name in (
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
    ):
        value = getattr(config, name)
        if type(value) is not int or value < 1:  # True is an int too
            return f"{name} is {value!r}; expected a whole number of at least 1"
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range"):
        value = getattr(config, name)
        if type(value) not in (int, float) or not 0 <= value < 1:
            return f"{name} is {value!r}; expected a number from 0 to below 1"
    if config.hidden_size % config.num_attention_heads:
        return f"hidden_size {config.hidden_size} is not a multiple of num_attention_heads {config.num_attention_heads}"
    try:
        get_activation(config.hidden_act)
    except ValueError as error:
        return str(error)
    return None


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
      use_one_hot_embeddings: look words up by a matmul with one-hot rows, faster on a TPU.
      scope: variable scope; default "bert".
      compute: kernels.Compute: type of activations and matmuls, kernels, recomputation. What the methods return is
        float32 whatever it says.

    Raises:
      ValueError: hidden_size is no multiple of the heads, or seq_len exceeds the position table.
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
    ):
        config = copy.deepcopy(config)
        if not is_training:
            config.hidden_dropout_prob = 0.0
            config.attention_probs_dropout_prob = 0.0
            compute = kernels.without_gradient(compute)
        if config.hidden_size % config.num_attention_heads:
            raise ValueError(
                f"hidden_size {config.hidden_size} is not a multiple of "
                f"num_attention_heads {config.num_attention_heads}"
            )

        batch, seq_len = get_shape_list(input_ids, expected_rank=2)
        if input_mask is None:
            input_mask = tf.ones([batch, seq_len], tf.int32)
        if token_type_ids is None:
            token_type_ids = tf.zeros([batch, seq_len], tf.int32)

        with tf.variable_scope(scope, default_name="bert"):
            with tf.variable_scope("embeddings"):
                self.embedding_output, self.embedding_table = _embed(
                    config, input_ids, token_type_ids, use_one_hot_embeddings
                )
            with tf.variable_scope("encoder"):
                self.all_encoder_layers = _encode(config, self.embedding_output, input_mask, compute)
            self.sequence_output = self.all_encoder_layers[-1]
            with tf.variable_scope("pooler"):
                first_token = self.sequence_output[:, 0, :]  # [batch, hidden]
                self.pooled_output = dense(first_token, config.hidden_size, "dense", config.initializer_range, tf.tanh)

    def get_pooled_output(self):
        """[batch, hidden]: tanh layer on the first token, trained by next-sentence prediction."""
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


def _embed(config, input_ids, token_type_ids, use_one_hot_embeddings):
    """Word + segment + position embeddings: ([batch, seq_len, hidden], word table [vocab_size, hidden])."""
    batch, seq_len = get_shape_list(input_ids)
    hidden = config.hidden_size
    if isinstance(seq_len, int) and seq_len > config.max_position_embeddings:
        raise ValueError(
            f"a sequence of {seq_len} tokens is longer than "
            f"the encoder's max_position_embeddings, {config.max_position_embeddings}"
        )

    def table(name, rows):
        return tf.get_variable(name, [rows, hidden], initializer=create_initializer(config.initializer_range))

    words = table("word_embeddings", config.vocab_size)
    if use_one_hot_embeddings:
        one_hot = tf.one_hot(tf.reshape(input_ids, [-1]), config.vocab_size)  # [batch * seq_len, vocab_size]
        embedded = tf.reshape(tf.matmul(one_hot, words), [batch, seq_len, hidden])
    else:
        embedded = tf.gather(words, input_ids)

    # The segment table has a handful of rows, for which a one-hot matmul beats a gather on every device.
    segments = tf.one_hot(tf.reshape(token_type_ids, [-1]), config.type_vocab_size)
    segment_rows = tf.matmul(segments, table("token_type_embeddings", config.type_vocab_size))
    embedded += tf.reshape(segment_rows, [batch, seq_len, hidden])
    embedded += table("position_embeddings", config.max_position_embeddings)[:seq_len]  # [seq_len, hidden]
    return dropout(layer_norm(embedded), config.hidden_dropout_prob), words


def _encode(config, embedded, input_mask, compute):
    """The stack of Transformer layers: list of float32 [batch, seq_len, hidden], lowest first."""
    batch, seq_len, hidden = get_shape_list(embedded, expected_rank=3)
    # [batch, 1, 1, seq_len]: one row of scores to add for every head and every query.
    mask_scores = (1.0 - tf.cast(input_mask, tf.float32))[:, None, None, :] * MASKED_SCORE
    # Between matmuls everything stays [batch * seq_len, hidden]: no transposes to and from three dimensions.
    rows = tf.cast(tf.reshape(embedded, [-1, hidden]), compute.dtype)
    layers = []
    for i in range(config.num_hidden_layers):
        with tf.variable_scope(f"layer_{i}"):
            weights = _layer_weights(config)
        rows = _computed_layer(config, compute, weights, rows, mask_scores, seq_len)
        layers.append(tf.cast(tf.reshape(rows, [batch, seq_len, hidden]), tf.float32))
    return layers


def _layer_weights(config):
    """The variables of one layer in the scope in force: dict from names as "output/dense/kernel" to tensors."""
    hidden, intermediate = config.hidden_size, config.intermediate_size
    weights = {}

    def add(name, shape, initializer):
        weights[name] = tf.convert_to_tensor(tf.get_variable(name, shape, initializer=initializer))

    def add_dense(scope, inputs, units):
        add(f"{scope}/kernel", [inputs, units], create_initializer(config.initializer_range))
        add(f"{scope}/bias", [units], tf.zeros_initializer())

    def add_norm(scope):
        add(f"{scope}/LayerNorm/beta", [hidden], tf.zeros_initializer())
        add(f"{scope}/LayerNorm/gamma", [hidden], tf.ones_initializer())

    for name in ("query", "key", "value"):
        add_dense(f"attention/self/{name}", hidden, hidden)
    add_dense("attention/output/dense", hidden, hidden)
    add_norm("attention/output")
    add_dense("intermediate/dense", hidden, intermediate)
    add_dense("output/dense", intermediate, hidden)
    add_norm("output")
    return weights


def _computed_layer(config, compute, weights, rows, mask_scores, seq_len):
    """`_transformer_layer`, twice if the backward pass is to compute it again; the dropout is the same then."""
    has_dropout = config.hidden_dropout_prob or config.attention_probs_dropout_prob
    seeds = kernels.new_seeds(3) if has_dropout else [None] * 3
    names = sorted(weights)

    def layer(rows, *values):
        return _transformer_layer(config, compute, dict(zip(names, values)), rows, mask_scores, seq_len, seeds)

    if compute.recompute:
        layer = kernels.recomputed(layer)
    return layer(rows, *[weights[name] for name in names])


def _transformer_layer(config, compute, weights, rows, mask_scores, seq_len, seeds):
    """Self-attention then feed-forward, each with residual and LayerNorm: [batch * seq_len, hidden] to the same.

    Args:
      weights: dict of tensors, see `_layer_weights`.
      rows: [batch * seq_len, hidden] of compute.dtype.
      mask_scores: float32 [batch, 1, 1, seq_len].
      seeds: int32 [3], of the dropout of attention weights and of both sublayers' outputs.
    """

    def product(x, scope):
        return tf.matmul(x, tf.cast(weights[f"{scope}/kernel"], compute.dtype))

    def residual_norm(x, residual, scope, seed):
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
        return compute.kernels.bias_to_heads(
            product(rows, scope), weights[f"{scope}/bias"], seq_len, config.num_attention_heads
        )

    scores = tf.matmul(heads("query"), heads("key"), transpose_b=True)  # [batch, heads, seq_len, seq_len]
    scale = 1.0 / math.sqrt(config.hidden_size // config.num_attention_heads)
    attention = compute.kernels.attention_weights(
        scores, mask_scores, scale, config.attention_probs_dropout_prob, seeds[0]
    )
    context = tf.transpose(tf.matmul(attention, heads("value")), [0, 2, 1, 3])  # [batch, seq_len, heads, head_size]
    context = tf.reshape(context, [-1, config.hidden_size])
    attended = residual_norm(product(context, "attention/output/dense"), rows, "attention/output", seeds[1])

    widened = product(attended, "intermediate/dense")  # [batch * seq_len, intermediate]
    widened = _add_bias_and_activate(config, compute, widened, weights["intermediate/dense/bias"])
    return residual_norm(product(widened, "output/dense"), attended, "output", seeds[2])


def _add_bias_and_activate(config, compute, x, bias):
    activation = get_activation(config.hidden_act)
    if activation is gelu:
        return compute.kernels.bias_gelu(x, bias)
    shifted = tf.cast(x, tf.float32) + bias
    return tf.cast(shifted if activation is None else activation(shifted), x.dtype)


def dense(rows, units, name, initializer_range, activation=None):
    """`activation(rows @ kernel + bias)`; rows: [n, inputs], result: [n, units]."""
    with tf.variable_scope(name):
        kernel = tf.get_variable(
            "kernel", [rows.shape.as_list()[-1], units], initializer=create_initializer(initializer_range)
        )
        bias = tf.get_variable("bias", [units], initializer=tf.zeros_initializer())
        result = tf.nn.bias_add(tf.matmul(rows, kernel), bias)
    return result if activation is None else activation(result)


def layer_norm(input_tensor, name=None):
    """Normalises the last dimension to mean 0 and variance 1, then scales and shifts (Ba et al., 2016).

    Args:
      input_tensor: float [..., size].
      name: variable scope; default "LayerNorm", with variables `beta` and `gamma` of [size].
    """
    size = input_tensor.shape.as_list()[-1]
    with tf.variable_scope(name, default_name="LayerNorm"):
        beta = tf.get_variable("beta", [size], initializer=tf.zeros_initializer())
        gamma = tf.get_variable("gamma", [size], initializer=tf.ones_initializer())
    return kernels.normalize(input_tensor, gamma, beta)


def dropout(input_tensor, dropout_prob):
    """Sets a fraction `dropout_prob` of the elements to 0 and scales the rest by 1 / (1 - dropout_prob).

    A probability of None or 0 returns the tensor itself.
    """
    return kernels.dropout(input_tensor, dropout_prob)


def get_activation(activation):
    """The function named by `hidden_act`: gelu, relu, tanh; None for linear or nothing; a function is itself.

    Raises:
      ValueError: another name.
    """
    if not activation or callable(activation):
        return activation or None
    named = {"linear": None, "relu": tf.nn.relu, "gelu": gelu, "tanh": tf.tanh}
    try:
        return named[str(activation).lower()]
    except KeyError:
        raise ValueError(f"hidden_act is '{activation}'; expected one of {sorted(named)}")


def create_initializer(initializer_range=0.02):
    """Truncated normal with standard deviation `initializer_range`."""
    return tf.truncated_normal_initializer(stddev=initializer_range)


def get_shape_list(tensor, expected_rank=None, name=None):
    """The shape as a list: an int where it is known while the graph is built, else a scalar tensor.

    Args:
      tensor: a tensor of known rank.
      expected_rank: int or collection of ints the rank has to be among.
      name: what to call the tensor in the error.

    Raises:
      ValueError: the rank is not as expected.
    """
    static = tensor.shape.as_list()
    if expected_rank is not None:
        allowed = [expected_rank] if isinstance(expected_rank, six.integer_types) else list(expected_rank)
        if len(static) not in allowed:
            raise ValueError(
                "tensor {} has rank {} (shape {}); expected rank {}".format(
                    name or tensor.name, len(static), static, " or ".join(map(str, allowed))
                )
            )
    if None not in static:
        return static
    dynamic = tf.shape(tensor)
    return [dynamic[i] if size is None else size for i, size in enumerate(static)]


def encoder_shapes(config):
    """The shape of every variable of an encoder with this config: dict from name to list of ints.

    For checking a checkpoint before a graph is built.
    """
    hidden, intermediate = config.hidden_size, config.intermediate_size

    def layer_norm_shapes(scope):
        return {f"{scope}/LayerNorm/{name}": [hidden] for name in ("beta", "gamma")}

    def dense_shapes(scope, inputs, units):
        return {f"{scope}/kernel": [inputs, units], f"{scope}/bias": [units]}

    shapes = {
        "bert/embeddings/word_embeddings": [config.vocab_size, hidden],
        "bert/embeddings/token_type_embeddings": [config.type_vocab_size, hidden],
        "bert/embeddings/position_embeddings": [config.max_position_embeddings, hidden],
    }
    shapes.update(layer_norm_shapes("bert/embeddings"))
    for i in range(config.num_hidden_layers):
        layer = f"bert/encoder/layer_{i}"
        for name in ("query", "key", "value"):
            shapes.update(dense_shapes(f"{layer}/attention/self/{name}", hidden, hidden))
        shapes.update(dense_shapes(f"{layer}/attention/output/dense", hidden, hidden))
        shapes.update(layer_norm_shapes(f"{layer}/attention/output"))
        shapes.update(dense_shapes(f"{layer}/intermediate/dense", hidden, intermediate))
        shapes.update(dense_shapes(f"{layer}/output/dense", intermediate, hidden))
        shapes.update(layer_norm_shapes(f"{layer}/output"))
    shapes.update(dense_shapes("bert/pooler/dense", hidden, hidden))
    return shapes


def get_assignment_map_from_checkpoint(tvars, init_checkpoint):
    """Which of the model's variables a checkpoint holds.

    Args:
      tvars: the model's variables.
      init_checkpoint: checkpoint prefix.

    Returns:
      (assignment_map, initialized_variable_names): an OrderedDict from the name in the checkpoint to the name in
      the model (the same, without ":0"), fit for `tf.train.init_from_checkpoint`; and a dict with the keys `name`
      and `name:0` for each of them.
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
