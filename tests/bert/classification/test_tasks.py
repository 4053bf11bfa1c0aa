"""Every task's files, hand-written in the layouts of GLUE's download and of XNLI, and what can be wrong in them."""

import logging

import pytest

from bert.classification import tasks
from bert.classification.tasks import Example
from bert.system.errors import UserError

TREES = ["( x )"] * 2 + ["(ROOT x)"] * 2
MNLI_HEAD = "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse".split()
MNLI_HEAD += "sentence1_parse sentence2_parse sentence1 sentence2".split()
XNLI_HEAD = "language gold_label sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse".split()
XNLI_HEAD += "sentence1 sentence2 promptID pairID genre label1 label2 label3 label4 label5".split()
XNLI_HEAD += "sentence1_tokenized sentence2_tokenized match".split()
STS_HEAD = "index genre filename year old_index source1 source2 sentence1 sentence2".split()


def mnli(*rest):
    return ["7", "31193", "31193n", "fiction"] + TREES + ["He left.", "He stayed."] + list(rest)


def xnli(language, label, text_a, text_b):
    return [language, label, "", "", "", "", text_a, text_b] + ["1", "2", "facetoface"] + [label] * 5 + ["", "", "True"]


def sts(*rest):
    return ["3", "main-captions", "MSRvid", "2012test", "0001", "none", "none", "A man.", "A woman."] + list(rest)


PAIR = "index sentence1 sentence2".split()
HE = ("He left.", "He stayed.")
# (task, split, file, rows of columns, examples).
FILES = [
    ("CoLA", "train", "train.tsv", [["gj04", "0", "*", "Him left."], ["gj04", "1", "", 'He "left".']],
     [("Him left.", None, "0"), ('He "left".', None, "1")]),
    ("CoLA", "dev", "dev.tsv", [["gj04", "1", "", "He left."]], [("He left.", None, "1")]),
    ("CoLA", "test", "test.tsv", [["index", "sentence"], ["0", "He left."]], [("He left.", None, None)]),
    ("MNLI", "train", "train.tsv",
     [MNLI_HEAD + ["label1", "gold_label"], mnli("neutral", "entailment")], [HE + ("entailment",)]),
    ("MNLI", "dev", "dev_matched.tsv",
     [MNLI_HEAD + [f"label{i}" for i in range(1, 6)] + ["gold_label"], mnli(*["neutral"] * 5 + ["contradiction"])],
     [HE + ("contradiction",)]),
    ("MNLI", "test", "test_matched.tsv", [MNLI_HEAD, mnli()], [HE + (None,)]),
    ("MRPC", "train", "train.tsv",
     [["\ufeffQuality", "#1 ID", "#2 ID", "#1 String", "#2 String"], ["1", "10", "11", '"A', 'B" c'],
      ["0", "1", "2", "C", "D"]],
     [('"A', 'B" c', "1"), ("C", "D", "0")]),
    ("mrpc", "test", "test.tsv", [["index", "#1 ID", "#2 ID", "#1 String", "#2 String"], ["0", "10", "11", "A", "B"]],
     [("A", "B", None)]),
    ("mrpc", "test", "test.tsv", [["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"], ["1", "10", "11", "A", "B"]],
     [("A", "B", None)]),
    ("sst2", "train", "train.tsv", [["sentence", "label"], ["good ", "1"]], [("good ", None, "1")]),
    ("SST-2", "dev", "dev.tsv", [["sentence", "label"], ["bad", "0"]], [("bad", None, "0")]),
    ("sst_2", "test", "test.tsv", [["index", "sentence"], ["0", "bad"]], [("bad", None, None)]),
    ("QNLI", "train", "train.tsv", [["index", "question", "sentence", "label"], ["9", "Who?", "He.", "not_entailment"]],
     [("Who?", "He.", "not_entailment")]),
    ("QNLI", "test", "test.tsv", [["index", "question", "sentence"], ["9", "Who?", "He."]], [("Who?", "He.", None)]),
    ("QQP", "dev", "dev.tsv",
     [["id", "qid1", "qid2", "question1", "question2", "is_duplicate"], ["1", "2", "3", "Who?", "", "1"]],
     [("Who?", "", "1")]),
    ("QQP", "test", "test.tsv", [["id", "question1", "question2"], ["0", "Who?", "Whom?"]], [("Who?", "Whom?", None)]),
    ("RTE", "train", "train.tsv", [PAIR + ["label"], ["0", *HE, "entailment"]], [HE + ("entailment",)]),
    ("RTE", "test", "test.tsv", [PAIR, ["0", *HE]], [HE + (None,)]),
    ("WNLI", "dev", "dev.tsv", [PAIR + ["label"], ["0", *HE, "1"]], [HE + ("1",)]),
    ("WNLI", "test", "test.tsv", [PAIR, ["0", *HE]], [HE + (None,)]),
    ("STS-B", "train", "train.tsv", [STS_HEAD + ["score"], sts("3.800")], [("A man.", "A woman.", 3.8)]),
    ("stsb", "test", "test.tsv", [STS_HEAD, sts()], [("A man.", "A woman.", None)]),
    ("XNLI", "train", "multinli/multinli.train.zh.tsv",
     [["premise", "hypo", "label"], ["他 走 了", "他 在", "contradictory"]],
     [("他 走 了", "他 在", "contradiction")]),
    ("XNLI", "dev", "xnli.dev.tsv",
     [XNLI_HEAD, xnli("ar", "neutral", "a", "b"), xnli("zh", "contradiction", "他走了", "他\u2028在"),
      xnli("zh", "neutral", "c", "d")],
     [("他走了", "他\u2028在", "contradiction"), ("c", "d", "neutral")]),
    ("XNLI", "test", "xnli.test.tsv", [XNLI_HEAD, xnli("zh", "neutral", "a", "b")], [("a", "b", None)]),
]  # fmt: skip


