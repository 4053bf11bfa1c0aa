"""What a TPU would run, compiled by XLA on the CPU, against the plain graph. No TPU is needed, and none was ever used.

The graph is built as for a TPU: static shapes, embeddings by one-hot matmul, nothing for the host in a step.
"""

import contextlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import modeling, run_classifier, run_pretraining, run_squad
from bert.data import batches, records
from bert.encoder import kernels
from bert.runtime import devices, estimator
from bert.runtime.estimator import ModeKeys
from bert.training import strategies
from train.bert_lstm_ner import model_fn_builder
from train.data.labels import label_ids, label_list
from train.train_helper import get_args_parser

pytestmark = pytest.mark.skipif(not estimator.IS_TENSORFLOWS, reason="no Estimator for TPUs in this TensorFlow")

BATCH, LENGTH, VOCAB = 4, 12, 30
TRAIN, EVAL, PREDICT = ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT
LABELS = label_list(["O", "B-PER", "I-PER", "B-LOC"])
# Results whose shape depends on values, and what only a host can do.
NOT_FOR_A_TPU = {"Where", "Unique", "UniqueV2", "NonMaxSuppressionV3", "PyFunc", "EagerPyFunc", "Print", "PrintV2"}
NOT_FOR_A_TPU |= {"ScalarSummary", "HistogramSummary", "ImageSummary", "MergeSummary", "ListDiff", "DynamicPartition"}


def config(dropout):
    return modeling.BertConfig(
        vocab_size=VOCAB,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        max_position_embeddings=LENGTH,
        type_vocab_size=2,
        initializer_range=0.3,
    )


def tagger(dropout, *flags):
    args = get_args_parser(["-lstm_size=4", f"-dropout_rate={dropout}", *flags])
    ids = label_ids(LABELS)
    return model_fn_builder(config(dropout), len(LABELS) + 1, None, 0.01, 10, 2, args, ids, "BIO")


MODELS = {
    "lstm": tagger,
    "gru, first pieces": lambda dropout: tagger(dropout, "-cell=gru", "-subword_labels=first", "-adversarial=0.5"),
    "crf_only": lambda dropout: tagger(dropout, "-crf_only"),
    "classifier": lambda dropout: run_classifier.model_fn_builder(config(dropout), 3, None, 0.01, 10, 2, True, False),
    "squad": lambda dropout: run_squad.model_fn_builder(config(dropout), None, 0.01, 10, 2, True, False),
    "pretraining": lambda dropout: run_pretraining.model_fn_builder(config(dropout), None, 0.01, 10, 2, True, False),
}
TAGGERS = ("lstm", "gru, first pieces", "crf_only")


def features_of(model):
    """numpy arrays of one batch, sentences of several lengths among them."""
    rng = np.random.RandomState(5)
    lengths = np.array([LENGTH, 7, 3, 9])
    mask = (np.arange(LENGTH) < lengths[:, None]).astype(np.int32)
    values = {
        "input_ids": rng.randint(1, VOCAB, [BATCH, LENGTH]).astype(np.int32) * mask,
        "input_mask": mask,
        "segment_ids": np.zeros_like(mask),
    }
    if model in TAGGERS:
        values["label_ids"] = rng.randint(1, 5, [BATCH, LENGTH]).astype(np.int32) * mask
        values["word_start"] = rng.randint(0, 2, [BATCH, LENGTH]).astype(np.int32) * mask
        values["word_start"][:, 1] = 1
    elif model == "classifier":
        values["label_ids"] = np.array([0, 2, 1, 1], np.int32)
    elif model == "squad":
        values.update(
            {name: rng.randint(0, 3, [BATCH]).astype(np.int32) for name in ("start_positions", "end_positions")}
        )
        values["unique_ids"] = np.arange(BATCH, dtype=np.int32)
    else:
        values["masked_lm_positions"] = rng.randint(0, 3, [BATCH, 3]).astype(np.int32)
        values["masked_lm_ids"] = rng.randint(1, VOCAB, [BATCH, 3]).astype(np.int32)
        values["masked_lm_weights"] = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0]], np.float32)
        values["next_sentence_labels"] = np.array([[0], [1], [1], [0]], np.int32)
    return values


@pytest.fixture(autouse=True)
def resource_variables(monkeypatch):
    """As the programs have them; no dropout but what a test asks for."""
    monkeypatch.setattr("bert.classification.model.DROPOUT", 0.0)
    before = tf.resource_variables_enabled()
    tf.enable_resource_variables()
    yield
    if not before:
        tf.disable_resource_variables()


