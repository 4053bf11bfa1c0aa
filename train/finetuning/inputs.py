"""The inputs of a run: they are all read and checked here, before anything is built or written."""

import collections
import logging
import os

from bert import modeling
from bert.encoder import sizes
from bert.runtime import checkpoint
from bert.runtime.encoder_files import EncoderFiles, load_encoder
from bert.system import filesystem
from bert.system.errors import UserError, shorten, shown_list
from bert.system.files import make_dir, sha256
from bert.training.changes import changed
from train import run_dir
from train.chunks import chunks
from train.data import context, splitting
from train.data.annotated import find_file, is_annotated
from train.data.columns import format_of_flags
from train.data.conll import check_tags
from train.data.corpus import read_sentences, summarize
from train.data.flags import READING_FLAGS
from train.data.labels import label_list, read_label_list, read_labels
from train.data.recognition import NONE
from train.data.schemes import OUTSIDE
from train.data.spelling import known_reading, scheme_to_find
from train.data.splits import fit_split, read_split
from train.data.text import Splitter
from train.finetuning import changes
from train.finetuning.start import find_start
from train.finetuning.trained import check_trained
from train.tagger.settings import EARLIER, TaggerSettings
from train.train_helper import check_flags, splits_used

log = logging.getLogger(__name__)


class Inputs(
    collections.namedtuple("Inputs", "settings tokenizer files sentences model training state corpus forms start")
):
    """What a run is given, read and checked.

    Fields:
      settings: TaggerSettings.
      tokenizer: FullTokenizer.
      files: dict from split ("train", "dev", "test") to path.
      sentences: dict from "dev" and "test" to list of conll.Sentence or annotated.AnnotatedText.
      model, training: the settings as run.json keeps them.
      state: what run.json in -output_dir says, None for a run that begins afresh.
      corpus: corpus.Corpus of the train split, which may be too large for a list, or None.
      forms: dict from split to columns.Format, how its file is read; None for annotated texts.
      start: init_weights.StartWeights that training starts from, None for random weights or a run that goes on.
    """

    __slots__ = ()

    @property
    def bert_config(self):
        """The BertConfig of the encoder."""
        return modeling.BertConfig.from_dict(self.settings.bert_config)

    @property
    def labels(self):
        return self.settings.labels

    @property
    def label_ids(self):
        return self.settings.label_ids

    @property
    def scheme(self):
        return self.settings.scheme


# The flags that only say how a tagger is trained.
TRAINING_FLAGS = (
    ("init_checkpoint", "batch_size", "learning_rate", "head_learning_rate", "num_train_epochs", "warmup_proportion")
    + ("dropout_rate", "clip", "gradient_accumulation_steps", "freeze_layers", "eval_every", "early_stop")
    + ("constrain", "seed", "precision", "bucket", "record_shards")
)


def load_inputs(args):
    """Reads and checks everything that the run uses.

    It writes nothing, with two exceptions: it makes the output directory, and if the newest checkpoint there is
    damaged, it notes which one training goes on from instead.

    Args:
      args: Namespace of train_helper.get_args_parser.

    Returns:
      Inputs.

    Raises:
      UserError: each names the file, the line where it has lines, and what was expected.
    """
    check_flags(args)
    if args.context and args.subword_labels == "x":
        raise UserError(
            f"-context {args.context}: with -subword_labels x each piece has a label, and those of other sentences "
            f"have none; expected -subword_labels first with it"
        )
    bert_config, tokenizer = load_encoder(EncoderFiles.from_dict(vars(args)))
    if args.freeze_layers is not None and args.freeze_layers > bert_config.num_hidden_layers:
        raise UserError(f"-freeze_layers {args.freeze_layers}: the encoder has {bert_config.num_hidden_layers} layers")
    files = _find_files(args)
    state = _read_state(args.output_dir)
    reading = _reading_flags(args, state)
    corpus, splits = _read_data(args, files, format_of_flags(**reading), state)
    tags = corpus.reading if corpus else _known_reading(args.tag_scheme, state, splits)
    settings = _load_settings(args, bert_config, corpus, tags.scheme, state)
    if corpus:
        _check_corpus_tags(corpus, settings.labels)
    splits = {name: fit_split(split, settings.labels, tags, settings.splitter) for name, split in splits.items()}

    vocab = sha256(args.vocab_file)
    model = _model(settings, vocab, tags.spelling)
    training = _training_settings(args, reading, files)
    if args.do_train and _begins_afresh(args.output_dir, args.clean, state, model, training):
        if state is not None:  # what the run that was there did binds this one no longer
            state, settings = None, _load_settings(args, bert_config, corpus, tags.scheme, None)
            model = _model(settings, vocab, tags.spelling)
        start = find_start(args.init_checkpoint, settings, args.output_dir, args.init_head, args.init_partial)
    else:
        start = None
        resumes = args.do_train and not (state["finished"] and state["training"] == training)
        check_trained(args.output_dir, resumes, state, model)
    if corpus:
        _say_corpus(corpus, settings)
    make_dir(args.output_dir)
    sentences = {name: split.sentences for name, split in splits.items()}
    _say_context(settings.context, corpus, files, sentences)
    forms = {name: split.form for name, split in splits.items()}
    if corpus:
        forms["train"] = corpus.form
    return Inputs(settings, tokenizer, files, sentences, model, training, state, corpus, forms, start)


