"""run_squad.py end to end on small data: learning, the files it writes, SQuAD 2.0, and bad input."""

import json
import os
import re
import shutil
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import run_squad
from bert.data.records import count_records
from bert.encoder import kernels
from bert.system.errors import run_program
from tests import forking, selection
from tests.training import OTHER_WAY, REFUSED, recorded_losses

# What is asked for and, in the original's case, accents and spaces, what may be the answer.
ENGLISH = {
    "What color?": ["Red", "sky-blue", "ROSÉ", "deep  green"],
    "What animal?": ["cat", "Polar\u00a0Bear", "Dog"],
    "Which city?": ["São  Paulo", "Paris", "Cafe\u0301 City"],
}
CHINESE = {"什么颜色？": ["红色", "蓝"], "什么动物？": ["熊猫", "猫"], "什么城市？": ["北京", "上海"]}
ENGLISH_FILLER, CHINESE_FILLER = "the of and in was to by with on from , .".split(), list("的在有和是了，。")
PIECES = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] what which color animal city ? red sky - blue rose deep green cat polar".split()
)
PIECES += (
    "bear dog sao paulo par ##is cafe".split()
    + ENGLISH_FILLER
    + list("什么颜色动物城市？红蓝熊猫北京上海")
    + CHINESE_FILLER
)

EPOCHS = 15 if selection.is_reference() else 2  # as many as it learns in; that a model learns, others show there


def paragraph(rng, kinds, filler, space, first_id, unanswerable):
    """A paragraph with one answer of each kind somewhere in filler; some kinds are left out if unanswerable."""
    words = [filler[i] for i in rng.randint(len(filler), size=rng.randint(8, 18))]
    answers = {}
    for kind, place in zip(kinds, rng.choice(len(words), len(kinds), replace=False)):
        if not (unanswerable and rng.rand() < 0.3):
            answers[kind] = place
            words[place] = kinds[kind][rng.randint(len(kinds[kind]))]
    context, qas = space.join(words), []
    for i, kind in enumerate(kinds):
        qa = {"id": f"q{first_id + i}", "question": kind, "answers": []}
        if unanswerable:
            qa["is_impossible"] = kind not in answers
        if kind in answers:
            start = len("".join(word + space for word in words[: answers[kind]]))
            qa["answers"] = [{"text": words[answers[kind]], "answer_start": start}]
        qas.append(qa)
    return {"context": context, "qas": qas}