def run_step(model, mode, for_tpu, monkeypatch, dropout=0.0):
    """(what a step gives: dict of arrays, every variable behind it, the ops of the compiled step)."""
    given = features_of(model)
    model_fn = strategies._with_own_seeds(MODELS[model](dropout))
    names = sorted(given)
    with contextlib.ExitStack() as stack:
        graph = stack.enter_context(tf.Graph().as_default())
        tf.set_random_seed(3)
        monkeypatch.setattr(strategies, "on_tpu", lambda: for_tpu)
        tf.train.get_or_create_global_step()
        fed = [tf.placeholder(given[name].dtype, given[name].shape) for name in names]
        results = []

        def step(*values):
            spec = model_fn(dict(zip(names, values)), None, mode, {"batch_size": BATCH})
            found = dict(spec.predictions or {})
            if spec.loss is not None:
                found["loss"] = spec.loss
            if mode == EVAL:
                found.update({name: update for name, (_, update) in (spec.eval_metric_ops or {}).items()})
            results.append(sorted(found))
            ops = [spec.train_op] if mode == TRAIN else []
            return [found[name] for name in sorted(found)] + ops

        outputs = tf.xla.experimental.compile(step, fed) if for_tpu else step(*fed)
        values = [output for output in outputs if isinstance(output, tf.Tensor)]
        session = stack.enter_context(tf.Session(config=devices.session_config()))
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        feed = {placeholder: given[name] for placeholder, name in zip(fed, names)}
        found, _ = session.run([values, list(outputs)], feed)
        variables = session.run({var.op.name: var for var in tf.global_variables()})
        return dict(zip(results[0], found)), variables, _compiled(graph)


def _compiled(graph):
    """The ops that XLA compiles."""
    found = []
    for op in graph.get_operations():
        with contextlib.suppress(ValueError):
            op.get_attr("_xla_compile_id")
            found.append(op)
    return found


def once(*case):
    """A case whose operations, and whose way to be built, are those of others too."""
    return pytest.param(*case, marks=pytest.mark.one_tensorflow)


@pytest.mark.parametrize(
    "model,mode",
    [
        ("lstm", TRAIN), once("lstm", EVAL), ("crf_only", PREDICT),
        once("gru, first pieces", TRAIN), once("gru, first pieces", PREDICT),
        once("classifier", TRAIN), once("classifier", PREDICT), once("squad", TRAIN), once("pretraining", TRAIN),
        once("pretraining", EVAL),
    ],
)  # fmt: skip
def test_compiled_step_is_the_plain_one(model, mode, monkeypatch):
    """Loss, predictions, metrics, and behind a training step every variable and moment: so every gradient."""
    found, variables, compiled = run_step(model, mode, True, monkeypatch)
    expected, others, _ = run_step(model, mode, False, monkeypatch)
    assert sorted(found) == sorted(expected) and found
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert sorted(variables) == sorted(others)
    for name, value in others.items():
        np.testing.assert_allclose(variables[name], value, rtol=1e-3, atol=5e-6, err_msg=name)
    assert_fit_for_a_tpu(compiled)


def assert_fit_for_a_tpu(ops):
    """No op is for the host alone, no shape depends on values."""
    assert ops
    assert not {op.type for op in ops} & NOT_FOR_A_TPU
    if not kernels.can_fuse():
        return  # the graph of TensorFlow 1.15 does not know all shapes that its compiler works out
    # What a loop keeps for its backward pass are stacks of tensors of one shape; they and handles have none themselves.
    unknown = [
        f"{op.name} ({op.type})"
        for op in ops
        for output in op.outputs
        if not output.shape.is_fully_defined() and output.dtype not in (tf.resource, tf.variant)
    ]
    assert not unknown


@pytest.mark.one_tensorflow
def test_dropout_compiles_too(monkeypatch):
    found, _, compiled = run_step("crf_only", TRAIN, True, monkeypatch, dropout=0.5)
    assert np.isfinite(found["loss"])
    assert_fit_for_a_tpu(compiled)


@pytest.mark.one_tensorflow
def test_words_are_looked_up_by_matmul(monkeypatch):
    _, _, compiled = run_step("crf_only", PREDICT, True, monkeypatch)
    embeddings = [op for op in compiled if "embeddings" in op.name]
    one_hot = [BATCH * LENGTH, VOCAB]
    assert [op for op in embeddings if op.type == "MatMul" and op.inputs[0].shape.as_list() == one_hot]
    assert not [op for op in embeddings if "Gather" in op.type]


def test_the_input_of_a_tpu_has_one_shape(tmp_path):
    path = str(tmp_path / "train.tf_record")
    rows = [[1] * n + [0] * (6 - n) for n in (2, 5, 6)]
    examples = [records.make_example({"ids": row, "mask": row}) for row in rows]
    records.write_records(path, examples, None)
    columns = {name: tf.io.FixedLenFeature([6], tf.int64) for name in ("ids", "mask")}
    share = batches.Share(2, 0, 2)
    reading = batches.Reading(by_length=True, share=share)
    input_fn = batches.input_fn_builder(path, columns, ("ids",), True, static=True, reading=reading)
    with tf.Graph().as_default():
        shapes = tf.data.get_output_shapes(input_fn({"batch_size": 8}))
    assert {name: shape.as_list() for name, shape in shapes.items()} == {"ids": [4, 6], "mask": [4, 6]}
