"""Each matmul of the encoder is found in the trace of a training step, once forward and twice backward."""

import argparse
import json

import pytest

from benchmarks import operations

pytestmark = pytest.mark.one_tensorflow
LAYERS, HIDDEN, INTERMEDIATE = 2, 8, 24


def test_the_matmuls_of_a_training_step(tmp_path, graph):
    config = {"vocab_size": 20, "type_vocab_size": 2, "max_position_embeddings": 8, "num_attention_heads": 2}
    config.update(hidden_size=HIDDEN, num_hidden_layers=LAYERS, intermediate_size=INTERMEDIATE)
    (tmp_path / "config.json").write_text(json.dumps(config))
    steps, rows = 2, 3 * 4
    args = argparse.Namespace(
        precision="fp32", config=str(tmp_path / "config.json"), batch_size=3, length=4, steps=steps
    )
    events, seconds = operations.training_events(args)
    kinds = {op.name: operations.kind_of(op, (HIDDEN, INTERMEDIATE), rows) for op in graph.get_operations()}
    sums = operations.summed(events, kinds)
    assert seconds > 0
    # Query, key, value and output; up and down. Each forward, for its input's gradient and for its kernel's.
    calls = {f"matmuls {HIDDEN} x {HIDDEN}": 4, f"matmuls {HIDDEN} x {INTERMEDIATE}": 2}
    for (name, matmuls), width in zip(calls.items(), (HIDDEN, INTERMEDIATE)):
        found, spent, flop = sums[name]
        assert found == 3 * matmuls * LAYERS * steps and spent > 0
        assert flop == found * 2 * rows * HIDDEN * width
    assert sums["matmuls of attention"][0] == 3 * 2 * LAYERS * steps
    assert {"bias and GELU", "optimizer", "BiLSTM", "CRF", "embeddings"} <= set(sums)