def write_squad(path, paragraphs, seed, unanswerable=False):
    rng = np.random.RandomState(seed)
    made = []
    for i in range(paragraphs):
        kinds, filler, space = (ENGLISH, ENGLISH_FILLER, " ") if i % 2 else (CHINESE, CHINESE_FILLER, "")
        made.append(paragraph(rng, kinds, filler, space, 3 * i, unanswerable))
    path.write_text(json.dumps({"version": "x", "data": [{"title": "t", "paragraphs": made}]}))


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """(directory with data and encoder, flags that all runs share)."""
    directory = tmp_path_factory.mktemp("squad")
    write_squad(directory / "train.json", 150, 1)
    write_squad(directory / "dev.json", 20, 2)
    write_squad(directory / "train2.json", 200, 3, unanswerable=True)
    write_squad(directory / "dev2.json", 20, 4, unanswerable=True)
    (directory / "vocab.txt").write_bytes("\n".join(PIECES).encode("utf-8"))
    config = {
        "vocab_size": len(PIECES), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": 32, "type_vocab_size": 2, "initializer_range": 0.1,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    (directory / "bert_config.json").write_text(json.dumps(config))
    return directory, [
        f"--bert_config_file={directory}/bert_config.json", f"--vocab_file={directory}/vocab.txt",
        "--max_seq_length=22", "--doc_stride=7", "--max_query_length=6", "--train_batch_size=16",
        "--learning_rate=1e-3",
    ]  # fmt: skip


def run(*flags):
    with tf.Graph().as_default():
        return run_squad.run(run_squad.parse_args(list(flags)))


def load(output, name):
    with open(os.path.join(str(output), name), encoding="utf-8") as reader:
        return json.load(reader)


def questions_of(path):
    """{id: (context, [answers])} in the file's order."""
    return {
        qa["id"]: (paragraph["context"], [answer["text"] for answer in qa["answers"]])
        for paragraph in json.loads(path.read_text())["data"][0]["paragraphs"]
        for qa in paragraph["qas"]
    }


@pytest.fixture(scope="module")
def trained(given, tmp_path_factory):
    """(output directory, scores) of SQuAD 1.1 trained from random weights."""
    directory, flags = given
    output = tmp_path_factory.mktemp("run") / "output"
    scores = run(
        *flags, "--do_train", "--do_predict=true", f"--train_file={directory}/train.json",
        f"--predict_file={directory}/dev.json", f"--output_dir={output}", f"--num_train_epochs={EPOCHS}",
    )  # fmt: skip
    return output, scores


@pytest.mark.one_tensorflow
def test_what_can_be_learnt_is_learnt(given, trained):
    output, scores = trained
    assert scores["exact_match"] > 90 and scores["f1"] >= scores["exact_match"]
    questions = questions_of(given[0] / "dev.json")
    predictions = load(output, "predictions.json")
    # Right to the character, not just after the evaluation's normalisation.
    right = sum(predictions[name] == answers[0] for name, (_, answers) in questions.items())
    assert right > 0.9 * len(questions)


def test_every_question_has_one_answer_from_its_context(given, trained):
    questions = questions_of(given[0] / "dev.json")
    predictions, n_best = load(trained[0], "predictions.json"), load(trained[0], "nbest_predictions.json")
    assert list(predictions) == list(n_best) == list(questions)
    for name, (context, _) in questions.items():
        assert all(entry["text"] in context for entry in n_best[name])
        assert n_best[name][0]["text"] == predictions[name]
        assert 1 <= len(n_best[name]) <= 20
        assert sum(entry["probability"] for entry in n_best[name]) == pytest.approx(1.0)
    assert not os.path.exists(str(trained[0] / "null_odds.json"))
    text = (trained[0] / "predictions.json").read_bytes().decode("utf-8")
    assert any(answer in text for answer in CHINESE["什么城市？"])  # as UTF-8, not as \\u escapes


def test_results_file(trained):
    output, scores = trained
    lines = dict(line.split(" = ") for line in (output / "eval_results.txt").read_text().splitlines())
    assert {name: float(value) for name, value in lines.items()} == scores


def test_contexts_were_cut_into_windows(given, trained):
    assert count_records(str(trained[0] / "train.tf_record")) > len(questions_of(given[0] / "train.json"))
    assert count_records(str(trained[0] / "eval.tf_record")) > len(questions_of(given[0] / "dev.json"))


def test_predicting_again_gives_the_same(given, trained, tmp_path):
    """Whatever the batch size, from -output_dir or from -init_checkpoint; files without answers are not scored."""
    directory, flags = given
    data = json.loads((directory / "dev.json").read_text())
    for each in data["data"][0]["paragraphs"]:
        for qa in each["qas"]:
            del qa["answers"]
    (tmp_path / "test.json").write_text(json.dumps(data))
    checkpoint = tf.train.latest_checkpoint(str(trained[0]))
    scores = run(
        *flags, "--do_predict", f"--predict_file={tmp_path}/test.json", f"--output_dir={tmp_path}/output",
        f"--init_checkpoint={checkpoint}", "--predict_batch_size=7",
    )  # fmt: skip
    assert scores is None and not (tmp_path / "output" / "eval_results.txt").exists()
    assert load(tmp_path / "output", "predictions.json") == load(trained[0], "predictions.json")


@pytest.mark.one_tensorflow
def test_what_is_trained_already_is_left_alone(given, trained):
    directory, flags = given
    before = {path.name: path.stat().st_mtime_ns for path in trained[0].iterdir()}
    run(
        *flags, "--do_train", f"--train_file={directory}/train.json", f"--output_dir={trained[0]}",
        f"--num_train_epochs={EPOCHS}",
    )  # fmt: skip
    assert {path.name: path.stat().st_mtime_ns for path in trained[0].iterdir()} == before


@pytest.mark.one_tensorflow
def test_squad_2(given, trained, tmp_path):
    """Starting from the model of SQuAD 1.1."""
    directory, flags = given
    flags = flags + ["--version_2_with_negative", f"--output_dir={tmp_path}/output"]
    flags += ["--do_predict", f"--predict_file={directory}/dev2.json"]
    scores = run(
        *flags, "--do_train", f"--train_file={directory}/train2.json", "--num_train_epochs=7",
        f"--init_checkpoint={tf.train.latest_checkpoint(str(trained[0]))}",
    )  # fmt: skip
    questions = questions_of(directory / "dev2.json")
    unanswerable = [name for name, (_, answers) in questions.items() if not answers]
    assert 0 < len(unanswerable) < len(questions)
    assert scores["exact"] > 85 and scores["NoAns_total"] == len(unanswerable)
    assert scores["best_exact"] >= scores["exact"]
    predictions, null_odds = load(tmp_path / "output", "predictions.json"), load(tmp_path / "output", "null_odds.json")
    n_best = load(tmp_path / "output", "nbest_predictions.json")
    assert list(predictions) == list(null_odds) == list(n_best) == list(questions)
    for name, odds in null_odds.items():
        assert (predictions[name] == "") == (odds > 0)
        assert [entry["text"] for entry in n_best[name]].count("") == 1
    # The threshold found to be best does what was promised of it.
    again = run(*flags, f"--null_score_diff_threshold={scores['best_exact_thresh']}")
    assert again["exact"] == pytest.approx(scores["best_exact"])
    assert run_squad.parse_args(["--null_score_diff_threshold", "-1.5"]).null_score_diff_threshold == -1.5


@pytest.mark.one_tensorflow
def test_as_a_program(given, tmp_path):
    """As shell scripts start it, from anywhere; nothing but the one line on standard error where the input is bad."""
    place, out, err = tmp_path / "place", tmp_path / "out", tmp_path / "err"
    place.mkdir()
    flags = [*given[1], "--do_predict", "--predict_file=no.json", "--output_dir=output"]
    exit_code = forking.run(forking.program, run_squad.__file__, *flags, stdout=out, stderr=err, cwd=place)
    assert (exit_code, out.read_text()) == (2, "")
    assert err.read_text() == "error: no.json: cannot be read: No such file or directory\n"
    assert os.listdir(str(place)) == []


@pytest.fixture
def check(given, capfd, monkeypatch, tmp_path):
    """`check(expected, *flags)`: these flags end with exit code 2 and one line on standard error, nothing written."""

    def check(expected, *flags):
        monkeypatch.setattr(sys, "argv", ["run_squad.py", f"--output_dir={tmp_path}/new"] + given[1] + list(flags))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run_program(lambda: run_squad.run(run_squad.parse_args()))
        printed = capfd.readouterr()
        assert ended.value.code == 2 and printed.out == ""
        assert len(printed.err.splitlines()) == 1, printed.err
        assert re.search(expected, printed.err), printed.err
        assert not (tmp_path / "new").exists()

    return check


@pytest.mark.one_tensorflow
def test_bad_flags(given, check):
    dev = f"--predict_file={given[0]}/dev.json"
    check("nothing to do")
    check("-train_file is missing", "--do_train")
    check("-predict_file is missing", "--do_predict")
    check("-vocab_file is missing", "--do_predict", dev, "--vocab_file=")
    check("-max_seq_length 9: expected more than -max_query_length 6 and 3", "--do_predict", dev, "--max_seq_length=9")
    check("-max_seq_length 33: expected 3 to 32", "--do_predict", dev, "--max_seq_length=33")
    check("-doc_stride.*at least 1", "--do_predict", dev, "--doc_stride=0")
    check("-null_score_diff_threshold.*'much'", "--do_predict", dev, "--null_score_diff_threshold=much")
    check("-no_such_flag", "--do_predict", dev, "--no_such_flag")
    check("new: no checkpoint in it", "--do_predict", dev)
    check("no/model.ckpt: ", "--do_predict", dev, "--init_checkpoint=no/model.ckpt")


@pytest.mark.one_tensorflow
def test_bad_data(given, check, tmp_path):
    data = json.loads((given[0] / "train.json").read_text())
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                for answer in qa["answers"]:
                    answer["answer_start"] = 9999
    (tmp_path / "bad.json").write_text(json.dumps(data))
    check(r"bad\.json: question .*: expected the answer '.*' at its answer_start 9999", "--do_train",
          f"--train_file={tmp_path}/bad.json")  # fmt: skip
    config = json.loads((given[0] / "bert_config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(dict(config, type_vocab_size=1)))
    check(r"config\.json: type_vocab_size is 1", "--do_train", f"--train_file={given[0]}/train.json",
          f"--bert_config_file={tmp_path}/config.json")  # fmt: skip
    (tmp_path / "bad.json").write_text("{}")
    check(r"bad\.json: expected an object with 'data'", "--do_predict", f"--predict_file={tmp_path}/bad.json")


def test_bad_checkpoints(given, trained, check, tmp_path):
    dev = f"--predict_file={given[0]}/dev.json"
    checkpoint = tf.train.latest_checkpoint(str(trained[0]))
    config = json.loads((given[0] / "bert_config.json").read_text())
    shorter = "\n".join(PIECES[:-1])
    (tmp_path / "vocab.txt").write_bytes(shorter.encode("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(dict(config, vocab_size=len(PIECES) - 1)))
    check(
        r"model\.ckpt-\d+: bert/embeddings/word_embeddings has the shape", "--do_train", "--do_predict", dev,
        f"--train_file={given[0]}/train.json", f"--init_checkpoint={checkpoint}",
        f"--vocab_file={tmp_path}/vocab.txt", f"--bert_config_file={tmp_path}/config.json",
    )  # fmt: skip

    with tf.Graph().as_default(), tf.Session() as session:  # a checkpoint of something else
        tf.get_variable("other", [2], initializer=tf.zeros_initializer())
        session.run(tf.global_variables_initializer())
        other = tf.train.Saver().save(session, str(tmp_path / "other.ckpt"), latest_filename="other")
    check(r"other\.ckpt: no cls/squad/output_bias in it", "--do_predict", dev, f"--init_checkpoint={other}")

    damaged = tmp_path / "damaged"
    shutil.copytree(str(trained[0]), str(damaged))
    (data,) = damaged.glob(os.path.basename(checkpoint) + ".data-*")
    data.write_bytes(data.read_bytes()[:1000])
    check(r"damaged/model\.ckpt-\d+: the checkpoint is cut off", "--do_predict", dev, f"--output_dir={damaged}")


@pytest.mark.one_tensorflow
def test_trained_and_predicted_another_way(given, trained, tmp_path):
    """The losses of some steps are about those of plain float32, and so are the probabilities of the answers."""
    directory, flags = given
    # Already trained, so that answers differ in more than chance.
    flags = flags + [
        "--do_train", "--do_predict", f"--train_file={directory}/train.json", f"--predict_file={directory}/dev.json",
        f"--init_checkpoint={tf.train.latest_checkpoint(str(trained[0]))}", "--num_train_epochs=0.3",
        "--learning_rate=1e-4",  # at a higher one the two part for good where a step meets a hard question
    ]  # fmt: skip
    found = {}
    for name, way in (("plain", ["--precision=fp32", "--xla=false"]), ("other", OTHER_WAY + ["--profile"])):
        with recorded_losses() as losses:
            run(*flags, *way, f"--output_dir={tmp_path}/{name}")
        found[name] = losses
    assert len(found["plain"]) >= 5
    np.testing.assert_allclose(found["other"], found["plain"], rtol=0.05, atol=0.01)
    assert found["other"] != found["plain"] or not kernels.can_fuse()  # bf16 is not quite the same
    assert os.listdir(f"{tmp_path}/other/profile")
    best = [
        {key: answers[0]["probability"] for key, answers in load(tmp_path / name, "nbest_predictions.json").items()}
        for name in ("plain", "other")
    ]
    assert list(best[0]) == list(best[1]) == list(questions_of(directory / "dev.json"))
    differences = [abs(best[1][key] - value) for key, value in best[0].items()]
    assert sorted(differences)[len(differences) // 2] < 0.02


def test_ways_that_there_are_not(given, check):
    directory, _ = given
    for flag, expected in REFUSED:
        check(expected, "--do_train", f"--train_file={directory}/train.json", flag)
