"""The inputs of a run: how its data files are read, which it remembers."""

import json
import os
import shutil

import pytest

from bert.system.errors import UserError
from tests.small_task import data_file, succeed_here
from train import run_dir
from train.bulk.formats import JsonLines, tag
from train.bulk.texts import START, Text
from train.data.annotated import read_annotated
from train.data.conll import Sentence, read_conll
from train.finetuning import evaluation, inputs, splits
from train.predictor import Predictor
from train.train_helper import get_args_parser


@pytest.mark.one_tensorflow
def test_a_run_reads_its_files_as_the_flags_say_and_remembers_them(given, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for split in ("train", "dev", "test"):
        lines, number = ["# source"], 0
        for line in open(data_file(given, split), encoding="utf-8", newline="\n"):
            number = number + 1 if line.strip("\n") else 0
            columns = [str(number), *line.strip("\n").split(" "), "x y" if number % 2 else "x"]
            lines += ["\t".join(columns)] if number else ["", "# source"]
        (data / f"{split}.txt").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")

    def load(*flags):
        flags = [*given, "-data_dir", str(data), "-output_dir", str(out), *flags]
        args = get_args_parser(flags)
        return args, inputs.load_inputs(args)

    with pytest.raises(UserError, match="of numbers .*-comment '# ' -columns word=2,tag=3"):
        load()
    args, found = load("-columns", "word=2,tag=3", "-comment", "# ")
    plain = inputs.load_inputs(get_args_parser([*given, "-output_dir", str(tmp_path / "plain")]))
    assert found.labels == plain.labels and found.corpus.tags == plain.corpus.tags
    assert found.corpus.seen.comments == found.corpus.sentences == plain.corpus.sentences
    for split, expected in plain.sentences.items():
        assert [(each.words, each.tags) for each in found.sentences[split]] == [(e.words, e.tags) for e in expected]
    made = {split: splits.make_records(args.output_dir, found, split, args.vocab_file) for split in found.files}
    assert made["train"].count == splits.make_records(str(tmp_path / "plain"), plain, "train", args.vocab_file).count

    # The run's state says how; what goes on with it needs no flags.
    inputs.open_run(args.output_dir, found, args.vocab_file, args.bert_config_file, False)
    state = json.loads((out / run_dir.RUN_STATE).read_text(encoding="utf-8"))["training"]
    assert (state["columns"], state["comment"]) == ("word=2,tag=3", "# ") and "separator" not in state
    _, again = load()
    assert again.forms == found.forms and again.training == found.training == state
    written = os.stat(made["train"].path).st_mtime_ns
    splits.make_records(args.output_dir, again, "train", args.vocab_file)
    assert os.stat(made["train"].path).st_mtime_ns == written
    # Other columns make other records and another run.
    for split in ("train", "dev", "test"):
        shutil.copy(data_file(given, split), str(data / f"{split}.txt"))
    _, other = load("-columns", "word=1,tag=last", "-comment", "")
    assert other.training["columns"] == "word=1,tag=last" and other.forms["dev"].columns == (0, -1)


def test_a_tagged_file_has_tabs_where_a_space_is_part_of_a_column(tmp_path):
    for words, line in ((["New York", "is"], "New York\tB-X\tB-X\n"), (["New", "is"], "New B-X B-X\n")):
        sentences, tags = [Sentence(words, ["B-X", "O"], 1)], [["B-X", "O"]]
        tagged = evaluation.Tagged(tags, 0.0, [[1.0, 1.0]])
        counts = evaluation.count(sentences, tags)
        evaluation.write_report(str(tmp_path), evaluation.Evaluated("test", "in", sentences, tagged, counts))
        assert (tmp_path / "label_test.txt").read_text(encoding="utf-8").startswith(line)


@pytest.mark.one_tensorflow
def test_annotated_texts_stand_for_data_files(given, tmp_path):
    """Their words are those of their texts, and the reports on them have offsets, as train.predict writes them."""
    data = tmp_path / "data"
    data.mkdir()
    texts = {}
    for split in ("train", "dev", "test"):
        sentences = read_conll(data_file(given, split))[:20]
        texts[split] = [" ".join(sentence.words) + " x" for sentence in sentences]
        annotated = [{"text": text, "label": [[0, text.index(" "), "ORG"]]} for text in texts[split]]
        content = "".join(json.dumps(value) + "\n" for value in annotated)
        (data / f"{split}.jsonl").write_text(content, encoding="utf-8")
    args = get_args_parser([*given, "-data_dir", str(data), "-output_dir", str(tmp_path / "out")])
    found = inputs.load_inputs(args)
    assert found.files == {split: str(data / f"{split}.jsonl") for split in texts}
    assert found.corpus.sentences == found.corpus.seen.texts == 20 and found.corpus.tags == {"B-ORG", "I-ORG", "O"}
    assert [each.text for each in found.sentences["test"]] == texts["test"]
    made = {split: splits.make_records(args.output_dir, found, split, args.vocab_file) for split in texts}
    assert made["train"].count >= 20

    sentences = found.sentences["test"]
    tags = [["B-PER"] + ["O"] * (len(each.words) - 1) for each in sentences]
    scores = [[0.123456] + [None] * (len(each.words) - 1) for each in sentences]
    counts = evaluation.count(sentences, tags)
    tagged = evaluation.Tagged(tags, 0.0, [[0.9] * len(row) for row in scores], scores)
    evaluation.write_report(args.output_dir, evaluation.Evaluated("test", "in", sentences, tagged, counts))
    path = os.path.join(args.output_dir, run_dir.TAGGED_TEXTS["test"])
    rows = [json.loads(line) for line in open(path, encoding="utf-8", newline="\n")]
    assert [row["text"] for row in rows] == texts["test"] and run_dir.OURS.match("predict_test.jsonl")
    first = texts["test"][0].split(" ")[0]
    end = sentences[0].offsets[0][1]
    assert rows[0] == {
        "line": 1,
        "text": texts["test"][0],
        "entities": [{"type": "PER", "text": first[:end], "start": 0, "end": end, "score": 0.1235}],
        "gold": [{"type": "ORG", "text": first, "start": 0, "end": len(first)}],
    }
    # What a person corrects in it can be trained on.
    again, _ = read_annotated(path)
    assert [each.tags for each in again] == tags and [each.words for each in again] == [
        each.words for each in sentences
    ]

    with pytest.raises(UserError, match="-comment is for .txt files; .* has annotated texts"):
        inputs.load_inputs(get_args_parser([*given, "-data_dir", str(data), "-output_dir", "out", "-comment", "#"]))
    (data / "dev.txt").write_text("a O\n", encoding="utf-8")
    with pytest.raises(UserError, match="dev.txt: dev.jsonl is there too"):
        inputs.load_inputs(args)
    os.remove(str(data / "dev.jsonl"))
    (data / "dev.txt").write_text("a B-LOC\n", encoding="utf-8")
    with pytest.raises(UserError, match="dev.txt:1: the tag 'B-LOC'"):
        inputs.load_inputs(args)


@pytest.mark.one_tensorflow
def test_what_a_person_corrects_is_learnt(given, finished, tmp_path):
    """Texts are predicted, spans changed by hand, and a run trained on the result has them as they were changed."""
    texts = [f"{name} met Ann Bob in {place} ." for name in ("Bob", "Ann", "people") for place in ("London", "Paris")]
    with Predictor(finished[0]) as predictor:
        predicted = tag(predictor, [Text(text, i, START) for i, text in enumerate(texts, 1)], "lines", 8)
    rows = [json.loads(line) for line in JsonLines(["in"], "lines").format(predicted).splitlines()]
    for row in rows:
        at = row["text"].index("in ")
        row["entities"] = [{"type": "TRIP", "start": at, "end": len(row["text"]) - 2}]
        if row["text"].startswith("people"):
            row["entities"].append({"type": "GROUP", "start": 0, "end": 6})
    (tmp_path / "data").mkdir()
    for split in ("train", "dev", "test"):
        content = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "data" / f"{split}.jsonl").write_text(content, encoding="utf-8")
    flags = ["-data_dir", str(tmp_path / "data"), "-output_dir", str(tmp_path / "out"), "-dropout_rate", "0"]
    succeed_here(*given, *flags, "-num_train_epochs", "60", "-learning_rate", "2e-2", "-eval_every", "30")
    found = [json.loads(line) for line in open(str(tmp_path / "out" / "predict_test.jsonl"), encoding="utf-8")]
    for row, after in zip(rows, found):
        expected = {(entity["type"], entity["start"], entity["end"]) for entity in row["entities"]}
        assert {(entity["type"], entity["start"], entity["end"]) for entity in after["entities"]} == expected
    with Predictor(str(tmp_path / "out")) as predictor:
        types = [{entity.type for entity in found} for found in predictor(texts)]
    assert types == [{"TRIP"}] * 4 + [{"TRIP", "GROUP"}] * 2