def write(directory, file, rows, end="\n"):
    path = directory / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes("".join("\t".join(row) + end for row in rows).encode("utf-8"))
    return path


def read(name, split, directory, part=0, **options):
    task = tasks.find_task(name, **options) if isinstance(name, str) else name
    return tasks.read_examples(task, task.splits[split][part], str(directory))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name,split,file,rows,examples", FILES)
def test_reader(name, split, file, rows, examples, end, tmp_path):
    write(tmp_path, file, rows, end)
    assert read(name, split, tmp_path) == [Example(*example) for example in examples]


def test_mismatched_mnli(tmp_path):
    rows = [MNLI_HEAD + [f"label{i}" for i in range(1, 6)] + ["gold_label"], mnli(*["neutral"] * 5 + ["entailment"])]
    write(tmp_path, "dev_mismatched.tsv", rows)
    write(tmp_path, "test_mismatched.tsv", [MNLI_HEAD, mnli()])
    assert read("mnli", "dev", tmp_path, 1) == [Example(*HE, label="entailment")]
    assert read("mnli", "test", tmp_path, 1) == [Example(*HE, label=None)]
    assert [layout.part for layout in tasks.find_task("mnli").splits["dev"]] == ["", "mismatched"]


def test_xnli_in_another_language(tmp_path):
    write(tmp_path, "multinli/multinli.train.ar.tsv", [["premise", "hypo", "label"], ["a", "b", "entailment"]])
    write(tmp_path, "xnli.dev.tsv", [XNLI_HEAD, xnli("ar", "neutral", "a", "b"), xnli("zh", "neutral", "c", "d")])
    assert read("xnli", "train", tmp_path, language="ar") == [Example("a", "b", "entailment")]
    assert read("xnli", "dev", tmp_path, language="ar") == [Example("a", "b", "neutral")]
    with pytest.raises(UserError, match=r"xnli\.dev\.tsv: no example in it in the language 'fr'"):
        read("xnli", "dev", tmp_path, language="fr")


def test_labels_have_the_ids_of_google_bert():
    assert tasks.TASKS["mnli"].labels == tasks.TASKS["xnli"].labels == ("contradiction", "entailment", "neutral")
    assert tasks.TASKS["mrpc"].labels == tasks.TASKS["cola"].labels == ("0", "1")
    assert tasks.num_outputs(tasks.TASKS["mnli"]) == 3 and tasks.num_outputs(tasks.TASKS["sts-b"]) == 1
    assert [name for name, task in sorted(tasks.TASKS.items()) if not tasks.is_pair(task)] == ["cola", "sst-2"]


def test_the_lines_of_qqp_that_are_cut_in_two(tmp_path, caplog):
    head = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]
    rows = [head, ["0", "1", "2", "a", "b", "0"], ["1", "3", "4", "c"], ["d", "1"], ["2", "5", "6", "e", "f", "1"]]
    path = write(tmp_path, "train.tsv", rows)
    with caplog.at_level(logging.WARNING, "bert"):
        assert read("qqp", "train", tmp_path) == [Example("a", "b", "0"), Example("e", "f", "1")]
    assert f"{path}: passes over 2 lines not of 6 columns, first line 3" in caplog.text
    # A line of the test file cannot be passed over: its prediction would be another's.
    write(tmp_path, "test.tsv", [["id", "question1", "question2"], ["0", "a"]])
    with pytest.raises(UserError, match=r"test\.tsv:2: 2 columns; expected 3"):
        read("qqp", "test", tmp_path)


