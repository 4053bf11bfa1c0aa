"""The settings that a run was trained with, and what happens where -output_dir is given others.

The programs of bert/ keep them in `settings.json`; the tagger has them in its run.json. A run that is trained to its
end and is given settings that need another training is refused: it would report on the old weights.
"""

import logging
import os

from bert.system import filesystem
from bert.system.errors import UserError, shown_list
from bert.system.files import read_json, write_json

log = logging.getLogger(__name__)
FILE = "settings.json"  # in -output_dir

# Settings that are not flags, as they are called in a message.
_NAMES = {"train_data": "other training data", "vocab": "another vocabulary"}


def changed(recorded, given):
    """The names, sorted, of the settings that are given otherwise than they were recorded.

    Args:
      recorded: dict, the settings of the run; one of an older version lacks some.
      given: dict, the settings now.
    """
    return sorted(name for name in given if given[name] != recorded.get(name))


def differences(recorded, given, ignored=()):
    """What is given otherwise and needs another training.

    A setting that was not recorded, as an older version wrote it, is taken to be as it was. So is an -init_checkpoint
    whose recorded path is not there any more, as it may have been moved.

    Args:
      recorded, given: as of `changed`.
      ignored: names of settings with which training gives the same.

    Returns:
      list of texts such as "-batch_size 8, not 16".
    """
    names = [name for name in changed(recorded, given) if name in recorded and name not in ignored]
    texts = [
        _NAMES.get(name) or f"-{name} {_shown(given[name])}, not {_shown(recorded[name])}"
        for name in names
        if name != "init_checkpoint"
    ]
    if "init_checkpoint" in names and _is_other_checkpoint(recorded["init_checkpoint"], given["init_checkpoint"]):
        texts.append(f"-init_checkpoint {_shown(given['init_checkpoint'])}")
    return texts


def _is_other_checkpoint(before, now):
    if not before or not now:
        return bool(before) != bool(now)
    there = filesystem.exists(before) or filesystem.exists(before + ".index")
    return there and filesystem.realpath(before) != filesystem.realpath(now)


def _shown(value):
    return "none" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)


def no_step_left(output_dir, step, texts, *remedies):
    """The UserError for a run that is trained to its end and given other settings.

    Args:
      output_dir: directory of the run.
      step: step that it ended at.
      texts: of `differences`.
      remedies: what helps, beside another -output_dir.
    """
    first = ", ".join([*remedies[:-1], "another -output_dir"])
    return UserError(
        f"{output_dir}: its run ended at step {step}, and no step is left to train with "
        f"{shown_list(texts, longest=60)}; expected {first}, or {remedies[-1]} to train on"
    )


def go_on(output_dir, given, start_step, num_train_steps, steps_flag="num_train_epochs"):
    """Compares the settings of training with those of the run in -output_dir, and keeps them there.

    Args:
      output_dir: directory of the run.
      given: dict, the settings of training now, JSON values.
      start_step: step of the newest checkpoint there, 0 without one.
      num_train_steps: step that training ends at.
      steps_flag: the flag that says how long training is.

    Raises:
      UserError: no step is left, and the run was trained with other settings.
    """
    path = os.path.join(output_dir, FILE)
    recorded = read_json(path) if start_step and filesystem.exists(path) else {}
    if not isinstance(recorded, dict):
        raise UserError(f"{path}: expected a JSON object with the settings of training")
    texts = differences(recorded, given)
    if start_step < num_train_steps:
        if texts:
            log.info("goes on with other settings than before: %s", shown_list(texts))
        write_json(path, given)
    elif texts:
        raise no_step_left(output_dir, start_step, texts, f"more steps (-{steps_flag})")
    else:
        log.info("%s: trained for %d steps already, %d are asked for", output_dir, start_step, num_train_steps)
