"""The training loop of the tagger: evaluation on the dev set, the hooks, and each task's part where a run has several.

In: the schedule, the model function and the input function. Out: checkpoints, best/ and the scores in run.json.
"""

import functools

from bert.runtime import checkpoint
from bert.training import divergence, stopping, strategies
from bert.training import loop as training_loop
from bert.training.distribution import PARAMETER_SERVER
from train import run_dir
from train.finetuning import checkpoints, cluster
from train.finetuning.hooks import DevEvaluation, ScheduledSaver

# The newest ones, beside best/. Each takes three times the room of the weights, for Adam's two averages. The newest is
# what a run goes on from, the one before it serves where a power cut has damaged the newest.
KEPT_CHECKPOINTS = 2
LEAST_SUMMARIES = 50  # of a run, so that a short one has curves too


def train(args, state, distribution, schedule, model_fn, input_fn, evaluate):
    """Trains up to the last step of the schedule, or until early stopping ends it.

    Args:
      args: Namespace of train_helper.get_args_parser.
      state: the run's state, see run_dir; updated as training proceeds.
      distribution: bert.training.distribution.Distribution.
      schedule: schedule.Schedule.
      model_fn, input_fn: model function and input function for an Estimator.
      evaluate: function from a checkpoint's prefix to its scores on the dev set.

    Raises:
      UserError: a loss is not a number, or the directory cannot be written to.
    """
    task = distribution.task
    if task.is_chief:
        checkpoints.match_state(args.output_dir, state)
        checkpoint.remove_outdated(args.output_dir, _number_kept(args, task, schedule))
        run_dir.write_state(args.output_dir, state)  # which an evaluator reads
    # An evaluator has no part in the checkpoints, and the chief none in the evaluator's run.json.
    forget = functools.partial(checkpoints.forget_since, args.output_dir, state)
    if task.has_evaluator:
        forget = functools.partial(checkpoint.remove_since, args.output_dir)
    rates = "-learning_rate" if args.head_learning_rate is None else "-head_learning_rate or -learning_rate"
    loss_check = divergence.LossCheck(divergence.remedies(rates, args.precision), forget if task.is_chief else None)
    listeners = []
    if task.is_chief and not task.has_evaluator:
        # With parameter servers the other tasks train on while the chief saves.
        saves_late = distribution.name == PARAMETER_SERVER
        dev_evaluation = DevEvaluation(args.output_dir, state, evaluate, schedule, saves_late, loss_check)
        dev_evaluation.after_save(None, schedule.first_step)  # a killed run may have saved and not evaluated
        listeners = [dev_evaluation]
    # The chief decides whether there is anything to train; the other tasks hear of it when it releases them.
    trains = not task.is_chief or not schedule.is_complete(state)
    distribution.release_others(args.output_dir, trains)
    if task.is_evaluator:
        state = run_dir.read_state(args.output_dir)
        dev_evaluation = DevEvaluation(args.output_dir, state, evaluate, schedule)
        cluster.run_evaluator(args.output_dir, dev_evaluation, schedule)
        return
    if trains:
        _fit(args, distribution, schedule, model_fn, input_fn, listeners, loss_check)
    if task.is_chief:
        if task.has_evaluator:
            state = cluster.wait_for_evaluator(args.output_dir, schedule)
        state["finished"] = True
        run_dir.write_state(args.output_dir, state)


def _number_kept(args, task, schedule):
    """How many checkpoints are kept beside the best one."""
    if not task.has_evaluator:
        return KEPT_CHECKPOINTS
    return max(KEPT_CHECKPOINTS, -(-schedule.eval_every // args.save_checkpoints_steps) + 3)  # it reads them later


def summary_steps(most, last_step):
    """Steps between two summaries for TensorBoard: as given, or fewer, so that a run has LEAST_SUMMARIES.

    Args:
      most: -save_summary_steps.
      last_step: step that training ends at.
    """
    return max(min(most, last_step // LEAST_SUMMARIES), 1)


def _fit(args, distribution, schedule, model_fn, input_fn, listeners, loss_check):
    """Makes the Estimator and trains it; `listeners` hear of each checkpoint; loss_check: divergence.LossCheck."""
    task = distribution.task
    loop_length = strategies.loop_length(args.iterations_per_loop, schedule.eval_every)
    estimator = strategies.make_estimator(
        model_fn,
        distribution,
        args.batch_size,
        loop_length,
        model_dir=args.output_dir,
        seed=args.seed,
        save_summary_steps=summary_steps(args.save_summary_steps, schedule.last_step),
        keep_checkpoint_max=_number_kept(args, task, schedule),
    )
    hooks = [loss_check]
    if task.is_chief:
        listeners = [divergence.WeightCheck(loss_check), *listeners]

        def is_scheduled(step):
            return schedule.is_due(step) or step % args.save_checkpoints_steps == 0

        steps_per_run = loop_length if distribution.is_tpu else 1
        hooks.append(ScheduledSaver(args.output_dir, is_scheduled, listeners, steps_per_run))
        if args.profile:
            hooks += training_loop.profile_hooks(args.output_dir, schedule.steps_left)
    if task.is_one_of_many and (task.has_evaluator if task.is_chief else schedule.early_stop):
        hooks.append(cluster.EvaluationGate(args.output_dir, schedule, lags=task.has_evaluator))
    with stopping.stoppable(args.output_dir, schedule.last_step, distribution.ends_alone, task.is_chief) as stop_hooks:
        strategies.train(estimator, distribution, input_fn, schedule.last_step, hooks + stop_hooks)
