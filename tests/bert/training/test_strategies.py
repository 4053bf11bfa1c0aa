"""Training on several replicas against training on one device; which strategy a run takes; what is refused.

The replicas are CPU devices of one process (-num_cpus). Without dropout the same global batches give the same losses.
"""

import contextlib
import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.encoder import kernels, masks
from bert.optimization import StepOptions
from bert.runtime import checkpoint, devices, estimator
from bert.system.errors import UserError
from bert.training import distribution, strategies
from bert.training.distribution import DeviceRequest, choose
from tests import small_task
from tests.training import losses_of
from train.train_helper import get_args_parser

STEPS = 10
BATCH = 8


def write_task(directory, train=40, others=8):
    """Flags for small data and a tiny encoder without dropout."""
    return [
        *small_task.write_task(directory, train, others, hidden_size=8, num_hidden_layers=1, **small_task.NO_DROPOUT),
        *("-batch_size", str(BATCH)),
        *("-learning_rate", "5e-3", "-lstm_size", "4", "-dropout_rate", "0", "-do_predict=false"),
    ]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    flags = write_task(tmp_path_factory.mktemp("task"))
    return [*flags, "-crf_only", "-num_train_epochs=2", "-eval_every=100"]


@pytest.fixture(scope="module")
def alone(given, tmp_path_factory):
    """(output directory, losses, results) of a run on one device."""
    output = tmp_path_factory.mktemp("alone")
    return (output, *losses_of(given, output))


def assert_same_training(output, losses, results, alone):
    np.testing.assert_allclose(losses, alone[1], rtol=1e-3)
    assert checkpoint.latest(str(output)).rpartition("-")[2] == checkpoint.latest(str(alone[0])).rpartition("-")[2]
    assert results["dev"]["loss"] == pytest.approx(alone[2]["dev"]["loss"], rel=1e-3)


def test_replicas_train_as_one_device_does(given, alone, tmp_path):
    losses, results = losses_of(given, tmp_path, "-num_cpus=2")
    assert len(losses) >= STEPS
    assert_same_training(tmp_path, losses, results, alone)
    steps = [event.step for path in tmp_path.glob("events*") for event in tf.train.summary_iterator(str(path))]
    assert max(steps) == len(losses)


@pytest.mark.one_tensorflow
def test_every_example_is_scored_once(given, tmp_path):
    """143 sentences, which no number of replicas or batch divides."""
    task = tmp_path / "task"
    task.mkdir()
    flags = write_task(task, train=8)
    sentences = [f"Ann B-PER\nmet O\n{word} O\n" for word in (small_task.WORDS * 10)[:143]]
    (task / "data" / "dev.txt").write_text("\n".join(sentences), encoding="utf-8")
    output = tmp_path / "output"
    _, results = losses_of([*flags, "-crf_only", "-num_train_epochs=1", "-do_predict"], output, "-num_cpus=2")
    tagged = small_task.tagged(str(output), "dev")
    assert len(tagged) == len(sentences) == 143
    right = sum(gold == predicted for block in tagged for _, gold, predicted in block)
    assert results["dev"]["accuracy"] == pytest.approx(right / 429)


def chosen(args):
    return choose(DeviceRequest.from_dict(vars(args), "batch_size"))


def parsed(*flags):
    return get_args_parser(["-output_dir=out", *flags])


@pytest.fixture
def machine(monkeypatch):
    """`machine(gpus=..., task=(type, index), cluster={...})` puts the decisions on such a machine."""

    def machine(gpus=0, task=None, **addresses):
        monkeypatch.setattr(devices, "gpus", lambda: [8.0] * gpus)
        monkeypatch.setattr(estimator, "IS_TENSORFLOWS", True)
        monkeypatch.delenv("TF_CONFIG", raising=False)
        if task:
            config = {"cluster": addresses, "task": {"type": task[0], "index": task[1]}}
            monkeypatch.setenv("TF_CONFIG", json.dumps(config))

    return machine


TWO_WORKERS = {"chief": ["a:1"], "worker": ["b:1"]}


@pytest.mark.parametrize(
    "kind,flags,name,local,replicas",
    [
        ({}, [], "none", ["/cpu:0"], 1),
        ({"gpus": 1}, [], "none", ["/gpu:0"], 1),
        ({"gpus": 4}, [], "mirrored", ["/gpu:0", "/gpu:1", "/gpu:2", "/gpu:3"], 4),
        ({"gpus": 4}, ["-num_gpus=2"], "mirrored", ["/gpu:0", "/gpu:1"], 2),
        ({"gpus": 4}, ["-num_gpus=1"], "none", ["/gpu:0"], 1),
        ({"gpus": 4}, ["-strategy=none"], "none", ["/gpu:0"], 1),
        ({"gpus": 1}, ["-strategy=mirrored"], "mirrored", ["/gpu:0"], 1),
        ({"gpus": 2}, ["-num_gpus=0"], "none", ["/cpu:0"], 1),
        ({}, ["-num_cpus=2"], "mirrored", ["/cpu:0", "/cpu:1"], 2),
        ({}, ["-tpu_name=x", "-use_tpu=false"], "none", ["/cpu:0"], 1),
        ({"task": ("worker", 0), **TWO_WORKERS}, [], "multi_worker", ["/cpu:0"], 2),
        ({"gpus": 2, "task": ("chief", 0), **TWO_WORKERS}, [], "multi_worker", ["/gpu:0", "/gpu:1"], 4),
        ({"task": ("chief", 0), "ps": ["c:1"], **TWO_WORKERS}, [], "parameter_server", ["/cpu:0"], 1),
    ],
)
def test_what_a_run_uses(kind, flags, name, local, replicas, machine):
    machine(**kind)
    found = chosen(parsed(*flags))
    assert (found.name, found.local, found.replicas) == (name, local, replicas)


