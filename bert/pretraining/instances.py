"""Examples for pre-training in Google BERT's way: instances of word pieces in memory, and record files of them.

The names, parameters and defaults are those of Google's create_pretraining_data.py; examples.py does the work. Our own
program keeps a corpus on disk and works on ids. Loads TensorFlow only where it writes.
"""

import collections
import contextlib

from bert.pretraining import examples
from bert.system import lines
from bert.system.errors import UserError, shown_list

CLS, SEP, MASK = "[CLS]", "[SEP]", "[MASK]"

# index: position of a masked piece; label: the piece that was there.
MaskedLmInstance = collections.namedtuple("MaskedLmInstance", ["index", "label"])


class TrainingInstance:
    """Two segments with masked pieces.

    Args:
      tokens: list of str, with [CLS] and [SEP].
      segment_ids: list of int, the segment of each piece.
      masked_lm_positions: list of int, ascending.
      masked_lm_labels: list of str, the pieces that were there.
      is_random_next: whether the second segment is from another document.
    """

    def __init__(self, tokens, segment_ids, masked_lm_positions, masked_lm_labels, is_random_next):
        self.tokens = tokens
        self.segment_ids = segment_ids
        self.is_random_next = is_random_next
        self.masked_lm_positions = masked_lm_positions
        self.masked_lm_labels = masked_lm_labels

    def __repr__(self):
        shown = " ".join(f"{name}={value}" for name, value in sorted(vars(self).items()))
        return f"TrainingInstance({shown})"


def create_training_instances(
    input_files,
    tokenizer,
    max_seq_length,
    dupe_factor,
    short_seq_prob,
    masked_lm_prob,
    max_predictions_per_seq,
    rng,
    do_whole_word_mask=False,
):
    """The TrainingInstances of text files, shuffled.

    Args:
      input_files: paths; one sentence per line, a blank line between documents.
      tokenizer: FullTokenizer.
      max_seq_length: pieces of an instance, at most.
      dupe_factor: times through the text, each with other masks and pairs.
      short_seq_prob: share of the documents cut into shorter instances.
      masked_lm_prob: share of the pieces that is masked.
      max_predictions_per_seq: most pieces masked in an instance.
      rng: random.Random.
      do_whole_word_mask: mask all pieces of a word or none. Google's function takes it from its flag of this name.

    Raises:
      UserError: there is no text in the files.
    """
    documents = examples.shuffled(_documents(input_files, tokenizer), rng)
    if not documents:
        raise UserError(f"{shown_list(input_files)}: no text in it; expected one sentence per line")
    settings = _settings(
        list(tokenizer.vocab),
        masked_lm_prob,
        max_predictions_per_seq,
        max_seq_length=max_seq_length,
        short_seq_prob=short_seq_prob,
        do_whole_word_mask=do_whole_word_mask,
    )
    lenders = _lenders(documents)
    instances = []
    for _ in range(dupe_factor):
        for number, document in enumerate(documents):
            instances += _of_document(number, document, lenders, settings, rng)
    return examples.shuffled(instances, rng)


def _documents(input_files, tokenizer):
    """The documents of text files: lists of sentences, which are lists of pieces."""
    documents = [[]]
    for path in input_files:
        documents.append([])
        for _, line in lines.read(path, "one sentence per line, in UTF-8"):
            if not line.strip():
                documents.append([])
                continue
            pieces = tokenizer.tokenize(line)
            if pieces:
                documents[-1].append(pieces)
    return [document for document in documents if document]


def create_instances_from_document(
    all_documents,
    document_index,
    max_seq_length,
    short_seq_prob,
    masked_lm_prob,
    max_predictions_per_seq,
    vocab_words,
    rng,
    do_whole_word_mask=False,
):
    """The TrainingInstances of one document, a list.

    Args:
      all_documents: list of documents, lists of sentences, which are lists of pieces.
      document_index: which of them.
      vocab_words: list of str, the vocabulary.
      other arguments: as of `create_training_instances`.
    """
    settings = _settings(
        vocab_words,
        masked_lm_prob,
        max_predictions_per_seq,
        max_seq_length=max_seq_length,
        short_seq_prob=short_seq_prob,
        do_whole_word_mask=do_whole_word_mask,
    )
    return _of_document(document_index, all_documents[document_index], _lenders(all_documents), settings, rng)


# The settings of examples.py for pieces instead of ids, and the vocabulary that random pieces are drawn from.
_Settings = collections.namedtuple("_Settings", examples.Settings._fields + ("vocab_words",))


