"""The order of the records of training, written down: it is the same in every version of this project."""

import pytest
import tensorflow.compat.v1 as tf

from bert.data import batches, records
from bert.data.batches import Reading, Share

# The records of the first batches, as the first version of these functions gave them. They must never change: a run
# that began with older code goes on with the records that it would have seen next.
ORDERS = [
    ("one", Reading(3), "9,11,2,5 15,19,6,14 4,21,16,13 10,18,0,1 7,12,17,3 20,8,5,18 20,7,9,3 4,21,0,15"),
    ("one", Reading(3, 5), "20,8,5,18 20,7,9,3 4,21,0,15"),
    (
        "one",
        Reading(3, by_length=True),
        "13,9,2,16 1,11,4,18 5,19,12,15 14,21,0,7 10,17,3,6 7,21,0,3 8,18,4,11 13,6,9,5",
    ),
    ("one", Reading(3, 5, by_length=True), "7,21,0,3 8,18,4,11 13,6,9,5"),
    ("three", Reading(3), "11,10,1,4 17,18,8,13 3,21,15,12 9,20,2,0 6,14,16,5 19,7,3,19 18,8,10,4 5,21,1,16"),
    (
        "three",
        Reading(3, by_length=True),
        "6,9,2,16 15,11,4,18 12,5,1,8 21,0,14,10 17,3,13,20 7,21,14,7 15,18,4,11 6,16,9,19",
    ),
    ("three", Reading(3, share=Share(2, 1)), "10,4 18,13 21,12 20,0 14,5 7,19 8,4 21,16"),
    ("three", Reading(3, by_length=True, share=Share(2, 1)), "9,16 11,18 5,8 0,10 3,20 21,7 18,11 16,19"),
    ("one", Reading(3, share=Share(2, 0, 2)), "9,2 11,5 15,6 19,14 4,16 21,13 10,0 18,1"),
    ("three", Reading(3, share=Share(2, 0, 1, True)), "5,8 2,15 11,3 14,9 0,21 17,6 18,12 20,17"),
    ("one", Reading(3, share=Share(2, 1, 1, True)), "19,9 7,5 21,15 11,13 1,3 17,11 21,1 9,15"),
    ("three", Reading(3, 1, by_length=True, share=Share(2, 1, 1, True)), "7,10 16,19 16,19 1,4 13,13 10,10 19,4 7,7"),
    ("one", Reading(None), "13,2,20,11 21,6,0,8 19,17,15,10 3,4,7,12"),
]


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """Two names of the same 22 records: a file of its own, and a set of three shards."""
    paths = {}
    for name, shards in (("one", 1), ("three", 3)):
        paths[name] = str(tmp_path_factory.mktemp("numbered") / name)
        examples = [
            records.make_example({"input_mask": [1] * (1 + i * 5 % 7) + [0] * (6 - i * 5 % 7), "number": [i]})
            for i in range(22)
        ]
        records.write_records(paths[name], examples, None, shards)
    return paths


@pytest.mark.parametrize("name,reading,expected", ORDERS)
def test_the_order_of_the_records_is_the_same_in_all_versions(name, reading, expected, numbered):
    columns = {"input_mask": tf.io.FixedLenFeature([7], tf.int64), "number": tf.io.FixedLenFeature([], tf.int64)}
    with tf.Graph().as_default(), tf.Session() as session:
        dataset = batches.training_batches(
            numbered[name], lambda serialized: batches.parse_batch(serialized, columns), 4, reading
        )
        batch = tf.data.make_one_shot_iterator(dataset).get_next()["number"]
        found = [session.run(batch).tolist() for _ in expected.split(" ")]
    assert " ".join(",".join(map(str, batch)) for batch in found) == expected
