"""Training the tagger: its schedule of steps, what happens at them, and each task's part where a run has several.

In: the checked inputs, the train split's record file, how training is distributed. Out: checkpoints, best/ and the
scores in run.json.
"""

import collections
import logging

from bert.encoder import kernels
from bert.runtime import checkpoint
from bert.training import loop as training_loop
from bert.training import stopping, strategies
from bert.training.distribution import PARAMETER_SERVER
from train import run_dir
from train.data.records import file_based_input_fn_builder
from train.finetuning import cluster
from train.finetuning.hooks import DevEvaluation, ScheduledSaver, should_stop

log = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 5


class Schedule(collections.namedtuple("Schedule", ["first_step", "last_step", "warmup_steps", "eval_every"])):
    """The steps of a run: first and last, how many warm the rate up, how many lie between evaluations on dev."""

    def is_due(self, step):
        """Whether the dev set is scored at a step."""
        return step > 0 and (step % self.eval_every == 0 or step == self.last_step)


def train(args, inputs, state, records, distribution, make_model_fn, evaluate):
    """Trains up to the step that the flags say, or until early stopping ends it.

    Args:
      args: Namespace of train_helper.get_args_parser.
      inputs: inputs.Inputs.
      state: the run's state, see run_dir; updated as training proceeds.
      records: object with the `path` of the train split's record file and the `count` of windows in it.
      distribution: bert.training.distribution.Distribution.
      make_model_fn: function from (init_checkpoint, Schedule, kernels.Compute) to an Estimator's model function.
      evaluate: function from a checkpoint's prefix to its scores on the dev set.
    """
    task = distribution.task
    if task.is_chief:
        if state["finished"]:
            log.info("training has come to its end before; -clean starts it afresh")
            distribution.release_others(args.output_dir, trains=False)
            return
        run_dir.match_checkpoints(args.output_dir, state)
        run_dir.write_state(args.output_dir, state)  # which an evaluator reads
    latest = checkpoint.latest(args.output_dir)
    schedule = _schedule(args, records.count, latest, distribution)
    _announce(args, schedule, records.count, latest)

    listeners = _listeners(args, state, distribution, schedule, evaluate)
    for listener in listeners:  # the run before may have been killed between a save and its evaluation
        listener.after_save(None, schedule.first_step)
    # The other tasks do what the chief, when it releases them, tells them.
    trains = not task.is_chief or not _is_complete(args, schedule, state)
    distribution.release_others(args.output_dir, trains)
    if task.is_evaluator:
        state = run_dir.read_state(args.output_dir)
        dev_evaluation = DevEvaluation(args.output_dir, state, evaluate, schedule.is_due, args.early_stop)
        cluster.follow(args.output_dir, dev_evaluation, *_span(args, schedule))
        return
    if trains:
        compute = training_loop.choose_compute(
            args, inputs.bert_config, schedule.last_step - schedule.first_step, task.is_chief
        )
        model_fn = make_model_fn(None if latest else args.init_checkpoint, schedule, compute)
        _fit(args, inputs, records, distribution, schedule, compute, model_fn, listeners)
    if task.is_chief:
        if task.has_evaluator:
            state = cluster.wait_for_last(args.output_dir, *_span(args, schedule))
        state["finished"] = True
        run_dir.write_state(args.output_dir, state)


def _schedule(args, windows, latest, distribution):
    """The Schedule for this many windows, from the newest checkpoint on if there is one."""
    windows_a_step = args.batch_size * args.gradient_accumulation_steps
    last_step = max(int(windows * args.num_train_epochs / windows_a_step), 1)
    first_step = checkpoint.step_of(latest) if latest else 0
    if not distribution.task.is_chief:
        first_step = distribution.start_step  # there may be newer checkpoints already
    eval_every = args.eval_every or max(round(windows / windows_a_step), 1)
    return Schedule(first_step, last_step, int(last_step * args.warmup_proportion), eval_every)


def _announce(args, schedule, windows, latest):
    log.info(
        "%d windows, %d steps of %d, warm-up %d steps, dev set every %d steps",
        windows,
        schedule.last_step,
        args.batch_size * args.gradient_accumulation_steps,
        schedule.warmup_steps,
        schedule.eval_every,
    )
    if schedule.first_step:
        log.info("goes on from step %d (%s)", schedule.first_step, latest)
    elif not args.init_checkpoint:
        log.info("no -init_checkpoint: the encoder starts from random weights")


def _is_complete(args, schedule, state):
    return schedule.first_step >= schedule.last_step or should_stop(state, args.early_stop)


def _span(args, schedule):
    """What the tasks of a run have to agree on: when the dev set is scored, first and last step, when to stop."""
    return schedule.is_due, schedule.first_step, schedule.last_step, args.early_stop


def _listeners(args, state, distribution, schedule, evaluate):
    """The listeners to this task's checkpoints: the evaluation on the dev set, if that is this task's."""
    task = distribution.task
    if not task.is_chief or task.has_evaluator:
        return []
    is_due = schedule.is_due
    if distribution.name == PARAMETER_SERVER:  # the others go on while the chief saves
        is_due = cluster.late(is_due, state)
    return [DevEvaluation(args.output_dir, state, evaluate, is_due, args.early_stop)]


def _fit(args, inputs, records, distribution, schedule, compute, model_fn, listeners):
    """Makes the Estimator, its input and its hooks, and trains."""
    task = distribution.task
    loop = strategies.loop_length(args.iterations_per_loop, schedule.eval_every)
    keep = KEPT_CHECKPOINTS
    if task.has_evaluator:  # it reads them later
        keep = max(keep, -(-schedule.eval_every // args.save_checkpoints_steps) + 3)
    estimator = strategies.make_estimator(
        model_fn,
        distribution,
        args.batch_size,
        loop,
        model_dir=args.output_dir,
        seed=args.seed,
        save_summary_steps=args.save_summary_steps,
        keep_checkpoint_max=keep,
    )
    input_fn = file_based_input_fn_builder(
        records.path,
        args.max_seq_length,
        True,
        distribution.is_tpu,
        inputs.label_ids,
        args.batch_size,
        seed=args.seed,
        start_step=schedule.first_step * args.gradient_accumulation_steps,
        trim=not distribution.is_tpu,
        bucket=args.bucket and not distribution.is_tpu,
        round_lengths=compute.kernels is kernels.FUSED,
        share=distribution.share._replace(by_file=args.share_records == "file"),
        deterministic=args.deterministic,
    )
    hooks = []
    if task.is_chief:
        hooks.append(
            ScheduledSaver(
                args.output_dir,
                lambda step: schedule.is_due(step) or step % args.save_checkpoints_steps == 0,
                listeners,
                loop if distribution.is_tpu else 1,
            )
        )
        hooks += training_loop.profile_hooks(args, schedule.last_step - schedule.first_step)
    if task.is_one_of_many and (task.has_evaluator if task.is_chief else args.early_stop):
        gate = cluster.EvaluationGate(args.output_dir, *_span(args, schedule), lags=task.has_evaluator)
        hooks.append(gate)
    with stopping.stoppable(args.output_dir, schedule.last_step, distribution.ends_alone, task.is_chief) as stop_hooks:
        strategies.train(estimator, distribution, input_fn, schedule.last_step, hooks + stop_hooks)
