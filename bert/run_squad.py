"""Question answering on SQuAD 1.1 and 2.0: fine-tunes BERT, predicts answers and scores them.

    python -m bert.run_squad -help

In: the flags below. Out, in -output_dir: checkpoints, train.tf_record, eval.tf_record, predictions.json (question id to
answer), nbest_predictions.json, with -version_2_with_negative null_odds.json, and eval_results.txt where the questions
come with answers.
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file: its own directory is no place to import from
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
elif not __package__:  # imported as `run_squad`, by a script in this folder
    sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bert.system import startup  # noqa: F401, I001  before TensorFlow
from bert.squad.flags import check_flags, parse_args
from bert.system.errors import UserError, run_program

if __name__ == "__main__":  # before TensorFlow is loaded, which takes seconds
    run_program(lambda: check_flags(parse_args()))

import collections
import contextlib
import json
import logging

import tensorflow.compat.v1 as tf
from tqdm import tqdm

from bert import modeling
from bert.data.batches import Reading
from bert.data.records import count_records
from bert.encoder import kernels
from bert.runtime import checkpoint, devices, encoder_files, flags, init_weights, prediction
from bert.runtime.estimator import EstimatorSpec, ModeKeys
from bert.squad import metrics, model, records
from bert.squad import questions as squad_questions
from bert.squad.answers import answer_question
from bert.squad.examples import (  # noqa: F401  for scripts that import them from here
    FeatureWriter,
    InputFeatures,
    SquadExample,
    convert_examples_to_features,
    input_fn_builder,
    read_squad_examples,
)
from bert.squad.model import create_model  # noqa: F401
from bert.squad.predictions import RawResult, get_final_text, write_predictions  # noqa: F401
from bert.squad.windows import SPECIAL_PIECES
from bert.system import run_lock
from bert.system.files import atomic_open, make_dir, sha256, write_results
from bert.training import changes, loop, strategies
from bert.training.strategies import Training

log = logging.getLogger("bert.run_squad")  # the same however it is started

# config: BertConfig; tokenizer: FullTokenizer; training, prediction: list of questions.Question, or None;
# init_checkpoint: prefix that the model starts from, None for random weights or the checkpoint in -output_dir;
# start: init_weights.StartWeights of training, or None.
SquadInputs = collections.namedtuple(
    "SquadInputs", ["config", "tokenizer", "training", "prediction", "init_checkpoint", "start"]
)


def run(args):
    """Checks, trains and predicts as the flags say.

    Returns:
      The scores, a dict, where answers were predicted and the file holds the right ones; else None.

    Raises:
      UserError: something given is not as expected.
    """
    check_flags(args)
    distribution = loop.start(args)
    if distribution is None:
        return None
    is_chief = distribution.task.is_chief
    with run_lock.locked(args.output_dir, is_chief):
        inputs = load_inputs(args)
        if args.do_train:
            if is_chief:
                loop.remove_leftovers(args.output_dir)
            train(args, inputs, distribution)
        if not is_chief:
            return None
        return predict(args, inputs) if args.do_predict else None


def load_inputs(args):
    """All that the run will use, read and checked; nothing is written but the output directory itself."""
    devices.check_possible(args.precision, args.xla)
    config, tokenizer = encoder_files.load_encoder(encoder_files.EncoderFiles.from_dict(vars(args)))
    if args.max_seq_length <= args.max_query_length + SPECIAL_PIECES:
        raise UserError(
            f"-max_seq_length {args.max_seq_length}: expected more than -max_query_length {args.max_query_length} "
            f"and {SPECIAL_PIECES} for [CLS] and [SEP]"
        )
    training = squad_questions.read_training(args.train_file, args.version_2_with_negative) if args.do_train else None
    to_answer = squad_questions.read_prediction(args.predict_file) if args.do_predict else None
    if config.type_vocab_size < 2:
        raise UserError(f"{args.bert_config_file}: type_vocab_size is 1; question and context need an encoder with 2")
    init_checkpoint, start = check_checkpoint(args, config)
    make_dir(args.output_dir)
    return SquadInputs(config, tokenizer, training, to_answer, init_checkpoint, start)


def check_checkpoint(args, config):
    """Checks what the model will start from, or go on from.

    Returns:
      (init_checkpoint, start): the prefix of -init_checkpoint, and the init_weights.StartWeights of training; None
      where there is none or a checkpoint in -output_dir goes before it.

    Raises:
      UserError: the checkpoint is damaged or does not fit; or there is none to predict with.
    """
    head_shapes = model.head_shapes(config)
    init_checkpoint = start = None
    latest = encoder_files.trained_checkpoint(args.output_dir, args.do_train)
    if not latest:
        init_checkpoint = checkpoint.resolve(args.init_checkpoint, args.output_dir)
    if init_checkpoint and args.do_train:
        start = encoder_files.check_init_checkpoint(
            init_checkpoint, _variables(config), args.do_lower_case, args.output_dir, args.init_partial
        )
    if not (latest or init_checkpoint or args.do_train):
        raise UserError(
            f"{args.output_dir}: no checkpoint in it; expected one, -do_train, or a trained -init_checkpoint"
        )
    if latest or not args.do_train:
        checkpoint.check_model(
            latest or init_checkpoint,
            dict(head_shapes, **modeling.encoder_shapes(config)),
            missing="no {} in it; expected a checkpoint of this program",
        )
    return init_checkpoint, start


def _variables(config):
    """The weight_names.Model of what answers questions; it leaves the encoder's pooler unused."""
    return init_weights.model_variables(config, model.head_shapes(config), "the answer head", uses_pooler=False)