@pytest.mark.parametrize(
    "name,rows,expected",
    [
        ("mrpc", [["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"], ["1", "1", "2", "a"]],
         r"train\.tsv:2: 4 columns; expected 5"),
        ("mrpc", [["text", "label"], ["a", "1"]], r"train\.tsv:1: 2 columns; expected at least 5 for mrpc"),
        ("mrpc", [["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]], r"train\.tsv: no example in it"),
        ("mrpc", [["q", "1", "2", "a", "b"], ["1", "1", "2", "a", "b"], ["yes", "1", "2", "a", "b"]],
         r"train\.tsv:3: the label 'yes'; expected one of 0, 1"),
        ("cola", [["gj04", "1", "", "a"], [""], ["gj04", "1", "", "a"]], r"train\.tsv:2: 1 column; expected 4"),
        ("sst-2", [["sentence", "label"], ["a", "0", "b"]], r"train\.tsv:2: 3 columns; expected 2"),
        ("sts-b", [STS_HEAD + ["score"], sts("high")], r"train\.tsv:2: the score 'high'; expected a number"),
        ("sts-b", [STS_HEAD + ["score"], sts("nan")], r"train\.tsv:2: the score 'nan'; expected a number"),
        ("rte", [], r"train\.tsv: the file is empty"),
        ("rte", [[""], [""]], r"train\.tsv: the file is empty"),
    ],
)  # fmt: skip
def test_wrong_files(name, rows, expected, tmp_path):
    write(tmp_path, "train.tsv", rows)
    with pytest.raises(UserError, match=expected):
        read(name, "train", tmp_path)


def test_missing_file_and_wrong_bytes(tmp_path):
    with pytest.raises(UserError, match=r"train\.tsv: cannot be read: No such file"):
        read("rte", "train", tmp_path)
    (tmp_path / "train.tsv").write_bytes(b"index\ta\tb\tlabel\n0\ta\t\xffb\tentailment\n")
    with pytest.raises(UserError, match=r"train\.tsv:2: byte 5 of the line is not UTF-8"):
        read("rte", "train", tmp_path)


def test_unknown_task():
    with pytest.raises(UserError, match=r"-task_name SNLI: expected one of cola, mnli, mrpc, .*, tsv, wnli, xnli"):
        tasks.find_task("SNLI")


def test_own_single_texts(tmp_path):
    write(tmp_path, "train.tsv", [["a", "spam"], ["b", "ham"], ["c", "eggs"], ["d", "spam"]])
    write(tmp_path, "dev.tsv", [["a", "ham"]])
    task = tasks.tsv_task_of(str(tmp_path), header=False)
    assert task.labels == ("eggs", "ham", "spam") and not tasks.is_pair(task)
    assert [example.label for example in read(task, "train", tmp_path)] == ["spam", "ham", "eggs", "spam"]
    assert read(task, "dev", tmp_path) == [Example("a", None, "ham")]
    for rows in ([["x"], ["y"]], [["x", "ham"], ["y", "spam"]]):
        write(tmp_path, "test.tsv", rows)
        assert read(task, "test", tmp_path) == [Example("x", None, None), Example("y", None, None)]
    write(tmp_path, "test.tsv", [["x", "y", "ham"]])
    with pytest.raises(UserError, match=r"test\.tsv:1: 3 columns; expected 1"):
        read(task, "test", tmp_path)


def test_own_pairs_with_a_header(tmp_path):
    rows = [["first", "second", "label"], ["a", "b", "yes"], ["c", "d", "no"], ["e", "f", "no"]]
    write(tmp_path, "train.tsv", rows)
    write(tmp_path, "test.tsv", [["first", "second"], ["a", "b"]])
    task = tasks.tsv_task_of(str(tmp_path), header=True)
    assert task.labels == ("no", "yes") and tasks.is_pair(task)
    assert len(read(task, "train", tmp_path)) == 3
    assert read(task, "test", tmp_path) == [Example("a", "b", None)]
    with pytest.raises(UserError, match=r"train\.tsv:1: the label 'label' is on this line only; .*-tsv_header"):
        tasks.tsv_task_of(str(tmp_path), header=False)


@pytest.mark.parametrize(
    "rows,expected",
    [
        ([["a"], ["b"]], r"train\.tsv:1: 1 column; expected 2 \(text, label\) or 3"),
        ([["a", "b", "c", "d"]], r"train\.tsv:1: 4 columns"),
        ([["a", "0"], ["b", "1"], ["c"]], r"train\.tsv:3: 1 column; expected 2"),
        ([["a", "0"], ["b", "0"]], r"train\.tsv: found the labels \['0'\]; expected at least two"),
    ],
)
def test_wrong_own_files(rows, expected, tmp_path):
    write(tmp_path, "train.tsv", rows)
    with pytest.raises(UserError, match=expected):
        tasks.tsv_task_of(str(tmp_path), header=False)


TEXTS = [f"the film was {i}" for i in range(40)]
CLASSES = ["pos", "neg"] * 20


def test_spaces_around_a_label_are_no_part_of_it(tmp_path):
    write(tmp_path, "train.tsv", [["a", "pos"], ["b", "pos "], ["c", " neg"], ["d", "neg\u00a0"], ["e", "very good"]])
    write(tmp_path, "dev.tsv", [["a", "pos  "], ["b", "very good "]])
    task = tasks.tsv_task_of(str(tmp_path), header=False)
    assert task.labels == ("neg", "pos", "very good")
    assert [each.label for each in read(task, "train", tmp_path)] == ["pos", "pos", "neg", "neg", "very good"]
    assert [each.label for each in read(task, "dev", tmp_path)] == ["pos", "very good"]
    # A classifier that was trained with both goes on with both.
    old = tasks.tsv_task(["neg", "pos", "pos ", "very good"], pair=False, header=False)
    write(tmp_path, "train.tsv", [["a", "pos"], ["b", "pos "], ["c", "neg "]])
    assert [each.label for each in read(old, "train", tmp_path)] == ["pos", "pos ", "neg"]
    write(tmp_path, "train.tsv", [["a", "pos"], ["b", " "], ["c", "neg"]])
    with pytest.raises(UserError, match=r"train\.tsv:2: no label; expected one in the last column"):
        tasks.tsv_task_of(str(tmp_path), header=False)


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize(
    "columns,expected",
    [
        ((CLASSES, TEXTS), r"40 different labels for 40 texts, as 'the film was 0' .the first column has 2: are"),
        ((CLASSES, TEXTS, TEXTS), r"40 different labels .*the other way round"),
        ((CLASSES, TEXTS[:39] + TEXTS[:1]), r"39 different labels for 40 texts"),
        ((TEXTS, TEXTS), r"40 different labels for 40 texts, as 'the film was 0'; expected the text first and"),
        ((TEXTS, [str(i / 10) for i in range(40)]), r"as '0.0'; expected classes. Scores are for -task_name sts-b"),
        ((CLASSES, [text * 1000 for text in TEXTS]), r"as 'the film was 0the f\.\.\.as 0the film was 0' "),
    ],
)
def test_a_label_for_nearly_each_text_is_no_label(columns, expected, header, tmp_path):
    names = [["one", "two", "three"][: len(columns)]] * header
    write(tmp_path, "train.tsv", names + list(map(list, zip(*columns))))
    with pytest.raises(UserError, match=rf"train\.tsv:{1 + header}: .*{expected}") as caught:
        tasks.tsv_task_of(str(tmp_path), header)
    assert len(str(caught.value)) - len(str(tmp_path)) < 280


def test_many_labels_are_labels_and_ten_are_named(tmp_path):
    labels = [f"label{i % 20:02d}" for i in range(40)]
    write(tmp_path, "train.tsv", list(map(list, zip(TEXTS, labels))))
    write(tmp_path, "dev.tsv", [["a", "x" * 100]])
    task = tasks.tsv_task_of(str(tmp_path), header=False)
    assert len(task.labels) == 20
    with pytest.raises(
        UserError, match=r"dev\.tsv:1: the label 'x+\.\.\.x+'; expected one of label00, .*label09 and 10 more$"
    ):
        read(task, "dev", tmp_path)


def test_own_label_not_seen_in_training(tmp_path):
    write(tmp_path, "train.tsv", [["a", "0"], ["b", "1"]])
    write(tmp_path, "dev.tsv", [["a", "0"], ["b", "2"]])
    with pytest.raises(UserError, match=r"dev\.tsv:2: the label '2'; expected one of 0, 1"):
        read(tasks.tsv_task_of(str(tmp_path), header=False), "dev", tmp_path)
