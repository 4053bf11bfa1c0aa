"""The settings of a tagger: all that it is but its weights, and how the files of a run and of an export say them.

Needs no TensorFlow, so that a client of a server, and the flags, can read them too.
"""

import collections

from bert.encoder import sizes
from bert.system.errors import UserError, shorten, shown_list
from train.chunks import READINGS
from train.data import labels as data_labels
from train.data.context import MOST
from train.data.schemes import BARE, SCHEMES
from train.data.text import Splitter
from train.data.units import Cutting
from train.tagger.calibration import UNCALIBRATED, Calibration
from train.train_helper import ARCHIVE_HEAD, CELLS, HEADS, SUBWORD_LABELS, WORD_UNITS

# The flags among the settings that a trained checkpoint cannot be used without.
MODEL_FLAGS = ("cell", "lstm_size", "num_layers", "crf_only", "subword_labels", "max_seq_length", "do_lower_case")
LARGEST_LSTM, MOST_LAYERS = 1 << 16, 1 << 8
# The settings that files of earlier versions lack, and what held there. A head of None is what crf_only says.
EARLIER = {"word_units": "words", "splitter": "marks", "head": None, "context": 0}


class TaggerSettings(
    collections.namedtuple(
        "TaggerSettings",
        "cell lstm_size num_layers head subword_labels max_seq_length do_lower_case "
        "labels scheme bert_config constrain word_units splitter context calibration",
    )
):
    """The settings of a tagger.

    Fields:
      cell: kind of RNN, "lstm" or "gru".
      lstm_size: RNN units in each direction.
      num_layers: RNN layers.
      head: what stands on the encoder, one of train_helper.HEADS, or ARCHIVE_HEAD. "crf": linear scores and a CRF;
        "softmax": linear scores, each label by itself; "blstm_crf" and "blstm_softmax": a BiLSTM and a tanh layer
        before them; "crf_only": the archive's, a CRF on tanh scores.
      subword_labels: "x": RNN and CRF see all pieces, and the later ones of a word carry X; "first": they see the first
        piece of each word only.
      max_seq_length: pieces in a window, [CLS] and [SEP] included.
      do_lower_case: whether the tokenizer lower-cases and strips accents.
      labels: list of labels, ids from 1.
      scheme: name of the tagging scheme of the training data, a key of schemes.SCHEMES, or None.
      bert_config: dict with the sizes of the encoder, as in bert_config.json.
      constrain: whether only well-formed tag sequences are predicted.
      word_units: "text": the words of a data file are cut into the words that plain text is cut into, and the model
        sees these; "words": it sees them as they are.
      splitter: text.Splitter, how plain text is cut into words.
      context: pieces of the words around a sentence in its document that the model reads with it, on either side at
        most; 0: it reads sentences by themselves.
      calibration: calibration.Calibration of the probabilities. run.json has it beside the checkpoint it belongs to,
        see run_dir.calibration.
    """

    __slots__ = ()

    @classmethod
    def of_flags(cls, args, labels, scheme, bert_config):
        """The settings that the command line gives; `word_units` and `splitter` as in EARLIER.

        Args:
          args: Namespace of train_helper.get_args_parser.
          labels, scheme, bert_config: as the fields.
        """
        given = {name: getattr(args, name) for name in MODEL_FLAGS + ("constrain",)}
        given.update(head=getattr(args, "head", None), context=getattr(args, "context", 0), calibration=UNCALIBRATED)
        given = dict(EARLIER, **given)
        return cls._of_values(dict(given, labels=list(labels), scheme=scheme, bert_config=bert_config))

    @classmethod
    def from_json(cls, values, where):
        """The settings in JSON values, as `to_json` gives them and as run.json and tagger.json have them.

        Args:
          values: dict; keys that are no settings are ignored.
          where: name of the file they come from, for errors.

        Raises:
          UserError: a setting is missing, or has a value that no run writes.
        """
        if not isinstance(values, dict):
            raise UserError(f"{where}: expected the settings of a run; found {shorten(values, 60)}")
        for name in MODEL_FLAGS + ("labels", "scheme", "bert_config", "constrain"):
            if name not in values:
                raise UserError(f"{where}: expected the settings of a run; not found: {name!r}")
        _check(values, where)
        return cls._of_values(dict(EARLIER, **dict(values, calibration=Calibration.from_json(values, where))))

    @classmethod
    def _of_values(cls, values):
        given = {name: values[name] for name in cls._fields if name not in ("head", "splitter")}
        head = values["head"] or (ARCHIVE_HEAD if values["crf_only"] else HEADS[0])
        return cls(head=head, splitter=Splitter.from_json(values["splitter"]), **given)

    def to_json(self):
        """The settings as a dict of JSON values, under the keys of run.json and tagger.json; see `from_json`."""
        values = dict(self._asdict(), crf_only=self.head == ARCHIVE_HEAD, splitter=self.splitter.to_json())
        if self.head in (HEADS[0], ARCHIVE_HEAD):  # as in the files of earlier versions
            values["head"] = None
        names = MODEL_FLAGS + ("labels", "scheme", "bert_config", "constrain") + tuple(EARLIER)
        return dict({name: values[name] for name in names}, **self.calibration.to_json())

    @property
    def has_rnn(self):
        """Whether the head has an RNN."""
        return has_rnn(self.head)

    @property
    def has_crf(self):
        """Whether the head has a CRF; without one each label is predicted by itself."""
        return not self.head.endswith("softmax")

    @property
    def num_labels(self):
        """The number of label ids, padding included."""
        return len(self.labels) + 1

    @property
    def label_ids(self):
        """OrderedDict from label to id."""
        return data_labels.label_ids(self.labels)

    @property
    def required_scheme(self):
        """The name of the scheme in which the tags of a sentence are written in the end, or None.

        Tags that conlleval does not read by itself, as those of BILOU, are well-formed without -constrain too: who
        takes them, such as a client, could not know their scheme otherwise.
        """
        needs_name = self.scheme == BARE or READINGS.get(self.scheme)
        return self.scheme if self.constrain or needs_name else None

    @property
    def cutting(self):
        """The units.Cutting of the words of a data file, or None where the model sees them as they are."""
        return Cutting(self.splitter, self.scheme, tuple(self.labels)) if self.word_units == "text" else None

    @property
    def entity_rules(self):
        """The labels.EntityRules by which labels are read as entities."""
        return data_labels.entity_rules(self.labels, self.scheme)

    @property
    def label_calibration(self):
        """The calibration.LabelCalibration of the probabilities."""
        return self.calibration.of_labels(self.labels, self.scheme)

    @property
    def constraint(self):
        """The labels.Constraint on what is predicted, or None without one."""
        return data_labels.constraint(self.labels, self.scheme) if self.constrain else None