def _settings(vocab_words, masked_lm_prob, max_predictions_per_seq, **others):
    """A _Settings; `others`: max_seq_length, short_seq_prob, do_whole_word_mask, where they are needed."""
    values = dict({"max_seq_length": None, "short_seq_prob": None, "do_whole_word_mask": False}, **others)
    continues = frozenset()
    if values["do_whole_word_mask"]:
        continues = frozenset(word for word in vocab_words if word.startswith("##"))
    return _Settings(
        masked_lm_prob=masked_lm_prob,
        max_predictions_per_seq=max_predictions_per_seq,
        random_seed=None,
        vocab_size=len(vocab_words),
        cls=CLS,
        sep=SEP,
        mask=MASK,
        continues=continues,
        vocab_words=vocab_words,
        **values,
    )


def _lenders(documents):
    """Who lends random sentences to a document: the others, and where there is only one, itself."""
    if len(documents) == 1:
        return examples.Lenders([(-1, documents[0])])
    return examples.Lenders(list(enumerate(documents)))


def _of_document(number, document, lenders, settings, rng):
    """The TrainingInstances of one document, a list; `number`: its number among the lenders."""
    instances = []
    for first, second, is_random in examples.segment_pairs(number, document, lenders, settings, rng):
        first, second = examples.truncate(first, second, settings.max_seq_length - examples.SPECIAL, rng)
        example = examples.mask(first, second, is_random, settings, rng)
        tokens = _as_words(example.input_ids, settings)
        segment_ids = [0] * example.first + [1] * (len(tokens) - example.first)
        instances.append(TrainingInstance(tokens, segment_ids, example.positions, example.labels, is_random))
    return instances


def _as_words(tokens, settings):
    """The pieces, random ones as such: examples.py draws numbers for them."""
    return [settings.vocab_words[token] if isinstance(token, int) else token for token in tokens]


def create_masked_lm_predictions(
    tokens, masked_lm_prob, max_predictions_per_seq, vocab_words, rng, do_whole_word_mask=False
):
    """Masks some pieces of a sequence.

    Args:
      tokens: list of str; [CLS] and [SEP] are never masked.
      vocab_words: list of str, the vocabulary.
      other arguments: as of `create_training_instances`.

    Returns:
      (output_tokens, masked_lm_positions, masked_lm_labels): lists.
    """
    settings = _settings(vocab_words, masked_lm_prob, max_predictions_per_seq)
    words = []
    for position, token in enumerate(tokens):
        if token in (CLS, SEP):
            continue
        if do_whole_word_mask and words and token.startswith("##"):
            words[-1].append(position)
        else:
            words.append([position])
    masked, positions, labels = examples.mask_words(list(tokens), words, settings, rng)
    return _as_words(masked, settings), positions, labels


def truncate_seq_pair(tokens_a, tokens_b, max_num_tokens, rng):
    """Cuts two lists of pieces, in place, to `max_num_tokens` together: always the longer one, at a random end."""
    tokens_a[:], tokens_b[:] = examples.truncate(tokens_a, tokens_b, max_num_tokens, rng)


def create_int_feature(values):
    """A tf.train.Feature of ints."""
    import tensorflow.compat.v1 as tf

    return tf.train.Feature(int64_list=tf.train.Int64List(value=list(values)))


def create_float_feature(values):
    """A tf.train.Feature of floats."""
    import tensorflow.compat.v1 as tf

    return tf.train.Feature(float_list=tf.train.FloatList(value=list(values)))


def write_instance_to_example_files(instances, tokenizer, max_seq_length, max_predictions_per_seq, output_files):
    """Writes TrainingInstances to record files, which take turns.

    Args:
      instances: iterable of TrainingInstance.
      tokenizer: FullTokenizer.
      max_seq_length, max_predictions_per_seq: lengths of a record's lists.
      output_files: paths.
    """
    from bert.data.records import record_writer

    lengths = _settings((), None, max_predictions_per_seq, max_seq_length=max_seq_length)
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(record_writer(path)) for path in output_files]
        for number, instance in enumerate(instances):
            example = examples.Example(
                tokenizer.convert_tokens_to_ids(instance.tokens),
                instance.segment_ids.count(0),
                list(instance.masked_lm_positions),
                tokenizer.convert_tokens_to_ids(instance.masked_lm_labels),
                instance.is_random_next,
            )
            writers[number % len(writers)].write(examples.serialize(example, lengths))
