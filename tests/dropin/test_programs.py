"""Programs in the shape that people wrote them in, around Google BERT's modules and the archive's."""

import collections
import os
import random

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import create_pretraining_data, extract_features, modeling, optimization, run_classifier, run_pretraining
from bert.runtime.estimator import Estimator, EstimatorSpec, ModeKeys, RunConfig
from tests.dropin.release import VOCAB
from train.models import convert_id_to_label, create_model

SEQ_LEN = 12
LABELS = ["O", "B-PER", "B-LOC", "X", "[CLS]", "[SEP]"]
TAGS = {"ann": "B-PER", "bob": "B-PER", "london": "B-LOC", "paris": "B-LOC"}


def padded(values, length=SEQ_LEN):
    return list(values) + [0] * (length - len(values))


# ---- a predictor at a terminal --------------------------------------------------------------------------------------


def save_tagger(release, directory):
    """A checkpoint as the archive's training writes it: no RNN, slots of the optimizer; returns its prefix."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(5)
        ids = tf.ones([1, SEQ_LEN], tf.int32)
        loss, _, _, _ = create_model(release.config, True, ids, ids, ids * 0, ids, len(LABELS) + 1, False, 0.5)
        optimization.create_optimizer(loss, 1e-3, 10, 1, False)
        session.run(tf.global_variables_initializer())
        for var in tf.trainable_variables():  # so that the labels differ from one piece to the next
            if var.op.name.startswith("project/"):
                session.run(var.assign(tf.random.normal(var.shape, seed=7) * 3))
        return tf.train.Saver().save(session, os.path.join(directory, "model.ckpt"), global_step=7)


def test_a_predictor_at_a_terminal(release, kind_of_variables, tmp_path):
    trained = save_tagger(release, str(tmp_path))
    tokenizer = release.tokenizer

    graph = tf.Graph()
    with graph.as_default(), tf.Session(graph=graph) as session:
        input_ids = tf.placeholder(tf.int32, [1, SEQ_LEN], "input_ids")
        input_mask = tf.placeholder(tf.int32, [1, SEQ_LEN], "input_mask")
        loss, logits, trans, pred_ids = create_model(
            bert_config=release.config,
            is_training=False,
            input_ids=input_ids,
            input_mask=input_mask,
            segment_ids=None,
            labels=None,
            num_labels=len(LABELS) + 1,
            use_one_hot_embeddings=False,
            dropout_rate=1.0,
        )
        tvars = tf.trainable_variables()
        assignment_map, initialized = modeling.get_assignment_map_from_checkpoint(tvars, trained)
        assert len(assignment_map) == len(tvars) and set(initialized) >= {var.name for var in tvars}
        tf.train.init_from_checkpoint(trained, assignment_map)
        session.run(tf.global_variables_initializer())

        tokens = ["[CLS]"] + tokenizer.tokenize("Ann met Bob") + ["[SEP]"]
        fed = {input_ids: [padded(tokenizer.convert_tokens_to_ids(tokens))], input_mask: [padded([1] * len(tokens))]}
        predicted, scores, transitions = session.run([pred_ids, logits, trans], fed)
    assert loss is None and scores.shape == (1, SEQ_LEN, len(LABELS) + 1) and transitions.shape == (7, 7)
    (labels,), (ids,) = convert_id_to_label(predicted, dict(enumerate(LABELS, 1)), 1)
    assert [LABELS[number - 1] for number in ids] == labels and set(labels) <= set(LABELS[:4])


def test_what_the_archive_kept_is_not_what_is_dropped_here(release, graph):
    ids = tf.ones([1, SEQ_LEN], tf.int32)
    with pytest.raises(ValueError, match="dropout_rate is 1.0.*fraction dropped.*archive.*fraction kept"):
        create_model(release.config, True, ids, ids, ids * 0, ids, 7, False, dropout_rate=1.0)


# ---- a tagger with a model function of its own ----------------------------------------------------------------------


def tagging_examples(release):
    """Features of sentences whose names are tagged: dict of int32 arrays."""
    rng, tokenizer = random.Random(1), release.tokenizer
    columns = collections.defaultdict(list)
    for _ in range(48):
        words = [rng.choice("the man ann bob met saw in at london paris .".split()) for _ in range(rng.randint(2, 8))]
        tokens = ["[CLS]"] + [piece for word in words for piece in tokenizer.tokenize(word)] + ["[SEP]"]
        columns["input_ids"].append(padded(tokenizer.convert_tokens_to_ids(tokens)))
        columns["input_mask"].append(padded([1] * len(tokens)))
        columns["segment_ids"].append(padded([]))
        columns["label_ids"].append(padded([LABELS.index(TAGS.get(token, "O")) + 1 for token in tokens]))
    return {name: np.array(rows, np.int32) for name, rows in columns.items()}


def own_create_optimizer(loss, init_lr, num_train_steps, num_warmup_steps):
    """In the shape of Google's: the schedule, the optimizer, clipping, and the global step advanced by itself."""
    global_step = tf.train.get_or_create_global_step()
    learning_rate = tf.train.polynomial_decay(tf.constant(init_lr), global_step, num_train_steps, 0.0)
    is_warmup = tf.cast(global_step < num_warmup_steps, tf.float32)
    warmup = init_lr * tf.cast(global_step, tf.float32) / num_warmup_steps
    optimizer = optimization.AdamWeightDecayOptimizer(
        learning_rate=(1.0 - is_warmup) * learning_rate + is_warmup * warmup,
        weight_decay_rate=0.01,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-6,
        exclude_from_weight_decay=["LayerNorm", "layer_norm", "bias"],
    )
    tvars = tf.trainable_variables()
    grads, _ = tf.clip_by_global_norm(tf.gradients(loss, tvars), clip_norm=1.0)
    train_op = optimizer.apply_gradients(zip(grads, tvars), global_step=global_step)
    return tf.group(train_op, [global_step.assign(global_step + 1)])