def _find_files(args):
    """The data files of the splits that the run uses: dict from split to path."""
    files = {split: find_file(args.data_dir, split) for split in splits_used(args)}
    if files and all(map(is_annotated, files.values())):
        for name in READING_FLAGS:
            if getattr(args, name) is not None:
                raise UserError(f"-{name} is for .txt files; {args.data_dir} has annotated texts")
    return files


def _read_data(args, files, given, state):
    """Reads the data files.

    Args:
      args: Namespace of train_helper.get_args_parser.
      files: dict from split to path.
      given: columns.Format of the flags.
      state: state of the run in -output_dir, or None.

    Returns:
      (corpus.Corpus of train, or None where nothing is trained; dict from "dev" and "test" to splits.Split).
    """
    known = None if args.clean else state
    scheme = scheme_to_find(args.tag_scheme, known and known["model"])
    corpus = _summarize(files["train"], args.processes, given, scheme, args.label_list) if args.do_train else None
    return corpus, {name: read_split(path, given) for name, path in files.items() if name != "train"}


def _known_reading(tag_scheme, state, splits):
    """The recognition.Reading of a trained model's tags, see spelling.known_reading."""
    return known_reading(tag_scheme, state and state["model"], splits["dev"].sentences if "dev" in splits else None)


def _check_corpus_tags(corpus, labels):
    """Warns of tags of the train split that no report counts; UserError where a tag is not among the labels."""
    uncounted = _uncounted(corpus.tags, corpus.scheme)
    if uncounted:
        named = shown_list(uncounted)
        log.warning("%s: no report counts the tags %s as entities; expected such as B-PER", corpus.path, named)
    if corpus.tags - set(labels):
        check_tags(corpus.path, read_sentences(corpus.path, corpus.form), labels)


def _training_settings(args, reading, files):
    """The settings of training as run.json keeps them; it leaves some out where they have their defaults."""
    training = {name: getattr(args, name) for name in TRAINING_FLAGS}
    training.update({name: value for name, value in reading.items() if value is not None})
    training.update(
        {name: getattr(args, name) for name, usual in changes.DEFAULTS.items() if getattr(args, name) != usual}
    )
    training.update({f"{split}_data": sha256(path) for split, path in files.items() if split != "test"})
    return training


def _read_state(output_dir):
    """The state of the run in -output_dir, or None: as run_dir.read_state, with the model's settings checked too."""
    state = run_dir.read_state(output_dir)
    if state is None:
        return None
    model = state["model"]
    TaggerSettings.from_json(dict(model, constrain=False), os.path.join(output_dir, run_dir.RUN_STATE))
    # Earlier versions kept the keys of bert_config.json that mean nothing here, too.
    return dict(state, model=dict(model, bert_config=sizes.known(model["bert_config"])))


def _reading_flags(args, state):
    """The flags that say how data files are read, by name; what is not given is as in the run that goes on."""
    before = {} if state is None or args.clean else state["training"]
    given = {name: getattr(args, name) for name in READING_FLAGS}
    return {name: before.get(name) if value is None else value for name, value in given.items()}


def _load_settings(args, bert_config, corpus, scheme, state):
    """The settings of the tagger, by the flags and, where a run goes on, by what it began with.

    Args:
      args: Namespace of train_helper.get_args_parser.
      bert_config: BertConfig of the encoder.
      corpus: as `_load_labels`.
      scheme: name of the tagging scheme, or None.
      state: state of the run in -output_dir, or None.

    Returns:
      TaggerSettings.
    """
    before = dict(EARLIER, **state["model"]) if state else EARLIER
    word_units = args.word_units or ("text" if corpus and not state else before["word_units"])
    splitter = Splitter.from_json(before["splitter"])
    if corpus and word_units == "text":
        if not state or before["word_units"] != "text":
            splitter = corpus.words.splitter()
        unit_tags = corpus.words.unit_tags(splitter, corpus.scheme)
        if state:  # a run that goes on keeps its labels; earlier versions knew fewer of these tags
            unit_tags &= set(before["labels"])
        corpus = corpus._replace(tags=corpus.tags | unit_tags)
    labels = _load_labels(args.output_dir, args.label_list, corpus)
    settings = TaggerSettings.of_flags(args, labels, scheme, bert_config.to_dict())
    return settings._replace(word_units=word_units, splitter=splitter)


def _model(settings, vocab, spelling):
    """What run.json keeps of the model: the settings, the hash of the vocabulary, how tags are read."""
    model = dict(settings.to_json(), vocab=vocab)
    if spelling:
        model["spelling"] = spelling
    del model["constrain"]  # which only prediction depends on; run.json has it among the settings of training
    return model


