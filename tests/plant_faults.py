"""Plants faults in copies of this repository and sees whether the tests notice. Not collected by pytest.

    python tests/plant_faults.py [--tree DIRECTORY] [--only WORD] [--skip-clean]

In: FAULTS, one for each kind of behaviour that would do harm silently. Each names a file, a text that occurs exactly
once in it, what takes its place, and the test that has to fail then.
Out: a line for each fault: caught, NOT CAUGHT, or NOT PLANTED where the text is no longer found exactly once: then this
list is to be repaired. First, all the named tests have to pass on a copy without any fault.

Run it with the Python whose suite is meant, as .venv/bin/python; one fault takes 5 to 60 seconds. The exit code is 0
only if all faults are caught.

    --tree DIRECTORY  plant in copies of another checkout, as of an older state of the tests
    --only WORD       only the faults that have this word in their name or file
    --skip-clean      leave out the run without a fault
"""

import argparse
import collections
import os
import shutil
import subprocess
import sys
import tempfile
import time

# name: what is wrong then; old: a text that occurs once in `file`; new: what takes its place; test: what has to fail, a
# path of pytest's.
Fault = collections.namedtuple("Fault", ["name", "file", "old", "new", "test"])

FAULTS = [
    Fault(
        "the CRF adds its normaliser",
        "train/tagger/crf.py",
        "crf_path_score(potentials, tags, lengths, transitions) - crf_log_norm(",
        "crf_path_score(potentials, tags, lengths, transitions) + crf_log_norm(",
        "tests/train/tagger/test_crf.py",
    ),
    Fault(
        "a token comes back from the packed rows as its neighbour",
        "bert/encoder/packing.py",
        "tf.cumsum(tf.cast(is_token, tf.int32)) - 1",
        "tf.cumsum(tf.cast(is_token, tf.int32)) - 2",
        "tests/bert/encoder/test_packing.py",
    ),
    Fault(
        "rows that only fill up a packed batch count in gradients",
        "bert/encoder/packing.py",
        "tf.where_v2(tf.range(size) < count, rows, tf.size(places))",
        "rows",
        "tests/bert/encoder/test_packing.py",
    ),
    Fault(
        "adversarial training moves words to where the loss falls",
        "train/finetuning/adversarial.py",
        "return size * slope",
        "return -size * slope",
        "tests/train/finetuning/test_adversarial.py",
    ),
    Fault(
        "the offsets of entity types are subtracted",
        "train/tagger/decoding.py",
        "tf.math.log(scores / (1.0 - scores)) + offsets",
        "tf.math.log(scores / (1.0 - scores)) - offsets",
        "tests/train/tagger/test_entity_scores.py",
    ),
    Fault(
        "backward messages leave out the next token's potential",
        "train/tagger/crf.py",
        "(next_potential + next_beta)[:, None, :]",
        "next_beta[:, None, :]",
        "tests/train/tagger/test_crf.py",
    ),
    Fault(
        "the LSTM's forget gate has no bias",
        "train/tagger/rnn.py",
        "FORGET_BIAS = 1.0",
        "FORGET_BIAS = 0.0",
        "tests/train/tagger/test_rnn.py",
    ),
    Fault(
        "the LSTM's gates are in another order",
        "train/tagger/rnn.py",
        "i, j, f, o = tf.split(",
        "i, f, j, o = tf.split(",
        "tests/train/tagger/test_rnn.py",
    ),
    Fault(
        "a window takes a piece more than fits",
        "train/data/windows.py",
        "used + sizes[last] <= capacity:",
        "used + sizes[last] <= capacity + 1:",
        "tests/train/data/test_windows.py",
    ),
    Fault(
        "a seam moves one word too short",
        "train/data/windows.py",
        "other.seen[: common + 1]",
        "other.seen[:common]",
        "tests/train/data/test_windows.py",
    ),
    Fault(
        "a window decides its words shifted by one",
        "train/data/windows.py",
        "tags[part.sentence][word] = _tag(labels, label_ids[position])",
        "tags[part.sentence][word] = _tag(labels, label_ids[position - 1])",
        "tests/train/data/test_windows.py",
    ),
    Fault(
        "conlleval takes I after O for no beginning",
        "train/chunks.py",
        'frozenset([("O", "I"), ("O", "E"),',
        'frozenset([("O", "E"),',
        "tests/train/test_conlleval.py",
    ),
    Fault(
        "the ids of labels begin at 0",
        "train/data/labels.py",
        "(label, i) for i, label in enumerate(labels, 1)",
        "(label, i) for i, label in enumerate(labels, 0)",
        "tests/train/data/test_labels.py",
    ),
    Fault(
        "a BOM becomes part of the first word",
        "bert/system/lines.py",
        'text.startswith("\\ufeff")',
        "False",
        "tests/train/data/test_conll.py",
    ),
    Fault(
        "LayerNorm decays",
        "bert/optimization.py",
        "decay = self.weight_decay_rate if self._decays(name) else 0.0",
        "decay = self.weight_decay_rate",
        "tests/bert/test_optimization.py",
    ),
    Fault(
        "the warm-up is a step ahead",
        "bert/optimization.py",
        "warming = init_lr * step / float(num_warmup_steps)",
        "warming = init_lr * (step + 1.0) / float(num_warmup_steps)",
        "tests/bert/test_optimization.py",
    ),
    Fault(
        "gradients are clipped before the mean over replicas",
        "bert/optimization.py",
        "averaged = mean_over_replicas([*gradients, loss, *reported])",
        "averaged = mean_over_replicas([*tf.clip_by_global_norm(gradients, options.clip_norm)[0], loss, *reported])",
        "tests/bert/test_optimization_distributed.py",
    ),
    Fault(
        "padding is attended to",
        "bert/encoder/attention.py",
        "MASKED_SCORE = -10000.0",
        "MASKED_SCORE = 10000.0",
        "tests/bert/test_modeling.py",
    ),
    Fault(
        "GELU is the approximation by tanh",
        "bert/encoder/kernels.py",
        "return x * (0.5 * (1.0 + tf.math.erf(x / math.sqrt(2.0))))",
        "return x * (0.5 * (1.0 + tf.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x))))",
        "tests/bert/test_modeling.py",
    ),
    Fault(
        "the head drops out in evaluation",
        "train/lstm_crf_layer.py",
        "self.dropout_rate = dropout_rate if is_training else 0.0",
        "self.dropout_rate = dropout_rate",
        "tests/train/test_lstm_crf_layer.py",
    ),
    Fault(
        "a pair has no [SEP] behind its second text",
        "bert/data/pairs.py",
        "tokens += tokens_b + [SEP]",
        "tokens += tokens_b + tokens_b[-1:]",
        "tests/bert/data/test_pairs.py",
    ),
    Fault(
        "the second text of a pair is of segment 0",
        "bert/data/pairs.py",
        "segment_ids += [1] * (len(tokens_b) + 1)",
        "segment_ids += [0] * (len(tokens_b) + 1)",
        "tests/bert/data/test_pairs.py",
    ),
    Fault(
        "files are written under their final name",
        "bert/system/files.py",
        'temporary = f"{path}.tmp-{os.getpid()}"',
        "temporary = path",
        "tests/bert/system/test_files.py",
    ),
    Fault(
        "two runs may write to one directory",
        "bert/system/portable.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        "tests/bert/system/test_run_lock.py",
    ),
    Fault(
        "a signal is heard and nothing is done",
        "bert/system/signals.py",
        "    if not _is_deferred:\n        _end(signum)\n",
        "    if not _is_deferred:\n        return\n",
        "tests/bert/system/test_signals.py",
    ),
    Fault(
        "a run goes on one batch too far",
        "bert/data/batches.py",
        "shuffled_epochs(read, records, seed, start_step * size)",
        "shuffled_epochs(read, records, seed, (start_step + 1) * size if start_step else 0)",
        "tests/bert/data/test_batches.py",
    ),
    Fault(
        "dropout begins anew when a run goes on amid an update",
        "bert/optimization.py",
        "return updates * accumulation_steps + tf.identity(_calls_of_update())",
        "return updates + tf.identity(_calls_of_update())",
        "tests/bert/test_optimization.py",
    ),
    Fault(
        "all replicas drop the same",
        "bert/training/strategies.py",
        "calls_so_far(accumulation_steps) * replicas + tf.cast(replica, tf.int32)",
        "calls_so_far(accumulation_steps) * replicas",
        "tests/bert/training/test_strategies.py",
    ),
    Fault(
        "dropout has new random numbers after a restart",
        "bert/encoder/masks.py",
        "    if draws is not None:\n        return draws.new(count)\n",
        "",
        "tests/bert/encoder/test_masks.py",
    ),
    Fault(
        "records come in another order than in earlier versions",
        "bert/data/batches.py",
        "seed=seed + pool,",
        "seed=seed + pool + 1,",
        "tests/bert/data/test_record_order.py",
    ),
    Fault(
        "a line that begins where a range begins is lost",
        "bert/system/lines.py",
        "stream.seek(start - 1)",
        "stream.seek(start)",
        "tests/bert/system/test_lines.py",
    ),
    Fault(
        "a missing shard goes unnoticed",
        "bert/data/shards.py",
        "        if not filesystem.exists(name):\n",
        "        if False:\n",
        "tests/bert/data/test_shards.py",
    ),
    Fault(
        "the best checkpoint is the one of the highest loss",
        "train/finetuning/schedule.py",
        '(scores["f1"], -scores["loss"]) > (best["f1"], -best["loss"])',
        'scores["loss"] > best["loss"]',
        "tests/train/finetuning/test_schedule.py",
    ),
    Fault(
        "early stopping waits for one evaluation more",
        "train/finetuning/schedule.py",
        "if number < self.early_stop:",
        "if number <= self.early_stop:",
        "tests/train/finetuning/test_schedule.py",
    ),
    Fault(
        "an entity has the scores of its words",
        "train/tagger/decoding.py",
        "tf.where_v2(spans.inside, _calibrated(tf.exp(log_entities), spans.label, calibration), scores)",
        "scores",
        "tests/train/tagger/test_entity_scores.py",
    ),
    Fault(
        "quotes are not escaped on pages",
        "train/pages/spans.py",
        "return html.escape(_NOT_IN_HTML.sub(_stand_in, text), quote=True)",
        "return html.escape(_NOT_IN_HTML.sub(_stand_in, text), quote=False)",
        "tests/train/pages/test_spans.py",
    ),
    Fault(
        "the client never gives up on a server that does not answer in time",
        "train/serving/client.py",
        "timed_out == TIMED_OUT_ATTEMPTS",
        "timed_out < 0",
        "tests/train/test_serving_client.py::test_a_server_that_is_too_slow_twice_is_left_alone",
    ),
    Fault(
        "answers may be longer than -max_answer_length",
        "bert/squad/answers.py",
        "if start <= end < min(start + max_answer_length, window.count):",
        "if start <= end < window.count:",
        "tests/bert/squad/test_answers.py",
    ),
    Fault(
        "exports do not take word_start",
        "train/serving/saved_model.py",
        "predict_signature_def(dict(fed, word_start=given_starts), outputs)",
        "predict_signature_def(fed, outputs)",
        "tests/train/serving/test_text_graph.py",
    ),
    Fault(
        "the special pieces may be masked",
        "bert/pretraining/examples.py",
        "positions = [position for position in range(1, last) if position != middle]",
        "positions = list(range(1, last))",
        "tests/bert/test_pretraining_examples.py",
    ),
]

