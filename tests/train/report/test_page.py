"""The report page: its numbers are conlleval's, it is well-formed whatever the words are, it says what is left out."""

import json
import os
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pages import Page
from train import conlleval, run_dir
from train.data.conll import Sentence
from train.finetuning import evaluation
from train.pages import charts as pages_charts
from train.report import learning
from train.report import page as report_page
from train.report import sentences as report_sentences
from train.tagger.calibration import Calibration

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-</td>", "B-a\"b'c&amp;", "B"]
LABELS = ["O", "B-LOC", "B-PER", "I-LOC", "I-PER", "X", "[CLS]", "[SEP]"]
WORDS = st.sampled_from(["Ann", "北", "<script>", "-X-", "</p>", "&lt;", "\u2028", "\x01", "שלום", '"']) | st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters=" \t\n\r\ufeff"), min_size=1, max_size=5
)
ROWS = st.tuples(WORDS, st.sampled_from(TAGS), st.sampled_from(TAGS), st.none() | st.floats(0, 1, width=32))
FILES = st.lists(st.lists(ROWS, min_size=1, max_size=12), min_size=1, max_size=6)
EVALUATIONS = [
    {"step": step, "loss": 3.0 / step, "accuracy": 0.9, "precision": 0.5, "recall": f1, "f1": f1}
    for step, f1 in ((10, 0.2), (20, 0.61237), (30, 0.5))
]
NO_RUN = {"evaluations": [], "best": None}


def evaluated(rows, split="dev", loss=1.5):
    """A file as tagged, of rows (word, gold, predicted, probability) by sentence."""
    columns = [list(map(list, zip(*block))) for block in rows]
    sentences, line = [], 1
    for words, gold, _, _ in columns:
        sentences.append(Sentence(words, gold, line))
        line += len(words) + 1
    tagged = evaluation.Tagged([block[2] for block in columns], loss, [block[3] for block in columns])
    return evaluation.Evaluated(split, f"data/{split}.txt", sentences, tagged, evaluation.count(sentences, tagged.tags))


def made(*parts, **kwargs):
    """The page of these files, taken apart."""
    arguments = {"step": 30, "state": NO_RUN, "losses": [], "model": {"labels": LABELS}, "training": {}}
    arguments.update(kwargs)
    return Page("".join(report_page.page(list(parts), "out/model.ckpt-30", **arguments)))


def words_of(text, word="a", gold="O", predicted="O", score=0.9):
    """A sentence of right words with one word put in."""
    return [(w, "O", "O", 0.99) for w in text.split()] + [(word, gold, predicted, score)]


def conlleval_report(directory, part):
    """{type or "all": (precision, recall, F1, found)} and the numbers of the first two lines, out of the report."""
    report = evaluation.write_report(str(directory), part).split("\n\n")[0]
    tagged_file = str(directory / run_dir.TAGGED[part.split])
    with open(tagged_file, encoding="utf-8", newline="\n") as lines:  # -X- is a word, as in the run
        counts = conlleval.evaluate(lines, conlleval.Options(boundary=""))
    assert report.splitlines() == "".join(conlleval.report_notprint(counts)).splitlines()
    head = re.match(r"processed (\d+) tokens with (\d+) phrases; found: (\d+) phrases; correct: (\d+)\.", report)
    scores = re.findall(r"^(.*?): +precision: +(\S+)%; recall: +(\S+)%; FB1: +(\S+) *(\d*)$", report, re.M)
    accuracy = re.search(r"accuracy: +(\S+)%", report)
    total = re.search(r"accuracy:.*precision: +(\S+)%; recall: +(\S+)%; FB1: +(\S+)", report)
    return (
        list(map(int, head.groups())),
        accuracy.group(1) if accuracy else None,
        total.groups() if total else None,
        {name.strip(): numbers for name, *numbers in scores if "accuracy" not in name},
    )


