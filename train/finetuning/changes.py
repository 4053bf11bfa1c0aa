"""What a run that has ended is given otherwise: settings with which nothing would be trained are refused."""

from bert.training import changes

# They change what is read, computed with or chosen by, and not what training gives.
_SAME_TRAINING = ("constrain", "precision", "record_shards", "dev_data")
# Settings that older versions did not have and what held there; run.json has only other values.
DEFAULTS = {"init_head": True, "init_partial": False, "bias_correction": False, "adversarial": 0.0}


def retrained(state, given):
    """What a finished run is given otherwise that needs another training, see bert.training.changes.differences.

    Args:
      state: state of the run in -output_dir, see run_dir, or None.
      given: dict, the settings of training now; those that can be left out are in it only where they are given.

    Returns:
      list of texts such as "-batch_size 8, not 16"; empty where the run goes on or is to be reported on only.
    """
    if state is None or not state["finished"]:
        return []
    then, now = (dict(DEFAULTS, **settings) for settings in (state["training"], given))
    return changes.differences(then, now, _SAME_TRAINING)


def check_steps_left(output_dir, before, given, schedule, state):
    """Checks that a finished run with other settings has something left to train.

    Args:
      output_dir: directory of the run.
      before: state of the run as it was found, or None.
      given: dict, the settings of training now.
      schedule: schedule.Schedule.
      state: the run's state now.

    Raises:
      UserError: nothing is left; what would be reported is the old training.
    """
    texts = retrained(before, given)
    if texts and schedule.is_complete(state):
        more = "a greater -early_stop" if schedule.steps_left > 0 else "more epochs (-num_train_epochs)"
        raise changes.no_step_left(output_dir, schedule.first_step, texts, "-clean to start afresh", more)