def has_rnn(head):
    """Whether a head, one of train_helper.HEADS or ARCHIVE_HEAD, has an RNN."""
    return head.startswith("blstm")


def _check(values, where):
    """UserError where a setting in the JSON values of the file `where` has a value that no run writes."""
    config = values["bert_config"]
    if not isinstance(config, dict):
        raise UserError(f"{where}: bert_config {shorten(config, 100)}; expected the sizes of an encoder")
    problem = sizes.problem(config)
    if problem:
        raise UserError(f"{where}: bert_config: {problem}")
    for name, (is_right, expected) in _rules(config.get("max_position_embeddings", 512)).items():
        if name in values and not is_right(values[name]):
            raise UserError(f"{where}: {name} {shorten(values[name], 100)}; expected {expected}")
    if values.get("context") and values["subword_labels"] == "x":
        raise UserError(f"{where}: context {values['context']}; expected 0 where subword_labels is x")
    problem = data_labels.problem(values["labels"])
    if problem:
        raise UserError(f"{where}: {problem}")
    missing = [label for label in data_labels.SPECIAL if label not in values["labels"]]
    if missing and values["constrain"]:
        raise UserError(f"{where}: {shown_list(missing)} not in labels; expected them where constrain is true")


def _is_splitter(value):
    try:
        Splitter.from_json(value)
    except (TypeError, ValueError):
        return False
    return True


def _rules(longest):
    """For each setting whether a value is one that a run writes, and what is expected, in words.

    Args:
      longest: positions that the encoder has.
    """
    is_bool = (lambda value: type(value) is bool), "true or false"
    return {
        "cell": (CELLS.__contains__, " or ".join(CELLS)),
        "lstm_size": _whole(1, LARGEST_LSTM),
        "num_layers": _whole(1, MOST_LAYERS),
        "crf_only": is_bool,
        "head": ((None, ARCHIVE_HEAD, *HEADS).__contains__, " or ".join(HEADS)),
        "subword_labels": (SUBWORD_LABELS.__contains__, " or ".join(SUBWORD_LABELS)),
        "max_seq_length": _whole(3, longest),
        "do_lower_case": is_bool,
        "constrain": is_bool,
        "scheme": (lambda value: value is None or value in list(SCHEMES), f"null or one of {', '.join(SCHEMES)}"),
        "word_units": (WORD_UNITS.__contains__, " or ".join(WORD_UNITS)),
        "context": _whole(0, MOST),
        "splitter": (_is_splitter, "marks, characters or the punctuation marks that join words"),
    }


def _whole(least, most):
    return (lambda value: type(value) is int and least <= value <= most), f"{least} to {most}"
