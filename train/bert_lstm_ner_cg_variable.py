"""Fine-tuning in one graph and one session: the same variables train, are evaluated and predict, without an Estimator.

    python -m train.bert_lstm_ner_cg_variable -data_dir ... -bert_dir ... -output_dir ...

The flags and the files are those of run.py, on one device. Nothing is rebuilt for an evaluation, which helps where
there are many of them on little data. How well each label is tagged on the dev set goes to TensorBoard and to the log.
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file, `python train/bert_lstm_ner_cg_variable.py`
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bert.system import startup  # noqa: F401, I001  before TensorFlow

import argparse
import collections
import logging

import tensorflow.compat.v1 as tf

from bert.data.batches import Reading
from bert.optimization import build_train_step
from bert.runtime import checkpoint, devices, init_weights
from bert.system import run_lock
from bert.system.errors import UserError, run_program
from bert.training import loop as training_loop
from train import bert_lstm_ner, run_dir
from train.bert_lstm_ner import (  # noqa: F401  for scripts that import them from here
    DataProcessor,
    NerProcessor,
    adam_filter,
    convert_single_example,
    filed_based_convert_examples_to_features,
    get_last_checkpoint,
    model_fn_builder,
    write_tokens,
)
from train.data.records import file_based_input_fn_builder
from train.finetuning import adversarial, calibration, checkpoints, choices, evaluation
from train.finetuning.hooks import DevEvaluation
from train.finetuning.inputs import load_inputs, open_run
from train.finetuning.label_scores import LabelScores
from train.finetuning.schedule import make_schedule
from train.finetuning.splits import make_records
from train.finetuning.update import step_options
from train.inference import frozen
from train.models import build_tagger
from train.tagger.calibration import UNCALIBRATED
from train.train_helper import get_args_parser

log = logging.getLogger("train.bert_lstm_ner_cg_variable")  # the same however it is started

# step: optimization.TrainStep; global_step: its variable; tagger: frozen.Tagger over the same variables; saver:
# tf.train.Saver; session: tf.Session.
SharedGraph = collections.namedtuple("SharedGraph", ["step", "global_step", "tagger", "saver", "session"])


def train(args):
    """The whole run: trains, and evaluates and predicts with the same graph, as the flags say.

    Args:
      args: Namespace of train_helper.get_args_parser.

    Returns:
      dict as of bert_lstm_ner.train.

    Raises:
      UserError: an input or a flag is not as expected.
    """
    if not args.do_train:
        return bert_lstm_ner.train(args)
    args, chosen = choices.fill_in(args)
    distribution = training_loop.start(args, "batch_size")
    if distribution is None:
        return {}
    if args.report:
        raise UserError("-report: this program writes no page; run.py -do_train=false -report writes it afterwards")
    if distribution.replicas > 1 or distribution.is_tpu or distribution.task.is_one_of_many:
        raise UserError(f"-strategy {distribution.name}: this program trains on one device; expected run.py for more")
    with run_lock.locked(args.output_dir, True):
        inputs = load_inputs(args)
        if chosen:
            log.info("%s", chosen)
        results = _run(args, inputs)
    if args.do_export or args.filter_adam_var:
        args = argparse.Namespace(**dict(vars(args), do_train=False, do_eval=False, do_predict=False, clean=False))
        results.update(bert_lstm_ner.train(args))
    return results


def _run(args, inputs):
    state = open_run(args.output_dir, inputs, args.vocab_file, args.bert_config_file, args.clean)
    records = {
        split: make_records(args.output_dir, inputs, split, args.vocab_file, args.record_shards, args.processes)
        for split in inputs.files
    }
    checkpoints.match_state(args.output_dir, state)
    run_dir.write_state(args.output_dir, state)
    latest = checkpoint.latest(args.output_dir)
    schedule = make_schedule(
        records["train"].count,
        checkpoint.step_of(latest) if latest else 0,
        args.batch_size * args.gradient_accumulation_steps,
        args.num_train_epochs,
        args.warmup_proportion,
        args.eval_every,
        args.early_stop,
        evaluation.has_entities(inputs.sentences["dev"], inputs.scheme),
    )
    with tf.Graph().as_default():
        tf.set_random_seed(args.seed)
        shared = _build(args, inputs, records["train"], schedule, None if latest else inputs.start)
        with shared.tagger:
            if latest:
                shared.saver.restore(shared.session, latest)
            if not state["finished"]:
                _fit(args, inputs, records["dev"], schedule, state, shared)
            prefix = run_dir.checkpoint_to_use(args.output_dir)
            shared.saver.restore(shared.session, prefix)
            return _report(args, inputs, records, prefix, shared)


def _build(args, inputs, records, schedule, start):
    """The SharedGraph, its variables initialised.

    Args:
      args: Namespace of train_helper.get_args_parser.
      inputs: inputs.Inputs.
      records: splits.Records of the train split.
      schedule: schedule.Schedule.
      start: init_weights.StartWeights, or None for random weights.
    """
    hidden_size = inputs.bert_config.hidden_size
    compute = devices.choose_compute(
        args.precision, hidden_size, schedule.last_step, args.recompute, args.xla, trains=True
    )
    first_batch = schedule.first_step * args.gradient_accumulation_steps
    reading = Reading(args.seed, first_batch, by_length=args.bucket, round_lengths=compute.is_compiled)
    input_fn = file_based_input_fn_builder(
        records.path, args.max_seq_length, True, False, inputs.label_ids, args.batch_size, reading=reading
    )
    batch = tf.data.make_one_shot_iterator(input_fn()).get_next()

    def build(word_offsets=None):
        return build_tagger(
            inputs.settings, batch, True, batch["label_ids"], args.dropout_rate, compute, word_offsets=word_offsets
        )

    with tf.variable_scope(tf.get_variable_scope()), init_weights.starting_from(start):
        trained = build()
    step = build_train_step(
        tf.reduce_mean(trained.losses),
        args.learning_rate,
        schedule.last_step,
        schedule.warmup_steps,
        step_options(args, args.learning_rate),
        compute,
        gradients_of=adversarial.gradients_of(args.adversarial, trained, build),
    )
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        features = frozen.placeholders(with_losses=True)
        given = frozen.calibration_placeholders(inputs.settings)
        tagging = frozen.build_outputs(features, inputs.settings, calibration=given)
    session = tf.Session(config=devices.session_config())
    session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    saver = tf.train.Saver(max_to_keep=2)
    return SharedGraph(step, tf.train.get_global_step(), frozen.Tagger(session, tagging), saver, session)


def _fit(args, inputs, dev, schedule, state, shared):
    """Trains up to the last step, or until early stopping ends it, and evaluates on the dev set when it is due.

    Args:
      args, inputs, schedule, shared: as of `_build`.
      dev: splits.Records of the dev split.
      state: the run's state, see run_dir.
    """
    label_scores = LabelScores(args.output_dir)
    prefix = os.path.join(args.output_dir, run_dir.CHECKPOINT)

    def scores(saved):
        evaluated = _evaluate(args, inputs, dev, "dev", shared, [])
        label_scores(checkpoint.step_of(saved), evaluated)
        return evaluation.scores_of(evaluated.counts, evaluated.tagged.loss)

    dev_evaluation = DevEvaluation(args.output_dir, state, scores, schedule)
    dev_evaluation.after_save(None, schedule.first_step)  # a killed run may have saved and not evaluated
    step = schedule.first_step
    while step < schedule.last_step and not schedule.is_complete(state):
        before = step
        loss, _ = shared.session.run([shared.step.loss, shared.step.train_op])
        step = int(shared.session.run(shared.global_step))
        if step > before and (schedule.is_due(step) or step % args.save_checkpoints_steps == 0):
            log.info("step %d/%d  loss %.4f", step, schedule.last_step, loss)
            shared.saver.save(shared.session, prefix, step, write_meta_graph=False)
            dev_evaluation.after_save(None, step)
    state["finished"] = True
    run_dir.write_state(args.output_dir, state)


def _tag(args, inputs, records, split, shared, calibrations):
    """Tags a split with the graph that trains: a list of evaluation.Tagged, see evaluation.tag_file."""
    sentences, encoded = inputs.sentences[split], records.encoded
    return evaluation.tag_file(shared.tagger, sentences, encoded, inputs.settings, args.batch_size, calibrations)


def _evaluate(args, inputs, records, split, shared, calibrations):
    """The same as an evaluation.Evaluated, with the first of the calibrations; without any it has no scores."""
    tagged, file = _tag(args, inputs, records, split, shared, calibrations), inputs.files[split]
    calibrated = calibrations[0] if calibrations else UNCALIBRATED
    return evaluation.evaluated(split, file, inputs.sentences[split], tagged, inputs.scheme, calibrated)


def _report(args, inputs, records, prefix, shared):
    """Tags dev and test as the flags say, and writes the reports; returns the scores of the splits, a dict."""
    results, fitted = {}, UNCALIBRATED
    if args.calibrate:
        by_temperature = _tag(args, inputs, records["dev"], "dev", shared, calibration.CANDIDATES)
        fitted = calibration.fit(inputs.sentences["dev"], by_temperature, inputs.scheme)
    run_dir.set_calibration(args.output_dir, prefix, fitted.to_json())
    for split in ("dev", "test"):
        if (split == "dev" and args.do_eval) or args.do_predict:
            log.info("tagging %s with %s", inputs.files[split], prefix)
            evaluated = _evaluate(args, inputs, records[split], split, shared, [fitted])
            with_scores = split == "dev" and args.do_eval
            step = checkpoint.step_of(prefix)
            results[split] = evaluation.report_split(args.output_dir, evaluated, step, with_scores, args.do_predict)
    return results


if __name__ == "__main__":
    run_program(lambda: train(get_args_parser()))
