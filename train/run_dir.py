"""The directory of a run, -output_dir: the names of its files, its state, its labels, and what -clean removes.

The state of a run is in run.json: the settings of the model and of training, the scores on the dev set so far, which
checkpoint is the best, and whether training is finished. The file is always replaced as a whole.

Only the functions that look at checkpoints load TensorFlow.
"""

import contextlib
import os
import pickle
import re

from bert.runtime.checkpoint_files import SAVED_MODEL
from bert.system import filesystem
from bert.system.errors import UserError, shorten
from bert.system.files import atomic_path, is_path, read_json, write_json

RUN_STATE = "run.json"
LABEL2ID = "label2id.json"
VOCAB = "vocab.txt"
BERT_CONFIG = "bert_config.json"
LABEL_LIST_PICKLE = "label_list.pkl"
LABEL2ID_PICKLE = "label2id.pkl"
RECORDS = {"train": "train.tf_record", "dev": "eval.tf_record", "test": "predict.tf_record"}
TAGGED = {"dev": "label_dev.txt", "test": "label_test.txt"}
REPORT = {"dev": "predict_score_dev.txt", "test": "predict_score.txt"}
TAGGED_TEXTS = {"dev": "predict_dev.jsonl", "test": "predict_test.jsonl"}
REPORT_PAGE = "report.html"
PIECES = "token_test.txt"
EVAL_RESULTS = "eval_results.txt"
CHECKPOINT = "model.ckpt"
BEST = "best"
EXPORT = "export"
EVAL_EVENTS = "eval"

# Patterns of the paths, from -output_dir, of the files that this program writes; `-clean` removes no others.
CHECKPOINT_FILE = r"(checkpoint|model\.ckpt(-\d+)?\.(index|meta|data-\d{5}-of-\d{5}))"
_EVENTS = r"events\.out\.tfevents\..*"
_NAMED = [LABEL2ID, LABEL_LIST_PICKLE, LABEL2ID_PICKLE, PIECES, EVAL_RESULTS, RUN_STATE, REPORT_PAGE]
_NAMED += [name for names in (TAGGED, REPORT, TAGGED_TEXTS) for name in names.values()]
_NAMED += [name + end for name in RECORDS.values() for end in ("", ".json")]
_PATTERNS = [re.escape(name) for name in _NAMED] + [re.escape(RECORDS["train"]) + r"-\d{5,}-of-\d{5,}"]
_PATTERNS += [
    CHECKPOINT_FILE,
    r"model\.ckpt\.tmp-\d+\.(index|data-\d{5}-of-\d{5})",
    f"{BEST}/{CHECKPOINT_FILE}",
    _EVENTS,
    f"{EVAL_EVENTS}/{_EVENTS}",
]
_PATTERNS += [
    rf"{EXPORT}/(temp-)?\d+(\.tmp-\d+)?/({re.escape(SAVED_MODEL)}|(variables|assets|assets\.extra)/.*)",
    EXPORT + r"/(temp-\d+|\d+\.tmp-\d+)-assets/.*",
]
# The endings belong to files that were being written when a run was killed.
OURS = re.compile(r"({})(\.tmp-\d+|\.tmp[0-9a-f]{{32}}|\.tempstate\d+)?$".format("|".join(_PATTERNS)))


# What each part of a run's state has to be. Settings of the model are checked by tagger/settings.py, too.
_STATE = {
    "model": dict,
    "training": dict,
    "finished": bool,
    "evaluations": list,
    "best": (dict, type(None)),
    "foreign": list,
}
SCORES = ("loss", "accuracy", "precision", "recall", "f1")
# Settings of training that are used as text where a run goes on.
_TEXTS = ("columns", "comment", "separator", "init_checkpoint")


def folders_of(prefix):
    """The folders that the files of the run that wrote a checkpoint may lie in; of one in best/ the one above too.

    Args:
      prefix: checkpoint prefix.

    Returns:
      list of paths, the -output_dir last.
    """
    folder = os.path.dirname(prefix)
    return [folder, os.path.dirname(folder)] if os.path.basename(folder) == BEST else [folder]


