"""-context: what a word is can stand in a sentence before it; a run learns that, and all ways of tagging keep to it."""

import random

import pytest

from bert.system.errors import UserError
from tests import small_task
from train import predict, run_dir
from train.data.conll import read_conll
from train.predictor import Predictor

# A document's first sentence is one of these words; it says what the names in the others are.
KINDS = {"people": "PER", "yesterday": "LOC"}
NAMES = ["Paris", "London"]


def write_data(directory):
    rng = random.Random(0)
    for split, count in (("train", 100), ("dev", 20), ("test", 20)):
        text = ""
        for _ in range(count):
            word = rng.choice(list(KINDS))
            text += f"-DOCSTART- O\n\n{word} O\n\n"
            text += "".join(f"{rng.choice(NAMES)} B-{KINDS[word]}\n\n" for _ in range(2))
        (directory / f"{split}.txt").write_text(text)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Flags of a run, without -context."""
    directory = tmp_path_factory.mktemp("task")
    flags = small_task.write_task(directory, **small_task.NO_DROPOUT)
    write_data(directory / "data")
    return [
        *flags, "-num_train_epochs", "6", "-batch_size", "16",
        "-learning_rate", "1e-2", "-head_learning_rate", "1e-2", "-head", "softmax", "-dropout_rate", "0",
        "-adversarial", "0", "-bias_correction", "-subword_labels", "first",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def trained(task, tmp_path_factory):
    """(-output_dir of a run with -context, its flags, what it said)."""
    output = str(tmp_path_factory.mktemp("trained") / "output")
    flags = [*task, "-output_dir", output, "-context", "6"]
    return output, flags, small_task.succeed_here(*flags, "-do_export")


def test_what_a_word_is_is_learnt_from_the_sentence_before_it(task, trained, tmp_path):
    assert run_dir.read_state(trained[0])["best"]["f1"] == 1.0
    assert all(gold == found for sentence in small_task.tagged(trained[0], "test") for _, gold, found in sentence)
    small_task.succeed_here(*task, "-output_dir", str(tmp_path / "alone"), "-do_predict=false")
    assert run_dir.read_state(str(tmp_path / "alone"))["best"]["f1"] < 0.8


def test_it_says_how_each_file_is_read(trained):
    for split, count in (("train", 100), ("dev", 20), ("test", 20)):
        said = (
            "sentences are read with up to 6 pieces before and after them (-context); documents that -DOCSTART- lines"
        )
        assert f"{split}.txt: {said} begin: {count}\n" in trained[2]


@pytest.mark.parametrize("model", ["", "/export"])
def test_words_are_tagged_as_in_the_tagged_file(model, trained, task):
    sentences = read_conll(small_task.data_file(task, "test"))
    words, documents, number = [sentence.words for sentence in sentences], [], 0
    for sentence in sentences:
        number += sentence.begins_document
        documents.append(number)
    expected = [[row[2] for row in block] for block in small_task.tagged(trained[0], "test")]

    def tags(tagged):
        return [[tag for tag, _ in sentence] for sentence in tagged]

    with Predictor(trained[0] + model) as predictor:
        assert tags(predictor.tag_words(words, documents)) == expected
        by_document = [predictor.tag_words(words[i : i + 3]) for i in range(0, len(words), 3)]
        assert tags(sum(by_document, [])) == expected
        assert tags(predictor.tag_words([["people"], ["Paris"], ["yesterday"], ["Paris"]], [1, 1, 2, 2])) == [
            ["O"], ["B-PER"], ["O"], ["B-LOC"],
        ]  # fmt: skip
        with pytest.raises(ValueError, match="1 documents, 2 sentences; expected one for each"):
            predictor.tag_words([["people"], ["Paris"]], [1])


def test_files_are_tagged_as_in_the_tagged_file(trained, task, tmp_path):
    data = small_task.data_file(task, "test")
    predict.main(
        ["-model_dir", trained[0], data, "-input", "conll", "-format", "conll", "-output", str(tmp_path / "out")]
    )
    found = [block.split("\n") for block in (tmp_path / "out").read_text().strip("\n").split("\n\n")]
    assert found == [[f"{row[0]} {row[2]}" for row in block] for block in small_task.tagged(trained[0], "test")]


def test_a_run_keeps_its_context(trained, task):
    """What was trained with one is not used with another, and what goes on with it computes as it did."""
    before = small_task.tagged(trained[0], "test")
    with pytest.raises(UserError, match="its model was trained with -context 6, not 0"):
        small_task.succeed_here(*task, "-output_dir", trained[0], "-do_train=false")
    small_task.succeed_here(*trained[1], "-do_train=false")
    assert small_task.tagged(trained[0], "test") == before


def test_a_start_from_a_tagger_of_another_context(trained, task, tmp_path):
    """Is as good as any; the log says it."""
    flags = [*task, "-output_dir", str(tmp_path / "out"), "-init_checkpoint", trained[0], "-num_train_epochs", "0.2"]
    said = "its tagger was trained with -context 6, not "
    assert said + "0\n" in small_task.succeed_here(*flags)
    assert said not in small_task.succeed_here(*flags[:-1], "0.2", "-context", "6", "-clean")


@pytest.mark.parametrize(
    "flags,message",
    [
        (
            ["-context", "3", "-subword_labels", "x"],
            "-context 3: with -subword_labels x each piece has a label, .* first",
        ),
        (["-max_seq_length", "2"], "-max_seq_length 2"),
        (["-context", "14"], r"-context 14: expected at most 13 with -max_seq_length 16"),
    ],
)
def test_what_does_not_go_together(flags, message, task, tmp_path):
    with pytest.raises(UserError, match=message):
        small_task.succeed_here(*task, "-output_dir", str(tmp_path / "out"), *flags)
