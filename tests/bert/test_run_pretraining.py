"""Pre-training: its input, a tiny encoder that learns the sample text, and what follows it."""

import json
import os
import re
import shutil
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import create_pretraining_data, run_classifier, run_pretraining
from bert.data.batches import Reading
from bert.data.records import make_example
from bert.encoder import kernels
from bert.modeling import BertConfig, encoder_shapes
from bert.pretraining import model
from bert.pretraining import records as pretraining_records
from bert.system.errors import UserError, run_program
from bert.tokenization import BasicTokenizer
from tests import selection
from tests.bert import classifier_task, test_run_squad
from tests.bert.data.window_records import start_of_an_endless_record
from tests.bert.pretraining_text import write_numbered
from tests.paths import REPOSITORY
from tests.small_task import succeed_here
from tests.training import OTHER_WAY, REFUSED, recorded_losses

LENGTH, PREDICTIONS = 32, 10
STEPS = 350 if selection.is_reference() else 20  # as many as it learns in; that a model learns, others show there
SHAPE_FLAGS = [f"--max_seq_length={LENGTH}", f"--max_predictions_per_seq={PREDICTIONS}"]


def make_data(monkeypatch, folder, name, *flags):
    monkeypatch.setattr(
        sys,
        "argv",
        ["program", f"--input_file={folder}/text", f"--output_file={folder}/{name}", f"--vocab_file={folder}/vocab.txt"]
        + SHAPE_FLAGS
        + list(flags),
    )
    create_pretraining_data.main()


@pytest.fixture(scope="module")
def given(once):
    """Two documents of the sample text as records, one of them Chinese, and a tiny encoder for their words."""
    return once("pretraining", fill)


def fill(folder):
    with open(os.path.join(REPOSITORY, "bert", "sample_text.txt"), encoding="utf-8") as reader:
        text = "\n\n".join(reader.read().split("\n\n")[::16]) + "\n"
    words = "[PAD] [UNK] [CLS] [SEP] [MASK]".split() + sorted(set(BasicTokenizer().tokenize(text)))
    (folder / "text").write_bytes(text.encode("utf-8"))
    (folder / "vocab.txt").write_bytes(("\n".join(words) + "\n").encode("utf-8"))
    config = {
        "vocab_size": len(words), "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
        "intermediate_size": 256, "max_position_embeddings": LENGTH, "type_vocab_size": 2, "initializer_range": 0.1,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    (folder / "bert_config.json").write_text(json.dumps(config))
    monkeypatch = pytest.MonkeyPatch()
    make_data(monkeypatch, folder, "records", "--dupe_factor=150", "--random_seed=1")
    make_data(monkeypatch, folder, "others", "--dupe_factor=2", "--random_seed=2")
    monkeypatch.undo()


def flags_of(folder, output, records="records"):
    return [
        f"--input_file={folder}/{records}", f"--output_dir={output}", f"--bert_config_file={folder}/bert_config.json"
    ] + SHAPE_FLAGS  # fmt: skip


def results_in(output):
    with open(os.path.join(output, "eval_results.txt")) as reader:
        return {line.split(" = ")[0]: float(line.split(" = ")[1]) for line in reader}


@pytest.fixture(scope="module")
def trained(given, once, tmp_path_factory):
    """The directory of a pre-training run of STEPS steps: a copy, as evaluations write to it."""

    def train(directory):
        run_pretraining.main(
            flags_of(given, directory / "output")
            + ["--do_train", "--train_batch_size=32", "--learning_rate=4e-3"]
            + [f"--num_train_steps={STEPS}", f"--num_warmup_steps={STEPS // 7}"]
        )

    output = str(tmp_path_factory.mktemp("trained") / "output")
    shutil.copytree(str(once("pretrained", train) / "output"), output)
    return output


@pytest.mark.one_tensorflow
def test_the_text_is_learnt(given, trained):
    """Pieces masked otherwise than any seen in training are found; in this text the answer is always the same."""
    run_pretraining.main(flags_of(given, trained, "others") + ["--do_eval"])
    results = results_in(trained)
    assert sorted(results) == [
        "global_step", "loss", "masked_lm_accuracy", "masked_lm_loss", "next_sentence_accuracy", "next_sentence_loss"
    ]  # fmt: skip
    assert results["global_step"] == STEPS
    assert results["masked_lm_accuracy"] > 0.9
    assert results["next_sentence_accuracy"] > 0.9


def test_evaluation_sees_each_example_once(given, trained):
    """Whatever the batch size, with a last batch that is not full."""
    found = []
    for size in (1000, 7):
        run_pretraining.main(flags_of(given, trained, "others") + ["--do_eval", f"--eval_batch_size={size}"])
        found.append(results_in(trained))
    for name in ("masked_lm_accuracy", "masked_lm_loss", "next_sentence_accuracy", "next_sentence_loss"):
        assert abs(found[0][name] - found[1][name]) < 1e-4
    both = found[0]["masked_lm_loss"] + found[0]["next_sentence_loss"]
    assert abs(found[0]["loss"] - both) < 1e-4


@pytest.mark.one_tensorflow
def test_it_starts_fine_tuning(given, trained, tmp_path):
    """run.py takes the checkpoint as it is: what it was told to leave alone has the pre-trained values."""
    for split in ("train", "dev"):
        (tmp_path / f"{split}.txt").write_bytes("river O\nsea B-LOC\n\n海 B-LOC\n".encode())
    checkpoint = tf.train.latest_checkpoint(trained)
    log = succeed_here(
        "-data_dir", str(tmp_path), "-output_dir", str(tmp_path / "tagger"), "-init_checkpoint", checkpoint,
        "-bert_config_file", str(given / "bert_config.json"), "-vocab_file", str(given / "vocab.txt"),
        "-max_seq_length", "16", "-batch_size", "2", "-num_train_epochs", "1", "-lstm_size", "4", "-freeze_layers", "1",
        "-do_predict", "false", "-do_eval", "false",
    )  # fmt: skip
    assert f"encoder variables from {checkpoint}; the tagging head starts from random weights" in log
    pretrained = tf.train.load_checkpoint(checkpoint)
    tagger = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(tmp_path / "tagger")))
    config = BertConfig.from_json_file(str(given / "bert_config.json"))
    for name in encoder_shapes(config):
        if "pooler" not in name:
            np.testing.assert_array_equal(tagger.get_tensor(name), pretrained.get_tensor(name))


