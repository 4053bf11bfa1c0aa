"""Command lines: every way to write a flag, the defaults as documented, errors in one line."""

import argparse
import itertools

import pytest

from bert.system.errors import UserError, run_program
from bert.system.flags import (
    FlagParser,
    add_flag,
    add_switch,
    fraction,
    non_negative_int,
    positive_float,
    positive_int,
    proportion,
)
from train import __version__
from train.train_helper import CHOSEN_BY_DATA, get_args_parser

# The contract: the archive's flags and what they are if not given.
DEFAULTS = {
    "columns": None,
    "comment": None,
    "separator": None,
    "tag_scheme": None,
    "data_dir": None,
    "bert_config_file": None,
    "output_dir": None,
    "init_checkpoint": None,
    "init_head": True,
    "init_partial": False,
    "vocab_file": None,
    "max_seq_length": 128,
    "do_train": True,
    "do_eval": True,
    "do_predict": True,
    "do_export": False,
    "batch_size": 64,
    "learning_rate": 1e-5,
    "num_train_epochs": 10,
    "dropout_rate": 0.5,
    "clip": 1.0,
    "warmup_proportion": 0.1,
    "lstm_size": 128,
    "num_layers": 1,
    "cell": "lstm",
    "crf_only": False,
    "head": None,
    "bias_correction": True,
    "save_checkpoints_steps": 500,
    "save_summary_steps": 500,
    "filter_adam_var": False,
    "do_lower_case": True,
    "clean": False,
    "device_map": None,
    "label_list": None,
    "verbose": False,
    "ner": "ner",
    # Beyond the archive's:
    "bert_dir": None,
    "subword_labels": "x",
    "word_units": None,
    "context": 0,
    "constrain": True,
    "calibrate": True,
    "head_learning_rate": None,
    "adversarial": 0.0,
    "freeze_layers": None,
    "gradient_accumulation_steps": 1,
    "eval_every": None,
    "early_stop": None,
    "report": False,
    "processes": None,
    "record_shards": 1,
    "share_records": "batch",
    "deterministic": True,
    "precision": "auto",
    "xla": None,
    "bucket": True,
    "recompute": False,
    "profile": False,
    "strategy": None,
    "num_gpus": None,
    "num_cpus": None,
    "use_tpu": None,
    "tpu_name": None,
    "tpu_zone": None,
    "gcp_project": None,
    "num_tpu_cores": 8,
    "iterations_per_loop": 1000,
}
SWITCHES = sorted(["xla", "use_tpu"] + [name for name, value in DEFAULTS.items() if isinstance(value, bool)])
OTHER_VALUES = {int: ("7", 7), float: ("0.25", 0.25), str: ("text", "text")}
CHOICES = {
    "head": "softmax",
    "cell": "gru",
    "subword_labels": "first",
    "tag_scheme": "BILOU",
    "precision": "bf16",
    "strategy": "mirrored",
    "share_records": "file",
    "columns": "word=2,tag=3",
    "separator": "tab",
}


def parse(*argv):
    return get_args_parser(list(argv))


def test_defaults():
    found = vars(parse())
    found.pop("seed")
    assert found.pop("not_given") == CHOSEN_BY_DATA
    assert found == DEFAULTS
    for name, value in DEFAULTS.items():
        if value is not None:
            assert isinstance(found[name], type(value)) or name == "num_train_epochs"


@pytest.mark.parametrize("name", sorted(set(DEFAULTS) - {"bert_dir"}))
def test_one_dash_or_two_and_either_way_to_give_a_value(name):
    kinds = {
        "head_learning_rate": float,
        "freeze_layers": int,
        "eval_every": int,
        "early_stop": int,
        "num_gpus": int,
        "num_cpus": int,
        "processes": int,
        "num_train_epochs": float,
    }
    default = DEFAULTS[name]
    if name in SWITCHES:
        text, value = str(not default).lower(), not default
    elif name in CHOICES:
        text = value = CHOICES[name]
    else:
        text, value = OTHER_VALUES[kinds.get(name, str if default is None else type(default))]
    not_given = tuple(other for other in CHOSEN_BY_DATA if other != name)
    expected = dict(vars(parse()), **{name: value, "not_given": not_given})
    for dashes, argv in itertools.product(("-", "--"), ([text], None)):
        flags = [dashes + name] + argv if argv else [f"{dashes}{name}={text}"]
        assert vars(parse(*flags)) == expected, flags


