"""Entities from plain text by a model that TF Serving serves: the command, and the client under its public name.

    python -m train.serving_client -url localhost:8501 -model_name ner "Ann Lee lives in Paris."

    from train.serving_client import ServingClient

The client itself is train/serving/client.py.
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file, `python train/serving_client.py`
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import itertools
import json

from bert.system.errors import run_program
from bert.system.flags import FlagParser, non_negative_int, positive_float, positive_int, proportion
from train.bulk import texts as bulk_texts
from train.inference.entities import entity_values
from train.serving.client import EXTRA, MAX_ANSWER_MB, PROTOCOLS, ServingClient
from train.serving.errors import ServingError  # noqa: F401  for those who catch it
from train.serving.signatures import DEFAULT as ID_SIGNATURE
from train.serving.signatures import TEXT as TEXT_SIGNATURE


def parse_flags(argv=None):
    """The flags as a Namespace, `text` a list of texts."""
    parser = FlagParser(
        no_paths=("url", "text"),
        prog="python -m train.serving_client",
        description="Entities of texts from a server, one JSON object per text; without texts, of each line of "
        "standard input.",
    )
    flag, _ = parser.flag_group("server")
    flag("url", required=True, help="host:port or http://host:port")
    flag("model_name", required=True, help="the server's --model_name")
    flag("protocol", choices=PROTOCOLS, default="rest", help=f"grpc needs {EXTRA}")
    flag("signature", choices=[TEXT_SIGNATURE, ID_SIGNATURE], help="default: the first of them that the model has")
    flag("export_dir", help=f"the export that is served, for {ID_SIGNATURE}")
    flag(
        "timeout",
        type=positive_float,
        default=10.0,
        help="seconds for a request with all its attempts",
    )
    flag("retries", type=non_negative_int, default=3, help="attempts after the first, where one more may help")
    flag("batch_size", type=positive_int, default=32, help="texts in a request")
    flag("max_answer_mb", type=positive_float, default=MAX_ANSWER_MB, help="megabytes of an answer, at most")
    flag("min_score", type=proportion, default=0.0, help="leave out the entities with a lower score, 0 to 1")
    parser.add_argument("text", nargs="*", help="what to tag")
    return parser.parse_args(argv)


def main():
    args = vars(parse_flags())
    texts, min_score = args.pop("text"), args.pop("min_score")
    bulk_texts.check_streams([] if texts else [bulk_texts.STANDARD_INPUT], to_standard_output=True)
    with ServingClient(**args) as client:
        client.min_score = min_score
        lines = bulk_texts.read([bulk_texts.STANDARD_INPUT], "lines")
        texts = iter(texts or (line.content for line in lines))
        for group in iter(lambda: list(itertools.islice(texts, args["batch_size"])), []):
            for text, found in zip(group, client(group)):
                entities = list(map(entity_values, found))
                line = json.dumps({"text": text, "entities": entities}, ensure_ascii=False) + "\n"
                sys.stdout.buffer.write(line.encode("utf-8"))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    run_program(main)