def test_checkpoint_has_every_variable_of_the_contract(given, trained):
    config = BertConfig.from_json_file(str(given / "bert_config.json"))
    expected = dict(encoder_shapes(config), **model.head_shapes(config))
    found = dict(tf.train.list_variables(tf.train.latest_checkpoint(trained)))
    slots = {f"{name}/{slot}": shape for name, shape in expected.items() for slot in ("adam_m", "adam_v")}
    assert found.pop("global_step") == []
    assert found == dict(expected, **slots)


@pytest.mark.one_tensorflow
def test_evaluation_of_an_init_checkpoint(given, trained, tmp_path):
    """What nobody trained here is evaluated as it is."""
    flags = flags_of(given, tmp_path / "new", "others") + ["--do_eval", "--eval_batch_size=1000"]
    run_pretraining.main(flags + ["--init_checkpoint=" + tf.train.latest_checkpoint(trained)])
    assert results_in(str(tmp_path / "new"))["masked_lm_accuracy"] > 0.9


def numbers_of(files, steps, size=3, is_training=False, **reading):
    """The numbers of the records in the first `steps` batches."""
    input_fn = pretraining_records.input_fn_builder(files, 4, 2, is_training, Reading(**reading))
    with tf.Graph().as_default(), tf.Session() as session:
        batch = tf.data.make_one_shot_iterator(input_fn({"batch_size": size})).get_next()
        return [int(number) for _ in range(steps) for number in session.run(batch)["masked_lm_ids"][:, 0]]


def test_input(tmp_path):
    files = [str(tmp_path / "a"), str(tmp_path / "empty"), str(tmp_path / "b")]
    for path, numbers in zip(files, (range(5), [], range(5, 8))):
        write_numbered(path, numbers)
    assert pretraining_records.count_records(files, 4, 2, 9) == 8
    assert numbers_of(files, 3) == list(range(8))  # the last batch is of two
    trained = numbers_of(files, 8, is_training=True, seed=3)
    for epoch in range(3):
        assert sorted(trained[8 * epoch : 8 * epoch + 8]) == list(range(8))
    assert trained[:8] != trained[8:16]
    assert numbers_of(files, 3, is_training=True, seed=3, start_step=5) == trained[15:]


