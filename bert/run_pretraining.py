"""Pre-trains BERT: masked LM and next-sentence prediction.

In: what create_pretraining_data writes. Out, in -output_dir: checkpoints, which a fine-tuning run takes as they are
(-init_checkpoint=output/model.ckpt-20000), and eval_results.txt.

    python -m bert.run_pretraining --input_file='tf_examples.tfrecord*' --bert_config_file=.../bert_config.json \\
        --output_dir=output --do_train --do_eval --num_train_steps=20000 --num_warmup_steps=2000
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file: its own directory is no place to import from
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
elif not __package__:  # imported as `run_pretraining`, by a script in this folder
    sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bert.system import startup  # noqa: I001, F401  before TensorFlow
from bert.pretraining.flags import check_flags, parse_args
from bert.system.errors import UserError, run_program, shown_list

if __name__ == "__main__":  # before TensorFlow is loaded, which takes seconds
    run_program(lambda: check_flags(parse_args()))

import collections

import tensorflow.compat.v1 as tf

from bert import modeling
from bert.data.batches import Reading
from bert.encoder import kernels
from bert.pretraining import model
from bert.pretraining import records as pretraining_records
from bert.pretraining.model import gather_indexes, get_masked_lm_output, get_next_sentence_output  # noqa: F401
from bert.runtime import checkpoint, devices, encoder_files, init_weights
from bert.runtime.estimator import EstimatorSpec, ModeKeys
from bert.system import filesystem, run_lock
from bert.system.files import find_files, make_dir, write_results
from bert.training import changes, loop, stopping, strategies
from bert.training.strategies import Training

# config: BertConfig; files: record files; records: how many they hold; start: StartWeights, or None where a
# checkpoint in -output_dir goes before it.
PretrainingInputs = collections.namedtuple("PretrainingInputs", "config files records start")


def main(argv=None):
    args = parse_args(argv)
    check_flags(args)
    distribution = loop.start(args)
    if distribution is None:
        return
    is_chief = distribution.task.is_chief
    try:
        with run_lock.locked(args.output_dir, is_chief):
            inputs = load_inputs(args)
            if is_chief and args.do_train:
                loop.remove_leftovers(args.output_dir)
            run(args, inputs, distribution)
    except tf.errors.DataLossError as error:
        raise UserError(f"{args.input_file}: a record in it is damaged: {error.message}")


def run(args, inputs, distribution):
    """Trains and evaluates as the flags say."""
    if args.do_train:
        train(args, inputs, distribution)
        inputs = inputs._replace(start=None)
    if args.do_eval and distribution.task.is_chief:
        evaluate(args, inputs)


def load_inputs(args):
    """Checks all that the run will use. Nothing is written but the output directory itself.

    Returns:
      PretrainingInputs.

    Raises:
      UserError: each names the file or the flag, and what was expected.
    """
    devices.check_possible(args.precision, args.xla)
    config = modeling.BertConfig.from_json_file(args.bert_config_file)
    if args.max_seq_length > config.max_position_embeddings:
        raise UserError(
            f"-max_seq_length {args.max_seq_length}: expected at most {config.max_position_embeddings}, "
            f"max_position_embeddings in {args.bert_config_file}"
        )
    files = find_files(args.input_file)
    records = pretraining_records.count_records(
        files, args.max_seq_length, args.max_predictions_per_seq, config.vocab_size
    )
    # What was trained here goes before what it was to start from.
    prefix = encoder_files.trained_checkpoint(args.output_dir, args.do_train)
    variables, start = _variables(config), None
    if prefix:
        shapes = dict(variables.encoder, **variables.head)
        checkpoint.check_model(prefix, shapes, optional=shapes)
    elif args.init_checkpoint:
        start = encoder_files.check_init_checkpoint(
            args.init_checkpoint, variables, None, args.output_dir, args.init_partial
        )
        without = [name for name in variables.head if name not in start.tensors]
        if without and not args.do_train:
            raise UserError(
                f"{start.prefix}: expected a pre-trained model to evaluate; not in it: {shown_list(without)}"
            )
    elif not args.do_train:
        raise UserError(f"{args.output_dir}: no checkpoint in it; expected one, or -init_checkpoint, or -do_train")
    make_dir(args.output_dir)
    return PretrainingInputs(config, files, records, start)


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
    """Pre-training as an Estimator's model function, from Google BERT's arguments; `make_model_fn` does the work.

    Args:
      bert_config: BertConfig.
      init_checkpoint: checkpoint prefix to start from, or None for random weights.
      learning_rate: peak learning rate.
      num_train_steps, num_warmup_steps: steps of the learning rate's schedule.
      use_tpu: ignored; the Estimator's tf.distribute strategy says so.
      use_one_hot_embeddings: look words up by matmul, as a TPU prefers.
      compute: kernels.Compute, how the encoder computes.

    Returns:
      model_fn(features, labels, mode, params). Features: those of a record, see create_pretraining_data. In
      evaluation it gives the metrics `masked_lm_accuracy`, `masked_lm_loss`, `next_sentence_accuracy` and
      `next_sentence_loss`, means over all predictions and all examples.
    """
    del use_tpu
    start = init_weights.of_prefix(init_checkpoint, _variables(bert_config))
    training = Training(start, learning_rate, num_train_steps, num_warmup_steps, None)
    return make_model_fn(bert_config, training, use_one_hot_embeddings, compute)


def input_fn_builder(input_files, max_seq_length, max_predictions_per_seq, is_training, num_cpu_threads=4):
    """An input function over record files, from Google BERT's arguments; see records.input_fn_builder.

    In evaluation it gives every record once. `num_cpu_threads` is ignored.
    """
    del num_cpu_threads
    return pretraining_records.input_fn_builder(input_files, max_seq_length, max_predictions_per_seq, is_training)


def _variables(config):
    """The weight_names.Model of an encoder with both heads."""
    return init_weights.model_variables(config, model.head_shapes(config), "the pre-training heads")


def make_model_fn(bert_config, training, use_one_hot_embeddings=False, compute=kernels.REFERENCE):
    """Pre-training as an Estimator's model function.

    Args:
      bert_config: BertConfig.
      training: strategies.Training.
      use_one_hot_embeddings: look words up by matmul, as a TPU prefers.
      compute: kernels.Compute, how the encoder computes.

    Returns:
      model_fn(features, labels, mode, params), as of `model_fn_builder`.
    """

    def heads(features, is_training):
        """The outputs of the two heads, see model.get_masked_lm_output and model.get_next_sentence_output."""
        encoder = modeling.BertModel(
            config=bert_config,
            is_training=is_training,
            input_ids=features["input_ids"],
            input_mask=features["input_mask"],
            token_type_ids=features["segment_ids"],
            use_one_hot_embeddings=use_one_hot_embeddings or strategies.on_tpu(),
            compute=compute,
        )
        masked_lm = get_masked_lm_output(
            bert_config,
            encoder.get_sequence_output(),
            encoder.get_embedding_table(),
            features["masked_lm_positions"],
            features["masked_lm_ids"],
            features["masked_lm_weights"],
        )
        next_sentence = get_next_sentence_output(
            bert_config, encoder.get_pooled_output(), features["next_sentence_labels"]
        )
        return masked_lm, next_sentence

    def model_fn(features, labels, mode, params):
        is_training = mode == ModeKeys.TRAIN
        with strategies.building(training, is_training):
            masked_lm, next_sentence = heads(features, is_training)
        loss = masked_lm[0] + next_sentence[0]
        if is_training:
            parts = {"masked_lm_loss": masked_lm[0], "next_sentence_loss": next_sentence[0]}
            return strategies.training_spec(loss, strategies.with_batch_size(training, params), compute, parts)

        metrics = _metrics(features, masked_lm, next_sentence)
        return EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics)

    return model_fn


def _metrics(features, masked_lm, next_sentence):
    """Streaming means; `masked_lm`, `next_sentence`: what the model's two functions return."""
    weights = tf.reshape(features["masked_lm_weights"], [-1])
    pieces = tf.reshape(features["masked_lm_ids"], [-1])
    is_random = tf.reshape(features["next_sentence_labels"], [-1])
    return {
        "masked_lm_accuracy": tf.metrics.accuracy(pieces, _best(masked_lm[2]), weights),
        "masked_lm_loss": tf.metrics.mean(masked_lm[1], weights),
        "next_sentence_accuracy": tf.metrics.accuracy(is_random, _best(next_sentence[2])),
        "next_sentence_loss": tf.metrics.mean(next_sentence[1]),
    }


