"""How a run's words are cut: by its flags, by its training words, and by what it began with."""

import os
import shutil

import pytest

from bert.system.errors import UserError
from train import run_dir
from train.data.labels import SPECIAL
from train.data.text import MARKS, Splitter
from train.finetuning import inputs, splits
from train.finetuning.choices import fill_in
from train.tagger.settings import EARLIER
from train.train_helper import get_args_parser


@pytest.mark.one_tensorflow
def test_words_are_cut_as_text_is_and_the_run_remembers_how(given, tmp_path, caplog):
    """By -word_units, by what the run in the directory began with, and by the training words."""
    (tmp_path / "data").mkdir()
    for split in ("train", "dev", "test"):
        text = "Ann's B-PER\nU.S B-LOC\n\na-b O\nc-d O\ne-f O\n, O\n"
        (tmp_path / "data" / f"{split}.txt").write_text(text)
    out = tmp_path / "out"

    def load(*flags):
        caplog.clear()
        args = get_args_parser([*given, "-data_dir", str(tmp_path / "data"), "-output_dir", str(out), *flags])
        return inputs.load_inputs(args)

    def said():
        return [record.getMessage() for record in caplog.records if "plain text" in record.getMessage()]

    caplog.set_level("INFO")
    text = load()
    assert text.settings.splitter == Splitter("together", "-", "", "") and text.settings.word_units == "text"
    assert text.labels == ["O", "B-LOC", "B-PER", "I-LOC", "I-PER", *SPECIAL]  # of the parts of words too
    assert said() == [
        f"{tmp_path}/data/train.txt: plain text cuts 2 of 6 words into several, such as Ann's U.S; the model learns "
        "their parts, as text has them (-word_units text); it leaves words whole at these marks, as the file does: "
        "inner -"
    ]
    args = get_args_parser([*given, "-output_dir", str(out)])
    counts = [splits.make_records(args.output_dir, text, "train", args.vocab_file).count]
    written = os.stat(str(out / run_dir.RECORDS["train"])).st_mtime_ns
    assert splits.make_records(args.output_dir, text, "train", args.vocab_file).count == counts[0]
    assert os.stat(str(out / run_dir.RECORDS["train"])).st_mtime_ns == written

    words = load("-word_units", "words")
    assert words.settings.splitter == MARKS and words.settings.cutting is None
    assert words.labels == ["O", "B-LOC", "B-PER", *SPECIAL]
    assert "learns them whole, unlike text" in said()[0]
    splits.make_records(args.output_dir, words, "train", args.vocab_file)
    assert os.stat(str(out / run_dir.RECORDS["train"])).st_mtime_ns != written

    given_list = load("-label_list", "B-LOC,B-PER")
    assert given_list.labels == ["B-LOC", "B-PER", "O", *SPECIAL]
    assert "-label_list lacks I-LOC, I-PER, which parts of cut words carry: there all but the first are X" in [
        record.getMessage() for record in caplog.records
    ]


@pytest.mark.one_tensorflow
def test_a_run_goes_on_with_the_words_it_began_with(given, tmp_path, finished):
    """A run of an earlier version, whose run.json does not speak of them, as it was; -clean begins as new runs do."""
    out = tmp_path / "out"
    shutil.copytree(finished[0], str(out))
    state = run_dir.read_state(str(out))
    for name in EARLIER:
        del state["model"][name]
    run_dir.write_state(str(out), state)

    def load(*flags):
        args, _ = fill_in(get_args_parser([*given, "-output_dir", str(out), *flags]))
        return inputs.load_inputs(args).settings

    for flags in ([], ["-do_train=false"], ["-word_units", "words"]):
        assert (load(*flags).word_units, load(*flags).splitter) == ("words", MARKS)
    with pytest.raises(UserError, match="its model was trained with -word_units words, not text"):
        load("-word_units", "text")
    assert load("-clean").word_units == "text" and load("-clean", "-word_units", "words").word_units == "words"
    state["model"].update(word_units="text", splitter={"inner": "-", "leading": "", "trailing": ""})
    run_dir.write_state(str(out), state)
    for flags in ([], ["-do_train=false"]):
        assert (load(*flags).word_units, load(*flags).splitter) == ("text", Splitter("together", "-", "", ""))