@pytest.mark.parametrize("number,index", [(("chief", 0), 0), (("worker", 0), 2)])
def test_each_task_reads_its_own_share(number, index, machine):
    machine(gpus=2, task=number, **TWO_WORKERS)
    share = chosen(parsed()).share
    assert (share.count, share.index, share.replicas) == (4, index, 2)


@pytest.mark.parametrize(
    "kind,flags,expected",
    [
        ({}, ["-num_gpus=2"], r"-num_gpus 2: there are 0; devices: /cpu:0$"),
        ({"gpus": 1}, ["-num_gpus=2"], r"-num_gpus 2: there are 1; devices: /cpu:0, /gpu:0$"),
        (
            {},
            ["-strategy=mirrored"],
            r"-strategy mirrored: no GPU among the devices /cpu:0; expected",
        ),
        ({}, ["-strategy=multi_worker"], r"-strategy multi_worker: TF_CONFIG names no cluster"),
        ({}, ["-strategy=parameter_server"], r"-strategy parameter_server: TF_CONFIG names no cluster"),
        ({}, ["-strategy=none", "-num_cpus=2"], r"-strategy none uses one device, not -num_cpus 2"),
        ({"gpus": 2}, ["-strategy=none", "-num_gpus=2"], r"-strategy none uses one device, not -num_gpus 2"),
        ({"gpus": 2}, ["-num_gpus=2", "-num_cpus=2"], r"-num_gpus and -num_cpus: expected one of them"),
        ({}, ["-use_tpu", "-strategy=none"], r"-use_tpu with -strategy none"),
        ({}, ["-use_tpu"], r"-strategy tpu: -tpu_name is missing; expected the Cloud TPU's name or grpc://host:port"),
        (
            {},
            ["-tpu_name=grpc://127.0.0.1:9", "-tpu_zone=z", "-gcp_project=p"],
            r"-tpu_name grpc://127.0.0.1:9 \(zone z, project p\): no such TPU can be reached: ",
        ),
        ({}, ["-use_tpu", "-tpu_name=grpc://127.0.0.1:9", "-num_cpus=2"], r"-strategy tpu: its cores are the replicas"),
        ({}, ["-num_cpus=3"], r"-batch_size 64: the global batch, .* among 3 replicas; expected 63 or 66$"),
        ({}, ["-num_cpus=3", "-batch_size=2"], r"-batch_size 2: .* among 3 replicas; expected 3$"),
        ({"task": ("chief", 0), **TWO_WORKERS}, ["-strategy=mirrored"], r"TF_CONFIG names several tasks"),
        ({"task": ("chief", 0), **TWO_WORKERS}, ["-num_cpus=2"], r"-num_cpus 2: replicas of one process"),
        ({"gpus": 2, "task": ("chief", 0), **TWO_WORKERS}, ["-num_gpus=1"], r"expected -device_map to hide the others"),
        (
            {"task": ("chief", 0), **TWO_WORKERS},
            ["-strategy=parameter_server"],
            r"expected a chief and at least one",
        ),
        (
            {"task": ("chief", 0), "ps": ["c:1"], **TWO_WORKERS},
            ["-gradient_accumulation_steps=2"],
            r"-strategy parameter_server: workers update on their own",
        ),
        ({"task": ("chief", 0), "ps": ["c:1"], **TWO_WORKERS}, ["-strategy=multi_worker"], r"names parameter servers"),
        ({"task": ("chief", 0), "ps": ["c:1"], "evaluator": ["d:1"], **TWO_WORKERS}, [], r"expected no evaluator"),
    ],
)
def test_what_is_not_there_is_refused(kind, flags, expected, machine):
    machine(**kind)
    with pytest.raises(UserError, match=expected):
        chosen(parsed(*flags))


@pytest.mark.parametrize(
    "kind,flags,name",
    [
        ({"task": ("chief", 0), "ps": ["c:1"], **TWO_WORKERS}, [], "parameter_server"),
        ({}, ["-use_tpu", "-tpu_name=grpc://127.0.0.1:9"], "tpu"),
    ],
)
def test_what_our_own_estimator_cannot_do_is_refused(kind, flags, name, machine, monkeypatch):
    machine(**kind)
    monkeypatch.setattr(estimator, "IS_TENSORFLOWS", False)
    expected = rf"-strategy {name}: TensorFlow {tf.__version__} has no Estimator for it; .*TensorFlow 2.15"
    with pytest.raises(UserError, match=expected):
        chosen(parsed(*flags))


