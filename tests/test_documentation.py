"""What documentation names is there: files, modules to run, names to import."""

import ast
import functools
import glob
import io
import os
import re
import tokenize

import pytest

from tests.paths import REPOSITORY

THIS_FILE = os.path.relpath(__file__, REPOSITORY)
FILE = re.compile(r"(?<![\w/.*$-])((?:[\w.-]+/)*[\w-]+\.py)\b")
PACKAGE = r"(?:bert|train|tests|benchmarks)(?:\.\w+)*"
RUN_MODULE = re.compile(rf"python3? -m ({PACKAGE})")
IMPORT = re.compile(rf"\bfrom ({PACKAGE}) import \(?((?:\w+(?: as \w+)?,? *)+)")


def sources(*patterns):
    """Paths relative to the repository of the files that match; `**` is any depth."""
    found = {path for pattern in patterns for path in glob.glob(os.path.join(REPOSITORY, pattern), recursive=True)}
    return sorted(os.path.relpath(path, REPOSITORY) for path in found)


MODULES = sources(
    "*.py", "bert/**/*.py", "train/**/*.py", "tests/**/*.py", "benchmarks/**/*.py", "data_demo/*.py"
)  # fmt: skip
PAGES = sources(
    "*.md", "bert/*.md", "train/*.md", "benchmarks/*.md", "docs/**/*.md", "*.sh", "bert/*.sh", "tests/*.sh", "*.ipynb"
)  # fmt: skip


def read(path):
    with open(os.path.join(REPOSITORY, path), encoding="utf-8") as reader:
        return reader.read()


def documentation(path):
    """The docstrings and comments of a module, or all of a page: one str."""
    text = read(path)
    if not path.endswith(".py"):
        return text
    parts = [
        token.string for token in tokenize.generate_tokens(io.StringIO(text).readline) if token[0] == tokenize.COMMENT
    ]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            parts.append(ast.get_docstring(node) or "")
    return "\n".join(parts)


def is_there(file):
    """Whether the repository has a Python file with this name, or whose path ends with this path."""
    return any(("/" + path).endswith("/" + file) for path in MODULES)


@functools.lru_cache(maxsize=None)
def names_in(path):
    """The names that a module defines or imports, those inside its functions included."""
    names = set()
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def is_module(module):
    """Whether `python -m` or `import` would find it."""
    path = module.replace(".", "/")
    return path + ".py" in MODULES or path + "/__init__.py" in MODULES


def can_import(module, name):
    """Whether `from module import name` would work."""
    path = module.replace(".", "/")
    path = path + ".py" if path + ".py" in MODULES else path + "/__init__.py"
    return is_module(f"{module}.{name}") or (path in MODULES and name in names_in(path))


def missing_files(path):
    named = set(FILE.findall(documentation(path)))
    return sorted(file for file in named if not is_there(file))


def missing_modules(path):
    """Of commands and imports: in strings too, as tests start programs of their own, which nothing else checks."""
    text = read(path)
    missing = [module for module in RUN_MODULE.findall(text) if not is_module(module)]
    for module, names in IMPORT.findall(text):
        names = re.findall(r"(\w+)(?: as \w+)?", names)
        missing += [f"{module}.{name}" for name in names if not can_import(module, name)]
    return missing


@pytest.mark.parametrize("find", [missing_files, missing_modules])
def test_what_is_named_is_there(find):
    found = {path: find(path) for path in [*MODULES, *PAGES] if path != THIS_FILE}
    assert {path: missing for path, missing in found.items() if missing} == {}


def test_what_is_not_there_is_found():
    text = "see bert/gone.py, `gone.py` and $here/x.py; *.py and run_*.py are no names"
    assert FILE.findall(text) == ["bert/gone.py", "gone.py"]
    text = "from bert.x import one as two, three\nfrom numpy import four"
    assert IMPORT.findall(text) == [("bert.x", "one as two, three")]
    assert is_there("modeling.py") and is_there("bert/modeling.py") and is_there("system/signals.py")
    assert not is_there("gone.py") and not is_there("train/modeling.py") and not is_there("ing.py")
    assert is_module("train.predict") and is_module("bert.system") and not is_module("train.gone")
    assert can_import("train.predictor", "Predictor") and can_import("bert", "modeling")
    assert not can_import("train.predictor", "Gone") and not can_import("bert", "gone")
