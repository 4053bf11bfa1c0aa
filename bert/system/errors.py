"""Problems a user can fix: one exception, and the one place that turns it into exit code 2."""

import contextlib
import errno
import logging
import os
import re
import sys

from bert.system import signals

PIPE_CLOSED = 128 + 13  # the exit code of a program that SIGPIPE ends
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errno of a disk that is full


class UserError(Exception):
    """A problem in what the user gave: a file, a flag, a checkpoint.

    The text is one line that names the file (and the line, where it has lines), what was found and what was
    expected. Programs print it and exit with code 2; libraries may catch it.
    """


SHOWN = 10  # items of a list in a message
LONGEST = 300  # characters of a message
_LIST = 120  # characters of a list in a message
_PATH = 40  # characters of a path in a long message
_CLAUSE = re.compile(r"[;.] ")
_LATER_PATH = re.compile(r"(?<=\s)(?=\S*/)\S+")


def shown_list(items, shown=SHOWN, longest=_LIST, total=None):
    """The first items of a list for a message, a comma between them, and how many more there are.

    Args:
      items: a collection; each item is shown by `str`.
      shown: how many are shown at most.
      longest: characters that they may take together; the first is always shown, cut where it is longer.
      total: how many items there are, where `items` are only the first of them.

    >>> shown_list(["a", "b", "c"], shown=2)
    'a, b and 1 more'
    """
    texts = [shorten(item, longest) for item in items]
    while shown > 1 and len(", ".join(texts[:shown])) > longest:
        shown = min(shown, len(texts)) - 1
    more = (len(texts) if total is None else total) - min(shown, len(texts))
    return ", ".join(texts[:shown]) + (f" and {more} more" if more > 0 else "")


def shorten(text, longest=LONGEST):
    """The text of a value on one line, its middle left out where it is longer than `longest` characters.

    >>> shorten("a long text", longest=9)
    'a l...ext'
    """
    # Half of a pair of UTF-16, as JSON can hold it, is no character and could not be written.
    text = " ".join(str(text).splitlines()).encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= longest:
        return text
    half = (longest - len("...")) // 2
    return text[: longest - len("...") - half] + "..." + text[len(text) - half :]


def fit_message(text, longest=LONGEST):
    """A message on one line, cut where it is longer than `longest` characters.

    Of long paths behind the first one only the ends are kept. What else is left out is in the middle. The last clause
    says what to do; it stays whole if it takes at most two thirds of the line.

    >>> fit_message("data.txt: the tags A, B, C, D and E are strange; expected others", longest=40)
    'data.txt: the tags ...e; expected others'
    """
    text = " ".join(str(text).splitlines())
    if len(text) > longest:
        text = _LATER_PATH.sub(_end_of_path, text)
    if len(text) <= longest:
        return text
    half = (longest - len("...")) // 2
    ends = [match.end() for match in _CLAUSE.finditer(text) if match.end() < len(text)]
    clause = len(text) - ends[-1] if ends else 0
    tail = max(half, clause) if clause <= longest * 2 // 3 else half
    return text[: longest - len("...") - tail] + "..." + text[len(text) - tail :]


def _end_of_path(match):
    path = match.group()
    return path if len(path) <= _PATH else "..." + path[len("...") - _PATH :]


def printable(text):
    """A text with escapes for all that does not print, such as the codes that a terminal obeys; it stays one line.

    >>> printable("tag \x1b[2J")
    'tag \\x1b[2J'
    """
    text = " ".join(text.splitlines())
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character):
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def cannot_be_written(path, error):
    """The UserError for an error in writing, an OSError or TensorFlow's OpError.

    An OpError has many lines; the operating system's reason is in the line "<file>; <reason>".
    """
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
    else:
        lines = error.message.splitlines()
        of_a_file = [line for line in lines if "; " in line]
        reason = of_a_file[0].rpartition("; ")[2] if of_a_file else lines[0]
    return UserError(f"{path}: cannot be written: {reason}")


def first_line(error):
    """The first line of a text, or of an exception's, as TensorFlow's have many.

    Of an empty text it is "", of an exception without text the name of its type.
    """
    text = str(getattr(error, "message", None) or error).strip()
    return text.splitlines()[0] if text else "" if isinstance(error, str) else type(error).__name__


def run_program(main):
    """Calls `main()`; what ends it early becomes one line on standard error and an exit code.

    The code is 2 for a UserError and a full disk, 143 for SIGTERM and 130 for Ctrl-C. Where the reader of our output
    has closed the pipe, it is 141, without a line.
    """
    try:
        with signals.handle_signals():
            main()
    except UserError as error:
        end_program(error)
    except signals.Interrupted as stop:
        _end(str(stop), stop.exit_code)
    except KeyboardInterrupt:  # where signals cannot be watched, see signals.handle_signals
        _end("stopped by Ctrl-C", 130)
    except BrokenPipeError:
        # Python must not complain of what it cannot flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)
    except OSError as error:
        if error.errno not in FULL:
            raise
        _end(f"error: {error.filename or 'standard output'}: cannot be written: {error.strerror}", 2)


def end_program(error):
    """Ends this process as `run_program` does for a UserError: one line on standard error and exit code 2."""
    _end(f"error: {fit_message(error)}", 2)


def _end(text, exit_code):
    # When a half-built graph is collected, TensorFlow would report what was never used.
    logging.getLogger("tensorflow").setLevel(logging.CRITICAL + 1)
    with contextlib.suppress(OSError):  # where standard error itself cannot be written
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()
    sys.exit(exit_code)
