"""The checkpoints of a run: the best one, kept in best/, and the one that training goes on from after a crash."""

import contextlib
import logging
import os
import re

from bert.runtime import checkpoint
from bert.system import filesystem
from bert.system.errors import UserError
from bert.system.files import atomic_path, make_dir
from train import run_dir
from train.tagger.variables import LOGITS_BIAS

log = logging.getLogger(__name__)


def keep_as_best(output_dir, prefix):
    """Puts a checkpoint into best/ and removes the one before; best/checkpoint always names a complete one.

    Args:
      output_dir: directory of the run.
      prefix: prefix of the checkpoint, in another directory.
    """
    best = os.path.join(output_dir, run_dir.BEST)
    make_dir(best)
    _add_checkpoint(best, prefix)
    _remove_others(best, os.path.basename(prefix))


def _remove_others(best, name):
    """Removes the checkpoints in best/ whose name is another one."""
    for file in filesystem.listdir(best):
        if re.match(run_dir.CHECKPOINT_FILE + "$", file) and file != "checkpoint" and not file.startswith(name + "."):
            filesystem.remove(os.path.join(best, file))


def _add_checkpoint(directory, prefix):
    """Puts a checkpoint of another directory into this one, as its newest; it is on the disk when this returns."""
    name = os.path.basename(prefix)
    for file in sorted(filesystem.listdir(os.path.dirname(prefix))):  # the index after the data
        if file.startswith(name + ".") and checkpoint.FILE.match(file):
            with atomic_path(os.path.join(directory, file)) as temporary:
                _link_or_copy(os.path.join(os.path.dirname(prefix), file), temporary)
    checkpoint.make_latest(os.path.join(directory, name))


def _link_or_copy(source, target):
    """Gives a file of a checkpoint a second name where that is safe, and else copies it.

    A data file never changes once it is written. An index does: a saver that saves the same step again writes into it.
    """
    if not source.endswith(".index") and not filesystem.is_remote(target):
        with contextlib.suppress(OSError):  # the file system has no links
            os.link(source, target)
            return
    filesystem.copyfile(source, target)


def num_labels(prefix):
    """How many labels the tagger in a checkpoint has, padding not counted; None where it holds no tagger."""
    shape = checkpoint.open_checkpoint(prefix).get_variable_to_shape_map().get(LOGITS_BIAS)
    return shape[0] - 1 if shape else None


def check_num_labels(prefix, labels, label_file, remedy=""):
    """UserError if the tagger in a checkpoint has another number of labels.

    Args:
      prefix: prefix of the checkpoint; it need not hold a tagger.
      labels: list of the labels in label_file.
      label_file: path of the run's label2id.json.
      remedy: what else the error says.
    """
    found = num_labels(prefix)
    if found not in (None, len(labels)):
        text = f"{label_file}: {len(labels)} labels, but {prefix} was trained with {found}"
        raise UserError(f"{text}; {remedy}" if remedy else text)


def check_usable(output_dir, prefix):
    """Checks that a checkpoint is complete; no other one is used in its place without being asked for.

    Args:
      output_dir: directory of the run.
      prefix: prefix of the checkpoint, as run_dir.checkpoint_to_use gives it.

    Raises:
      UserError: it is damaged; the message says so if a newer one is complete.
    """
    try:
        checkpoint.check_whole(prefix)
    except UserError as error:
        other = checkpoint.latest(output_dir)
        if os.path.basename(os.path.dirname(prefix)) != run_dir.BEST or not (other and checkpoint.is_whole(other)):
            raise
        raise UserError(f"{error}; {other} is whole and used when {os.path.dirname(prefix)} is removed")


def checkpoint_to_resume_from(output_dir):
    """Finds the checkpoint that training goes on from.

    If the newest one is damaged, it is the newest complete one. If only the one in best/ is complete, it is copied
    from there.

    Args:
      output_dir: directory of the run.

    Returns:
      Its prefix, or None where there is no checkpoint.

    Raises:
      UserError: there are checkpoints and none of them is complete.
    """
    best = checkpoint.latest(os.path.join(output_dir, run_dir.BEST))
    try:
        found = checkpoint.newest_whole(output_dir)
        if found or not best:
            return found
    except UserError as error:
        if not (best and checkpoint.is_whole(best)):
            raise UserError(f"{error}; to start afresh remove {os.path.join(output_dir, run_dir.CHECKPOINT)}-*")
        log.warning("%s; goes on from %s", error, best)
    checkpoint.check_whole(best)
    _add_checkpoint(output_dir, best)
    return os.path.join(output_dir, os.path.basename(best))


def match_state(output_dir, state):
    """Makes the state of a run that goes on agree with the checkpoints that a crash left.

    Evaluations after the newest checkpoint are dropped, as they will be made again. The best one stays the best, and
    its checkpoint is put into best/ if the crash prevented that. If its checkpoint is lost, a warning says so.

    Args:
      output_dir: directory of the run.
      state: the run's state, see run_dir; changed in place.
    """
    latest = checkpoint.latest(output_dir)
    step = checkpoint.step_of(latest) if latest else 0
    state["evaluations"] = [scores for scores in state["evaluations"] if scores["step"] <= step]
    best = state["best"]
    kept = checkpoint.latest(os.path.join(output_dir, run_dir.BEST))
    if best is None:
        return
    if kept and checkpoint.is_whole(kept) and checkpoint.step_of(kept) == best["step"]:
        _remove_others(os.path.dirname(kept), os.path.basename(kept))  # a kill may have left the one before
        return
    source = os.path.join(output_dir, f"{run_dir.CHECKPOINT}-{best['step']}")
    if checkpoint.is_whole(source):
        keep_as_best(output_dir, source)
        return
    log.warning(
        "%s: the best checkpoint so far, of step %d with F1 %.4f, is lost; the best of what follows takes its place",
        os.path.join(output_dir, run_dir.BEST), best["step"], best["f1"],
    )  # fmt: skip
    state["best"] = None


def forget_since(output_dir, state, step):
    """Removes what a run has of a step and of those after it: checkpoints, the best one too, and evaluations.

    Args:
      output_dir: directory of the run.
      state: the run's state, see run_dir; changed in place and written.
      step: the first step that goes.

    Returns:
      The prefix of the checkpoint that training goes on from, or None where none is left.
    """
    best = os.path.join(output_dir, run_dir.BEST)
    state["evaluations"] = [scores for scores in state["evaluations"] if scores["step"] < step]
    if state["best"] and state["best"]["step"] >= step:
        state["best"] = None
    run_dir.write_state(output_dir, state)
    kept_best = checkpoint.remove_since(best, step)
    return checkpoint.remove_since(output_dir, step) or kept_best
