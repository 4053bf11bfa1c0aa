"""The points of a sweep: which there are, which are refused, and that each keeps its directory."""

import os
import random

import pytest

from bert.system.errors import UserError
from train import sweep
from train.sweeping.points import Place, command_flags, command_line, described, given_flags, make_points

NEEDED = ["-data_dir", "data", "-output_dir", "out", "-bert_dir", "bert"]


def make_encoder(name):
    """A directory with the files that -bert_dir needs, which nothing here reads."""
    os.mkdir(name)
    for file in ("bert_config.json", "vocab.txt"):
        open(os.path.join(name, file), "w").close()


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    """The working directory has an encoder's directory, bert, and a directory out."""
    monkeypatch.chdir(tmp_path)
    for name in ("bert", "out"):
        make_encoder(name)


def points(*flags, digest="data", **kwargs):
    given = given_flags(sweep.parse_flags([*NEEDED, *flags]))
    return make_points(given, Place("data", "out", digest), **kwargs)


def directories(*flags, **kwargs):
    return [point.directory for point in points(*flags, **kwargs)]


def test_flags_with_several_values_are_a_grid():
    found = points("-learning_rate", "2e-5,5e-5", "--head=crf,softmax", "-batch_size", "8", "-bucket=false")
    assert [point.values for point in found] == [
        {"learning_rate": rate, "head": head} for rate in ("2e-5", "5e-5") for head in ("crf", "softmax")
    ]
    fixed = ["-bert_dir", "bert", "-learning_rate", "2e-5", "-head", "softmax", "-batch_size", "8", "-bucket", "false"]
    assert found[1].flags == fixed
    assert found[1].directory.startswith("learning_rate=2e-5_head=softmax_")
    assert len({point.directory for point in found}) == 4
    assert described(found[1].values) == "learning_rate 2e-5, head softmax"


def test_switches_take_several_values_too():
    assert [point.values for point in points("-constrain", "true,false")] == [
        {"constrain": "true"}, {"constrain": "false"},
    ]  # fmt: skip
    (point,) = points("-nobucket", "-crf_only")
    assert point.values == {} and point.directory.startswith("run_")
    assert point.flags == ["-bert_dir", "bert", "-bucket", "false", "-crf_only", "true"]


def test_flags_whose_value_may_have_a_comma_are_left_whole():
    make_encoder("a,b")
    (point,) = points("-label_list", "O,B-PER", "-columns", "word=2,tag=3", "-comment", ",", "-bert_dir", "a,b")
    assert point.values == {} and "O,B-PER" in point.flags and "a,b" in point.flags
    make_encoder("c")
    assert [point.values for point in points("-bert_dir", "bert,c")] == [{"bert_dir": "bert"}, {"bert_dir": "c"}]


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["-learning_rat", "1"], "unrecognized arguments: -learning_rat 1"),
        (["-learning_rate", "2e-5,fast"], "-learning_rate/--learning_rate: expected a number above 0, got 'fast'"),
        (["-learning_rate", "2e-5,"], "expected a value, or different values with a comma between, got '2e-5,'"),
        (["-cell", "gru,gru"], "different values"),
        (["-cell", "gru,rnn"], "invalid choice: 'rnn'"),
        (["-learning_rate", "2e-5,0.00002"], "are the same setting to run.py"),
        (["-crf_only", "-head", "crf,softmax"], "-crf_only is a head of its own"),
        (["-seed", "1,2"], "-seed is not for a sweep: -seeds says"),
        (["-report"], "-report is not for a sweep: a sweep trains and scores on the dev set"),
        (["-nodo_train"], "-do_train is not for a sweep"),
        (["-seeds", "1,1"], "expected different seeds"),
        (["-seeds", "0"], "expected a whole number of at least 1"),
        (["-folds", "1"], "expected at least 2 folds"),
        (["-bert_dir", "nowhere"], "nowhere: "),
    ],
)
def test_what_run_py_would_refuse_is_refused_at_once(flags, expected):
    with pytest.raises(UserError) as refused:
        points(*flags)
    assert expected in str(refused.value) and "\n" not in str(refused.value)


def test_the_encoder_is_asked_for():
    with pytest.raises(UserError, match="bert_config_file"):
        make_points({"head": ["crf"]}, Place("data", "out", ""))


def test_a_setting_keeps_its_directory():
    """Whatever else the grid has, however its values are written, and wherever they stand on the command line."""
    before = directories("-learning_rate", "2e-5", "-head", "crf")
    os.makedirs(os.path.join("out", before[0]))
    grid = directories("-head", "softmax,crf", "-learning_rate", "1e-4,0.00002")
    assert before[0] in grid and len(set(grid)) == 4
    assert before[0] not in directories("-learning_rate", "2e-5", "-head", "crf", digest="other data")
    assert before[0] not in directories("-learning_rate", "2e-5", "-head", "crf", "-cell", "gru")


def test_directories_have_short_plain_names():
    name, _ = directories("-bert_dir", "bert," + os.path.abspath("bert") + "/../bert", "-comment", "# ü*?")
    assert name.startswith("bert_dir=bert_") and len(name) < 100
    for each in directories("-init_checkpoint", "a*b?[c] d" + "x" * 300 + ",e\\f"):
        assert len(each) < 100 and not set(each) & set("*?[\\/ ,")


def test_random_points_are_of_the_grid_and_more_of_them_begin_with_fewer():
    flags = ["-learning_rate", "1e-5,2e-5,3e-5", "-batch_size", "1,2,3,4", "-cell", "lstm,gru"]
    whole = [point.values for point in points(*flags)]
    few, more = ([point.values for point in points(*flags, at_random=n)] for n in (4, 9))
    assert len(few) == 4 and few == more[:4] and all(each in whole for each in more)
    assert len({str(each) for each in more}) == 9
    assert [point.values for point in points(*flags, at_random=4, seed=2)] != few
    assert [point.values for point in points(*flags, at_random=24)] == whole


def test_seeds():
    assert sweep.parse_flags(NEEDED).seeds == [1]
    assert sweep.parse_flags([*NEEDED, "-seeds", "3"]).seeds == [1, 2, 3]
    assert sweep.parse_flags([*NEEDED, "-seeds", "7,5"]).seeds == [7, 5]


def test_command_lines_can_be_given_again():
    flags = {"comment": "--", "label_list": "O,B-a b", "output_dir": "it's"}
    assert command_flags(flags) == ["-comment=--", "-label_list", "O,B-a b", "-output_dir", "it's"]
    import shlex

    assert shlex.split(command_line(command_flags(flags))) == command_flags(flags)


def test_a_large_grid_is_not_made_for_a_few_points():
    values = ",".join(str(1 + i) for i in range(300))
    flags = [part for name in ("batch_size", "lstm_size", "eval_every", "early_stop") for part in ("-" + name, values)]
    assert len(points(*flags, at_random=5)) == 5
    assert random.random() != random.random()  # the program's own source of numbers is left alone