COPIED = ["bert", "train", "tests", "data_demo", "benchmarks", "pyproject.toml", "run.py", "README.md", "run.sh"]
LIMIT = 600  # seconds that a test may take; where it takes longer, the fault counts as caught: something hangs


def main():
    parser = argparse.ArgumentParser(description="Plants faults and sees whether the tests notice.")
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--tree", default=here, help="the checkout to copy; default: this one")
    parser.add_argument("--only", default="", help="only faults with this word in their name or file")
    parser.add_argument("--skip-clean", action="store_true", help="leave out the run without a fault")
    args = parser.parse_args()
    faults = [fault for fault in FAULTS if args.only in fault.name or args.only in fault.file]

    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        tree = os.path.join(scratch, "tree")
        copy_tree(args.tree, tree)
        if not args.skip_clean:
            passed, seconds, output = run_tests(tree, sorted({fault.test for fault in faults}))
            print(f"{'passed' if passed else 'FAILED'}: the tests without a fault ({seconds:.0f} s)", flush=True)
            if not passed:
                print(output[-3000:])
                failures += 1
        for number, fault in enumerate(faults, 1):
            verdict = plant(tree, fault)
            failures += not verdict.startswith("caught")
            print(f"{number:2d} {verdict}: {fault.name} ({fault.file}, {fault.test})", flush=True)
    print(f"{len(faults)} faults, {failures} failures")
    return 1 if failures else 0


