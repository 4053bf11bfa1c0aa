"""Tags files on many machines: an Apache Beam pipeline over the Predictor, on any of Beam's runners.

    pip install -r train/requirements-beam.txt
    python -m train.predict_beam -model_dir output/demo -input_files 'news/*.txt' -output tagged/news
    python -m train.predict_beam ... --runner=FlinkRunner --flink_master=... --environment_type=...

The lines are those of `python -m train.predict -format jsonl`, in shards, or with -ordered in one file and in order.
Flags that are not listed here are Beam's. Workers need this project, and -model_dir and the files under these names.
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file, `python train/predict_beam.py`
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bert.system import startup  # noqa: I001  before TensorFlow

import logging
import re

from bert.system.errors import UserError, run_program
from bert.system.flags import FlagParser, non_negative_int
from train.bulk import texts
from train.bulk.flags import (
    add_columns_flags,
    add_model_flags,
    check_model,
    given_format,
    kinds_help,
    predictor_arguments,
)

log = logging.getLogger("train.predict_beam")  # the same however it is started
# Beam's DirectRunner uses this one, but first looks for the program of another runner on the internet.
IN_PROCESS_RUNNER = "apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner"


def main(argv=None):
    args, beam_flags = parse_flags(argv)
    # Hides Beam's warnings about its optional parts, and errors of workers, which are raised as exceptions too.
    logging.basicConfig(level=logging.WARNING if args.verbose else logging.CRITICAL)
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise UserError("apache-beam is not installed; expected: pip install -r train/requirements-beam.txt")
    from train.bulk import beam

    startup.set_up_program(args.verbose)
    if "://" not in args.model_dir:
        check_model(args.model_dir)
    names = beam.find_files(args.input_files.split(","))
    beam.check_output(args.output, args.ordered, names)

    if not any(re.match("--?runner(=|$)", flag) for flag in beam_flags):
        beam_flags.append(f"--runner={IN_PROCESS_RUNNER}")
    pipeline = apache_beam.Pipeline(options=PipelineOptions(beam_flags))
    lines = beam.tagged_lines(pipeline, names, args.input, predictor_arguments(args), given_format(args))
    with beam.temporary_folder(args.output) as folder:
        if args.ordered:
            beam.write_in_order(lines, args.output, folder)
        else:
            beam.write_shards(lines, args.output, args.num_shards)
        try:
            result = pipeline.run()
            result.wait_until_finish()
        except Exception as error:
            raise _as_user_error(error)
    counts = {found.key.metric.name: found.result for found in result.metrics().query()["counters"]}
    log.info("tagged %d texts, %d entities in them", counts.get("texts", 0), counts.get("entities", 0))
    if args.min_score:
        left_out = counts.get("left_out", 0)
        log.info("left out %d entities with a score below -min_score %g", left_out, args.min_score)


def parse_flags(argv=None):
    """Parses the flags; returns (Namespace of ours, list of flags for Beam)."""
    parser = FlagParser(prog="predict_beam.py", description="Finds the entities in texts, on any of Beam's runners; "
                        "flags not listed here are Beam's, as --runner=FlinkRunner.",
                        no_paths=("input_files", "output"))  # fmt: skip
    flag, switch = parser.flag_group("model")
    add_model_flags(flag)
    flag, switch = parser.flag_group("input and output")
    flag("input_files", help="names and patterns of files, a comma between them; on any file system Beam knows")
    flag("input", choices=list(texts.KINDS), default="lines", help=f"what a file holds. {kinds_help()}")
    add_columns_flags(flag)
    flag("output", help="beginning of the shards' names; with -ordered, name of the file")
    switch("ordered", False, help="one file, in the order of the input")
    flag("num_shards", type=non_negative_int, default=0, help="number of shards; 0: as the runner likes")
    switch("verbose", False, help="show TensorFlow's own log too")
    args, beam_flags = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    for name in ("model_dir", "input_files", "output"):
        if not getattr(args, name):
            raise UserError(f"-{name} is missing")
    given_format(args)
    for flag in beam_flags[:1]:
        if not flag.startswith("--"):
            raise UserError(f"{flag}: no such flag; those of Beam begin with two dashes (-help lists ours)")
    if args.ordered and args.num_shards:
        raise UserError("-num_shards is for shards; with -ordered there is one file")
    return args, beam_flags


def _as_user_error(error):
    """The UserError that a worker raised, found in the traceback if Beam gives no more; any other error unchanged."""
    found = re.search(r"bert\.system\.errors\.UserError: (.+)", str(error))
    if not found and not isinstance(error, UserError):
        return error
    return UserError(re.sub(r" \[while running .*", "", found.group(1) if found else str(error)))


if __name__ == "__main__":
    run_program(main)
