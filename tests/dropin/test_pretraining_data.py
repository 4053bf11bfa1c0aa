"""The functions of create_pretraining_data one by one."""

import random

import pytest
import tensorflow.compat.v1 as tf

from bert import create_pretraining_data as data
from bert.system.errors import UserError

TEXT = "The man met Ann .\nBob saw London .\n\nUnaffable Bob met the man in Paris .\nAnn saw .\n\n\n \nIn London .\n"


def test_instances(release, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    tokenizer = release.tokenizer
    instances = data.create_training_instances([str(path)], tokenizer, 16, 20, 0.1, 0.15, 3, random.Random(5))
    again = data.create_training_instances([str(path)], tokenizer, 16, 20, 0.1, 0.15, 3, random.Random(5))
    assert list(map(repr, instances)) == list(map(repr, again)) and "tokens=" in str(instances[0])
    kinds = set()
    for each in instances:
        tokens, last = each.tokens, len(each.tokens) - 1
        middle = tokens.index("[SEP]")
        assert tokens[0] == "[CLS]" and tokens[last] == "[SEP]" and 4 < len(tokens) <= 16
        assert each.segment_ids == [0] * (middle + 1) + [1] * (last - middle)
        assert 1 <= len(each.masked_lm_positions) == len(each.masked_lm_labels) <= 3
        assert each.masked_lm_positions == sorted(set(each.masked_lm_positions))
        assert not {0, middle, last} & set(each.masked_lm_positions)
        kinds |= {tokens[position] == "[MASK]" for position in each.masked_lm_positions}
        assert all(label in tokenizer.vocab for label in each.masked_lm_labels + tokens)
    assert kinds == {True, False} and {each.is_random_next for each in instances} == {True, False}

    files = [str(tmp_path / name) for name in ("a.tfrecord", "b.tfrecord")]
    data.write_instance_to_example_files(instances[:5], tokenizer, 16, 3, files)
    records = [[tf.train.Example.FromString(each) for each in tf.io.tf_record_iterator(file)] for file in files]
    assert [len(each) for each in records] == [3, 2]
    values = records[1][0].features.feature
    written = instances[1]
    ids = tokenizer.convert_tokens_to_ids(written.tokens)
    assert list(values["input_ids"].int64_list.value) == ids + [0] * (16 - len(ids))
    assert list(values["segment_ids"].int64_list.value)[: len(ids)] == written.segment_ids
    assert sum(values["masked_lm_weights"].float_list.value) == len(written.masked_lm_labels)
    assert list(values["next_sentence_labels"].int64_list.value) == [int(written.is_random_next)]


def test_a_corpus_of_one_document_and_of_none(release, tmp_path):
    document = [["ann", "met"], ["bob", "saw", "paris"], ["london"]]
    words = list(release.tokenizer.vocab)
    made = data.create_instances_from_document([document], 0, 12, 0.0, 0.15, 2, words, random.Random(1))
    assert made and all(set(each.tokens) <= set(words) for each in made)
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(UserError, match="empty.txt: no text in it"):
        data.create_training_instances([str(tmp_path / "empty.txt")], release.tokenizer, 16, 1, 0.1, 0.15, 3, random)


def test_masks():
    tokens = ["[CLS]", "un", "##aff", "##able", "[SEP]", "bob", "##s", "[SEP]"]
    words = ["[PAD]", "[MASK]", "un", "##aff", "##able", "bob", "##s"]
    masked, positions, labels = data.create_masked_lm_predictions(tokens, 0.5, 4, words, random.Random(1))
    assert len(positions) == 4 and labels == [tokens[position] for position in positions] and len(masked) == 8
    for seed in range(20):
        _, positions, _ = data.create_masked_lm_predictions(tokens, 0.5, 3, words, random.Random(seed), True)
        assert positions in ([1, 2, 3], [5, 6])


def test_small_ones():
    a, b = list("abcdef"), list("xy")
    data.truncate_seq_pair(a, b, 5, random.Random(0))
    assert len(a) + len(b) == 5 and b == list("xy") and "".join(a) in "abcdef"
    assert list(data.create_int_feature((1, 2)).int64_list.value) == [1, 2]
    assert list(data.create_float_feature([0.5]).float_list.value) == [0.5]
    assert data.MaskedLmInstance(index=3, label="a")[1] == "a"