@pytest.mark.one_tensorflow
@settings(max_examples=40)
@given(FILES)
def test_every_number_is_conllevals(tmp_path_factory, rows):
    part = evaluated(rows)
    (tokens, gold, found, correct), accuracy, total, by_type = conlleval_report(tmp_path_factory.mktemp("x"), part)
    page = made(part)

    figures = dict(zip(page.texts["dt", None], page.texts["dd", None]))
    if total is not None:
        assert [figures[name] for name in ("Precision", "Recall", "F1")] == list(total)
        assert figures["Accuracy"] == accuracy
    assert (
        f"{len(rows)} sentences, {tokens} tokens, {gold} entities; {found} found, {correct} of them correct."
        in page.visible
    )

    if by_type:
        table = page.tables["dev-types", "Entities by type"]
        assert table[0] == ["Type", "F1", "Precision", "Recall", "Gold", "Found", "Correct"]
        shown = {row[0]: row for row in table[1:-1]}
        assert len(shown) == len(by_type)
        for name, (precision, recall, f1, type_found) in by_type.items():
            assert shown[name or "(no type)"][1:4] + shown[name or "(no type)"][5:6] == [
                f1, precision, recall, type_found,
            ]  # fmt: skip
        assert table[-1] == ["all", total[2], total[0], total[1], str(gold), str(found), str(correct)]
        check_confusion(page, table, found)
    else:
        assert "There is no entity, neither in the gold tags nor in the predicted ones." in page.visible

    wrong = sum(row[1] != row[2] for block in rows for row in block)
    assert wrong == tokens - round(float(accuracy or 0) * tokens / 100) or accuracy is None
    sentences = sum(any(row[1] != row[2] for row in block) for block in rows)
    assert len(page.texts.get(("h4", None), [])) == sentences
    assert ("None: all tags" in page.visible) == (not sentences)


def check_confusion(page, types, found):
    """The matrix adds up to the table of types."""
    matrix = page.tables["dev-confusion", "Gold and predicted entities"]
    names = [row[0] for row in types[1:-1]]
    assert matrix[0] == ["gold ↓predicted →"] + names + ["nothing", "gold"]
    cells = [[[int(n) for n in re.findall(r"\d+", cell)] for cell in row[1:]] for row in matrix[1:]]
    for i, row in enumerate(types[1:-1]):
        assert sum(map(sum, cells[i][:-1])) == cells[i][-1][0] == int(row[4])  # gold
        assert sum(sum(cells[j][i]) for j in range(len(names) + 1)) == cells[-1][i][0] == int(row[5])  # found
        assert cells[i][i][0] == int(row[6])  # correct
    assert cells[-1][-1] == [found]
    kinds = dict(page.tables["dev-confusion", "Kinds of mistakes, in entities"][1:])
    assert int(kinds["missed"]) == sum(row[-2][0] for row in cells[: len(names)])
    assert int(kinds["spurious"]) == sum(cell[0] for cell in cells[len(names)][:-2])
    # Every gold entity is right, missed or one of the others; so is every one found.
    paired = sum(int(kinds[kind]) for kind in ("other type", "other bounds", "other type and bounds"))
    assert int(types[-1][6]) + paired + int(kinds["missed"]) == int(types[-1][4])
    assert int(types[-1][6]) + paired + int(kinds["spurious"]) == found


def test_both_files_and_the_curves():
    state = {"evaluations": EVALUATIONS, "best": EVALUATIONS[1]}
    losses = [(0, 80.0), (15, 4.0), (30, float("nan"))]
    dev = evaluated([words_of("x", "Ann", "B-PER")], "dev", 0.25)
    test = evaluated([words_of("y", "Rome", "O", "B-LOC")], "test", 0.5)
    page = made(dev, test, state=state, losses=losses, training={"seed": 42, "clean": None, "constrain": True})
    assert page.texts["h2", None] == ["Summary", "Learning", "dev data/dev.txt", "test data/test.txt", "Settings"]
    assert page.tables["learning", "Evaluations of the dev set"][1:] == [
        ["10", "20.00", "50.00", "20.00", "90.00", "0.3000"],
        ["20 best", "61.24", "50.00", "61.24", "90.00", "0.1500"],
        ["30", "50.00", "50.00", "50.00", "90.00", "0.1000"],
    ]
    assert "best: 61.24 at 20" in page.visible
    charts = [given for tag, given in page.attributes if tag == "svg" and given["class"] == "chart"]
    titles = page.texts["title", None]
    assert "Scores on the dev set by step of training" in titles and "Losses by step of training" in titles
    assert "training 80 at 0" in titles and "dev 0.15 at 20" in titles
    assert len(charts) >= 2 and all(given["role"] == "img" for given in charts)
    assert [value for value in page.texts["dd", None] if value in ("0.2500", "0.5000")] == ["0.2500", "0.5000"]
    settings_shown = dict(zip(page.texts["dt", None], page.texts["dd", None]))
    assert settings_shown["seed"] == "42" and settings_shown["clean"] == "–" and settings_shown["constrain"] == "true"
    assert settings_shown["labels"] == ", ".join(LABELS)


