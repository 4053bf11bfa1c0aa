"""Fine-tunes BERT to classify texts or pairs of texts, evaluates it, predicts with it and exports it.

    python -m bert.run_classifier -task_name=mrpc -data_dir=glue/MRPC -bert_config_file=... -vocab_file=... \
        -init_checkpoint=... -output_dir=output/mrpc -do_train -do_eval

In: GLUE's files, XNLI's, or the user's own. Out, in -output_dir: checkpoints, task.json, *.tf_record,
eval_results.txt, test_results.tsv, export/<timestamp>/.
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file: its own directory is no place to import from
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
elif not __package__:  # imported as `run_classifier`, by a script in this folder
    sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bert.system import startup  # noqa: F401, I001  before TensorFlow
from bert.classification.flags import check_flags, parse_args, splits_used
from bert.system.errors import UserError, run_program

if __name__ == "__main__":  # before TensorFlow is loaded, which takes seconds
    run_program(lambda: check_flags(parse_args()))

import logging

import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

from bert.classification import inputs as classification_inputs
from bert.classification import model, tasks
from bert.classification.examples import (  # noqa: F401  for scripts that import them from here
    ColaProcessor,
    DataProcessor,
    InputExample,
    InputFeatures,
    MnliProcessor,
    MrpcProcessor,
    PaddingInputExample,
    XnliProcessor,
    convert_examples_to_features,
    convert_single_example,
    file_based_convert_examples_to_features,
    file_based_input_fn_builder,
    input_fn_builder,
)
from bert.classification.model import create_model
from bert.data import pairs
from bert.data.batches import Reading
from bert.data.pairs import truncate_seq_pair as _truncate_seq_pair  # noqa: F401
from bert.data.records import count_records
from bert.encoder import kernels
from bert.runtime import checkpoint, devices, encoder_files, flags, init_weights, prediction
from bert.runtime.estimator import EstimatorSpec, ModeKeys
from bert.system import filesystem, run_lock
from bert.system.files import make_dir, sha256, write_results
from bert.training import changes, loop, strategies
from bert.training.strategies import Training

log = logging.getLogger("bert.run_classifier")  # the same however it is started


def main(argv=None):
    args = parse_args(argv)
    check_flags(args)
    distribution = loop.start(args)
    if distribution is None:
        return
    writes = args.do_train or args.do_eval or args.do_predict
    is_chief = distribution.task.is_chief
    with run_lock.locked(args.output_dir, is_chief and writes):
        inputs = load_inputs(args)
        if is_chief and args.do_train:
            loop.remove_leftovers(args.output_dir)
        run(args, inputs, distribution)


def load_inputs(args):
    """Reads and checks everything before anything is written.

    Returns:
      inputs.TaskInputs.

    Raises:
      UserError: something given is not as expected.
    """
    devices.check_possible(args.precision, args.xla)
    trained = encoder_files.trained_checkpoint(args.output_dir, args.do_train)
    init_checkpoint = None if trained else checkpoint.resolve(args.init_checkpoint, args.output_dir)
    task = _find_task(args, trained, init_checkpoint)
    files = encoder_files.EncoderFiles.from_dict(vars(args))
    config, tokenizer = encoder_files.load_encoder(files, pairs.shortest_length(tasks.is_pair(task)))
    if tasks.is_pair(task) and config.type_vocab_size < 2:
        raise UserError(f"{args.bert_config_file}: type_vocab_size is 1; pairs of texts need an encoder with 2")
    data = {split: classification_inputs.read_split(task, split, args.data_dir) for split in splits_used(args)}
    start = None
    if trained or not args.do_train:
        if not (trained or init_checkpoint):
            raise UserError(
                f"{args.output_dir}: no checkpoint of a trained classifier in it; expected one, or -do_train"
            )
        classification_inputs.check_trained(trained or init_checkpoint, task, config)
    else:
        variables = _variables(config, tasks.num_outputs(task))
        start = encoder_files.check_init_checkpoint(
            init_checkpoint, variables, args.do_lower_case, args.output_dir, args.init_partial
        )
    make_dir(args.output_dir)
    return classification_inputs.TaskInputs(task, files, config, tokenizer, data, init_checkpoint, start)


def _find_task(args, trained, init_checkpoint):
    """The task of -task_name; for files of the user's own, as train.tsv or the trained classifier has it."""
    is_own = tasks.is_tsv(args.task_name)
    task = None if is_own else tasks.find_task(args.task_name, args.xnli_language)
    if is_own and args.do_train:
        task = tasks.tsv_task_of(args.data_dir, args.tsv_header)
    is_used_from_elsewhere = init_checkpoint and not args.do_train
    folder = os.path.dirname(init_checkpoint) if is_used_from_elsewhere else args.output_dir
    path = os.path.join(folder, classification_inputs.TASK_FILE)
    if filesystem.exists(path) and (trained or not args.do_train):
        return classification_inputs.read_task(path, task, args.tsv_header)
    if task is None:
        raise UserError(f"{path}: no such file; expected it beside a trained classifier, or -do_train")
    return task