def test_record_files_that_are_none(tmp_path):
    whole, cut = tmp_path / "whole", str(tmp_path / "cut")
    write_numbered(whole, range(30))

    def fails(expected, *args):
        with pytest.raises(UserError, match=expected):
            pretraining_records.count_records(*args)

    content = whole.read_bytes()
    for size in (len(content) - 1, len(content) - len(content) // 30 + 3):
        (tmp_path / "cut").write_bytes(content[:size])
        fails("cut: cut off in record 30", [cut], 4, 2, 99)
    (tmp_path / "cut").write_text("no records at all, but a line of text\n")
    fails("cut: no TFRecord file, or cut off in record 1; expected a whole TFRecord file", [cut], 4, 2, 99)
    (tmp_path / "cut").write_bytes(content + start_of_an_endless_record(tmp_path))
    fails("cut: cut off in record 31", [cut], 4, 2, 99)
    (tmp_path / "cut").write_bytes(b"")
    fails("cut: no record", [cut], 4, 2, 99)
    fails(r"whole: its records have 4 input_ids; expected 8, see -max_seq_length", [str(whole)], 8, 2, 99)
    fails(r"whole: .* 2 masked_lm_positions; expected 3, see -max_predictions_per_seq", [str(whole)], 4, 3, 99)
    fails(r"whole: made with another vocabulary: piece 5 in it; expected ids below 5", [str(whole)], 4, 2, 5)
    with tf.io.TFRecordWriter(cut) as writer:
        writer.write(make_example({"input_ids": [1] * 4}).SerializeToString())
    fails(r"cut: its records have 0 input_mask; expected 4", [cut], 4, 2, 99)
    with tf.io.TFRecordWriter(cut) as writer:
        writer.write(b"\xff\xff")
    fails(r"cut: expected records of create_pretraining_data", [cut], 4, 2, 99)


@pytest.fixture
def check(capfd):
    """`check(expected, flags)`: exit code 2 and one line on standard error."""

    def check(expected, flags):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run_program(lambda: run_pretraining.main(flags))
        printed = capfd.readouterr()
        assert ended.value.code == 2
        assert printed.out == ""
        assert len(printed.err.splitlines()) == 1, printed.err
        assert re.search(expected, printed.err), printed.err

    return check


def test_bad_input(given, trained, tmp_path, check):
    output = tmp_path / "output"
    flags = flags_of(given, output)
    check("nothing to do: expected -do_train or -do_eval", flags)
    check("-input_file, -output_dir and -bert_config_file are missing", ["--do_train"])
    flags.append("--do_train")
    check(r"nothing\.\*: no such file", flags + ["--input_file=nothing.*"])
    check(r"bert_config\.jsn: cannot be read", flags + ["--bert_config_file=bert_config.jsn"])
    check(r"-max_seq_length 33: expected at most 32", flags + ["--max_seq_length=33"])
    check(r"records: .* have 32 input_ids; expected 16, see -max_seq_length", flags + ["--max_seq_length=16"])
    check(r"-learning_rate", flags + ["--learning_rate=0"])
    check(r"no/model\.ckpt: no checkpoint of that name", flags + ["--init_checkpoint=no/model.ckpt"])
    check(r"output: no checkpoint in it", flags + ["--do_train=false", "--do_eval"])
    config = json.loads((given / "bert_config.json").read_text())
    (tmp_path / "smaller.json").write_text(json.dumps(dict(config, vocab_size=100)))
    check(r"records: made with another vocabulary", flags + [f"--bert_config_file={tmp_path}/smaller.json"])
    (tmp_path / "other.json").write_text(json.dumps(dict(config, vocab_size=config["vocab_size"] + 1)))
    other = flags + [f"--bert_config_file={tmp_path}/other.json"]
    expected = r"word_embeddings has the shape .*the model of these settings expects"
    check(expected, other + ["--init_checkpoint=" + tf.train.latest_checkpoint(trained)])
    check(expected, other + [f"--output_dir={trained}"])
    assert not output.exists()


def test_damaged_record(given, tmp_path, capfd):
    """Found while reading, as the checksums of a large file are not all looked at before."""
    content = bytearray((given / "records").read_bytes())
    content[-20] ^= 1
    (tmp_path / "damaged").write_bytes(bytes(content))
    flags = flags_of(given, tmp_path / "output") + [f"--input_file={tmp_path}/damaged", "--do_train"]
    with pytest.raises(SystemExit) as ended:
        run_program(lambda: run_pretraining.main(flags + ["--num_train_steps=30", "--train_batch_size=64"]))
    assert ended.value.code == 2
    assert re.search(r"^error: .*damaged: a record in it is damaged: ", capfd.readouterr().err.splitlines()[-1])


def fine_tuning_flags(given, trained, output):
    return [
        f"--output_dir={output}", f"--vocab_file={given}/vocab.txt", f"--bert_config_file={given}/bert_config.json",
        f"--init_checkpoint={tf.train.latest_checkpoint(trained)}", "--train_batch_size=16", "--learning_rate=1e-3",
    ]  # fmt: skip


def english_words(given):
    words = (given / "vocab.txt").read_text(encoding="utf-8").split()
    return [word for word in words if re.match("[a-z]{4,}$", word)]


@pytest.mark.one_tensorflow
def test_pairs_are_learnt_from_it(given, trained, tmp_path, monkeypatch):
    """MRPC-shaped data in words of the sample text, starting from the pre-trained checkpoint."""
    words = english_words(given)
    for name, chosen in (("GOOD", words[:4]), ("BAD", words[4:8]), ("OTHER", words[8:16])):
        monkeypatch.setattr(classifier_task, name, chosen)
    classifier_task.write_mrpc(tmp_path)
    output = tmp_path / "output"
    run_classifier.main(
        fine_tuning_flags(given, trained, output)
        + ["--task_name=mrpc", f"--data_dir={tmp_path}", "--max_seq_length=24", "--num_train_epochs=12"]
        + ["--do_train", "--do_eval"]
    )
    assert classifier_task.results_of(output)["eval_accuracy"] > 0.95


@pytest.mark.one_tensorflow
def test_answers_are_learnt_from_it(given, trained, tmp_path, monkeypatch):
    """SQuAD-shaped data in words of the sample text, starting from the pre-trained checkpoint."""
    words = english_words(given)
    kinds = {f"{words[i]} ?": words[4 * i + 4 : 4 * i + 7] for i in range(3)}
    monkeypatch.setattr(test_run_squad, "ENGLISH", kinds)
    monkeypatch.setattr(test_run_squad, "CHINESE", kinds)
    for name in ("ENGLISH_FILLER", "CHINESE_FILLER"):
        monkeypatch.setattr(test_run_squad, name, words[20:30])
    # Words without spaces between them, as Chinese is written, would be one word here.
    monkeypatch.setattr(test_run_squad, "paragraph", spaced(test_run_squad.paragraph))
    test_run_squad.write_squad(tmp_path / "train.json", 150, 1)
    test_run_squad.write_squad(tmp_path / "dev.json", 20, 2)
    scores = test_run_squad.run(
        *fine_tuning_flags(given, trained, tmp_path / "output"), "--do_train", "--do_predict",
        f"--train_file={tmp_path}/train.json", f"--predict_file={tmp_path}/dev.json", "--num_train_epochs=15",
        "--learning_rate=3e-3",
        "--max_seq_length=22", "--doc_stride=7", "--max_query_length=6",
    )  # fmt: skip
    assert scores["exact_match"] > 90


def spaced(paragraph):
    return lambda rng, kinds, filler, space, *more: paragraph(rng, kinds, filler, " ", *more)


@pytest.mark.one_tensorflow
def test_trained_and_evaluated_another_way(given, tmp_path):
    """The losses of some steps and of an evaluation are about those of plain float32."""
    flags = ["--do_train", "--train_batch_size=16", "--num_warmup_steps=2", "--learning_rate=1e-3"]
    start = str(tmp_path / "start")
    run_pretraining.main(flags_of(given, start, "others") + flags + ["--num_train_steps=1"])
    # All from one checkpoint, as random values depend on how the graph is built.
    flags += [f"--init_checkpoint={tf.train.latest_checkpoint(start)}", "--num_train_steps=6", "--do_eval"]
    found = {}
    for name, way in (("plain", ["--precision=fp32", "--xla=false"]), ("other", OTHER_WAY + ["--profile"])):
        output = str(tmp_path / name)
        with recorded_losses() as losses:
            run_pretraining.main(flags_of(given, output, "others") + flags + way)
        found[name] = losses + [results_in(output)["loss"]]
        assert len(losses) == 6
    assert os.listdir(str(tmp_path / "other" / "profile"))
    np.testing.assert_allclose(found["other"], found["plain"], rtol=0.02)
    assert found["other"] != found["plain"] or not kernels.can_fuse()  # bf16 is not quite the same


@pytest.mark.parametrize("flag,expected", REFUSED + [("--bucket=true", "bucket")])
def test_ways_that_there_are_not(flag, expected, given, tmp_path, check):
    check(expected, flags_of(given, tmp_path / "output") + ["--do_train", flag])
    assert not (tmp_path / "output").exists()
