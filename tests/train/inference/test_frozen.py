"""The frozen tagger against the Estimator's prediction, and against itself on other batches."""

import math
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.encoder import kernels
from tests.train import test_bert_lstm_ner as small
from train.data.windows import Encoded
from train.inference import frozen
from train.tagger.calibration import Calibration
from train.tagger.settings import TaggerSettings

trained = small.trained
only_x = pytest.mark.parametrize("trained", ["x"], indirect=True)  # what first pieces have of their own is in the head
# A loss is the difference of two sums near a hundred, where float32 goes in steps of 8e-6: four of them.
LOSS_STEPS = 3e-5
MAPPED = Calibration(3.0, 0.8, 0.1, {"A": 0.5})


def windows():
    """The sentences of the model's tests as windows of their own length."""
    given = small.features()
    sizes = given["input_mask"].sum(1)
    return [
        Encoded(None, list(ids[:size]), list(starts[:size]), list(labels[:size]), None, None)
        for ids, starts, labels, size in zip(given["input_ids"], small.words(), given["label_ids"], sizes)
    ]


@pytest.fixture(scope="module")
def settings(trained):
    """The TaggerSettings of the trained model."""
    flags = ["-lstm_size", "8", "-subword_labels", trained[2]]
    return TaggerSettings.of_flags(small.get_args_parser(flags), small.LABELS, "BIO", small.CONFIG.to_dict())


@pytest.fixture(scope="module")
def tagger(trained, settings):
    """Function from kernels.Compute to a FrozenTagger of the trained model, made once of each."""
    made = {}

    def make(compute=kernels.REFERENCE):
        if compute not in made:
            made[compute] = frozen.FrozenTagger(trained[0].latest_checkpoint(), settings, compute, with_losses=True)
        return made[compute]

    yield make
    for one in made.values():
        one.__exit__()


def test_it_says_what_the_estimator_says(trained, tagger):
    expected = list(trained[0].predict(small.once))
    found = tagger().tag(windows(), 3)
    for one, other in zip(found, expected):
        size = len(one.label_ids)
        np.testing.assert_array_equal(one.label_ids, other["pred_ids"][:size])
        np.testing.assert_allclose(one.scores, other["scores"][:size], atol=1e-5)
        np.testing.assert_allclose(one.loss, other["loss"], rtol=1e-4, atol=LOSS_STEPS)


def test_a_window_is_tagged_the_same_in_any_batch(tagger):
    run = tagger()
    given = windows()
    alone = [run.tag([window], 1)[0] for window in given]
    for order in (range(10), reversed(range(10)), np.random.RandomState(1).permutation(10)):
        order = list(order)
        for batch_size in (2, 7, 64):
            together = run.tag([given[i] for i in order], batch_size)
            for i, found in zip(order, together):
                np.testing.assert_array_equal(found.label_ids, alone[i].label_ids)
                np.testing.assert_allclose(found.scores, alone[i].scores, atol=1e-4)
                np.testing.assert_allclose(found.loss, alone[i].loss, rtol=1e-4, atol=LOSS_STEPS)


@pytest.mark.one_tensorflow  # as dev evaluations of a run find what prediction finds, everywhere
@only_x
def test_one_graph_for_many_checkpoints(trained, settings, tagger, tmp_path):
    """Filled with the weights of one after the other, it says what a graph built for that checkpoint says."""
    prefix, other = trained[0].latest_checkpoint(), str(tmp_path / "other")
    write_moved(prefix, other)
    graphs = [frozen.TaggerTemplate(settings, with_losses=with_losses) for with_losses in (True, False)]
    found = {}
    for each in (prefix, other):
        with graphs[0].tagger(each) as run, graphs[1].tagger(each) as without_losses:
            found[each] = run.tag(windows(), 4)
            assert without_losses.tag(windows(), 4)[0].loss is None
    assert_same(found[prefix], tagger().tag(windows(), 4))
    with frozen.FrozenTagger(other, settings, with_losses=True) as built:
        assert_same(found[other], built.tag(windows(), 4))
    assert not np.array_equal(found[prefix][0].scores, found[other][0].scores)


@pytest.mark.one_tensorflow
@only_x
def test_taggers_share_graphs_and_sessions(trained, settings, monkeypatch):
    built, build = [], frozen.TaggerTemplate
    monkeypatch.setattr(frozen, "TaggerTemplate", lambda *args, **kwargs: built.append(args) or build(*args, **kwargs))
    taggers, wide = frozen.Taggers(settings), kernels.REFERENCE._replace(recompute=True)
    for _ in range(2):
        with taggers.of_checkpoint(trained[0].latest_checkpoint()) as tagger_of:
            one = tagger_of(kernels.REFERENCE)
            assert tagger_of(kernels.REFERENCE) is one is not tagger_of(wide)
            assert one.tag(windows(), 4)[0].loss is not None
        with pytest.raises(RuntimeError, match="closed"):
            one.tag(windows(), 4)
    assert [args[1] for args in built] == [kernels.REFERENCE, wide]


