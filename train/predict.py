"""Tags files with a trained model: text in, entities out, as JSON lines, CoNLL columns or a page to look at.

    python -m train.predict -model_dir output/demo news.txt -output news.jsonl
    echo 'Ann lives in Paris.' | python -m train.predict -model_dir output/demo

Results come in the order of the input, and memory does not grow with its size. A run with -output that was killed goes
on with -resume and gives the same file. `-interactive` is a prompt.
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file, `python train/predict.py`
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bert.system import startup  # noqa: I001  before TensorFlow

import contextlib

from bert.system import filesystem, signals
from bert.system.errors import UserError, run_program
from bert.system.flags import FlagParser, parse_bool
from train.bulk import loop, resumable
from train.bulk import texts as bulk_texts
from train.bulk.flags import (
    add_columns_flags,
    add_model_flags,
    check_model,
    given_format,
    kinds_help,
    predictor_arguments,
)


def main(argv=None):
    if sys.stderr is None:  # closed, as by 2>&-
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  for as long as the program runs
    args = parse_flags(argv)
    bulk_texts.check_streams([bulk_texts.STANDARD_INPUT] if args.interactive else args.files, not args.output)

    def describe(signum):
        hope = "; the same command with -resume goes on" if _can_resume(args.output, args.files) else ""
        return f"stopped by {signals.name(signum)}{hope}"

    with signals.exit_message(describe):
        interact(args) if args.interactive else tag_files(args)


def parse_flags(argv=None):
    """The flags as a Namespace, `files` a list of names."""
    parser = FlagParser(prog="predict.py", description="Finds the entities in texts with a trained model.")
    flag, switch = parser.flag_group("model")
    add_model_flags(flag)
    flag("device_map", help="GPUs to use, as CUDA_VISIBLE_DEVICES; default: all there are")

    flag, switch = parser.flag_group("input and output")
    flag("input", choices=list(bulk_texts.KINDS), default="lines", help=f"what a file holds. {kinds_help()}")
    add_columns_flags(flag)
    flag("output", help="file to write; default: standard output")
    flag("format", choices=loop.FORMATS, default="jsonl", help="jsonl: one JSON object per text; conll: `word tag` "
         "lines; html: a page with the entities highlighted")  # fmt: skip
    switch("scores", False, help="with -format conll, the probability of each tag as a third column")
    switch("resume", False, help="go on with the -output of a run that was killed")
    switch("interactive", False, help="a prompt: a text in, the text with its entities out")
    switch("verbose", False, help="show TensorFlow's own log too")
    parser.add_argument("files", nargs="*", metavar="FILE", help="what to tag; default, and -: standard input")
    argv = list(sys.argv[1:] if argv is None else argv)
    end = argv.index("--") if "--" in argv else len(argv)
    args = parser.parse_intermixed_args(_with_values(argv[:end], ["scores", "resume", "interactive", "verbose"]))
    args.files += argv[end + 1 :]  # which may begin with dashes
    _check(args)
    return args


def _with_values(argv, switches):
    """Gives `-resume` as `-resume=true`, so that a file name after it is not taken for the switch's value.

    Args:
      argv: list of command-line arguments.
      switches: list of the names of the switches.

    Returns:
      list of arguments.
    """
    changed = []
    for i, argument in enumerate(argv):
        if argument in [dashes + name for name in switches for dashes in ("-", "--")] and not _is_bool(argv[i + 1 :]):
            argument += "=true"
        changed.append(argument)
    return changed


def _is_bool(following):
    with contextlib.suppress(Exception):
        parse_bool(following[0])
        return True
    return False


def _check(args):
    if not args.model_dir:
        raise UserError("-model_dir is missing")
    if args.interactive and (args.files or args.output or args.resume):
        raise UserError("-interactive takes texts from standard input; expected neither files nor -output nor -resume")
    if args.interactive:
        return
    given_format(args)
    if args.output == "":
        raise UserError("-output: empty; expected the name of a file to write")
    if args.scores and args.format != "conll":
        raise UserError(f"-scores is for -format conll; {args.format} has scores anyway")
    args.files = args.files or [bulk_texts.STANDARD_INPUT]
    if args.files.count(bulk_texts.STANDARD_INPUT) > 1:
        raise UserError("-: expected standard input once")
    if args.resume and not args.output:
        raise UserError("-resume needs -output: what was written to standard output cannot be gone on with")
    if args.output:
        _check_output(args.output, args.resume)
    if args.resume and not _can_resume(args.output, args.files):
        raise UserError("-resume needs files as input, which standard input and pipes are not")
    written = [args.output + ending for ending in ("", resumable.PARTIAL, resumable.STATE)] if args.output else []
    for name in args.files:
        for output in written:
            if filesystem.realpath(output) == filesystem.realpath(name):
                raise UserError(f"{output}: input and output are the same file")


def _check_output(output, resume):
    """Raises UserError where it is known beforehand that the output cannot be written."""
    if filesystem.is_remote(output):
        if resume:
            raise UserError(f"{output}: -resume is for files on this machine; expected a local -output")
    elif not filesystem.isdir(os.path.dirname(filesystem.abspath(output))):
        raise UserError(f"{output}: cannot be written: there is no such directory")


def _can_resume(output, files):
    return bool(output) and not filesystem.is_remote(output) and all(filesystem.isfile(name) for name in files)


def tag_files(args):
    """Tags the files or standard input."""
    can_resume = _can_resume(args.output, args.files)
    sources = bulk_texts.inspect(args.files, args.input, can_resume, given_format(args))
    check_model(args.model_dir)
    startup.set_up_program(args.verbose)
    formats = loop.Formats(args.input, args.format, args.scores)
    loop.tag_files(sources, formats, args.output, predictor_arguments(args), args.resume, args.device_map)


def interact(args):
    """The prompt, until the input ends."""
    from train.inference import prompt

    check_model(args.model_dir)
    startup.set_up_program(args.verbose)
    with loop.load_predictor(predictor_arguments(args), args.device_map) as predictor:
        prompt.run(predictor)


if __name__ == "__main__":
    run_program(main)