def read_state(output_dir):
    """Reads the state of the run in a directory.

    Returns:
      dict as `new_state` makes it, or None where there was no run.

    Raises:
      UserError: the file is damaged.
    """
    path = os.path.join(output_dir, RUN_STATE)
    if not filesystem.exists(path):
        return None
    try:
        state = read_json(path)
        found = _problem(state)
    except UserError as error:
        found = str(error)
    if found:
        raise UserError(
            f"{path}: damaged ({shorten(found, 80)}); expected the state of a run. Without that file -do_train=false "
            f"uses what was trained, and -init_checkpoint in another -output_dir starts from it"
        )
    return state


def _problem(state):
    """What is wrong with a JSON value that stands for a run's state: a text, or None where nothing is."""
    if not isinstance(state, dict):
        return "something else"
    for name, kinds in _STATE.items():
        if not isinstance(state.get(name, ()), kinds):
            return f"{name} is {shorten(repr(state[name]), 60)}" if name in state else f"no {name}"
    for scores in state["evaluations"] + [state["best"]] * (state["best"] is not None):
        if not _are_scores(scores):
            return f"an evaluation is {shorten(repr(scores), 60)}"
    for name in _TEXTS:
        if state["training"].get(name) is not None and not is_path(state["training"][name]):
            return f"{name} is {shorten(repr(state['training'][name]), 60)}"
    spelling = state["model"].get("spelling") or {}
    if not isinstance(spelling, dict) or not _are_texts(list(spelling.values())):
        return f"spelling is {shorten(repr(spelling), 60)}"
    if not _are_texts(state["foreign"]):
        return f"foreign is {shorten(repr(state['foreign']), 60)}"
    calibration = state.get("calibration")
    if calibration is not None and not _is_calibration(calibration):
        return f"calibration is {shorten(repr(calibration), 60)}"
    copied = state.get("copied", [])
    if not isinstance(copied, list) or not all(name in (VOCAB, BERT_CONFIG) for name in copied):
        return f"copied is {shorten(repr(copied), 60)}"
    return None


def _is_calibration(value):
    """Whether a JSON value is what `set_calibration` writes; tagger/calibration.py checks the rest of it."""
    found = value.get("temperature") if isinstance(value, dict) else None
    return type(found) in (int, float) and 0 < found < 1000 and isinstance(value.get("checkpoint"), str)


def _are_scores(scores):
    """Whether a JSON value is an evaluation: a step, and scores that are numbers."""
    if not isinstance(scores, dict) or type(scores.get("step")) is not int or scores["step"] < 0:
        return False
    return all(type(scores.get(name)) in (int, float) for name in SCORES)


def _are_texts(values):
    return all(isinstance(value, str) for value in values)


def write_state(output_dir, state):
    """Replaces run.json by this state, a JSON dict."""
    write_json(os.path.join(output_dir, RUN_STATE), state)


def new_state(output_dir, model, training):
    """The state of a run that begins.

    Args:
      output_dir: directory of the run.
      model: the settings that are needed to use a checkpoint, a JSON dict.
      training: the other settings of the run, a JSON dict.

    Returns:
      JSON dict.
    """
    return {
        "model": model,
        "training": training,
        "finished": False,
        "evaluations": [],  # dicts of "step" and SCORES, in order
        "best": None,  # the evaluation whose checkpoint is in best/
        "foreign": _foreign_files(output_dir),
        "copied": _copied(output_dir),
    }


def calibration(state, prefix):
    """What a checkpoint's probabilities were calibrated with: the JSON values of `set_calibration`; {} without.

    Args:
      state: the run's state, or None.
      prefix: prefix of the checkpoint.
    """
    kept = dict((state or {}).get("calibration") or {})
    return kept if kept.pop("checkpoint", None) == os.path.basename(prefix) else {}


def set_calibration(output_dir, prefix, values):
    """Keeps in run.json the calibration of a checkpoint.

    Args:
      output_dir: directory of the run.
      prefix: prefix of the checkpoint.
      values: dict, as Calibration.to_json gives it; {} for none.
    """
    state = read_state(output_dir)
    before = state.pop("calibration", None)
    if values:
        state["calibration"] = dict({"checkpoint": os.path.basename(prefix), "temperature": 1.0}, **values)
    if state.get("calibration") != before:
        write_state(output_dir, state)


def evaluated_step(state):
    """The step of the last evaluation on the dev set, 0 if there is none."""
    return state["evaluations"][-1]["step"] if state["evaluations"] else 0


