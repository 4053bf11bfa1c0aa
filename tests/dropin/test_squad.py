"""SQuAD's functions one by one. What Google's own give on the same data was compared by hand."""

import json

import pytest
import tensorflow.compat.v1 as tf

from bert import run_squad
from bert.squad.windows import Aligner, make_windows

CONTEXT = "Ann  met Bob's man in\u202fParis. Café (saw) London, 北京 unaffable."


def write_squad(directory, *questions):
    """A file of one paragraph; questions: (id, answer, answer_start), answer None for an unanswerable one."""
    qas = []
    for name, answer, start in questions:
        answers = [] if answer is None else [{"text": answer, "answer_start": start}]
        qas.append({"id": name, "question": "Bob saw ?", "answers": answers, "is_impossible": answer is None})
    path = directory / "squad.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": CONTEXT, "qas": qas}]}]}))
    return str(path)


def features_of(examples, release, is_training, max_seq_length=16):
    found = []
    run_squad.convert_examples_to_features(examples, release.tokenizer, max_seq_length, 4, 3, is_training, found.append)
    return found


def test_reading(tmp_path, caplog):
    path = write_squad(tmp_path, ("a", "Bob", 9), ("b", "Paris", 0), ("c", "man in\u202fParis", 15), ("d", "", 3))
    examples = run_squad.read_squad_examples(path, True)
    assert examples[0].doc_tokens == ["Ann", "met", "Bob's", "man", "in", "Paris.", "Café", "(saw)", "London,", "北京",
                                      "unaffable."]  # fmt: skip
    assert [(each.qas_id, each.start_position, each.end_position) for each in examples] == [("a", 2, 2), ("c", 3, 5)]
    assert "question b" in caplog.text and "question d" in caplog.text
    assert "start_position: 2" in repr(examples[0]) and "qas_id: a" in str(examples[0])
    unknown = run_squad.read_squad_examples(path, False)
    assert len(unknown) == 4 and unknown[0].start_position is None

    path = write_squad(tmp_path, ("a", "Bob", 9), ("b", None, None))
    with pytest.raises(ValueError, match="question b: 0 answers; expected exactly one"):
        run_squad.read_squad_examples(path, True)
    impossible = run_squad.read_squad_examples(path, True, version_2_with_negative=True)[1]
    assert impossible.is_impossible and (impossible.start_position, impossible.end_position) == (-1, -1)


def test_features_are_the_windows_of_our_own_program(release, tmp_path):
    path = write_squad(tmp_path, ("a", "Bob", 9), ("b", None, None))
    examples = run_squad.read_squad_examples(path, True, True)
    features = features_of(examples, release, True)
    aligned = Aligner(release.tokenizer).align(CONTEXT)
    question = run_squad.squad_questions.Question("a", "Bob saw ?", CONTEXT, None, None)
    windows = make_windows(question, aligned, release.tokenizer, 16, 4, 3)
    own = [each for each in features if each.example_index == 0]
    assert len(own) == len(windows) > 2 and [each.unique_id for each in features][:2] == [1000000000, 1000000001]
    for feature, window in zip(own, windows):
        assert feature.tokens[5:-1] == aligned.pieces[window.first : window.first + window.count]
        assert list(feature.token_is_max_context.values()) == window.is_max_context
        assert len(feature.input_ids) == len(feature.input_mask) == len(feature.segment_ids) == 16
        for position, word in feature.token_to_orig_map.items():
            piece = feature.tokens[position].replace("##", "")
            assert piece == "[UNK]" or piece in examples[0].doc_tokens[word].lower()
    # The answer is one piece of the word Bob's; in windows without it, and of b, it is at [CLS].
    answers = {feature.tokens[feature.start_position] for feature in own}
    assert answers == {"bob", "[CLS]"} and own[0].start_position == own[0].end_position
    assert all(each.start_position == 0 and each.is_impossible for each in features if each.example_index == 1)


