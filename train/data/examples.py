"""Tagged sentences in the archive's way: examples of words joined by spaces, features, processors, record files.

Names, parameters and defaults are the archive's. Our own program reads by conll.py and cuts by windows.py, which lose
no word; one example gives one list of features here, so a long sentence is cut off, and the log says so.
"""

import logging
import os

from bert.data import records
from bert.system import filesystem
from bert.system.errors import UserError
from train import run_dir
from train.data import labels as data_labels
from train.data.conll import read_conll
from train.data.labels import CLS, PIECE, SEP
from train.data.windows import FIELDS

log = logging.getLogger(__name__)
NO_TOKEN = "**NULL**"  # what the archive pads lists of pieces with
LOGGED = 5  # examples that are shown in the log


class InputExample:
    """A sentence and its tags.

    Args:
      guid: str, a name for the example.
      text: str, the words with spaces between.
      label: str, their tags with spaces between; None where they are not known.
    """

    def __init__(self, guid=None, text=None, label=None):
        self.guid = guid
        self.text = text
        self.label = label


class InputFeatures:
    """A sentence as the model reads it: lists of max_seq_length ints, 0 where padded."""

    def __init__(self, input_ids, input_mask, segment_ids, label_ids):
        self.input_ids = input_ids
        self.input_mask = input_mask
        self.segment_ids = segment_ids
        self.label_ids = label_ids


class DataProcessor:
    """Reads the examples of a corpus; a corpus of one's own is a subclass of it."""

    def get_train_examples(self, data_dir):
        """The InputExamples to train on, a list."""
        raise NotImplementedError()

    def get_dev_examples(self, data_dir):
        """The InputExamples to evaluate on, a list."""
        raise NotImplementedError()

    def get_labels(self):
        """The labels in the order of their ids, which count from 1; a list of str."""
        raise NotImplementedError()

    @classmethod
    def _read_data(cls, input_file):
        """The sentences of a CoNLL file, a list of [tags, words], both joined by spaces.

        Raises:
          UserError: the file is not of this form, or a word has a space in it.
        """
        sentences = []
        for sentence in read_conll(input_file):
            for index, word in enumerate(sentence.words):
                if " " in word:
                    where = f"{input_file}:{sentence.line_of(index)}"
                    raise UserError(f"{where}: the word {word!r} has a space in it, which parts words here")
            sentences.append([" ".join(sentence.tags), " ".join(sentence.words)])
        return sentences


class NerProcessor(DataProcessor):
    """Reads train.txt, dev.txt and test.txt, CoNLL files.

    Args:
      output_dir: directory of the run, where its labels are.

    Attributes:
      labels: the labels, once `get_labels` was called; before, the set of the tags read so far.
    """

    def __init__(self, output_dir):
        self.labels = set()
        self.output_dir = output_dir

    def get_train_examples(self, data_dir):
        return self._create_example(self._read_data(os.path.join(data_dir, "train.txt")), "train")

    def get_dev_examples(self, data_dir):
        return self._create_example(self._read_data(os.path.join(data_dir, "dev.txt")), "dev")

    def get_test_examples(self, data_dir):
        return self._create_example(self._read_data(os.path.join(data_dir, "test.txt")), "test")

    def get_labels(self, labels=None):
        """The labels in the order of their ids: those given, else those of the run, else those read so far.

        Unlike the archive's, which came from a set, their order depends on the data alone. They are written to
        output_dir, where a run keeps them.

        Args:
          labels: a file with one a line, or a list with commas, as -label_list.

        Raises:
          UserError: there are none, or only a pickle of them, which is never read.
        """
        label_file = os.path.join(self.output_dir, run_dir.LABEL2ID)
        if labels is not None:
            self.labels = data_labels.read_label_list(labels)
        elif filesystem.exists(label_file):
            self.labels = data_labels.read_labels(label_file)
            return self.labels
        elif self.labels:
            self.labels = data_labels.label_list(self.labels)
        else:
            raise UserError(f"{label_file}: no such file; expected it, examples read before, or a list of labels")
        run_dir.write_labels(self.output_dir, self.labels, data_labels.label_ids(self.labels))
        return self.labels

    def _read_data(self, input_file):
        sentences = super()._read_data(input_file)
        if not isinstance(self.labels, list):
            self.labels.update(tag for tags, _ in sentences for tag in tags.split(" "))
        return sentences

    def _create_example(self, lines, set_type):
        """The InputExamples of what `_read_data` returns; their names begin with `set_type`."""
        return [InputExample(f"{set_type}-{number}", words, tags) for number, (tags, words) in enumerate(lines)]