@pytest.mark.parametrize("name", SWITCHES)
def test_switches(name):
    for text, value in [("true", True), ("True", True), ("TRUE", True), ("t", True), ("yes", True), ("1", True)] + [
        ("false", False),
        ("False", False),
        ("f", False),
        ("no", False),
        ("0", False),
    ]:
        assert getattr(parse("-" + name, text), name) is value
        assert getattr(parse(f"--{name}={text}"), name) is value
    assert getattr(parse("-" + name), name) is True
    # Another flag behind a bare switch is no value of it; the last of two counts.
    args = parse("--" + name, "-batch_size", "3")
    assert getattr(args, name) is True and args.batch_size == 3
    assert getattr(parse("-" + name, "-" + name, "false"), name) is False
    # absl's way to say false.
    assert getattr(parse("-no" + name), name) is getattr(parse("-" + name, "--no" + name), name) is False
    assert getattr(parse("--no" + name, "-" + name), name) is True


WRONG = [
    (["-no_such_flag"], "-no_such_flag"),
    (["--no_such_flag=3"], "--no_such_flag=3"),
    (["stray"], "stray"),
    (["--nobatch_size"], "--nobatch_size"),
    (["--nodo_train=true"], "-nodo_train"),
    (["-do_train", "perhaps"], "expected true or false, got 'perhaps'"),
    (["-do_train="], "expected true or false"),
    (["-batch_size", "0"], "expected a whole number of at least 1, got '0'"),
    (["-batch_size", "3.5"], "got '3.5'"),
    (["-batch_size", "-1"], "got '-1'"),
    (["-batch_size"], "expected one argument"),
    (["-freeze_layers", "-1"], "expected a whole number of at least 0"),
    (["-seed", "9223372036854775808"], "expected a whole number of at most 2147483647, got '9223372036854775808'"),
    (["-learning_rate", "0"], "expected a number above 0, got '0'"),
    (["-learning_rate", "nan"], "expected a number above 0, got 'nan'"),
    (["-learning_rate", "inf"], "expected a number above 0, got 'inf'"),
    (["-learning_rate=-1e-5"], "expected a number above 0, got '-1e-5'"),
    (["-dropout_rate", "1"], "expected a number from 0 to below 1, got '1'"),
    (["-dropout_rate=-0.1"], "got '-0.1'"),
    (["-warmup_proportion", "a\nb"], "a\nb"),
    (["-cell", "rnn"], "lstm"),
    (["-subword_labels", "last"], "first"),
    (["-bert_dir", "no_such_directory"], "no_such_directory: expected a directory with bert_config.json"),
]


@pytest.mark.parametrize("argv,expected", WRONG)
def test_wrong_flags(argv, expected, capsys):
    with pytest.raises(UserError) as caught:
        parse(*argv)
    assert expected in str(caught.value)
    assert capsys.readouterr() == ("", "")

    with pytest.raises(SystemExit) as ended:
        run_program(lambda: parse(*argv))
    out, err = capsys.readouterr()
    assert ended.value.code == 2 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n")


@pytest.mark.parametrize("flag", ["-do_tra", "--do_tra", "-data", "--data", "-hidden", "-head_l", "-b", "-v", "--h"])
def test_no_flag_is_found_by_its_beginning(flag):
    with pytest.raises(UserError, match=f"unrecognized arguments: {flag}"):
        parse(flag)
    with pytest.raises(UserError, match=f"unrecognized arguments: {flag}"):
        parse(flag + "=1")


