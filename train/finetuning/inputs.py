"""The inputs of a run: they are all read and checked here, before anything is built or written."""

import collections
import logging
import os

from bert import modeling
from bert.encoder import sizes
from bert.runtime import checkpoint
from bert.runtime.encoder_files import EncoderFiles, load_encoder
from bert.system.errors import UserError, shorten, shown_list
from bert.system.files import make_dir, sha256
from bert.training.changes import changed
from train import run_dir
from train.chunks import chunks
from train.data import splitting
from train.data.annotated import find_file, is_annotated, read_annotated, read_with, rewrite_tags
from train.data.columns import format_of_flags
from train.data.conll import check_tags, inspect, read_conll
from train.data.corpus import read_sentences, summarize
from train.data.labels import OUTSIDE, label_list, read_label_list, read_labels
from train.data.recognition import NONE
from train.data.spelling import known_reading, scheme_to_find, spelled
from train.data.text import MARKS, Splitter
from train.finetuning import changes, checkpoints
from train.finetuning.start import find_start
from train.tagger.settings import EARLIER, MODEL_FLAGS, TaggerSettings
from train.train_helper import HEADS, check_flags, splits_used

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


READING_FLAGS = ("columns", "comment", "separator")  # of data files
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
    bert_config, tokenizer = load_encoder(EncoderFiles.from_dict(vars(args)))
    if args.freeze_layers is not None and args.freeze_layers > bert_config.num_hidden_layers:
        raise UserError(f"-freeze_layers {args.freeze_layers}: the encoder has {bert_config.num_hidden_layers} layers")
    files = {split: find_file(args.data_dir, split) for split in splits_used(args)}
    if files and all(map(is_annotated, files.values())):
        for name in READING_FLAGS:
            if getattr(args, name) is not None:
                raise UserError(f"-{name} is for .txt files; {args.data_dir} has annotated texts")
    state = _read_state(args.output_dir)
    reading = _reading_flags(args, state)
    given = format_of_flags(**reading)
    known = None if args.clean else state
    scheme = scheme_to_find(args.tag_scheme, known and known["model"])
    corpus = _summarize(files["train"], args.processes, given, scheme, args.label_list) if args.do_train else None
    forms, sentences = {"train": corpus.form} if corpus else {}, {}
    for split, path in files.items():
        if split != "train":
            sentences[split], forms[split] = _read(path, given)
    tags = corpus.reading if corpus else known_reading(args.tag_scheme, state and state["model"], sentences.get("dev"))
    settings = _load_settings(args, bert_config, corpus, tags.scheme, state)
    labels = settings.labels
    for split, form in forms.items():
        if form and split != "train":
            sentences[split], spelling = spelled(sentences[split], labels, tags, files[split])
            forms[split] = form._replace(spelling=spelling or None)
    uncounted = _uncounted(corpus.tags, corpus.scheme) if corpus else []
    if uncounted:
        named = shown_list(uncounted)
        log.warning("%s: no report counts the tags %s as entities; expected such as B-PER", corpus.path, named)
    if corpus and corpus.tags - set(labels):
        check_tags(corpus.path, read_sentences(corpus.path, corpus.form), labels)
    for split in sentences:
        if is_annotated(files[split]):
            # Its words are those that the run's text is cut into.
            again = settings.splitter != MARKS
            texts = read_with(files[split], settings.splitter) if again else sentences[split]
            sentences[split] = [rewrite_tags(text, labels, settings.scheme) for text in texts]
        check_tags(files[split], sentences[split], labels)

    vocab = sha256(args.vocab_file)
    model = _model(settings, vocab, tags.spelling)
    training = {name: getattr(args, name) for name in TRAINING_FLAGS}
    training.update({name: value for name, value in reading.items() if value is not None})
    training.update(
        {name: getattr(args, name) for name, usual in changes.DEFAULTS.items() if getattr(args, name) != usual}
    )
    training.update({f"{split}_data": sha256(path) for split, path in files.items() if split != "test"})

    if args.do_train and _begins_afresh(args.output_dir, args.clean, state, model, training):
        if state is not None:  # what the run that was there did binds this one no longer
            state, settings = None, _load_settings(args, bert_config, corpus, tags.scheme, None)
            model = _model(settings, vocab, tags.spelling)
        start = find_start(args.init_checkpoint, settings, args.output_dir, args.init_head, args.init_partial)
    else:
        start = None
        resumes = args.do_train and not (state["finished"] and state["training"] == training)
        _check_trained(args.output_dir, resumes, state, model)
    if corpus:
        for i, said in enumerate(corpus.said):
            if said:
                log.log(logging.WARNING if i else logging.INFO, "%s: %s", corpus.path, said)
        _say_units(corpus, settings)
    make_dir(args.output_dir)
    return Inputs(settings, tokenizer, files, sentences, model, training, state, corpus, forms, start)


