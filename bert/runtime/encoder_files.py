"""The files of an encoder: its config, its vocabulary and its checkpoint, checked against each other."""

import collections
import logging

from bert import modeling, tokenization
from bert.runtime import checkpoint, init_weights
from bert.system.errors import UserError

log = logging.getLogger(__name__)
# A vocabulary with fewer pieces that have letters of two cases says nothing of its case.
_ENOUGH_PIECES = 20


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
    check_pieces(files.vocab_file, tokenizer.vocab, files.bert_config_file, config.vocab_size)
    if not shortest <= files.max_seq_length <= config.max_position_embeddings:
        raise UserError(
            f"-max_seq_length {files.max_seq_length}: expected {shortest} to {config.max_position_embeddings}, "
            f"the encoder's max_position_embeddings in {files.bert_config_file}"
        )
    warning = case_warning(tokenizer.vocab, files.do_lower_case)
    if warning:
        log.warning("%s: %s", files.vocab_file, warning)
    return config, tokenizer


def check_pieces(vocab_file, pieces, config_file, rows):
    """Checks that an encoder has an embedding for each piece; the log says so where it has more of them.

    Args:
      vocab_file, config_file: names of the two files, for the messages.
      pieces: the pieces of the vocabulary, a collection.
      rows: number of embeddings, the config's vocab_size.

    Raises:
      UserError: there are more pieces than embeddings, or a piece is missing that every text needs.
    """
    if len(pieces) > rows:
        raise UserError(f"{vocab_file}: {len(pieces)} entries; {config_file} expects {rows}")
    for piece in ("[UNK]", "[CLS]", "[SEP]"):
        if piece not in pieces:
            raise UserError(f"{vocab_file}: expected an entry {piece}")
    if len(pieces) < rows:
        log.info(
            "%s: %d entries; %s has room for %d, so the last %d embeddings are not used",
            vocab_file, len(pieces), config_file, rows, rows - len(pieces),
        )  # fmt: skip


def case_warning(vocab, do_lower_case):
    """What is wrong where a vocabulary's case does not fit -do_lower_case, as far as its pieces show it.

    Args:
      vocab: iterable of pieces.
      do_lower_case: whether texts are lower-cased.

    Returns:
      A sentence, or None where nothing is wrong.
    """
    # Special pieces are never looked up as text: [CLS], [unused1].
    pieces = [piece for piece in vocab if not (piece.startswith("[") and piece.endswith("]"))]
    with_capitals = sum(piece != piece.lower() for piece in pieces)
    with_letters = sum(piece.lower() != piece.upper() for piece in pieces)
    if do_lower_case and with_capitals:
        return (
            f"{with_capitals} of its {len(pieces)} pieces have capitals and are never used, as -do_lower_case is true; "
            f"a cased vocabulary needs -do_lower_case=false"
        )
    if not do_lower_case and not with_capitals and with_letters >= _ENOUGH_PIECES:
        return (
            f"none of its {with_letters} pieces with letters has a capital, so words with capitals become [UNK], as "
            f"-do_lower_case is false; a lower-cased vocabulary needs -do_lower_case=true"
        )
    return None


def check_init_checkpoint(path, model, do_lower_case, output_dir=None, partial=False):
    """The weights that training starts from, of the checkpoint that -init_checkpoint names, after a check of it.

    Args:
      path: a prefix, a directory or a release's zip, see checkpoint.resolve; None or "" for random weights.
      model: weight_names.Model, the variables of the model.
      do_lower_case: whether texts are lower-cased; the name of a release says whether its vocabulary is. None where
        there are no texts.
      output_dir: where a release is unpacked if nothing can be written beside it.
      partial: whether the checkpoint may lack variables of the encoder, -init_partial.

    Returns:
      init_weights.StartWeights, or None for random weights.

    Raises:
      UserError: there is no such checkpoint, it is damaged, it lacks variables of the encoder, or it is of another
        encoder or vocabulary.
    """
    prefix = checkpoint.resolve(path, output_dir)
    if not prefix:
        return None
    if do_lower_case is not None:
        tokenization.validate_case_matches_checkpoint(do_lower_case, prefix)
    return init_weights.find(prefix, model, partial, whole=True)


def trained_checkpoint(output_dir, do_train):
    """The prefix of the checkpoint in -output_dir: with -do_train the newest whole one, else the newest; or None."""
    return checkpoint.newest_whole(output_dir) if do_train else checkpoint.latest(output_dir)


def start_step(output_dir):
    """The global step of the newest checkpoint in -output_dir, from which training continues; 0 without one."""
    latest = checkpoint.latest(output_dir)
    return checkpoint.step_of(latest) if latest else 0