def run(args, inputs, distribution):
    """Trains, evaluates, predicts and exports as the flags say."""
    if args.do_train:
        train(args, inputs, distribution)
        inputs = inputs._replace(init_checkpoint=None)
    if not distribution.task.is_chief:
        return
    if args.do_eval:
        evaluate(args, inputs)
    if args.do_predict:
        predict(args, inputs)
    if args.do_export:
        export(args, inputs)


def model_fn_builder(
    bert_config,
    num_labels,
    init_checkpoint,
    learning_rate,
    num_train_steps,
    num_warmup_steps,
    use_tpu,
    use_one_hot_embeddings,
    compute=kernels.REFERENCE,
):
    """The classifier as an Estimator's model function, from Google BERT's arguments; `make_model_fn` does the work.

    Args:
      bert_config: BertConfig.
      num_labels: number of labels; 1 for regression.
      init_checkpoint: checkpoint prefix to start from, or None for random weights.
      learning_rate: peak learning rate.
      num_train_steps, num_warmup_steps: steps of the learning rate's schedule.
      use_tpu: ignored; the Estimator's tf.distribute strategy says so.
      use_one_hot_embeddings: look words up by matmul, as a TPU prefers.
      compute: kernels.Compute, how the encoder computes.

    Returns:
      model_fn(features, labels, mode, params), as of `make_model_fn`.
    """
    del use_tpu
    start = init_weights.of_prefix(init_checkpoint, _variables(bert_config, num_labels))
    training = Training(start, learning_rate, num_train_steps, num_warmup_steps, None)
    return make_model_fn(bert_config, num_labels, training, compute, use_one_hot_embeddings)


def make_model_fn(bert_config, num_labels, training=None, compute=kernels.REFERENCE, use_one_hot_embeddings=False):
    """The classifier as an Estimator's model function.

    Args:
      bert_config: BertConfig.
      num_labels: number of labels; 1 for regression.
      training: strategies.Training; None for a model function that only predicts.
      compute: kernels.Compute, how the encoder computes.
      use_one_hot_embeddings: look words up by matmul, as a TPU prefers.

    Returns:
      model_fn(features, labels, mode, params). Features: int [batch, seq_len] `input_ids`, `input_mask`,
      `segment_ids`, and [batch] `label_ids` where they are known, `is_real_example` where some do not count in
      evaluation. Predictions: `probabilities` [batch, num_labels] and, with labels, `loss` [batch]. Metrics of
      evaluation: `eval_loss` and, unless it is a regression, `eval_accuracy`.
    """

    def model_fn(features, labels, mode, params):
        is_training = mode == ModeKeys.TRAIN
        label_ids = features.get("label_ids", labels)
        with strategies.building(training, is_training):
            loss, per_example_loss, logits, probabilities = create_model(
                bert_config,
                is_training,
                features["input_ids"],
                features["input_mask"],
                features["segment_ids"],
                label_ids,
                num_labels,
                use_one_hot_embeddings or strategies.on_tpu(),
                compute,
            )
        if is_training:
            return strategies.training_spec(loss, strategies.with_batch_size(training, params), compute)

        predictions = {"probabilities": probabilities}
        if per_example_loss is not None:
            predictions["loss"] = per_example_loss
        scores = None
        if mode == ModeKeys.EVAL:
            scores = model.eval_metrics(per_example_loss, label_ids, logits, features.get("is_real_example"))
        return EstimatorSpec(mode, loss=loss, predictions=predictions, eval_metric_ops=scores)

    return model_fn


def _variables(config, num_labels):
    """The weight_names.Model of a classifier."""
    return init_weights.model_variables(config, model.head_shapes(config, num_labels), "the classifier's head")