def _read_state(output_dir):
    """The state of the run in -output_dir, or None: as run_dir.read_state, with the model's settings checked too."""
    state = run_dir.read_state(output_dir)
    if state is None:
        return None
    model = state["model"]
    TaggerSettings.from_json(dict(model, constrain=False), os.path.join(output_dir, run_dir.RUN_STATE))
    # Earlier versions kept the keys of bert_config.json that mean nothing here, too.
    return dict(state, model=dict(model, bert_config=sizes.known(model["bert_config"])))


def _read(path, given):
    """(list of sentences, columns.Format) of a data file; the sentences of annotated texts are AnnotatedText."""
    if is_annotated(path):
        return read_annotated(path)[0], None
    form, _ = inspect(path, given)
    return read_conll(path, form), form


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
        corpus = corpus._replace(tags=corpus.tags | corpus.words.unit_tags(splitter, corpus.scheme))
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


def _say_units(corpus, settings):
    """Logs how plain text cuts the training words, and which labels of their units a -label_list lacks."""
    log.info("%s", splitting.describe(corpus.words, corpus.path, settings.splitter, settings.word_units))
    if settings.cutting:
        missing = sorted(corpus.words.unit_tags(settings.splitter, settings.scheme) - set(settings.labels))
        if missing:
            named = shown_list(missing)
            log.warning("-label_list lacks %s, which parts of cut words carry: there all but the first are X", named)


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
    elif os.path.exists(label_file):
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


def _other_labels(trained, given, prefix, resumes):
    """What is wrong where a checkpoint was trained with other labels, and what to do; arguments are lists of labels."""
    lacks = [label for label in given if label not in trained]
    more = [label for label in trained if label not in given]
    text = "the checkpoint was trained with the labels in another order"
    if lacks or more:
        parts = [f"without {shown_list(lacks, longest=60)}"] * bool(lacks) + [
            f"with {shown_list(more, longest=60)}"
        ] * bool(more)
        text = f"the checkpoint was trained with the labels of other data, {' and '.join(parts)}"
    if not resumes:
        return f"{text}; expected data with its labels"
    return f"{text}; expected another -output_dir, with -init_checkpoint {prefix} to start from it, or -clean"


def _check_trained(output_dir, resumes, state, model):
    """Checks the checkpoint that training goes on from, or that is used without training.

    Args:
      output_dir: directory of the run.
      resumes: whether training goes on from it.
      state: state of the run, or None.
      model: the model's settings by this run's flags.

    Raises:
      UserError: there is none, it is damaged, or it was trained with other settings.
    """
    find = checkpoints.checkpoint_to_resume_from if resumes else run_dir.checkpoint_to_use
    prefix = find(output_dir)
    if prefix is None:
        raise UserError(f"{output_dir}: no checkpoint of a trained tagger in it; expected one, or -do_train")
    label_file = os.path.join(output_dir, run_dir.LABEL2ID)
    for name, value in (dict(EARLIER, **state["model"]) if state else {}).items():
        if name == "spelling" or model.get(name) == value:
            continue
        if name == "labels":
            raise UserError(f"{label_file}: {_other_labels(value, model[name], prefix, resumes)}")
        if name in MODEL_FLAGS + ("word_units", "head"):
            then, now = (HEADS[0] if name == "head" and each is None else each for each in (value, model[name]))
            raise UserError(f"{output_dir}: its model was trained with -{name} {then}, not {now}")
        if name == "scheme":
            raise UserError(f"{output_dir}: its model was trained with -tag_scheme {value or NONE}, not {model[name]}")
        raise UserError(f"{output_dir}: its model was trained with another {name}; expected that one")
    num_labels = len(model["labels"]) + 1
    found = checkpoint.open_checkpoint(prefix).get_variable_to_shape_map().get("project/logits/b")
    if found not in (None, [num_labels]):
        raise UserError(f"{label_file}: {num_labels - 1} labels, but {prefix} was trained with {found[0] - 1}")
    encoder_shapes = modeling.encoder_shapes(modeling.BertConfig.from_dict(model["bert_config"]))
    checkpoint.check_model(
        prefix,
        dict({"project/logits/b": [num_labels]}, **encoder_shapes),
        optional=encoder_shapes,
        missing="no tagger in it ({}); expected a checkpoint of one",
        whole=False,
    )
    if not resumes:  # a checkpoint to resume from was checked when it was found
        checkpoints.check_usable(output_dir, prefix)
