"""Features of texts in Google BERT's way: examples, features, and a model function that an Estimator predicts with.

The names, parameters and defaults are those of Google's extract_features.py. Our own program goes by encoding.py.
"""

from bert import modeling
from bert.data import inputs, pairs
from bert.runtime import init_weights
from bert.runtime.encoding import split_pair
from bert.runtime.estimator import EstimatorSpec, ModeKeys
from bert.system import lines


class InputExample:
    """A text or a pair of texts.

    Args:
      unique_id: int.
      text_a: str.
      text_b: str, or None for a single text.
    """

    def __init__(self, unique_id, text_a, text_b):
        self.unique_id = unique_id
        self.text_a = text_a
        self.text_b = text_b


class InputFeatures:
    """An example as the model reads it: its pieces, and lists of seq_length ints, 0 where padded."""

    def __init__(self, unique_id, tokens, input_ids, input_mask, input_type_ids):
        self.unique_id = unique_id
        self.tokens = tokens
        self.input_ids = input_ids
        self.input_mask = input_mask
        self.input_type_ids = input_type_ids


def read_examples(input_file):
    """A list of InputExample: of each line a text, or a pair `text ||| second text`; ids count from 0."""
    texts = lines.read(input_file, "one text per line, in UTF-8")
    return [InputExample(number, *split_pair(line)) for number, (_, line) in enumerate(texts)]


def convert_examples_to_features(examples, seq_length, tokenizer):
    """The InputFeatures of examples, a list.

    Args:
      examples: iterable of InputExample.
      seq_length: length of the lists; longer texts are cut.
      tokenizer: FullTokenizer.
    """
    converted = []
    for example in examples:
        encoded = pairs.encode_if_any(tokenizer, example.text_a, example.text_b, seq_length)
        ids, mask, segments = (pairs.padded(encoded, seq_length)[name] for name in pairs.FIELDS)
        converted.append(InputFeatures(example.unique_id, encoded.tokens, ids, mask, segments))
    return converted


def input_fn_builder(features, seq_length):
    """An input function over features in memory.

    Args:
      features: list of InputFeatures.
      seq_length: length of their lists.

    Returns:
      input_fn(params) giving batches of params["batch_size"]: int32 [batch] `unique_ids`, and [batch, seq_length]
      `input_ids`, `input_mask`, `input_type_ids`.
    """
    values = {
        name: [getattr(each, name)[:seq_length] for each in features]
        for name in ("input_ids", "input_mask", "input_type_ids")
    }
    values["unique_ids"] = [each.unique_id for each in features]
    return inputs.from_memory(values)


def model_fn_builder(bert_config, init_checkpoint, layer_indexes, use_tpu, use_one_hot_embeddings):
    """An Estimator's model function that gives the outputs of encoder layers.

    Args:
      bert_config: BertConfig.
      init_checkpoint: checkpoint prefix of the encoder.
      layer_indexes: list of int, counted as Python counts: -1 the last layer.
      use_tpu: ignored; the Estimator's tf.distribute strategy says so.
      use_one_hot_embeddings: look words up by matmul, as a TPU prefers.

    Returns:
      model_fn(features, labels, mode, params) for prediction, of `input_fn_builder`'s features. Predictions:
      `unique_id` [batch] and for the i-th layer `layer_output_<i>`, float [batch, seq_len, hidden].
    """
    del use_tpu
    variables = init_weights.model_variables(bert_config, head_name="", uses_pooler=False)
    start = init_weights.of_prefix(init_checkpoint, variables)

    def model_fn(features, labels, mode, params):
        if mode != ModeKeys.PREDICT:
            raise ValueError(f"mode {mode}: features are for prediction only")
        with init_weights.starting_from(start):
            model = modeling.BertModel(
                config=bert_config,
                is_training=False,
                input_ids=features["input_ids"],
                input_mask=features["input_mask"],
                token_type_ids=features["input_type_ids"],
                use_one_hot_embeddings=use_one_hot_embeddings,
            )
        layers = model.get_all_encoder_layers()
        predictions = {f"layer_output_{i}": layers[layer] for i, layer in enumerate(layer_indexes)}
        return EstimatorSpec(mode, predictions=dict(predictions, unique_id=features["unique_ids"]))

    return model_fn