def _best(log_probs):
    return tf.argmax(log_probs, axis=-1, output_type=tf.int32)


def train(args, inputs, distribution):
    """Trains up to -num_train_steps, going on from the checkpoint in -output_dir if there is one."""
    start_step = encoder_files.start_step(args.output_dir)
    if distribution.task.is_chief:
        settings = _training_settings(args, inputs.files)
        changes.go_on(args.output_dir, settings, start_step, args.num_train_steps, "num_train_steps")
    loop.announce_training(inputs.records, args.num_train_steps, args.train_batch_size, start_step, inputs.start)
    input_fn = pretraining_records.input_fn_builder(
        inputs.files,
        args.max_seq_length,
        args.max_predictions_per_seq,
        is_training=True,
        reading=Reading(args.seed, start_step, share=distribution.share),
    )
    estimator = _estimator(args, inputs, args.train_batch_size, args.num_train_steps, distribution)
    settings = loop.RunSettings.from_dict(vars(args))
    loop.train(settings, estimator, distribution, input_fn, args.num_train_steps, start_step)


def _training_settings(args, files):
    """What the trained weights depend on, as changes.go_on keeps it; of the record files their names and sizes."""
    names = ("init_checkpoint", "init_partial", "max_seq_length", "max_predictions_per_seq", "train_batch_size")
    names += ("learning_rate", "num_train_steps", "num_warmup_steps", "seed")
    data = [[os.path.basename(path), filesystem.getsize(path)] for path in files]
    return dict({name: getattr(args, name) for name in names}, train_data=data)


def evaluate(args, inputs):
    """Evaluates the newest checkpoint, or -init_checkpoint where there is none, and writes eval_results.txt."""
    input_fn = pretraining_records.input_fn_builder(inputs.files, args.max_seq_length, args.max_predictions_per_seq)
    steps = min(inputs.records // args.eval_batch_size, args.max_eval_steps)
    estimator = _estimator(args, inputs, args.eval_batch_size, steps)
    with stopping.explain_full_disk(args.output_dir):
        results = estimator.evaluate(input_fn, steps=args.max_eval_steps)
    write_results(os.path.join(args.output_dir, "eval_results.txt"), results)


def _estimator(args, inputs, batch_size, steps, distribution=None):
    """The Estimator; `steps`: about how many batches it will compute; `distribution`: of training, else None."""
    trains, hidden_size = distribution is not None, inputs.config.hidden_size
    compute = devices.choose_compute(args.precision, hidden_size, steps, args.recompute, args.xla, trains=trains)
    training = Training(
        inputs.start, args.learning_rate, args.num_train_steps, args.num_warmup_steps, args.train_batch_size
    )
    model_fn = make_model_fn(inputs.config, training, compute=compute)
    return loop.make_estimator(model_fn, loop.RunSettings.from_dict(vars(args)), batch_size, distribution)


if __name__ == "__main__":
    run_program(main)
