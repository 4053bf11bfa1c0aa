"""Fine-tuning, evaluation, prediction and export of a BERT + BiLSTM + CRF tagger on tf.estimator.

In: the flags of train_helper. Out: the files in -output_dir that run_dir names.

    python -m train.bert_lstm_ner -data_dir ... -bert_dir ... -output_dir ...

`make_model_fn` gives the model function, for use with any Estimator, and `model_fn_builder` the same from the archive's
arguments; `train` is the whole run.
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file, `python train/bert_lstm_ner.py`
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bert.system import startup  # noqa: F401, I001  before TensorFlow

import argparse
import logging

from bert.data.batches import Reading
from bert.encoder import kernels
from bert.runtime import checkpoint, devices, init_weights
from bert.system import filesystem, run_lock
from bert.system.errors import run_program
from bert.training import loop as training_loop
from bert.training import strategies
from train import run_dir
from train.data.examples import (  # noqa: F401  for scripts that import them from here
    DataProcessor,
    InputExample,
    InputFeatures,
    NerProcessor,
    convert_single_example,
    filed_based_convert_examples_to_features,
    write_tokens,
)
from train.data.labels import read_labels
from train.data.records import file_based_input_fn_builder
from train.finetuning import advice, calibration, changes, choices, evaluation
from train.finetuning import loop as finetuning_loop
from train.finetuning.inputs import load_inputs, open_run
from train.finetuning.model import make_model_fn
from train.finetuning.schedule import make_schedule
from train.finetuning.splits import make_records
from train.finetuning.update import step_options
from train.inference.frozen import Taggers
from train.models import build_tagger, create_model, predict_tags  # noqa: F401
from train.report import page
from train.run_dir import adam_filter, get_last_checkpoint  # noqa: F401
from train.serving import saved_model
from train.tagger.calibration import UNCALIBRATED, Calibration
from train.tagger.settings import TaggerSettings
from train.tagger.variables import head_shapes
from train.train_helper import get_args_parser

log = logging.getLogger("train.bert_lstm_ner")  # the same however it is started


def model_fn_builder(
    bert_config,
    num_labels,
    init_checkpoint,
    learning_rate,
    num_train_steps,
    num_warmup_steps,
    args,
    label_map=None,
    scheme=None,
    compute=kernels.REFERENCE,
):
    """The tagger as an Estimator's model function, from the archive's arguments and three more.

    Outside scripts call it, so it keeps the archive's signature, although that has more than eight parameters: the
    first seven are the archive's, and the last three can be left out. `make_model_fn` does the work.

    Args:
      bert_config: BertConfig.
      num_labels: number of label ids, padding included.
      init_checkpoint: checkpoint prefix that training starts from, or None for random weights.
      learning_rate: peak learning rate.
      num_train_steps, num_warmup_steps: steps of the learning rate's schedule.
      args: Namespace of train_helper.get_args_parser.
      label_map: dict from label to id; without it, -output_dir's label2id.json if there is one. Where there is
        neither, decoding is unconstrained.
      scheme: tagging scheme of the data, see schemes.SCHEMES.
      compute: kernels.Compute, how the encoder computes.

    Returns:
      model_fn(features, labels, mode, params), as of `make_model_fn`.
    """
    settings, label_map = _settings(args, bert_config, num_labels, label_map, scheme)
    variables = init_weights.model_variables(bert_config, head_shapes(settings), uses_pooler=False)
    start = init_weights.of_prefix(init_checkpoint, variables._replace(head_name="the tagging head"))
    training = strategies.Training(start, learning_rate, num_train_steps, num_warmup_steps, args.batch_size)
    options = step_options(args, learning_rate)
    return make_model_fn(settings, label_map, training, options, args.dropout_rate, compute, args.adversarial)


def _settings(args, bert_config, num_labels, label_map, scheme):
    """The TaggerSettings of a model function and its dict from label to id.

    Labels whose names are not known are called 1, 2, 3 and so on, and the dict is empty; tags are not constrained then.
    Arguments as `model_fn_builder`.
    """
    label_file = os.path.join(args.output_dir or "", run_dir.LABEL2ID)
    if label_map is None and args.output_dir and filesystem.exists(label_file):
        label_map = {label: i for i, label in enumerate(read_labels(label_file), 1)}
    names = sorted(label_map, key=label_map.get) if label_map else [str(i) for i in range(1, num_labels)]
    if len(names) + 1 != num_labels:
        raise ValueError(f"num_labels {num_labels}: expected {len(names) + 1}, the labels of the label_map and padding")
    settings = TaggerSettings.of_flags(args, names, scheme, bert_config.to_dict())
    return settings if label_map else settings._replace(constrain=False), label_map or {}


def train(args, on_dev=None):
    """The whole run: checks the inputs, then trains, evaluates, predicts and exports, as the flags say.

    Args:
      args: Namespace of train_helper.get_args_parser.
      on_dev: function from -output_dir to a function that is called with the step and an evaluation.Evaluated at each
        evaluation during training; None for none.

    Returns:
      dict: "dev" and "test", the scores of the splits that were evaluated, see evaluation.scores_of; "export", the
      directory of the export.

    Raises:
      UserError: an input or a flag is not as expected.
    """
    args, chosen = choices.fill_in(args)
    distribution = training_loop.start(args, "batch_size")
    if distribution is None:
        return {}
    is_chief = distribution.task.is_chief
    if not is_chief:  # the chief alone does what follows training
        later = ("do_eval", "do_predict", "do_export", "filter_adam_var", "report", "clean")
        args = argparse.Namespace(**dict(vars(args), **dict.fromkeys(later, False)))
    # Two runs may export at once, each to a new directory; all other runs write to the same files.
    writes = args.do_train or args.do_eval or args.do_predict or args.filter_adam_var
    with run_lock.locked(args.output_dir, writes and is_chief):
        inputs = load_inputs(args)
        if chosen and is_chief:  # once all is checked, so that a fault is still one line
            log.info("%s", chosen)
        return _run(args, inputs, distribution, on_dev)


def _run(args, inputs, distribution, on_dev):
    is_chief = distribution.task.is_chief
    state = inputs.state
    if args.do_train and is_chief:
        state = open_run(args.output_dir, inputs, args.vocab_file, args.bert_config_file, args.clean)
    records = {
        split: make_records(args.output_dir, inputs, split, args.vocab_file, args.record_shards, args.processes)
        for split in inputs.files
    }

    taggers = Taggers(inputs.settings)
    look_at = on_dev(args.output_dir) if on_dev and args.do_train else None

    def tag(split, tagger_of, calibrations):
        """Tags a split with a checkpoint: a list of evaluation.Tagged, see evaluation.tag_file."""
        hidden_size, batches = inputs.bert_config.hidden_size, records[split].count // args.batch_size
        compute = devices.choose_compute(args.precision, hidden_size, batches, args.recompute, args.xla)
        sentences, encoded = inputs.sentences[split], records[split].encoded
        settings = inputs.settings
        return evaluation.tag_file(tagger_of(compute), sentences, encoded, settings, args.batch_size, calibrations)

    def evaluated_on(split, tagged, fitted=UNCALIBRATED):
        sentences, file = inputs.sentences[split], inputs.files[split]
        return evaluation.evaluated(split, file, sentences, tagged, inputs.scheme, fitted)

    def dev_scores(prefix):
        with taggers.of_checkpoint(prefix) as tagger_of:
            evaluated = evaluated_on("dev", tag("dev", tagger_of, []))
        if look_at:
            look_at(checkpoint.step_of(prefix), evaluated)
        return evaluation.scores_of(evaluated.counts, evaluated.tagged.loss)

    if args.do_train:
        _train(args, inputs, state, records["train"], distribution, dev_scores)
    if not is_chief:
        return {}
    prefix = run_dir.checkpoint_to_use(args.output_dir)
    step = checkpoint.step_of(prefix)
    tagged = {}
    fitted = UNCALIBRATED
    if args.calibrate and not args.do_train:
        fitted = Calibration.of_run(args.output_dir, state, prefix)
    results, evaluated = {}, []
    with taggers.of_checkpoint(prefix) as tagger_of:
        if args.do_train and args.calibrate:
            log.info("tagging %s with %s", inputs.files["dev"], prefix)
            by_temperature = tag("dev", tagger_of, calibration.CANDIDATES)
            fitted = calibration.fit(inputs.sentences["dev"], by_temperature, inputs.scheme)
            tagged["dev"] = by_temperature[:1]  # the tags are the same at every temperature
        if args.do_train:
            run_dir.set_calibration(args.output_dir, prefix, fitted.to_json())
        for split in [split for split in ("dev", "test") if args.do_predict or (args.do_eval and split == "dev")]:
            with_probabilities = args.report or evaluation.writes_scores(inputs.sentences[split])
            if with_probabilities or split not in tagged:
                log.info("tagging %s with %s", inputs.files[split], prefix)
                # The report has the probabilities as they were, too.
                both = args.report and fitted != UNCALIBRATED
                calibrations = [fitted, UNCALIBRATED] if both else [fitted]
                tagged[split] = tag(split, tagger_of, calibrations * with_probabilities)
            evaluated.append(evaluated_on(split, tagged[split], fitted))
            with_scores = split == "dev" and args.do_eval
            results[split] = evaluation.report_split(args.output_dir, evaluated[-1], step, with_scores, args.do_predict)
    if args.report:
        page.write_page(args.output_dir, evaluated, prefix, step, (inputs.model, inputs.training))
    if args.do_export:
        export_dir = os.path.join(args.output_dir, run_dir.EXPORT)
        compute = devices.export_compute(args.precision)
        settings = inputs.settings._replace(calibration=fitted)
        results["export"] = saved_model.export_saved_model(export_dir, prefix, settings, args.vocab_file, compute)
        log.info("wrote %s", results["export"])
    if args.filter_adam_var:
        target = os.path.join(args.output_dir, run_dir.CHECKPOINT)
        checkpoint.write_without_slots(prefix, target)
        log.info("wrote %s without the optimizer's variables", target)
    if args.do_train and evaluation.has_entities(inputs.sentences["dev"], inputs.scheme):
        line = advice.what_helps(run_dir.read_state(args.output_dir)["evaluations"], inputs.training)
        if line:
            log.warning("%s", line)
    return results


def _train(args, inputs, state, records, distribution, dev_scores):
    """Makes the schedule, the model function and the input function, and trains.

    Args:
      args: Namespace of train_helper.get_args_parser.
      inputs: inputs.Inputs.
      state: the run's state, see run_dir.
      records: splits.Records of the train split.
      distribution: bert.training.distribution.Distribution.
      dev_scores: function from a checkpoint's prefix to its scores on the dev set.
    """
    is_chief = distribution.task.is_chief
    if is_chief and state["finished"]:
        log.info("training has come to its end before; -clean starts it afresh")
        distribution.release_others(args.output_dir, trains=False)
        return
    latest = checkpoint.latest(args.output_dir)
    f1_can_rise = evaluation.has_entities(inputs.sentences["dev"], inputs.scheme)
    if is_chief and not f1_can_rise:
        log.warning("%s: no entity in it, so dev F1 stays 0; the lower loss is better instead", inputs.files["dev"])
    schedule = _schedule(args, records.count, latest, inputs.start, distribution, f1_can_rise)
    if is_chief:
        changes.check_steps_left(args.output_dir, inputs.state, inputs.training, schedule, state)
    hidden_size, steps = inputs.bert_config.hidden_size, schedule.last_step
    compute = devices.choose_compute(args.precision, hidden_size, steps, args.recompute, args.xla, trains=True)
    training = strategies.Training(
        None if latest else inputs.start,
        args.learning_rate,
        schedule.last_step,
        schedule.warmup_steps,
        args.batch_size,
    )
    options = step_options(args, args.learning_rate)
    model_fn = make_model_fn(
        inputs.settings, inputs.label_ids, training, options, args.dropout_rate, compute, args.adversarial
    )
    input_fn = file_based_input_fn_builder(
        records.path,
        args.max_seq_length,
        True,
        distribution.is_tpu,
        inputs.label_ids,
        args.batch_size,
        trim=not distribution.is_tpu,
        reading=Reading(
            args.seed,
            schedule.first_step * args.gradient_accumulation_steps,
            by_length=args.bucket and not distribution.is_tpu,
            round_lengths=compute.is_compiled,
            share=distribution.share._replace(by_file=args.share_records == "file"),
            deterministic=args.deterministic,
        ),
    )
    finetuning_loop.train(args, state, distribution, schedule, model_fn, input_fn, dev_scores)


def _schedule(args, windows, latest, start, distribution, f1_can_rise):
    """Makes the schedule and shows it in the log.

    Args:
      args: Namespace of train_helper.get_args_parser.
      windows: number of windows in the train split.
      latest: prefix of the newest checkpoint, which training goes on from, or None.
      start: init_weights.StartWeights, or None for random weights.
      distribution: bert.training.distribution.Distribution.
      f1_can_rise: whether the dev set has entities.

    Returns:
      schedule.Schedule.
    """
    first_step = checkpoint.step_of(latest) if latest else 0
    if not distribution.task.is_chief:
        first_step = distribution.start_step  # the chief may have saved newer checkpoints by now
    batch_size = args.batch_size * args.gradient_accumulation_steps
    schedule = make_schedule(
        windows,
        first_step,
        batch_size,
        args.num_train_epochs,
        args.warmup_proportion,
        args.eval_every,
        args.early_stop,
        f1_can_rise,
    )
    log.info(
        "%d windows, %d steps of %d, warm-up %d steps, dev set every %d steps",
        windows,
        schedule.last_step,
        batch_size,
        schedule.warmup_steps,
        schedule.eval_every,
    )
    if first_step:
        log.info("goes on from step %d (%s)", first_step, latest)
    elif not start:
        log.info("no -init_checkpoint: the encoder starts from random weights")
    return schedule


if __name__ == "__main__":
    run_program(lambda: train(get_args_parser()))