@pytest.mark.one_tensorflow  # tests/train/tagger/test_entity_scores.py has the operations everywhere
@only_x
def test_several_calibrations(trained, settings):
    """Each as a graph of that calibration gives it; without any there are tags and losses alone."""
    prefix, calibrations = trained[0].latest_checkpoint(), [Calibration(0.5), Calibration(), MAPPED]
    with frozen.TaggerTemplate(settings, with_losses=True).tagger(prefix) as run:
        given = [each.of_labels(settings.labels, settings.scheme) for each in calibrations]
        together, alone = run.tag(windows(), 4, given), run.tag(windows(), 4, [])
    for i, calibration in enumerate(calibrations):
        changed = settings._replace(calibration=calibration)
        with frozen.FrozenTagger(prefix, changed) as one, frozen.TaggerTemplate(changed).tagger(prefix) as template:
            expected = one.tag(windows(), 4)
            assert_same(template.tag(windows(), 4), expected)
        for found, other in zip(together, expected):
            np.testing.assert_array_equal(found.label_ids, other.label_ids)
            np.testing.assert_allclose(found.scores[i], other.scores, atol=1e-5)
            np.testing.assert_allclose(found.entity_scores[i], other.entity_scores, atol=1e-5)
    for found, other in zip(together, alone):
        assert other.scores is other.entity_scores is None and other.loss == found.loss
        np.testing.assert_array_equal(found.label_ids, other.label_ids)


def write_moved(prefix, target):
    """Writes a checkpoint with all values of another one's encoder halved."""
    reader = tf.train.load_checkpoint(prefix)
    with tf.Graph().as_default(), tf.Session() as session:
        for name in reader.get_variable_to_shape_map():
            value = reader.get_tensor(name)
            tf.get_variable(name, initializer=value / 2 if name.startswith("bert/") else value)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, target, write_meta_graph=False)


def assert_same(found, expected):
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one.label_ids, other.label_ids)
        np.testing.assert_array_equal(one.scores, other.scores)
        assert one.loss == other.loss


def test_no_windows(tagger):
    assert tagger().tag([], 4) == []


@pytest.mark.skipif(not kernels.can_fuse(), reason="TensorFlow 1.15 has no fused kernels")
@only_x
def test_compiled_and_in_bfloat16(tagger):
    """All in one batch: another length would be compiled anew."""
    plain = tagger().tag(windows(), 10)
    fused = tagger(kernels.Compute(tf.float32, kernels.FUSED, False, packed=True)).tag(windows(), 10)
    narrow = tagger(kernels.Compute(tf.bfloat16, kernels.FUSED, True, packed=True)).tag(windows(), 10)
    for one, two, three in zip(plain, fused, narrow):
        np.testing.assert_array_equal(two.label_ids, one.label_ids)
        np.testing.assert_allclose(two.scores, one.scores, atol=1e-5)
        np.testing.assert_array_equal(three.label_ids, one.label_ids)
        np.testing.assert_allclose(three.scores, one.scores, atol=0.05)


@pytest.mark.one_tensorflow
@pytest.mark.parametrize("longest", [100, 128, 512])
def test_compiled_kernels_are_of_few_lengths(longest):
    tagger = frozen.Tagger(None, None, longest)
    padded = [tagger._padded(length) for length in range(1, longest + 1)]
    assert all(length <= found <= max(length * 5 / 4, length + 1) for length, found in enumerate(padded, 1))
    assert padded[-1] == longest and len(set(padded)) <= 8 + 4 * (math.log2(longest) - 4) + 1
    assert [frozen.Tagger(None, None)._padded(length) for length in (1, 33, 99)] == [1, 33, 99]


@pytest.mark.one_tensorflow
def test_streams_keep_the_order_and_begin_few_at_a_time():
    begun = []

    def square(number):
        begun.append(number)
        time.sleep(0.01 * (number % 3))
        if number == 7:
            raise KeyError(number)
        return number**2

    found = frozen._in_streams(square, [(number,) for number in range(9)], 2)
    assert next(found) == 0 and len(begun) <= 3
    assert [next(found) for _ in range(6)] == [1, 4, 9, 16, 25, 36]
    with pytest.raises(KeyError):
        next(found)
    assert (
        list(found) == []
        and list(frozen._in_streams(square, [(3,)], 2)) == [9]
        and list(frozen._in_streams(square, [], 2)) == []
    )
