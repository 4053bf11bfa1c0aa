"""The flags of extract_features and sentence2vec, and the config of sentence vectors.

Loads no TensorFlow, so that -help and a wrong or missing flag need not wait for it.
"""

import argparse
import os
import re

from bert.runtime import flags
from bert.runtime.flags import PRECISIONS
from bert.system import filesystem
from bert.system.errors import UserError
from bert.system.files import is_path, read_json
from bert.system.flags import FlagParser, positive_int, require

CONFIG_FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sentence2vec.json")
POOLINGS = ("mean", "max", "mean-max", "first", "last")


def _is_path(value):
    return value is None or is_path(value)


def _is_count(value):
    return type(value) is int and value >= 1  # True is an int too


# key of the config -> (default, function that accepts a value, what it accepts in words)
KEYS = {
    "bert_config_file": (None, _is_path, "a path"),
    "vocab_file": (None, _is_path, "a path"),
    "init_checkpoint": (None, _is_path, "a path"),
    "do_lower_case": (True, lambda value: isinstance(value, bool), "true or false"),
    "max_seq_length": (128, _is_count, "a whole number of at least 1"),
    "batch_size": (32, _is_count, "a whole number of at least 1"),
    "pooling": ("mean", lambda value: value in list(POOLINGS), "one of " + ", ".join(POOLINGS)),
    "layer": (-1, lambda value: type(value) is int, "a whole number: 0 the first layer, -1 the last"),
    "precision": ("fp32", lambda value: value in PRECISIONS, "one of " + ", ".join(PRECISIONS)),
    "xla": (False, lambda value: isinstance(value, bool), "true or false"),
}
LAYER_IN_ARCHIVE = "feature_pooling_layer"
WITHOUT_EFFECT = ("bert_model_root", "use_one_hot_embeddings")  # keys of the archive
PATHS = ("bert_config_file", "vocab_file", "init_checkpoint")


def parse_features_flags(argv=None):
    """The flags of extract_features as a Namespace, `layers` a list of int."""
    parser = FlagParser(
        prog="extract_features.py", description="Writes, for each piece of each text, its vectors in an encoder."
    )
    # So that argparse takes the list -1,-2 for a value and not for a flag.
    parser._negative_number_matcher = re.compile(r"-\d[-,\d]*$")
    flag, switch = parser.flag_group("features")
    flag("input_file", help="one text per line, or a pair: text ||| second text")
    flag("output_file", help="file to write")
    flag("layers", type=_layers, default="-1,-2,-3,-4", help="layers to write, from 0, the first, or back from -1")
    flag("format", choices=["json", "npz"], default="json", help="JSON, one line per text, or arrays for numpy.load")
    flag("batch_size", type=positive_int, default=32, help="texts in a batch")
    switch("use_one_hot_embeddings", False, help="look words up by a matrix product, as TPUs like it")
    flags.add_encoder_flags(parser, without_checkpoint="needed: random weights give no features")
    flags.add_compute_flags(*parser.flag_group("speed"), precision="fp32", xla=False)
    flags.add_device_flags(parser, training=False)
    return parser.parse_args(argv)


def check_features_flags(args):
    """Raises UserError where flags are missing, or one cannot be had."""
    require(args, "input_file", "output_file", *PATHS)
    if args.use_tpu:
        raise UserError("-use_tpu: features are extracted on CPU or GPU; expected false")


def _layers(text):
    try:
        return [int(layer) for layer in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected layers as in -1,-2,-3,-4, got '{text}'")


def parse_sentence_flags(argv=None):
    """The flags of sentence2vec as a Namespace; None for a flag whose value comes from the config."""
    parser = FlagParser(prog="sentence2vec.py", description="Writes one vector per sentence, pooled from an encoder.")
    flag, _ = parser.flag_group("files")
    flag("config", default=CONFIG_FILE, help="JSON file with the keys that the flags below have")
    flag("input_file", help="one text per line, or text ||| second text, each after an id and a tab if it has one; "
         "default: standard input")  # fmt: skip
    flag("output_file", help="file to write; default: standard output")

    flag, switch = parser.flag_group("instead of what the config says")
    flag("bert_config_file", help="sizes of the encoder, bert_config.json")
    flag("vocab_file", help="word pieces of the encoder, one per line")
    flag("init_checkpoint", help="the encoder's weights, as .../bert_model.ckpt")
    switch("do_lower_case", None, help="lower-case and strip accents; false for a cased vocabulary")
    flag("max_seq_length", type=positive_int, help="pieces, [CLS] and [SEP] included; longer texts are cut")
    flag("batch_size", type=positive_int, help="texts in a batch")
    flag("pooling", choices=list(POOLINGS), help="what becomes of a text's pieces; first is [CLS], last is [SEP]")
    flag("layer", type=int, help="layer that is pooled, from 0, the first, or back from -1")
    flags.add_compute_flags(flag, switch, precision=None, xla=None)

    flag, switch = parser.flag_group("other")
    flag("device_map", help="GPUs to use, as CUDA_VISIBLE_DEVICES; default: all there are")
    switch("verbose", False, help="show TensorFlow's own log too")
    return parser.parse_args(argv)


def sentence_config(args):
    """The config of sentence2vec: that of -config, and instead of its values those of flags that are given.

    Args:
      args: Namespace of `parse_sentence_flags`.

    Returns:
      dict with all of KEYS.

    Raises:
      UserError: the config is not valid, or files of the encoder are named neither in it nor by flags.
    """
    config = read_config(args.config)
    config.update({key: getattr(args, key) for key in KEYS if getattr(args, key) is not None})
    require(argparse.Namespace(**config), *PATHS)
    return config


def read_config(path):
    """The config of a JSON file as a dict: checked, with defaults filled in, relative paths joined to its folder."""
    config = check_config(read_json(path), path)
    folder = os.path.dirname(filesystem.abspath(path))
    for name in PATHS:
        if config[name] is not None and not filesystem.is_remote(config[name]):
            config[name] = os.path.join(folder, config[name])
    return config


def check_config(values, name):
    """Checks a config and fills in defaults.

    Args:
      values: dict with some of KEYS, or of the archive's keys.
      name: what to call the config in an error.

    Returns:
      A new dict with all of KEYS.

    Raises:
      UserError: names the key that is unknown, or whose value is not valid, and what is expected.
    """
    if not isinstance(values, dict):
        raise UserError(f"{name}: expected a JSON object with the keys {', '.join(KEYS)}")
    values = {key: value for key, value in values.items() if key not in WITHOUT_EFFECT}
    if LAYER_IN_ARCHIVE in values:
        layer = values.pop(LAYER_IN_ARCHIVE)
        if values.setdefault("layer", layer) != layer:
            raise UserError(
                f"{name}: {LAYER_IN_ARCHIVE} is {layer!r} and layer {values['layer']!r}; expected one of them"
            )
    for key, value in values.items():
        if key not in KEYS:
            raise UserError(f"{name}: unknown key {key!r}; expected {', '.join(KEYS)}")
        _, accepts, expected = KEYS[key]
        if not accepts(value):
            raise UserError(f"{name}: {key} is {value!r}; expected {expected}")
    return dict({key: default for key, (default, _, _) in KEYS.items()}, **values)
