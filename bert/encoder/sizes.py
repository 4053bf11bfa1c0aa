"""What a `bert_config.json` may say: its keys, and bounds for their values. Needs no TensorFlow."""

from bert.system.errors import shorten

# The largest value of each size. None comes near what has been trained; all of them lie far below what would make a
# program ask for more memory than there is, together with MOST_WEIGHTS.
LARGEST = {
    "vocab_size": 1 << 24,
    "hidden_size": 1 << 16,
    "num_hidden_layers": 1 << 10,
    "num_attention_heads": 1 << 10,
    "intermediate_size": 1 << 18,
    "max_position_embeddings": 1 << 20,
    "type_vocab_size": 1 << 16,
}
MOST_WEIGHTS = 20 * 10**9
PROBABILITIES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range")
ACTIVATIONS = ("gelu", "gelu_new", "gelu_tanh", "linear", "relu", "tanh")  # those of layers.get_activation
EPSILON = "layer_norm_eps"  # of a model from Hugging Face, kept for the way back
KEYS = (*LARGEST, *PROBABILITIES, "hidden_act", EPSILON)


def problem(values):
    """What is wrong with the values of a config.

    Args:
      values: dict; a key that is left out has its default, but for vocab_size.

    Returns:
      A text, or None where nothing is.
    """
    values = dict({"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}, **values)
    for name, largest in LARGEST.items():
        value = values.get(name, 1 if name != "vocab_size" else None)
        if type(value) is not int or not 1 <= value <= largest:  # True is an int too
            return f"{name} is {shorten(repr(value), 60)}; expected a whole number of at least 1 and at most {largest}"
    for name in (*PROBABILITIES, EPSILON):
        value = values.get(name, 0)
        if type(value) not in (int, float) or not 0 <= value < 1:
            return f"{name} is {shorten(repr(value), 60)}; expected a number from 0 to below 1"
    hidden, heads = values["hidden_size"], values["num_attention_heads"]
    if hidden % heads:
        return f"hidden_size {hidden} is not a multiple of num_attention_heads {heads}"
    activation = values.get("hidden_act")
    if activation not in (None, "") and str(activation).lower() not in ACTIVATIONS:
        return f"hidden_act is '{shorten(activation, 60)}'; expected one of {list(ACTIVATIONS)}"
    weights = _weights(values)
    if weights > MOST_WEIGHTS:
        return f"an encoder of {weights} weights; expected at most {MOST_WEIGHTS}"
    return None


def _weights(values):
    """The number of an encoder's weights, but for vectors."""
    hidden = values["hidden_size"]
    rows = sum(values.get(name, 1) for name in ("vocab_size", "max_position_embeddings", "type_vocab_size"))
    of_layer = 4 * hidden * hidden + 2 * hidden * values.get("intermediate_size", 3072)
    return rows * hidden + values["num_hidden_layers"] * of_layer


def unknown(values):
    """The keys of a config that stand for nothing here: a sorted list."""
    return sorted(set(values) - set(KEYS))


def known(values):
    """The values of a config without those that stand for nothing here: a dict."""
    return {name: value for name, value in values.items() if name in KEYS}