def copy_encoder_files(output_dir, state, vocab_file, bert_config_file):
    """Copies vocab.txt and bert_config.json beside the checkpoints, so that nothing else is needed to use them.

    A file of such a name that no run put there is left alone. The state, which is written, lists the copied files.
    """
    sources = {VOCAB: vocab_file, BERT_CONFIG: bert_config_file}
    noted = _copied(output_dir)
    copied = [name for name in sources if name in noted or not filesystem.lexists(os.path.join(output_dir, name))]
    if copied != state.get("copied"):
        state["copied"] = copied
        write_state(output_dir, state)  # before the files, so that they are known as copies from the start
    for name in copied:
        target = os.path.join(output_dir, name)
        if not filesystem.exists(target) or not filesystem.samefile(sources[name], target):
            with atomic_path(target) as temporary:
                filesystem.copyfile(sources[name], temporary)


def _copied(output_dir):
    """The names of the files that `copy_encoder_files` copied; none where an earlier version made the run."""
    return (read_state(output_dir) or {}).get("copied", [])


def clean(output_dir, kept=()):
    """Removes the files that runs of this program wrote, and the folders that are empty then.

    Args:
      output_dir: directory of the run.
      kept: paths of files that stay, such as the inputs of the next run.
    """
    foreign = set(_foreign_files(output_dir))
    removed = [path for path in _files_of_ours(output_dir) if path not in foreign]
    copied = _copied(output_dir)
    removed += [name for name in filesystem.listdir(output_dir) if re.sub(r"\.tmp-\d+$", "", name) in copied]
    kept = {filesystem.realpath(path) for path in kept}
    removed = [path for path in removed if filesystem.realpath(os.path.join(output_dir, path)) not in kept]
    # The state goes last: while it is there a second -clean can finish the work of one that was interrupted.
    for path in sorted(removed, key=lambda path: path == RUN_STATE):
        filesystem.remove(os.path.join(output_dir, path))
    folders = {os.path.dirname(path) for path in removed} - {""}
    # An export of an earlier version has a folder `variables` without a file in it.
    folders |= {
        os.path.join(os.path.dirname(path), "variables") for path in removed if os.path.basename(path) == SAVED_MODEL
    }
    for folder in sorted(folders, key=len, reverse=True):
        while folder:
            with contextlib.suppress(OSError):  # not empty
                filesystem.rmdir(os.path.join(output_dir, folder))
            folder = os.path.dirname(folder)


def _foreign_files(output_dir):
    """The files with names like ours that were there before the first run; they are never removed."""
    state = read_state(output_dir)
    return sorted(_files_of_ours(output_dir)) if state is None else state["foreign"]


def _files_of_ours(output_dir):
    """The paths, from output_dir, of the files in it that have names of files of a run."""
    found = []
    for top in ("", BEST, EVAL_EVENTS, EXPORT):
        for folder, subfolders, files in filesystem.walk(os.path.join(output_dir, top)):
            if top == "":
                subfolders[:] = []
            paths = [os.path.relpath(os.path.join(folder, name), output_dir) for name in files]
            found += [path for path in paths if OURS.match(path.replace(os.sep, "/"))]
    return found


def write_labels(output_dir, labels, ids):
    """Writes the label map as JSON, and as the pickles that older scripts read."""
    write_json(os.path.join(output_dir, LABEL2ID), ids)
    for name, value in ((LABEL_LIST_PICKLE, list(labels)), (LABEL2ID_PICKLE, dict(ids))):
        with atomic_path(os.path.join(output_dir, name)) as temporary, filesystem.open_file(temporary, "wb") as writer:
            pickle.dump(value, writer, protocol=2)


def checkpoint_to_use(output_dir):
    """The prefix of the best checkpoint, else of the newest, else None."""
    from bert.runtime import checkpoint

    return checkpoint.latest(os.path.join(output_dir, BEST)) or checkpoint.latest(output_dir)


def get_last_checkpoint(model_path):
    """The prefix of the newest checkpoint in a directory, None if there is none; it has the archive's name."""
    from bert.runtime import checkpoint

    return checkpoint.latest(model_path)


def adam_filter(model_path):
    """Writes a directory's newest checkpoint to model.ckpt there, without the optimizer's variables, as the archive."""
    from bert.runtime import checkpoint

    prefix = get_last_checkpoint(model_path)
    if prefix is not None:
        checkpoint.write_without_slots(prefix, os.path.join(model_path, CHECKPOINT))
