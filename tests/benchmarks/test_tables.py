"""What the benchmarks of speed and latency print of the seconds that they measured."""

import collections

from benchmarks import latency, speed


def test_speed_prints_the_spread_of_rounds_and_the_ratio_to_the_first(capsys):
    results = {
        "ours": ({"precision": "bf16"}, [2.0, 1.0, 4.0], 1000.0),
        "peer": ({"precision": "fp32"}, [4.0, 4.0, 8.0], 2000.0),
    }
    speed.print_table("infer", results, 100, 6.0, {"bf16": 6.0, "fp32": 3.0})
    title, ours, peer = capsys.readouterr().out.strip().splitlines()
    assert title.split()[0] == "infer"
    assert ours.split() == ["ours", "50.00", "25.00,", "100.00", "1.00", "1000", "50%"]
    assert peer.split() == ["peer", "25.00", "12.50,", "25.00", "0.50", "2000", "50%"]


def test_latency_prints_percentiles(capsys):
    calls = [(0.001, 0.002)] * 98 + [(0.1, 0.002)] * 2
    latency.print_table(collections.OrderedDict(predictor=calls, peer=[(0.002, 0.001)] * 100))
    title, peer, predictor = capsys.readouterr().out.strip().splitlines()
    assert title.split()[3:7] == ["p50", "p99", "mean", "CPU"]
    assert peer.split() == ["peer", "2.0", "2.0", "2.0", "1.0", "1.00"]
    assert predictor.split() == ["predictor", "1.0", "100.0", "3.0", "2.0", "0.50"]