def model_fn_builder(
    bert_config,
    init_checkpoint,
    learning_rate,
    num_train_steps,
    num_warmup_steps,
    use_tpu,
    use_one_hot_embeddings,
    compute=kernels.REFERENCE,
):
    """An Estimator's model function, from Google BERT's arguments; `make_model_fn` does the work.

    Args:
      bert_config: BertConfig.
      init_checkpoint: checkpoint prefix to start from, or None for random weights.
      learning_rate: peak learning rate.
      num_train_steps, num_warmup_steps: steps of the learning rate's schedule.
      use_tpu: ignored; the Estimator's tf.distribute strategy says so.
      use_one_hot_embeddings, compute: see BertModel.

    Returns:
      model_fn(features, labels, mode, params), as of `make_model_fn`.
    """
    del use_tpu
    start = init_weights.of_prefix(init_checkpoint, _variables(bert_config))
    training = Training(start, learning_rate, num_train_steps, num_warmup_steps, None)
    return make_model_fn(bert_config, training, use_one_hot_embeddings, compute)


def make_model_fn(bert_config, training=None, use_one_hot_embeddings=False, compute=kernels.REFERENCE):
    """An Estimator's model function.

    Args:
      bert_config: BertConfig.
      training: strategies.Training; None for a model function that only predicts.
      use_one_hot_embeddings, compute: see BertModel.

    Returns:
      model_fn(features, labels, mode, params) for training and prediction. Features: those of
      records.input_fn_builder. Predictions: unique_ids int [batch], start_logits and end_logits float [batch, seq_len].
    """

    def model_fn(features, labels, mode, params):
        is_training = mode == ModeKeys.TRAIN
        with strategies.building(training, is_training):
            start_logits, end_logits = model.span_logits(
                bert_config, is_training, features, use_one_hot_embeddings or strategies.on_tpu(), compute
            )
        if not is_training:
            predictions = {
                "unique_ids": tf.identity(features["unique_ids"]),
                "start_logits": start_logits,
                "end_logits": end_logits,
            }
            return EstimatorSpec(mode, predictions=predictions)

        start_losses = model.position_losses(start_logits, features["start_positions"], features["input_mask"])
        end_losses = model.position_losses(end_logits, features["end_positions"], features["input_mask"])
        loss = tf.reduce_mean(start_losses + end_losses) / 2.0
        return strategies.training_spec(loss, strategies.with_batch_size(training, params), compute)

    return model_fn


def train(args, inputs, distribution):
    """Fine-tunes, from the newest checkpoint in -output_dir if there is one."""
    path = os.path.join(args.output_dir, "train.tf_record")
    made_from = fingerprint(args, args.train_file)
    settings = _window_settings(args)
    windows = records.write_training(
        path, inputs.training, inputs.tokenizer, settings, made_from, args.train_file, args.verbose_logging
    )
    num_train_steps, num_warmup_steps = loop.steps_of_training(
        windows, args.num_train_epochs, args.train_batch_size, args.warmup_proportion
    )
    start_step = encoder_files.start_step(args.output_dir)
    if distribution.task.is_chief:
        changes.go_on(args.output_dir, _training_settings(args), start_step, num_train_steps)
    if start_step >= num_train_steps:
        distribution.release_others(args.output_dir, trains=False)
        return
    loop.announce_training(windows, num_train_steps, args.train_batch_size, start_step, inputs.init_checkpoint)
    hidden_size = inputs.config.hidden_size
    compute = devices.choose_compute(
        args.precision, hidden_size, num_train_steps, args.recompute, args.xla, trains=True
    )
    training = Training(inputs.start, args.learning_rate, num_train_steps, num_warmup_steps, args.train_batch_size)
    model_fn = make_model_fn(inputs.config, training, compute=compute)
    input_fn = records.input_fn_builder(
        path,
        args.max_seq_length,
        is_training=True,
        static=distribution.is_tpu,
        reading=Reading(args.seed, start_step, args.bucket, compute.is_compiled, distribution.share),
    )
    settings = loop.RunSettings.from_dict(vars(args))
    estimator = loop.make_estimator(model_fn, settings, args.train_batch_size, distribution)
    loop.train(settings, estimator, distribution, input_fn, num_train_steps, start_step)