@pytest.mark.parametrize(
    "device_map,there,is_there", [("0", 1, True), ("0,1", 2, True), ("0,3", 1, False), ("-1", 0, True)]
)
def test_gpus_of_device_map_have_to_be_there(device_map, there, is_there, machine, monkeypatch):
    machine(gpus=there)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "kept")
    if is_there:
        devices.prepare(device_map)
    else:
        with pytest.raises(UserError, match=r"-device_map 0,3: of these GPUs there are 1; devices: /cpu:0, /gpu:0"):
            devices.prepare(device_map)


def test_it_says_what_it_uses(machine, monkeypatch):
    lines = []
    monkeypatch.setattr(distribution.log, "info", lambda text, *values: lines.append(text % values))
    machine()
    chosen(parsed())
    chosen(parsed("-num_cpus=2"))
    machine(gpus=2, task=("chief", 0), **TWO_WORKERS)
    chosen(parsed())
    assert lines == [
        "mirrored: 2 replicas on /cpu:0, /cpu:1; batch 64 global, 32 per replica",
        "multi_worker: 2 tasks, 4 replicas on /gpu:0, /gpu:1; batch 64 global, 16 per replica",
    ]


@pytest.mark.parametrize(
    "longest,intervals,expected", [(1000, [500], 500), (1000, [100, 250], 50), (7, [12], 6), (1, [9], 1)]
)
def test_a_tpu_stops_at_every_multiple(longest, intervals, expected):
    assert strategies.loop_length(longest, *intervals) == expected


def test_variables_start_from_their_names_and_the_seed():
    """Whatever operations came before, so on any number of replicas."""

    def start(before):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(5)
            for _ in range(before):
                tf.random.uniform([])

            def model_fn(features, labels, mode, params):
                first = tf.get_variable("a", [3], initializer=tf.glorot_uniform_initializer())
                return [first, tf.get_variable("b", [3], initializer=tf.truncated_normal_initializer(stddev=0.1))]

            made = strategies._with_own_seeds(model_fn)(None, None, None, None)
            session.run(tf.global_variables_initializer())
            return session.run(made)

    first, second = start(0), start(3)
    np.testing.assert_array_equal(first, second)
    assert np.abs(np.array(first[0]) - np.array(first[1])).min() > 1e-6


@pytest.mark.parametrize(
    "task,devices_of_strategy,expected",
    [
        (None, [], [7]),
        (None, ["/cpu:0", "/cpu:1"], [14, 15]),  # each replica
        (("worker", 0), [], [15]),  # with parameter servers each task is a replica
    ],
)
def test_dropout_follows_from_the_number_of_a_replica_s_batch(
    task, devices_of_strategy, expected, machine, monkeypatch, graph
):
    """After seven steps. It is on in training alone."""
    machine(task=task, ps=["c:1"], **TWO_WORKERS)
    numbers = []

    def following(number):
        numbers.append(number)
        return contextlib.ExitStack()

    def build():
        with strategies.building(None, False), strategies.building(None, True):
            pass

    monkeypatch.setattr(masks, "following", following)
    strategy = tf.distribute.MirroredStrategy(devices_of_strategy) if devices_of_strategy else None
    with strategy.scope() if strategy else contextlib.ExitStack():
        step = tf.train.create_global_step()
        strategy.extended.call_for_each_replica(build) if strategy else build()
    with tf.Session(config=devices.session_config(cpus=2)) as session:
        session.run(tf.global_variables_initializer())
        session.run(step.assign(7))
        assert session.run(numbers) == expected


def test_a_worker_looks_for_variables_every_second(monkeypatch, graph):
    monkeypatch.setattr(tf.train.SessionManager, "__init__", tf.train.SessionManager.__init__)
    strategies._look_for_variables_every_second()
    assert tf.train.SessionManager(graph=graph)._recovery_wait_secs == 1


@pytest.mark.parametrize(
    "dtype,scaled", [(tf.float32, set()), (tf.float16, {"loss_scale/factor", "loss_scale/good_steps"})]
)
def test_the_compute_and_the_options_reach_the_training_step(dtype, scaled, graph):
    """float16 scales the loss, accumulation keeps sums, and a frozen variable has none of them."""
    trained, frozen = (tf.get_variable(name, initializer=[1.0]) for name in ("trained", "frozen"))
    training = strategies.Training(None, 0.1, 8, 0, BATCH)
    options = StepOptions(is_frozen=lambda name: name == "frozen", accumulation_steps=2)
    compute = kernels.Compute(dtype, kernels.PLAIN, False)
    strategies.training_spec(tf.reduce_sum(trained * frozen), training, compute, options=options)
    sums = {"gradient_accumulation/calls", "gradient_accumulation/trained"}
    assert {var.op.name for var in tf.local_variables()} == scaled | sums
