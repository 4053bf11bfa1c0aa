"""The files of an encoder: its config, its vocabulary and its checkpoint, checked against each other."""

import collections

from bert import modeling, tokenization
from bert.runtime import checkpoint
from bert.system.errors import UserError


class EncoderFiles(
    collections.namedtuple(
        "EncoderFiles", ["bert_config_file", "vocab_file", "init_checkpoint", "do_lower_case", "max_seq_length"]
    )
):
    """The files of an encoder and how texts are cut into its pieces: the flags of flags.add_encoder_flags."""

    @classmethod
    def from_dict(cls, values):
        """The EncoderFiles in a dict that may hold more, such as `vars` of parsed flags."""
        return cls(**{name: values[name] for name in cls._fields})


def load_encoder(files, shortest=3):
    """The encoder's config and tokenizer, checked against each other and against -max_seq_length.

    Args:
      files: EncoderFiles.
      shortest: the smallest -max_seq_length that is accepted.

    Returns:
      (BertConfig, FullTokenizer).

    Raises:
      UserError: a file cannot be read, the two do not fit each other, or -max_seq_length is out of range.
    """
    config = modeling.BertConfig.from_json_file(files.bert_config_file)
    tokenizer = tokenization.FullTokenizer(files.vocab_file, do_lower_case=files.do_lower_case)
    if len(tokenizer.vocab) != config.vocab_size:
        raise UserError(
            f"{files.vocab_file}: {len(tokenizer.vocab)} entries; {files.bert_config_file} expects {config.vocab_size}"
        )
    for token in ("[CLS]", "[SEP]"):
        if token not in tokenizer.vocab:
            raise UserError(f"{files.vocab_file}: expected an entry {token}")
    if not shortest <= files.max_seq_length <= config.max_position_embeddings:
        raise UserError(
            f"-max_seq_length {files.max_seq_length}: expected {shortest} to {config.max_position_embeddings}, "
            f"the encoder's max_position_embeddings in {files.bert_config_file}"
        )
    return config, tokenizer


def check_init_checkpoint(path, config, do_lower_case, output_dir=None, head_shapes=()):
    """The prefix of the checkpoint that -init_checkpoint names, after a check that it is whole and fits the encoder.

    Args:
      path: a prefix, a directory or a release's zip, see checkpoint.resolve; None or "" for random weights.
      config: BertConfig.
      do_lower_case: whether texts are lower-cased; the name of a release says whether its vocabulary is.
      output_dir: where a release is unpacked if nothing can be written beside it.
      head_shapes: dict from the names of the model's other variables to their shapes. The checkpoint may lack any
        variable, of the encoder too; those that it has must fit.

    Returns:
      The prefix, or None for random weights.

    Raises:
      UserError: there is no such checkpoint, it is damaged, or it is of another encoder or vocabulary.
    """
    prefix = checkpoint.resolve(path, output_dir)
    if prefix:
        tokenization.validate_case_matches_checkpoint(do_lower_case, prefix)
        shapes = dict(modeling.encoder_shapes(config), **dict(head_shapes))
        checkpoint.check_model(prefix, shapes, optional=shapes)
    return prefix


def trained_checkpoint(output_dir, do_train):
    """The prefix of the checkpoint in -output_dir: with -do_train the newest whole one, else the newest; or None."""
    return checkpoint.newest_whole(output_dir) if do_train else checkpoint.latest(output_dir)


def start_step(output_dir):
    """The global step of the newest checkpoint in -output_dir, from which training continues; 0 without one."""
    latest = checkpoint.latest(output_dir)
    return checkpoint.step_of(latest) if latest else 0