def predict(args, inputs):
    """Writes the answers to -predict_file and, where it has the right ones, eval_results.txt; returns the scores."""
    answers = answer_all(args, inputs)
    predictions = collections.OrderedDict((name, answer.best) for name, answer in answers.items())
    n_best = collections.OrderedDict((name, answer.n_best) for name, answer in answers.items())
    null_odds = collections.OrderedDict((name, answer.null_odds) for name, answer in answers.items())
    write_answers(args.output_dir, "predictions.json", predictions)
    write_answers(args.output_dir, "nbest_predictions.json", n_best)
    if args.version_2_with_negative:
        write_answers(args.output_dir, "null_odds.json", null_odds)
    return score(args, inputs.prediction, predictions, null_odds)


def answer_all(args, inputs):
    """OrderedDict from question id to Answer, in the order of -predict_file."""
    path = os.path.join(args.output_dir, "eval.tf_record")
    made_from = fingerprint(args, args.predict_file)
    contents = records.write_prediction(path, inputs.prediction, inputs.tokenizer, _window_settings(args), made_from)
    null_threshold = args.null_score_diff_threshold if args.version_2_with_negative else None
    steps = count_records(path) // args.predict_batch_size
    compute = devices.choose_compute(args.precision, inputs.config.hidden_size, steps, args.recompute, args.xla)
    input_fn = records.input_fn_builder(
        path,
        args.max_seq_length,
        is_training=False,
        reading=Reading(by_length=True, round_lengths=compute.is_compiled),
    )
    prefix = checkpoint.latest(args.output_dir) or inputs.init_checkpoint
    model_fn = make_model_fn(inputs.config, compute=compute)
    results = prediction.predict(prefix, model_fn, input_fn, args.predict_batch_size, compute.dtype)
    answers = collections.OrderedDict()
    with contextlib.closing(results):
        shown = tqdm(inputs.prediction, desc=args.predict_file, unit=" questions", disable=None, leave=False)
        for question, (aligned, windows) in zip(shown, contents):
            # Results come in the order of the windows, so no more than one question's are held.
            logits = [(result["start_logits"], result["end_logits"]) for _, result in zip(windows, results)]
            answers[question.id] = answer_question(
                aligned, windows, logits, args.n_best_size, args.max_answer_length, null_threshold
            )
    return answers


def score(args, questions, predictions, null_odds):
    """Writes eval_results.txt and returns the scores; None where a question has no right answer to compare with."""
    if args.version_2_with_negative:
        unknown = sum(question.answers is None for question in questions)
    else:
        unknown = sum(not question.answers for question in questions)
    if unknown:
        log.info("not scored: %d of %d questions of %s have no answers", unknown, len(questions), args.predict_file)
        return None
    if args.version_2_with_negative:
        scores = metrics.score_v2(questions, predictions, null_odds)
    else:
        scores = metrics.score_v1(questions, predictions)
    write_results(os.path.join(args.output_dir, "eval_results.txt"), scores)
    return scores


def _training_settings(args):
    """What the trained weights depend on, as changes.go_on keeps it."""
    names = (*flags.TRAINING_SETTINGS, "doc_stride", "max_query_length", "version_2_with_negative")
    settings = {name: getattr(args, name) for name in names}
    return dict(settings, train_data=sha256(args.train_file), vocab=sha256(args.vocab_file))


def _window_settings(args):
    return records.WindowSettings(args.max_seq_length, args.doc_stride, args.max_query_length)


def fingerprint(args, data_file):
    """What a record file depends on, as a JSON value."""
    made_from = {"format": records.FORMAT, "data": sha256(data_file), "vocab": sha256(args.vocab_file)}
    for name in ("do_lower_case", "max_seq_length", "doc_stride", "max_query_length", "version_2_with_negative"):
        made_from[name] = getattr(args, name)
    return made_from


def write_answers(output_dir, name, value):
    """A JSON file in UTF-8 in the layout of Google BERT's."""
    path = os.path.join(output_dir, name)
    with atomic_open(path) as writer:
        writer.write(json.dumps(value, indent=4, ensure_ascii=False) + "\n")
    log.info("wrote %s", path)


if __name__ == "__main__":
    run_program(lambda: run(parse_args()))