def test_no_evaluations_no_entities_no_mistakes():
    page = made(evaluated([words_of("nothing to find here")]))
    assert "No evaluation is on record for this run." in page.visible
    assert "None: all tags of the 1 sentences are right." in page.visible
    assert "There is no entity" in page.visible
    assert ("ol", None) not in page.texts


def test_one_type_and_words_without_probability():
    rows = [[("A", "B-PER", "B-PER", 0.9), ("\u200b", "B-PER", "O", None)]]
    page = made(evaluated(rows), model={})
    assert [row[0] for row in page.tables["dev-types", "Entities by type"]] == ["Type", "PER", "all"]
    assert "no probability" in page.visible and "1 words that tokenize to nothing have none" in page.visible


def test_most_confident_mistakes_first():
    scores = [0.3, 0.999999, None, 0.7, 1.0, 0.7]
    page = made(evaluated([words_of("x", f"w{i}", "B-PER", "O", score) for i, score in enumerate(scores)]))
    shown = [re.search(r"w\d", text).group() for text in page.texts["li", None] if re.search(r"w\d", text)]
    assert shown == ["w4", "w1", "w3", "w5", "w0", "w2"]
    sure = page.texts["span", "sure"]
    assert [text.split(" ", 1)[1] for text in sure] == [
        "1.0000", "> 0.9999", "0.7000", "0.7000", "0.3000", "no probability",
    ]  # fmt: skip
    assert page.texts["code", None][-6] == "dev.txt:13"  # w4's, behind four sentences of two lines and a blank one


def test_the_page_says_how_many_sentences_it_leaves_out(monkeypatch):
    part = evaluated([words_of("x", f"w{i}", "B-PER") for i in range(7)])
    assert "7 of 7 wrong sentences (the file has 7)" in made(part).visible
    monkeypatch.setattr(report_sentences, "MOST_SENTENCES", 3)
    page = made(part)
    assert "3 of 7 wrong sentences" in page.visible and len(page.texts["h4", None]) == 3
    assert page.tables["dev-types", "Entities by type"][1][4] == "7"  # the numbers are of all


def test_gold_and_predicted_side_by_side():
    rows = [
        ("Ann", "B-PER", "B-PER", 0.9), ("met", "O", "O", 0.9), ("Bob", "B-PER", "B-LOC", 0.8),
        ("<b>", "O", "I-LOC", 0.7), ("in", "O", "O", 0.9), ("Rome", "B-LOC", "O", 0.6),
    ]  # fmt: skip
    page = made(evaluated([rows]))
    gold, predicted = [text for text in page.texts["p", None] if "Ann" in text]
    assert gold == "Ann PER met Bob PER · other type and bounds <b> in Rome LOC · missed"
    assert predicted == "Ann PER met Bob <b> LOC · other type and bounds in Rome O"
    given = [given for tag, given in page.attributes if tag == "p" and "dir" in given]
    assert given == [{"lang": "", "dir": "auto"}] * 2
    assert "confidence 0.8000 other type and bounds, missed" in page.texts["h4", None][0]


def test_the_calibration_of_entities_before_and_after():
    """Ten entities of one word in each of two bins; all scores of the first are too high until they are calibrated."""
    rows = [words_of("x", f"w{i}", "B-PER" if i % 10 < 6 else "O", "B-PER", 0.9) for i in range(20)]
    part = evaluated(rows)
    before = [[0.99, 0.95 if i < 10 else 0.75] for i in range(20)]
    after = [[0.99, 0.65 if i < 10 else 0.55] for i in range(20)]
    tagged = part.tagged._replace(entity_scores=after)
    page = made(part._replace(tagged=tagged, uncalibrated=before, calibration=Calibration(2.5)))
    table = page.tables["dev-calibration", "Entities by their score"]
    assert table[1] == ["Score"] + ["entities", "mean", "right %"] * 2
    assert table[2] == ["0.5 – 0.6", "10", "0.5500", "60.00", "0", "", ""]
    assert table[-2] == ["0.9 – 1", "0", "", "", "10", "0.9500", "60.00"]
    assert table[-1] == ["error, %", "", "", "5.00", "", "", "25.00"]
    said = "error of the entities' scores: 5.00 %; as trained 25.00 %. The temperature, fitted on the dev set, is 2.5."
    assert said in page.visible
    assert "Share of right entities by their score, dev" in page.texts["title", None]

    fitted = Calibration(2.5, 0.875, 0.1, {"<b>": -0.5, "PER": 0.25})
    page = made(part._replace(tagged=tagged, uncalibrated=before, calibration=fitted))
    said = "is 2.5: it divides the CRF's scores. Then the log-odds of an entity are multiplied by 0.875"
    assert said in page.visible and "a number for its type is added: <b> -0.50, PER +0.25." in page.visible

    page = made(part._replace(tagged=tagged))
    assert page.tables["dev-calibration", "Entities by their score"][0] == ["Score", "entities", "mean", "right %"]
    assert "error of the entities' scores: 5.00 %." in page.visible and "as trained" not in page.visible
    titles = [
        given["title"] for tag, given in page.attributes if tag == "mark" and "score of" in given.get("title", "")
    ]
    assert titles[0].startswith("score of the entity: 0.6500; probability of the predicted tag, word by word: 0.9")


