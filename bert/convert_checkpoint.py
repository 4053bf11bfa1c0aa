"""Converts a BERT from Hugging Face's format to Google's, and back.

    python -m bert.convert_checkpoint --input_dir=bert-base-german-cased --output_dir=german_L-12_H-768_A-12
    python -m bert.convert_checkpoint --to_hf --input_dir=cased_L-12_H-768_A-12 --output_dir=hf --do_lower_case=false

Hugging Face's format is a directory with config.json, vocab.txt or tokenizer.json, and model.safetensors or
pytorch_model.bin, in one file or several. Google's is bert_config.json, vocab.txt and bert_model.ckpt.*; as input, a
release's zip too. Every weight stays the same, bit for bit. Neither PyTorch nor Transformers is needed, and no code in
a file is executed.
"""

import os
import sys

if not __package__:  # run as a file: its own directory is no place to import from
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bert.system import startup  # noqa: I001  before TensorFlow

import logging

from bert.runtime import checkpoint, devices
from bert.runtime.encoder_files import check_pieces
from bert.huggingface import directory, weights as huggingface_weights
from bert.system import filesystem
from bert.system.directories import complete_directory
from bert.system.errors import UserError, run_program
from bert.system.files import atomic_open
from bert.system.flags import FlagParser, require
from bert.modeling import BertConfig
from bert.tokenization import FullTokenizer, validate_case_matches_checkpoint

log = logging.getLogger("bert.convert_checkpoint")  # the same however it is started
CONFIG, VOCAB, CHECKPOINT = "bert_config.json", "vocab.txt", "bert_model.ckpt"
# Endings of the variables of training that are not weights.
_STATE_OF_TRAINING = (*checkpoint.OPTIMIZER_SLOTS, "global_step")


def main(argv=None):
    args = parse_flags(argv)
    devices.prepare("")  # no GPU, as nothing is computed
    startup.set_up_program(args.verbose)
    if args.to_hf:
        to_hf(args)
    else:
        from_hf(args)


def parse_flags(argv=None):
    """The flags as a Namespace."""
    parser = FlagParser(
        prog="convert_checkpoint.py", description="Turns a Hugging Face BERT into one of Google's format, and back."
    )
    flag, switch = parser.flag_group("files")
    flag("input_dir", help="directory of a Hugging Face BERT; with -to_hf as -init_checkpoint elsewhere")
    flag("output_dir", help="directory to write")
    switch("overwrite", False, help="replace files of another content in -output_dir")
    switch("verbose", False, help="show TensorFlow's own log too")
    flag, switch = parser.flag_group("from Google's format to Hugging Face's")
    switch("to_hf", False, help="convert in this direction")
    flag("bert_config_file", help="sizes of the encoder; default: bert_config.json beside the checkpoint")
    flag("vocab_file", help="its word pieces; default: vocab.txt beside the checkpoint")
    switch("do_lower_case", True, help="what tokenizer_config.json is to say; false for a cased vocabulary")
    args = parser.parse_args(argv)
    require(args, "input_dir", "output_dir")
    return args


def from_hf(args):
    """Converts Hugging Face's format to Google's."""
    if not filesystem.isdir(args.input_dir):
        raise UserError(f"{args.input_dir}: expected a directory of a Hugging Face BERT")
    config, given = directory.read_config(args.input_dir)
    tokenizer = directory.read_tokenizer(args.input_dir, config.vocab_size)
    path, tensors = directory.read_weights(args.input_dir)
    is_classifier = given.get("architectures") == ["BertForSequenceClassification"]
    values = huggingface_weights.to_google(path, tensors, config, is_classifier)
    with _output(args) as folder:
        checkpoint.write(os.path.join(folder, CHECKPOINT), values)
        with atomic_open(os.path.join(folder, CONFIG)) as writer:
            writer.write(config.to_json_string())
        directory.write_vocab(os.path.join(folder, VOCAB), tokenizer.pieces)
    for note in tokenizer.notes:
        log.info("its tokenizer differs from this project's: %s", note)
    if hasattr(config, "layer_norm_eps"):
        log.info("its layer_norm_eps is %s, this project's 1e-12: vectors will differ a little", config.layer_norm_eps)
    log.info(
        "wrote %s: %d weights; use it with -bert_dir %s %s",
        args.output_dir, len(values), args.output_dir, _case_flag(tokenizer.do_lower_case),
    )  # fmt: skip


def _case_flag(do_lower_case):
    if do_lower_case is None:
        return "and -do_lower_case as it was trained: no file says whether its vocabulary is lower-cased"
    return f"-do_lower_case={str(bool(do_lower_case)).lower()}"


def to_hf(args):
    """Converts Google's format to Hugging Face's."""
    prefix = checkpoint.resolve(args.input_dir, args.output_dir)
    names = checkpoint.open_checkpoint(prefix).get_variable_to_shape_map()
    folder = os.path.dirname(prefix)
    config_file = args.bert_config_file or os.path.join(folder, CONFIG)
    config = BertConfig.from_json_file(config_file)
    vocab_file = args.vocab_file or os.path.join(folder, VOCAB)
    pieces = list(FullTokenizer(vocab_file).vocab)
    check_pieces(vocab_file, pieces, config_file, config.vocab_size)
    validate_case_matches_checkpoint(args.do_lower_case, prefix)
    values = checkpoint.read(prefix, [name for name in names if not name.endswith(_STATE_OF_TRAINING)])
    architecture, weights = huggingface_weights.to_hf(prefix, values, config)
    with _output(args) as folder:
        directory.write(folder, architecture, weights, config, pieces, args.do_lower_case)
    log.info(
        "wrote %s: %d weights of a %s, do_lower_case %s in its tokenizer_config.json",
        args.output_dir, len(weights), architecture, str(args.do_lower_case).lower(),
    )  # fmt: skip


def _output(args):
    return complete_directory(args.output_dir, args.overwrite, "expected another -output_dir, or -overwrite")


if __name__ == "__main__":
    run_program(main)