def _say_corpus(corpus, settings):
    """Logs what is to be said of the train split, and how plain text cuts its words."""
    for i, said in enumerate(corpus.said):
        if said:
            log.log(logging.WARNING if i else logging.INFO, "%s: %s", corpus.path, said)
    log.info("%s", splitting.describe(corpus.words, corpus.path, settings.splitter, settings.word_units))
    if settings.cutting:
        missing = sorted(corpus.words.unit_tags(settings.splitter, settings.scheme) - set(settings.labels))
        if missing:
            named = shown_list(missing)
            log.warning("-label_list lacks %s, which parts of cut words carry: there all but the first are X", named)


def _say_context(size, corpus, files, sentences):
    """Logs of each data file how -context reads its sentences; arguments: its value, and the fields of Inputs."""
    if not size:
        return
    counts = {"train": (corpus.documents, corpus.sentences)} if corpus else {}
    for split, found in sentences.items():
        counts[split] = sum(sentence.begins_document for sentence in found), len(found)
    for split, (documents, count) in counts.items():
        log.info("%s: %s", files[split], context.described(documents, count, size))


def open_run(output_dir, inputs, vocab_file, bert_config_file, clean):
    """Prepares -output_dir for training: writes run.json, the labels and the encoder's files.

    Where a finished run is given settings that need another training, run.json stays as it is until it is known that
    there are steps left to train.

    Args:
      output_dir: directory of the run.
      inputs: Inputs.
      vocab_file, bert_config_file: the encoder's files, to be copied.
      clean: remove what an earlier run left, where this run begins afresh.

    Returns:
      The run's state, see run_dir.
    """
    checkpoint.remove_unfinished(output_dir)
    state = inputs.state
    if state is None:
        if clean:
            run_dir.clean(output_dir, kept=[vocab_file, bert_config_file])
        state = run_dir.new_state(output_dir, inputs.model, inputs.training)
    else:
        names = changed(state["training"], inputs.training)
        state = dict(state)
        if names:
            log.info("goes on with other settings than before: %s", shown_list(names))
            state.update(training=inputs.training, finished=False)
        if "dev_data" in names:
            state.update(evaluations=[], best=None)  # scores on another dev set cannot be compared
    written = inputs.state if changes.retrained(inputs.state, inputs.training) else state
    run_dir.write_state(output_dir, written)
    run_dir.write_labels(output_dir, inputs.labels, inputs.label_ids)
    run_dir.copy_encoder_files(output_dir, written, vocab_file, bert_config_file)
    return dict(state, copied=written.get("copied", []))


def _summarize(path, processes, given, scheme, label_list):
    """The corpus.Corpus of the train split; see corpus.summarize. Tags that are in -label_list stay as they stand."""
    corpus = summarize(path, processes, given, scheme)
    listed = read_label_list(label_list) if label_list and corpus.reading.spelling else []
    if scheme is None and any(tag in listed for tag in corpus.reading.spelling):
        log.info("%s: its tags are in -label_list, so they are taken as they stand", path)
        return summarize(path, processes, given, NONE)
    return corpus


def _load_labels(output_dir, given_list, corpus):
    """The labels: in training those of the corpus or of the user's list, else those of the model.

    Args:
      output_dir: directory of the run.
      given_list: value of -label_list, or None.
      corpus: corpus.Corpus of the train split, or None where nothing is trained.

    Returns:
      list of labels.

    Raises:
      UserError: there are no labels, or those given are not the model's.
    """
    given = read_label_list(given_list) if given_list else None
    label_file = os.path.join(output_dir, run_dir.LABEL2ID)
    if corpus:
        labels = given or label_list(corpus.tags)
    elif filesystem.exists(label_file):
        labels = read_labels(label_file)
        if given not in (None, labels):
            raise UserError(f"{label_file}: its labels are not those of -label_list {shorten(given_list, 100)}")
    elif given:
        labels = given
    else:
        raise UserError(f"{label_file}: no such file; expected it, or -label_list with the labels of the checkpoint")
    return labels


def _uncounted(tags, scheme):
    """The tags, sorted, that no report counts as part of an entity, O left out: such as PER without B- or I-."""
    return sorted(tag for tag in tags if tag != OUTSIDE and not chunks([tag], scheme))


def _begins_afresh(output_dir, clean, state, model, training):
    """Whether training starts at step 0; otherwise it goes on from the checkpoint in the directory.

    Args:
      output_dir: directory of the run.
      clean: value of -clean.
      state: state of the run that is there, or None.
      model, training: settings of this run, as run.json keeps them.

    Raises:
      UserError: there is a checkpoint and no run it belongs to.
    """
    found = checkpoint.latest(output_dir)
    if state is None:
        if found is not None:
            raise UserError(
                f"{found}: a checkpoint that no run of this program left; expected another -output_dir, "
                f"or -init_checkpoint to start from it"
            )
        return True
    same = dict(EARLIER, **state["model"]) == model and state["training"] == training
    if clean and (state["finished"] or not same):
        return True
    return found is None and run_dir.checkpoint_to_use(output_dir) is None
