"""What lies in -output_dir: the names of the files, which of them are ours, and the state of the run.

`run.json` is the run's memory: with which settings the model was made and trained, how the dev set was scored so far,
which checkpoint is the best, whether training has come to its end. It is replaced as a whole, never half-written.
"""

import contextlib
import os
import pickle
import re
import shutil

from bert.checkpoint import latest
from bert.errors import UserError
from bert.files import atomic_open, atomic_path, make_dir, read_json, write_json

RUN_STATE = "run.json"
LABEL2ID = "label2id.json"
LABEL_LIST_PICKLE = "label_list.pkl"
LABEL2ID_PICKLE = "label2id.pkl"
RECORDS = {"train": "train.tf_record", "dev": "eval.tf_record", "test": "predict.tf_record"}
TAGGED = {"dev": "label_dev.txt", "test": "label_test.txt"}
REPORT = {"dev": "predict_score_dev.txt", "test": "predict_score.txt"}
PIECES = "token_test.txt"
EVAL_RESULTS = "eval_results.txt"
CHECKPOINT = "model.ckpt"
BEST = "best"
EXPORT = "export"
EVAL_EVENTS = "eval"

# The files of ours by their path from -output_dir; `-clean` touches nothing else.
_CHECKPOINT_FILE = r"(checkpoint|model\.ckpt(-\d+)?\.(index|meta|data-\d{5}-of-\d{5}))"
_EVENTS = r"events\.out\.tfevents\..*"
_NAMED = [LABEL2ID, LABEL_LIST_PICKLE, LABEL2ID_PICKLE, PIECES, EVAL_RESULTS, RUN_STATE]
_NAMED += [name for names in (TAGGED, REPORT) for name in names.values()]
_NAMED += [name + end for name in RECORDS.values() for end in ("", ".json")]
_PATTERNS = [re.escape(name) for name in _NAMED]
_PATTERNS += [_CHECKPOINT_FILE, f"{BEST}/{_CHECKPOINT_FILE}", "graph.pbtxt", _EVENTS, f"{EVAL_EVENTS}/{_EVENTS}"]
_PATTERNS += [
    EXPORT + r"/(temp-)?\d+/(saved_model\.pb|(variables|assets|assets\.extra)/.*)",
    EXPORT + r"/temp-\d+-assets/.*",
]
# The endings are those of files that a killed run was writing.
OURS = re.compile(r"({})(\.tmp-\d+|\.tempstate\d+)?$".format("|".join(_PATTERNS)))


def read_state(output_dir):
    """The run's state, or None where no run of ours has been."""
    path = os.path.join(output_dir, RUN_STATE)
    return read_json(path) if os.path.exists(path) else None


def write_state(output_dir, state):
    write_json(os.path.join(output_dir, RUN_STATE), state)


def new_state(output_dir, model, training):
    """The state of a run that begins.

    Args:
      model: settings that a checkpoint cannot be used without, a JSON dict.
      training: the other settings of the run, a JSON dict.
    """
    return {
        "model": model,
        "training": training,
        "finished": False,
        "evaluations": [],  # {"step", "loss", "accuracy", "precision", "recall", "f1"} in order
        "best": None,  # the one whose checkpoint is in best/
        "foreign": _foreign_files(output_dir),
    }


def clean(output_dir):
    """Removes what runs of this program wrote; folders only if they are empty then."""
    foreign = set(_foreign_files(output_dir))
    removed = [path for path in _files_of_ours(output_dir) if path not in foreign]
    # The state goes last: until then the run is known to be ours and a second -clean ends what one cut short began.
    for path in sorted(removed, key=lambda path: path == RUN_STATE):
        os.remove(os.path.join(output_dir, path))
    folders = {os.path.dirname(path) for path in removed} - {""}
    # An export of frozen weights has a folder `variables` without a file in it.
    folders |= {os.path.join(os.path.dirname(path), "variables") for path in removed if path.endswith("saved_model.pb")}
    for folder in sorted(folders, key=len, reverse=True):
        while folder:
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(os.path.join(output_dir, folder))
            folder = os.path.dirname(folder)


def _foreign_files(output_dir):
    """Files with names of ours that were here before the first run: not ours, so never removed."""
    state = read_state(output_dir)
    return sorted(_files_of_ours(output_dir)) if state is None else state["foreign"]


def _files_of_ours(output_dir):
    """Paths from output_dir of the files in it whose names are ours."""
    found = []
    for top in ("", BEST, EVAL_EVENTS, EXPORT):
        for folder, subfolders, files in os.walk(os.path.join(output_dir, top)):
            if top == "":
                subfolders[:] = []
            paths = [os.path.relpath(os.path.join(folder, name), output_dir) for name in files]
            found += [path for path in paths if OURS.match(path.replace(os.sep, "/"))]
    return found


def write_labels(output_dir, labels, ids):
    """The label map: JSON for this project, pickles for the scripts that read those."""
    write_json(os.path.join(output_dir, LABEL2ID), ids)
    for name, value in ((LABEL_LIST_PICKLE, list(labels)), (LABEL2ID_PICKLE, dict(ids))):
        with atomic_path(os.path.join(output_dir, name)) as temporary, open(temporary, "wb") as writer:
            pickle.dump(value, writer, protocol=2)


def read_labels(output_dir):
    """The labels in the order of their ids, from label2id.json."""
    path = os.path.join(output_dir, LABEL2ID)
    ids = read_json(path)
    if not isinstance(ids, dict) or sorted(ids.values(), key=str) != sorted(range(1, len(ids) + 1), key=str):
        raise UserError(f"{path}: expected a JSON object from label to id, ids from 1 without a gap")
    return sorted(ids, key=ids.get)


def keep_as_best(output_dir, prefix):
    """Makes the checkpoint the content of best/; at every moment best/checkpoint names a whole one."""
    best = os.path.join(output_dir, BEST)
    make_dir(best)
    name = os.path.basename(prefix)
    for file in os.listdir(os.path.dirname(prefix)):
        if file.startswith(name + "."):
            with atomic_path(os.path.join(best, file)) as temporary:
                _link_or_copy(os.path.join(os.path.dirname(prefix), file), temporary)
    with atomic_open(os.path.join(best, "checkpoint")) as writer:
        writer.write(f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n')
    for file in os.listdir(best):
        if re.match(_CHECKPOINT_FILE + "$", file) and file != "checkpoint" and not file.startswith(name + "."):
            os.remove(os.path.join(best, file))


def _link_or_copy(source, target):
    """A checkpoint's files are never changed once written, so a second name costs no space."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def checkpoint_to_use(output_dir):
    """The prefix of the best checkpoint, else of the newest, else None."""
    return latest(os.path.join(output_dir, BEST)) or latest(output_dir)