def copy_tree(source, target):
    """Copies what the tests need, without caches and virtual environments."""
    os.mkdir(target)
    for name in COPIED:
        path = os.path.join(source, name)
        if os.path.isdir(path):
            shutil.copytree(path, os.path.join(target, name), ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, os.path.join(target, name))


def plant(tree, fault):
    """The verdict on one fault; the tree is afterwards as before."""
    path = os.path.join(tree, fault.file)
    if not os.path.exists(path):
        return "NOT PLANTED (no such file)"
    with open(path, encoding="utf-8", newline="") as reader:
        before = reader.read()
    if before.count(fault.old) != 1:
        return f"NOT PLANTED (the text is there {before.count(fault.old)} times)"
    with open(path, "w", encoding="utf-8", newline="") as writer:
        writer.write(before.replace(fault.old, fault.new))
    try:
        passed, seconds, output = run_tests(tree, [fault.test])
    finally:
        with open(path, "w", encoding="utf-8", newline="") as writer:
            writer.write(before)
    if passed:
        return f"NOT CAUGHT ({seconds:.0f} s)"
    lines = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]  # an ERROR: in a fixture
    failed = [line.split(" - ")[0].split("::")[-1] for line in lines]
    return f"caught by {failed[0] if failed else output.strip().splitlines()[-1:]} ({seconds:.0f} s)"


def run_tests(tree, tests):
    """(whether they passed, seconds, what pytest said)."""
    # Bytecode is written nowhere: a file that changes twice within a second would leave a stale one.
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", CI="1")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    given = {"cwd": tree, "env": environment, "encoding": "utf-8", "errors": "replace"}
    since = time.time()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT, **given)
    except subprocess.TimeoutExpired:
        return False, time.time() - since, "no end"
    return done.returncode == 0, time.time() - since, done.stdout


if __name__ == "__main__":
    sys.exit(main())