@pytest.mark.parametrize(
    "pieces, words, lower_case, expected",
    [
        ("bob", "Bob's", True, "Bob"),
        ("cafe", "Café", True, "Café"),
        ("cafe", "Cafe\u0301", True, "Cafe\u0301"),  # an accent that is a character of its own: all of it
        ("Bob", "Bob's", False, "Bob"),
        ("[UNK]", "Paris.", True, "Paris."),
        ("saw", "(saw)", True, "saw"),
        ("paris . cafe", "Paris. Café", True, "Paris. Café"),
    ],
)
def test_the_text_of_an_answer(pieces, words, lower_case, expected, caplog):
    assert run_squad.get_final_text(pieces, words, lower_case) == expected
    assert caplog.text == ""
    run_squad.get_final_text("[UNK]", "Paris.", lower_case, verbose_logging=True)
    assert "'Paris.'" in caplog.text


@pytest.mark.parametrize("version_2", [False, True])
def test_predictions(version_2, release, tmp_path):
    examples = run_squad.read_squad_examples(write_squad(tmp_path, ("a", "Bob", 9), ("b", "met", 5)), False)
    features = features_of(examples, release, False)
    results = []
    for feature in features:
        start, end = [[-5.0] * 16 for _ in range(2)]
        wanted = "bob" if feature.example_index == 0 else "met"
        for position in range(5, len(feature.tokens) - 1):
            if feature.tokens[position] == wanted:
                start[position], end[position] = 2.0, 1.0
                end[position + 1] = 0.5
        start[0] = end[0] = 4.0 if feature.example_index == 1 else -6.0
        start[15] = end[15] = 3.0  # no position of an answer, though the highest
        results.append(run_squad.RawResult(feature.unique_id, start, end))
    files = [str(tmp_path / name) for name in ("predictions.json", "nbest.json", "null_odds.json")]
    flags = {"version_2_with_negative": True, "null_score_diff_threshold": 0.0} if version_2 else {}
    run_squad.write_predictions(examples, features, results, 3, 4, True, *files, **flags)
    predictions, n_best = (json.loads(open(path).read()) for path in files[:2])
    assert predictions == {"a": "Bob", "b": "" if version_2 else "met"}
    assert n_best["a"][0]["text"] == "Bob" and n_best["a"][1]["text"] == "Bob'"
    assert sum(each["probability"] for each in n_best["b"]) == pytest.approx(1)
    if version_2:
        assert json.loads(open(files[2]).read()) == {"a": -12.0 - 3.0, "b": 8.0 - 3.0}
        assert n_best["b"][0]["text"] == ""
    else:
        assert not (tmp_path / "null_odds.json").exists()


def test_a_file_of_features_and_the_model(release, tmp_path, evaluate):
    examples = run_squad.read_squad_examples(write_squad(tmp_path, ("a", "Bob", 9)), True)
    features = features_of(examples, release, True)
    path = str(tmp_path / "train.tf_record")
    writer = run_squad.FeatureWriter(path, is_training=True)
    for feature in features:
        writer.process_feature(feature)
    writer.close()
    assert writer.num_features == len(features)
    input_fn = run_squad.input_fn_builder(path, 16, is_training=False, drop_remainder=False)
    batch = tf.data.make_one_shot_iterator(input_fn({"batch_size": len(features)})).get_next()
    logits = run_squad.create_model(
        release.config, False, batch["input_ids"], batch["input_mask"], batch["segment_ids"], False
    )
    training = run_squad.input_fn_builder(path, 16, is_training=True, drop_remainder=True)
    positions = tf.data.make_one_shot_iterator(training({"batch_size": 64})).get_next()["start_positions"]
    batch, logits, positions = evaluate([batch, logits, positions])
    assert batch["unique_ids"].tolist() == [feature.unique_id for feature in features]
    assert [each.shape for each in logits] == [(len(features), 16)] * 2
    assert set(positions) == {feature.start_position for feature in features}