def test_shares_below_the_charts_are_still_shown():
    part = evaluated([words_of("x", f"w{i}", "O", "B-PER", 0.9) for i in range(20)])
    page = made(part._replace(tagged=part.tagged._replace(entity_scores=[[0.9, 0.95]] * 20)))
    assert "entities 0 at 95" in page.texts["title", None]


def test_the_same_entities_in_other_tags():
    rows = [[("A", "B-PER", "I-PER", 0.8), ("b", "O", "O", 0.8)]]
    page = made(evaluated(rows))
    assert "same entities, other tags: I-PER for B-PER at word 1" in page.visible


@pytest.mark.parametrize("wrong, told", [([250], ["210", "209"]), ([5], ["454"]), ([100, 400], ["60", "219", "59"])])
def test_long_sentences_are_shown_around_their_wrong_words(wrong, told):
    rows = [(f"w{i}", "B-PER" if i in wrong else "O", "O", 0.9) for i in range(500)]
    (gold, predicted) = [text for text in made(evaluated([rows])).texts["p", None] if "words …]" in text]
    assert re.findall(r"… (\d+) words …", gold) == told == re.findall(r"… (\d+) words …", predicted)
    shown = [int(n) for n in re.findall(r"w(\d+)", gold)]
    assert len(shown) + sum(map(int, told)) == 500 and set(wrong) <= set(shown) and shown == sorted(shown)


def test_filters_match_the_sentences():
    rows = [
        [("A", "B-PER", "O", 0.9)], [("B", "B-LOC", "B-PER", 0.8)], [("C", "O", "B-LOC", 0.7)],
    ]  # fmt: skip
    page = made(evaluated(rows))
    options = {text: given["value"] for (tag, given), text in zip(
        [pair for pair in page.attributes if pair[0] == "option"], page.texts["option", None])}  # fmt: skip
    items = [given for tag, given in page.attributes if tag == "li" and "data-kinds" in given]
    kinds, types = ([set(given[name].split()) for given in items] for name in ("data-kinds", "data-types"))
    assert kinds == [{options["missed"]}, {options["other type"]}, {options["spurious"]}]
    assert types == [{options["PER"]}, {options["LOC"], options["PER"]}, {options["LOC"]}]
    assert all("hidden" in given for tag, given in page.attributes if tag == "form")  # the script brings them up


def test_training_losses(tmp_path):
    def events(name, values, **cut):
        with tf.Graph().as_default():
            writer = tf.summary.FileWriter(str(tmp_path / "made"))
            for step, value in values:
                summary = tf.Summary(value=[tf.Summary.Value(tag="loss", simple_value=value)])
                summary.value.add(tag="learning_rate", simple_value=9.0)
                writer.add_summary(summary, step)
            writer.close()
        (path,) = (tmp_path / "made").iterdir()
        content = path.read_bytes()
        path.unlink()
        (tmp_path / f"events.out.tfevents.{name}").write_bytes(content[: len(content) - cut.get("cut", 0)])

    assert learning.training_losses(str(tmp_path)) == []
    events("17.a", [(0, 8.0), (10, 4.0), (20, 2.0)], cut=3)  # killed while the last was being written
    events("18.a", [(10, 4.5), (20, 2.5)])
    events("19.other", [(0, 77.0)])
    (tmp_path / "events.out.tfevents.20.empty").write_bytes(b"")
    assert learning.training_losses(str(tmp_path), ["events.out.tfevents.19.other"]) == [
        (0, 8.0), (10, 4.5), (20, 2.5),
    ]  # fmt: skip