def write_tokens(tokens, output_dir, mode):
    """Appends pieces to token_test.txt in output_dir, one a line, where `mode` is "test"; else does nothing."""
    if mode != "test":
        return
    with filesystem.open_file(os.path.join(output_dir, run_dir.PIECES), "a") as writer:
        writer.writelines(token + "\n" for token in tokens if token != NO_TOKEN)


def convert_single_example(ex_index, example, label_list, max_seq_length, tokenizer, output_dir, mode):
    """An example as InputFeatures: a word's tag on its first piece, X on the others.

    Args:
      ex_index: number of the example; the log shows the first ones.
      example: InputExample.
      label_list: labels in the order of their ids, from 1.
      max_seq_length: length of the lists; pieces that do not fit are cut off, and the log says so.
      tokenizer: FullTokenizer.
      output_dir: where the labels are written, unless they are there.
      mode: "test" appends the pieces to token_test.txt there, see `write_tokens`.

    Raises:
      UserError: there are not as many tags as words, or a tag is not in the list.
    """
    ids = data_labels.label_ids(label_list)
    if not filesystem.exists(os.path.join(output_dir, run_dir.LABEL2ID)):
        run_dir.write_labels(output_dir, list(label_list), ids)
    words, tags = example.text.split(" "), example.label.split(" ")
    unknown = [tag for tag in tags if tag not in ids]
    if len(words) != len(tags) or unknown:
        found = f"the tag {unknown[0]!r}" if unknown else f"{len(words)} words and {len(tags)} tags"
        raise UserError(f"example {example.guid}: {found}; expected a tag of the label list for each word")
    tokens, label_ids = [CLS], [ids[CLS]]
    for word, tag in zip(words, tags):
        pieces = tokenizer.tokenize(word)
        tokens += pieces
        label_ids += ([ids[tag]] + [ids[PIECE]] * len(pieces))[: len(pieces)]
    if len(tokens) > max_seq_length - 1:
        log.warning("%s: %d pieces, %d cut off", example.guid, len(tokens) - 1, len(tokens) - max_seq_length + 1)
    tokens = tokens[: max_seq_length - 1] + [SEP]
    label_ids = label_ids[: max_seq_length - 1] + [ids[SEP]]
    if ex_index < LOGGED:
        log.info("%s: %s", example.guid, " ".join(tokens))
    write_tokens(tokens, output_dir, mode)
    padding = [0] * (max_seq_length - len(tokens))
    return InputFeatures(
        tokenizer.convert_tokens_to_ids(tokens) + padding,
        [1] * len(tokens) + padding,
        [0] * max_seq_length,
        label_ids + padding,
    )


def filed_based_convert_examples_to_features(
    examples, label_list, max_seq_length, tokenizer, output_file, output_dir, mode=None
):
    """Writes the features of examples to a record file; other arguments as `convert_single_example`."""

    def converted():
        for number, example in enumerate(examples):
            features = convert_single_example(number, example, label_list, max_seq_length, tokenizer, output_dir, mode)
            yield records.make_example({name: getattr(features, name) for name in FIELDS})

    records.write_records(output_file, converted(), made_from="examples of a DataProcessor")