@pytest.mark.parametrize("flag", ["-version", "--version"])
def test_version(flag, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(flag)
    assert not ended.value.code
    assert capsys.readouterr() == (__version__ + "\n", "")


@pytest.mark.parametrize("flag", ["-h", "-help", "--help"])
def test_help_lists_every_flag(flag, capsys):
    with pytest.raises(SystemExit) as ended:
        parse("-do_train", flag)
    out, err = capsys.readouterr()
    assert not ended.value.code and err == ""
    for name in list(DEFAULTS) + ["seed", "version", "help"]:
        assert f"-{name}" in out and f"--{name}" in out
    assert "(default: 128)" in out


def bert_files(folder, *names):
    for name in names:
        (folder / name).write_text("")
    return [str(folder / name) for name in ("bert_config.json", "vocab.txt", "bert_model.ckpt")]


def test_bert_dir_sets_the_three_paths(tmp_path):
    config, vocab, checkpoint = bert_files(tmp_path, "bert_config.json", "vocab.txt", "bert_model.ckpt.index")
    args = parse("-bert_dir", str(tmp_path))
    assert (args.bert_config_file, args.vocab_file, args.init_checkpoint) == (config, vocab, checkpoint)


@pytest.mark.parametrize("name", ["bert_config_file", "vocab_file", "init_checkpoint"])
def test_a_path_given_goes_before_bert_dir(name, tmp_path):
    paths = bert_files(tmp_path, "bert_config.json", "vocab.txt", "bert_model.ckpt.index")
    expected = dict(zip(["bert_config_file", "vocab_file", "init_checkpoint"], paths), **{name: "mine"})
    for argv in (["-bert_dir", str(tmp_path), "-" + name, "mine"], ["-" + name, "mine", "-bert_dir", str(tmp_path)]):
        args = vars(parse(*argv))
        assert {key: args[key] for key in expected} == expected


def test_bert_dir_takes_the_one_checkpoint_whatever_its_name(tmp_path):
    bert_files(tmp_path, "bert_config.json", "vocab.txt", "model.ckpt-1000000.index", "x.ckpt.data-00000-of-00001")
    assert parse("-bert_dir", str(tmp_path)).init_checkpoint == str(tmp_path / "model.ckpt-1000000")


@pytest.mark.parametrize(
    "names",
    [
        ["bert_config.json", "bert_model.ckpt.index", "model.ckpt-5.index"],
        ["bert_config.json", "bert_model.ckpt.data-00000-of-00001"],
        ["bert_config.json", "pytorch_model.bin", "config.json"],
    ],
)
def test_bert_dir_with_weights_that_cannot_be_told_is_no_encoder_from_scratch(names, tmp_path):
    """checkpoint.resolve refuses the directory, where training is to start from it."""
    bert_files(tmp_path, "vocab.txt", *{"bert_config.json", *names})
    assert parse("-bert_dir", str(tmp_path)).init_checkpoint == str(tmp_path)


def test_bert_dir_that_is_the_output_dir_holds_checkpoints_of_the_run(tmp_path):
    bert_files(tmp_path, "bert_config.json", "vocab.txt", "model.ckpt-6.index")
    assert parse("-bert_dir", str(tmp_path), "-output_dir", str(tmp_path) + "/").init_checkpoint is None
    assert parse("-bert_dir", str(tmp_path), "-output_dir", "other").init_checkpoint == str(tmp_path / "model.ckpt-6")
    bert_files(tmp_path, "bert_model.ckpt.index")
    args = parse("-bert_dir", str(tmp_path), "-output_dir", str(tmp_path))
    assert args.init_checkpoint == str(tmp_path / "bert_model.ckpt")


def test_bert_dir_of_hugging_face_leads_to_the_converter(tmp_path):
    bert_files(tmp_path, "config.json", "model.safetensors", "vocab.txt")
    for bert_dir in (str(tmp_path), "bert-base-cased", "google/electra-small-discriminator"):
        with pytest.raises(UserError, match="Hugging Face.* python -m bert.convert_checkpoint"):
            parse("-bert_dir", bert_dir)
    with pytest.raises(UserError, match=r"nothing: expected a directory with bert_config\.json and vocab\.txt"):
        parse("-bert_dir", str(tmp_path / "nothing"))


def test_bert_dir_without_a_checkpoint_is_an_encoder_from_scratch(tmp_path):
    config, vocab, _ = bert_files(tmp_path, "bert_config.json", "vocab.txt")
    args = parse("-bert_dir", str(tmp_path))
    assert (args.bert_config_file, args.vocab_file, args.init_checkpoint) == (config, vocab, None)


@pytest.mark.parametrize(
    "kind,accepted,refused",
    [
        (positive_int, ["1", "64", "2147483647"], ["0", "-1", "1.0", "", "x", "inf", "2147483648", "9" * 30]),
        (non_negative_int, ["0", "12"], ["-1", "0.5", "", "2147483648"]),
        (positive_float, ["1e-5", "3", ".5"], ["0", "-1", "nan", "inf", ""]),
        (fraction, ["0", "0.999", "0.0"], ["1", "1.5", "-0.1", "nan", "x"]),
        (proportion, ["0", "1", "0.5"], ["1.001", "-0.1", "nan", "x"]),
    ],
)
def test_numbers(kind, accepted, refused):
    for text in accepted:
        assert kind(text) == float(text)
    for text in refused:
        with pytest.raises(argparse.ArgumentTypeError, match="expected"):
            kind(text)


def test_a_program_of_its_own_flags():
    parser = FlagParser(prog="program")
    add_flag(parser, "input_file", required=True)
    add_switch(parser, "do_lower_case", True)
    flag, switch = parser.flag_group("more")
    flag("layers", type=positive_int, default=2)
    switch("fast", False)
    args = parser.parse_args(["--input_file=a=b", "-fast"])
    assert vars(args) == {"input_file": "a=b", "do_lower_case": True, "layers": 2, "fast": True}
    with pytest.raises(UserError, match="input_file"):
        parser.parse_args([])


def test_help_names_the_defaults_there_are():
    parser = FlagParser(prog="program")
    add_flag(parser, "rate", default=0.5, help="how fast")
    add_flag(parser, "output", help="file to write; default: standard output")
    text = parser.format_help()
    assert "how fast (default: 0.5)" in text and "None" not in text