def own_tagger(release, found):
    """model_fn: a softmax for each piece, and how many variables the checkpoint had in `found`."""

    def model_fn(features, labels, mode, params):
        model = modeling.BertModel(
            config=release.config,
            is_training=mode == ModeKeys.TRAIN,
            input_ids=features["input_ids"],
            input_mask=features["input_mask"],
            token_type_ids=features["segment_ids"],
            use_one_hot_embeddings=False,
        )
        output = model.get_sequence_output()
        batch, seq_len, hidden = modeling.get_shape_list(output, expected_rank=3)
        weights = tf.get_variable("out_w", [len(LABELS) + 1, hidden], initializer=modeling.create_initializer())
        if mode == ModeKeys.TRAIN:
            output = modeling.dropout(output, 0.1)
        logits = tf.matmul(modeling.reshape_to_matrix(output), weights, transpose_b=True)
        logits = tf.reshape(logits, [batch, seq_len, len(LABELS) + 1])
        mask = tf.cast(features["input_mask"], tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=features["label_ids"], logits=logits)
        loss = tf.reduce_sum(losses * mask) / tf.reduce_sum(mask)
        assignment_map, initialized = modeling.get_assignment_map_from_checkpoint(
            tf.trainable_variables(), release.checkpoint
        )
        tf.train.init_from_checkpoint(release.checkpoint, assignment_map)
        found.append(len(initialized) // 2)
        if mode == ModeKeys.TRAIN:
            return EstimatorSpec(mode, loss=loss, train_op=own_create_optimizer(loss, params["rate"], 100, 10))
        accuracy = tf.metrics.accuracy(features["label_ids"], tf.argmax(logits, -1), weights=mask)
        return EstimatorSpec(mode, loss=loss, eval_metric_ops={"accuracy": accuracy})

    return model_fn


def test_a_tagger_with_its_own_model_function(release, kind_of_variables, tmp_path):
    arrays, found = tagging_examples(release), []

    def input_fn(params):
        return tf.data.Dataset.from_tensor_slices(arrays).repeat().batch(params["batch_size"], drop_remainder=True)

    params = {"batch_size": 16, "rate": 5e-3}
    config = RunConfig(model_dir=str(tmp_path), tf_random_seed=1)
    estimator = Estimator(own_tagger(release, found), config=config, params=params)
    estimator.train(input_fn, steps=100)
    results = estimator.evaluate(input_fn, steps=3)
    assert results["global_step"] == 100 and results["accuracy"] > 0.9
    assert found[0] == len(modeling.encoder_shapes(release.config))
    assert "bert/embeddings/word_embeddings/adam_v" in estimator.get_variable_names()


# ---- a classifier of one's own data ---------------------------------------------------------------------------------


class MoodProcessor(run_classifier.DataProcessor):
    """Reads `label<TAB>text`."""

    def get_train_examples(self, data_dir):
        return self._create_examples(self._read_tsv(os.path.join(data_dir, "train.tsv")), "train")

    def get_dev_examples(self, data_dir):
        return self._create_examples(self._read_tsv(os.path.join(data_dir, "dev.tsv"), quotechar='"'), "dev")

    def get_labels(self):
        return ["sad", "glad"]

    def _create_examples(self, lines, set_type):
        return [
            run_classifier.InputExample(guid=f"{set_type}-{i}", text_a=line[1], text_b=None, label=line[0])
            for i, line in enumerate(lines)
        ]


def test_a_classifier_of_ones_own_data(release, tmp_path):
    rng = random.Random(0)
    lines = []
    for _ in range(64):
        label, word = rng.choice([("sad", "bad"), ("glad", "good")])
        words = [rng.choice("the man ann bob met saw".split()) for _ in range(rng.randint(1, 5))] + [word]
        lines.append(f"{label}\t{' '.join(words)}\n")
    (tmp_path / "train.tsv").write_text("".join(lines))
    (tmp_path / "dev.tsv").write_text("".join(line.replace("\t", '\t"').replace("\n", '"\n') for line in lines[:19]))

    processor, tokenizer = MoodProcessor(), release.tokenizer
    label_list = processor.get_labels()
    steps = 60
    model_fn = run_classifier.model_fn_builder(
        bert_config=release.config,
        num_labels=len(label_list),
        init_checkpoint=release.checkpoint,
        learning_rate=3e-3,
        num_train_steps=steps,
        num_warmup_steps=6,
        use_tpu=False,
        use_one_hot_embeddings=False,
    )
    config = RunConfig(model_dir=str(tmp_path / "out"), tf_random_seed=1)
    estimator = Estimator(model_fn, config=config, params={"batch_size": 16})

    train_file, eval_file = (str(tmp_path / name) for name in ("train.tf_record", "eval.tf_record"))
    run_classifier.file_based_convert_examples_to_features(
        processor.get_train_examples(str(tmp_path)), label_list, SEQ_LEN, tokenizer, train_file
    )
    estimator.train(run_classifier.file_based_input_fn_builder(train_file, SEQ_LEN, True, True), max_steps=steps)

    examples = processor.get_dev_examples(str(tmp_path))
    assert [example.text_a for example in examples] == [line.split("\t")[1].strip() for line in lines[:19]]
    while len(examples) % 8:
        examples.append(run_classifier.PaddingInputExample())
    run_classifier.file_based_convert_examples_to_features(examples, label_list, SEQ_LEN, tokenizer, eval_file)
    results = estimator.evaluate(run_classifier.file_based_input_fn_builder(eval_file, SEQ_LEN, False, True))
    assert results["eval_accuracy"] > 0.9 and results["global_step"] == steps and results["eval_loss"] < 0.5

    features = run_classifier.convert_examples_to_features(examples[:19], label_list, SEQ_LEN, tokenizer)
    predicted = list(estimator.predict(run_classifier.input_fn_builder(features, SEQ_LEN, False, False)))
    right = [
        label_list[np.argmax(each["probabilities"])] == example.label for each, example in zip(predicted, examples)
    ]
    assert len(predicted) == 19 and np.mean(right) == pytest.approx(results["eval_accuracy"])


# ---- a server of features -------------------------------------------------------------------------------------------


def test_a_server_of_features(release, tmp_path):
    (tmp_path / "input.txt").write_text("The man met Ann.\nUnaffable ||| Bob saw\n", encoding="utf-8")
    examples = extract_features.read_examples(str(tmp_path / "input.txt"))
    assert [vars(example) for example in examples] == [
        {"unique_id": 0, "text_a": "The man met Ann.", "text_b": None},
        {"unique_id": 1, "text_a": "Unaffable", "text_b": "Bob saw"},
    ]
    features = extract_features.convert_examples_to_features(examples, SEQ_LEN, release.tokenizer)
    assert features[1].tokens == ["[CLS]", "un", "##aff", "##able", "[SEP]", "bob", "saw", "[SEP]"]
    assert features[1].input_type_ids == padded([0] * 5 + [1] * 3) and sum(features[1].input_mask) == 8
    model_fn = extract_features.model_fn_builder(
        bert_config=release.config,
        init_checkpoint=release.checkpoint,
        layer_indexes=[-1, 0],
        use_tpu=False,
        use_one_hot_embeddings=False,
    )
    estimator = Estimator(model_fn, config=RunConfig(model_dir=str(tmp_path / "none")), params={"batch_size": 8})
    by_id = {}
    for result in estimator.predict(extract_features.input_fn_builder(features, SEQ_LEN)):
        by_id[int(result["unique_id"])] = [result["layer_output_0"], result["layer_output_1"]]

    with tf.Graph().as_default(), tf.Session() as session:
        model = modeling.BertModel(release.config, False, *[
            tf.constant([getattr(each, name) for each in features], tf.int32)
            for name in ("input_ids", "input_mask", "input_type_ids")
        ])  # fmt: skip
        tf.train.Saver().restore(session, release.checkpoint)
        layers = model.get_all_encoder_layers()
        expected = session.run([layers[-1], layers[0]])
    for number in (0, 1):
        np.testing.assert_allclose(by_id[number], [layer[number] for layer in expected], rtol=1e-4, atol=1e-5)


# ---- further pre-training with a head of one's own ------------------------------------------------------------------


def test_further_pre_training(release, tmp_path):
    rng, tokenizer = random.Random(2), release.tokenizer
    words = "the man ann bob met saw in at london paris . unaffable".split()
    documents = ["\n".join(" ".join(rng.choice(words) for _ in range(5)) for _ in range(4)) for _ in range(6)]
    (tmp_path / "text.txt").write_text("\n\n".join(documents) + "\n")
    instances = create_pretraining_data.create_training_instances(
        [str(tmp_path / "text.txt")], tokenizer, SEQ_LEN * 2, 2, 0.1, 0.15, 4, random.Random(1)
    )
    records = str(tmp_path / "examples.tfrecord")
    create_pretraining_data.write_instance_to_example_files(instances, tokenizer, SEQ_LEN * 2, 4, [records])

    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        input_fn = run_pretraining.input_fn_builder([records], SEQ_LEN * 2, 4, is_training=True)
        features = tf.data.make_one_shot_iterator(input_fn({"batch_size": 8})).get_next()
        model = modeling.BertModel(
            release.config, True, features["input_ids"], features["input_mask"], features["segment_ids"]
        )
        masked_lm_loss, _, log_probs = run_pretraining.get_masked_lm_output(
            release.config,
            model.get_sequence_output(),
            model.get_embedding_table(),
            features["masked_lm_positions"],
            features["masked_lm_ids"],
            features["masked_lm_weights"],
        )
        picked = run_pretraining.gather_indexes(model.get_sequence_output(), features["masked_lm_positions"])
        weights = tf.get_variable("own_head", [2, release.config.hidden_size])  # which half of the vocabulary is it in?
        first = tf.matmul(picked, weights, transpose_b=True)
        targets = tf.cast(tf.reshape(features["masked_lm_ids"], [-1]) < len(VOCAB) // 2, tf.int32)
        own_loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=first))
        next_sentence_loss, _, _ = run_pretraining.get_next_sentence_output(
            release.config, model.get_pooled_output(), features["next_sentence_labels"]
        )
        loss = masked_lm_loss + next_sentence_loss + own_loss
        tvars = tf.trainable_variables()
        assignment_map, _ = modeling.get_assignment_map_from_checkpoint(tvars, release.checkpoint)
        tf.train.init_from_checkpoint(release.checkpoint, assignment_map)
        train_op = own_create_optimizer(loss, 1e-2, 40, 4)
        session.run(tf.global_variables_initializer())
        losses = [session.run([loss, train_op])[0] for _ in range(40)]
        assert session.run(tf.train.get_global_step()) == 40
    assert log_probs.shape.as_list()[1] == len(VOCAB)
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5