def train(args, inputs, distribution):
    """Fine-tunes on the training file, going on from the checkpoint in -output_dir if there is one."""
    if distribution.task.is_chief:
        classification_inputs.write_task(args.output_dir, inputs.task)
    (data,) = inputs.data["train"]
    num_train_steps, num_warmup_steps = loop.steps_of_training(
        len(data.examples), args.num_train_epochs, args.train_batch_size, args.warmup_proportion
    )
    start_step = encoder_files.start_step(args.output_dir)
    if distribution.task.is_chief:
        changes.go_on(args.output_dir, _training_settings(args, data), start_step, num_train_steps)
    path = classification_inputs.make_records(inputs, "train", data, args.data_dir, args.output_dir)
    loop.announce_training(
        len(data.examples), num_train_steps, args.train_batch_size, start_step, inputs.init_checkpoint
    )
    hidden_size = inputs.config.hidden_size
    compute = devices.choose_compute(
        args.precision, hidden_size, num_train_steps, args.recompute, args.xla, trains=True
    )
    input_fn = classification_inputs.input_fn_builder(
        path,
        args.max_seq_length,
        _label_type(inputs, data),
        is_training=True,
        static=distribution.is_tpu,
        reading=Reading(args.seed, start_step, args.bucket, compute.is_compiled, distribution.share),
    )
    training = Training(inputs.start, args.learning_rate, num_train_steps, num_warmup_steps, args.train_batch_size)
    model_fn = make_model_fn(inputs.config, tasks.num_outputs(inputs.task), training, compute)
    settings = loop.RunSettings.from_dict(vars(args))
    estimator = loop.make_estimator(model_fn, settings, args.train_batch_size, distribution)
    loop.train(settings, estimator, distribution, input_fn, num_train_steps, start_step)


def _training_settings(args, data):
    """What the trained weights depend on, as changes.go_on keeps it."""
    settings = {name: getattr(args, name) for name in flags.TRAINING_SETTINGS}
    data_file = os.path.join(args.data_dir, data.layout.file)
    return dict(settings, train_data=sha256(data_file), vocab=sha256(args.vocab_file))


def evaluate(args, inputs):
    """Scores the dev file, or both of MNLI's, with the newest checkpoint."""
    for data in inputs.data["dev"]:
        predictions = _predict(args, inputs, "dev", data, args.eval_batch_size)
        results = model.score(
            inputs.task,
            [classification_inputs.label_id(inputs.task, example.label) for example in data.examples],
            np.stack([each["probabilities"] for each in predictions]),
            np.stack([each["loss"] for each in predictions]),
            args.eval_batch_size,
        )
        results["global_step"] = checkpoint.step_of(_checkpoint(args, inputs))
        log.info("%s", data.layout.file)
        write_results(model.output_file(args.output_dir, "eval_results.txt", data.layout.part), results)


def predict(args, inputs):
    """Writes the probabilities for each example of the test file, or of both of MNLI's."""
    for data in inputs.data["test"]:
        predictions = _predict(args, inputs, "test", data, args.predict_batch_size)
        path = model.output_file(args.output_dir, "test_results.tsv", data.layout.part)
        model.write_predictions(path, [each["probabilities"] for each in predictions])
        log.info("wrote %s", path)


def export(args, inputs):
    """Writes a SavedModel of the newest checkpoint."""
    settings = dict(
        classification_inputs.description(inputs.task),
        do_lower_case=args.do_lower_case,
        max_seq_length=args.max_seq_length,
    )
    written = model.export_saved_model(
        os.path.join(args.output_dir, "export"),
        _checkpoint(args, inputs),
        inputs.config,
        inputs.task,
        args.vocab_file,
        settings,
        devices.export_compute(args.precision),
    )
    log.info("wrote %s", written)


def _predict(args, inputs, split, data, batch_size):
    """The model's predictions for every example of a file, in order: a list of dicts."""
    path = classification_inputs.make_records(inputs, split, data, args.data_dir, args.output_dir)
    steps = count_records(path) // batch_size
    compute = devices.choose_compute(args.precision, inputs.config.hidden_size, steps, args.recompute, args.xla)
    input_fn = classification_inputs.input_fn_builder(
        path,
        args.max_seq_length,
        _label_type(inputs, data),
        reading=Reading(by_length=True, round_lengths=compute.is_compiled),
    )
    model_fn = make_model_fn(inputs.config, tasks.num_outputs(inputs.task), compute=compute)
    predictions = prediction.predict(_checkpoint(args, inputs), model_fn, input_fn, batch_size, compute.dtype)
    return list(tqdm(predictions, total=len(data.examples), unit=" examples", disable=None, leave=False))


def _label_type(inputs, data):
    if data.layout.label is None:
        return None
    return tf.float32 if inputs.task.labels is None else tf.int64


def _checkpoint(args, inputs):
    """The prefix of the checkpoint that is used: -init_checkpoint where nothing was trained in -output_dir."""
    return inputs.init_checkpoint or checkpoint.latest(args.output_dir)


if __name__ == "__main__":
    run_program(main)
