"""What a run that has ended is given otherwise: settings with which nothing would be trained are refused."""

import os

from bert.system.errors import UserError, shown_list

# They change what is read, computed with or chosen by, and not what training gives. Of init_checkpoint see `retrained`.
_SAME_TRAINING = ("constrain", "precision", "record_shards", "dev_data", "init_checkpoint")
_DATA = {"train_data": "other training data"}
DEFAULTS = {"init_head": True, "init_partial": False}  # run.json has only other values


def changed(recorded, given):
    """The names, sorted, of the settings of training that are given otherwise than run.json has them.

    Args:
      recorded: dict, `training` in the run's state; that of an older version lacks some.
      given: dict, the settings of training now.
    """
    return sorted(name for name in given if given[name] != recorded.get(name))


def retrained(state, given):
    """What a finished run is given otherwise that needs another training.

    A setting that run.json lacks, as an older version wrote it, is taken to be as it was. So is an -init_checkpoint
    whose recorded path is not there any more, as it may have been moved.

    Args:
      state: state of the run in -output_dir, see run_dir, or None.
      given: dict, the settings of training now; those that can be left out are in it only where they are given.

    Returns:
      list of texts such as "-batch_size 8, not 16"; empty where the run goes on or is to be reported on only.
    """
    if state is None or not state["finished"]:
        return []
    recorded = state["training"]
    then, now = (dict(DEFAULTS, **settings) for settings in (recorded, given))
    names = [name for name in changed(then, now) if name in then and name not in _SAME_TRAINING]
    texts = [_DATA.get(name) or f"-{name} {_shown(now[name])}, not {_shown(then[name])}" for name in names]
    if "init_checkpoint" in then and _is_other_checkpoint(then["init_checkpoint"], now["init_checkpoint"]):
        texts.append(f"-init_checkpoint {_shown(now['init_checkpoint'])}")
    return texts


def _is_other_checkpoint(before, now):
    if not before or not now:
        return before != now
    there = os.path.exists(before) or os.path.exists(before + ".index")
    return there and os.path.realpath(before) != os.path.realpath(now)


def _shown(value):
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


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
    if not texts or not schedule.is_complete(state):
        return
    more = "a greater -early_stop" if schedule.steps_left > 0 else "more epochs (-num_train_epochs)"
    raise UserError(
        f"{output_dir}: its run ended at step {schedule.first_step}, and no step is left to train with "
        f"{shown_list(texts, longest=90)}; expected -clean to start afresh, another -output_dir, or {more} to train on"
    )
