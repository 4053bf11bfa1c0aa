"""The pages describe the flags and files that the programs have; their commands, links and code can be used."""

import glob
import importlib
import os
import re
import shlex

import pytest

from bert.system.flags import FlagParser
from tests.paths import REPOSITORY
from train import run_dir
from train.train_helper import CHOSEN_BY_DATA, build_parser

PAGES = sorted(
    os.path.relpath(path, REPOSITORY)
    for pattern in ("*.md", "*/*.md")
    for path in glob.glob(os.path.join(REPOSITORY, pattern))
)
PROGRAM = re.compile(r"python (?:-m ((?:bert|train)\.\w+)|(run\.py))(.*)")
# The function of a program that reads its flags: the first of these that it has.
FLAG_READERS = ("parse_args", "parse_flags", "get_args_parser", "main")
# What is no argument of the program: further commands, redirections.
SHELL = ("<", ">", "|", "&&")


def read(page):
    with open(os.path.join(REPOSITORY, page), encoding="utf-8") as reader:
        return reader.read()


def blocks(text, language):
    """The contents of the fenced blocks of this language, lists of lines, continued lines put together."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.M | re.S)
    return [re.sub(r" *\\\n *", " ", block).splitlines() for block in found]


def prose(text):
    """The text without fenced blocks, in which nothing is a heading or a link."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S)


def anchors(page):
    """The anchors that GitHub gives to a page's headings."""
    found = set()
    for heading in re.findall(r"^#+ (.*)", prose(read(page)), re.M):
        found.add(re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-"))
    return found


def commands(page):
    """(module, arguments) of each command of the page that runs one of our programs."""
    for block in blocks(read(page), "bash"):
        for line in block:
            for module, _, arguments in PROGRAM.findall(line):
                words = shlex.split(arguments, comments=True)
                ends = [index for index, word in enumerate(words) if word in SHELL]
                yield module or "train.bert_lstm_ner", words[: min(ends)] if ends else words


def test_every_flag_is_described_with_its_default():
    described = dict(re.findall(r"^\| `-(\w+)` \| ([^|]*?) ?\|", read("docs/flags.md"), re.M))
    flags = {action.dest: action for action in build_parser()._actions if action.dest != "help"}
    assert set(described) == set(flags)
    for name, action in flags.items():
        # What is chosen by the data has no one default.
        if action.default not in (None, "==SUPPRESS==") and name not in CHOSEN_BY_DATA:
            default = str(action.default)
            stated = {"True": "true", "False": "false"}.get(default, described[name])
            assert described[name] == stated
            if stated not in ("true", "false"):
                same = described[name] == default or float(described[name]) == float(default)
                assert same, (name, described[name], default)


def test_every_file_is_described():
    text = read("docs/files.md")
    names = [run_dir.RUN_STATE, run_dir.LABEL2ID, run_dir.LABEL_LIST_PICKLE, run_dir.LABEL2ID_PICKLE, run_dir.PIECES]
    names += [run_dir.EVAL_RESULTS, *run_dir.RECORDS.values(), *run_dir.TAGGED.values(), *run_dir.REPORT.values()]
    for name in names:
        assert f"`{name}`" in text


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(read(page))):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        assert os.path.exists(os.path.join(REPOSITORY, path)), target
        assert not anchor or anchor in anchors(path), target


def test_every_page_is_reached_from_both_readmes():
    for readme in ("README.md", "README.zh.md"):
        for page in PAGES:
            if page.startswith("docs/"):
                assert f"({page})" in read(readme), (readme, page)


class Parsed(Exception):
    """A program's command line has been read; the program need not go on."""


@pytest.mark.parametrize("page", PAGES)
def test_every_command_has_flags_of_its_program(page, monkeypatch):
    parse = FlagParser.parse_known_args

    def parse_and_stop(self, args=None, namespace=None):
        parse(self, args, namespace)
        raise Parsed

    monkeypatch.setattr(FlagParser, "parse_known_args", parse_and_stop)
    for module, arguments in commands(page):
        if module == "train.conlleval":  # its flags are the original script's
            continue
        program = importlib.import_module(module)
        monkeypatch.setattr("sys.argv", [module, *arguments])
        (read_flags, *_) = [getattr(program, name) for name in FLAG_READERS if hasattr(program, name)]
        with pytest.raises(Parsed):
            read_flags()


def test_commands_are_found():
    found = [command for page in PAGES for command in commands(page)]
    named = {name for name, _ in found}
    assert {"train.bert_lstm_ner", "train.predict", "train.serving_client", "bert.launch", "bert.run_squad"} <= named
    assert not [arguments for _, arguments in found if set(SHELL) & set(arguments)]


@pytest.mark.parametrize("page", PAGES)
def test_python_of_the_pages_compiles(page):
    for block in blocks(read(page), "python"):
        compile("\n".join(block), page, "exec")