def test_written_whole_or_not_at_all(tmp_path, monkeypatch):
    part = evaluated([words_of("x", "Ann", "B-PER")])
    path = tmp_path / run_dir.REPORT_PAGE
    report_page.write_page(str(tmp_path), [part], "out/model.ckpt-3", 3, ({"labels": LABELS}, {"seed": 7}))
    first = path.read_bytes()
    page = Page(first.decode("utf-8"))
    assert "step 3" in page.visible and "7" in page.texts["dd", None]  # no run.json: the settings given
    assert run_dir.OURS.match(run_dir.REPORT_PAGE) and os.listdir(str(tmp_path)) == [run_dir.REPORT_PAGE]

    def fail(*args):
        raise ZeroDivisionError

    monkeypatch.setattr(report_page, "_settings", fail)
    with pytest.raises(ZeroDivisionError):
        report_page.write_page(str(tmp_path), [part], "out/model.ckpt-4", 4, ({}, {}))
    assert path.read_bytes() == first and os.listdir(str(tmp_path)) == [run_dir.REPORT_PAGE]


def test_settings_are_those_of_the_run(tmp_path):
    state = run_dir.new_state(str(tmp_path), {"labels": LABELS}, {"seed": 1, "dropout_rate": 0.25})
    run_dir.write_state(str(tmp_path), dict(state, evaluations=EVALUATIONS, best=EVALUATIONS[1]))
    part = evaluated([words_of("x")])
    report_page.write_page(str(tmp_path), [part], "out/model.ckpt-20", 20, ({}, {"seed": 2}))
    page = Page((tmp_path / run_dir.REPORT_PAGE).read_text(encoding="utf-8"))
    shown = dict(zip(page.texts["dt", None], page.texts["dd", None]))
    assert shown["seed"] == "1" and shown["dropout_rate"] == "0.25"
    assert json.loads((tmp_path / run_dir.RUN_STATE).read_text())["best"]["step"] == 20
    assert "best: 61.24 at 20" in page.visible


POINTS = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=10)


@given(POINTS)
def test_axes_hold_their_values(values):
    axis = pages_charts.linear_axis("x", min(values), max(values))
    slack = 1e-6 * (axis.high - axis.low)
    assert axis.low - slack <= min(values) and max(values) <= axis.high + slack and 2 <= len(axis.ticks) <= 12


@given(st.lists(st.floats(0, 100) | st.sampled_from([0.0, 100.0, 99.9, 50.0]), min_size=1, max_size=10))
def test_percent_axes_hold_their_values_and_end_at_0_and_100(values):
    axis = pages_charts.percent_axis("x", min(values), max(values))
    assert 0 <= axis.low < axis.high <= 100 and axis.low - 1e-6 <= min(values) <= max(values) <= axis.high + 1e-6
    assert 2 <= len(axis.ticks) <= pages_charts.MOST_TICKS
    assert [axis.low, axis.high] == [axis.ticks[0][0], axis.ticks[-1][0]]


@given(st.lists(st.floats(1e-30, 1e30), min_size=1, max_size=10))
def test_loss_axes_hold_their_values(values):
    axis = pages_charts.loss_axis("loss", values)
    assert axis.low <= min(values) * (1 + 1e-6) and max(values) <= axis.high * (1 + 1e-6) and axis.low < axis.high
    assert len(axis.ticks) <= 12
    assert axis.log == (max(values) / min(values) >= pages_charts.LOG_FROM)


@pytest.mark.parametrize("count", [1, 2, 500])
def test_points_lie_inside_the_chart(count):
    points = [(i, float(np.exp(-i / 40))) for i in range(count)]
    series = [pages_charts.Series("a", points, 0, count < 100), pages_charts.Series("b", [], 1)]
    x_axis = pages_charts.linear_axis("step", 0, count - 1)
    chart = pages_charts.line_chart("t", series, x_axis, pages_charts.loss_axis("y", [y for _, y in points]))
    places = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", " ".join(re.findall(r' d="(M[^"]*L[^"]*)"', chart)))
    assert len(places) == (count if count > 1 else 0)
    for x, y in places:
        assert pages_charts.LEFT <= float(x) <= pages_charts.WIDTH - pages_charts.RIGHT
        assert pages_charts.TOP <= float(y) <= pages_charts.HEIGHT - pages_charts.BOTTOM
    assert "b: no values" in chart
