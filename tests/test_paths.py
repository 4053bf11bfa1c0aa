"""What a user names may lie in a store, as gs://bucket: no module but a few touches files past filesystem.py."""

import ast
import os

import pytest

from tests.paths import REPOSITORY
from tests.test_architecture import files

# os.path.join, dirname, basename and the like only look at the text, and treat gs://bucket/a as they should.
OF_OS = {"listdir", "scandir", "remove", "unlink", "replace", "rename", "rmdir", "walk", "makedirs", "mkdir", "access"}
OF_OS |= {"stat", "lstat", "link", "symlink", "open", "chmod", "utime", "truncate"}
OF_PATH = {"exists", "lexists", "isfile", "isdir", "islink", "getsize", "getmtime", "abspath", "realpath", "samefile"}
OF_PATH |= {"expanduser", "relpath"}
MODULES = {"shutil", "glob", "pathlib", "tempfile"}
# Files that may, and what they touch.
ALLOWED = {
    "bert/system/filesystem.py": "it is the door",
    "bert/system/remote.py": "what lies behind it; a mistyped scheme may be a local directory",
    "bert/system/remote_lock.py": "which machine this is",
    "bert/system/portable.py": "the local half",
    "bert/system/run_lock.py": "the local half; remote_lock.py is the other",
    "bert/system/directories.py": "the local half, and a local directory to fill",
    "bert/system/errors.py": "standard output",
    "bert/system/quiet_import.py": "standard error",
    "bert/system/startup.py": "where this project lies",
    "bert/runtime/devices.py": "/proc/cpuinfo",
    "bert/runtime/saved_model.py": "a SavedModel on its way",
    "bert/runtime/own_estimator.py": "a directory where none is given",
    "bert/runtime/release.py": "copies from open file to open file",
    "bert/extract_features.py": "temporary files",
    "bert/create_pretraining_data.py": "a temporary file",
    "bert/sentence2vec.py": "standard output",
    "bert/training/stopping.py": "TensorFlow's own files, by tf.gfile",
    "train/conlleval.py": "a file that is open already",
    "train/run_dir.py": "paths from -output_dir to files in it",
    "train/check_data.py": "a temporary directory",
    "train/predict.py": "standard error",
    "train/finetuning/checkpoints.py": "a second name for a local file",
    "train/bulk/resumable.py": "an output on this machine; loop.py has another for stores",
    "train/bulk/beam.py": "Beam has file systems of its own",
    "train/sweep.py": "the output of a sweep, which is on this machine",
    "train/sweeping/folds.py": "the same",
    "train/sweeping/points.py": "the same",
    "train/sweeping/runs.py": "the same",
}


def direct_uses(source):
    """What of a module's code touches files past filesystem.py: list of (line, text)."""
    tree = ast.parse(source)
    about_itself = {id(node) for top in ast.walk(tree) if _names_file(top) for node in ast.walk(top)}
    found = []
    for node in ast.walk(tree):
        name = ast.unparse(node) if hasattr(ast, "unparse") and isinstance(node, ast.Attribute) else None
        if isinstance(node, ast.Name) and node.id == "open":
            name = "open"
        if name and _touches(name) and id(node) not in about_itself:
            found.append((node.lineno, name))
    return found


def _names_file(node):
    """Whether an expression is about the module's own path, as os.path.abspath(__file__)."""
    return isinstance(node, ast.Call) and any(
        isinstance(each, ast.Name) and each.id == "__file__" for each in ast.walk(node)
    )


def _touches(name):
    first, _, rest = name.partition(".")
    if name == "open" or "gfile" in name:
        return True
    if first == "os":
        return rest in OF_OS or (rest.startswith("path.") and rest[len("path.") :] in OF_PATH)
    return first in MODULES and bool(rest)


@pytest.mark.skipif(not hasattr(ast, "unparse"), reason="Python from 3.9 on says what an expression is")
def test_files_are_touched_through_one_module():
    uses = {}
    for path in files():
        with open(os.path.join(REPOSITORY, path), encoding="utf-8") as reader:
            found = direct_uses(reader.read())
        if found:
            uses[path] = found
    strange = {path: found for path, found in uses.items() if path not in ALLOWED}
    assert strange == {}, "expected bert.system.filesystem, or a line in ALLOWED"
    assert set(ALLOWED) <= set(uses), "expected no file in ALLOWED that needs it no more"


@pytest.mark.skipif(not hasattr(ast, "unparse"), reason="Python from 3.9 on says what an expression is")
@pytest.mark.parametrize(
    "source, expected",
    [
        ("import os\nos.path.exists(a)", ["os.path.exists"]),
        ("open(a)", ["open"]),
        ("map(os.path.isfile, a)", ["os.path.isfile"]),
        ("tf.gfile.Exists(a)", ["tf.gfile.Exists", "tf.gfile"]),
        ("shutil.copyfile(a, b)", ["shutil.copyfile"]),
        ("os.path.join(os.path.dirname(a), b)", []),
        ("os.path.dirname(os.path.abspath(__file__))", []),
        ("archive.open(a); filesystem.open_file(a); os.environ; os.getpid()", []),
    ],
)
def test_what_touches_files(source, expected):
    assert [name for _, name in direct_uses(source)] == expected
