"""Problems a user can mend: one exception, and the one place that turns it into exit code 2."""

import sys


class UserError(Exception):
    """A problem in what the user gave: a file, a flag, a checkpoint.

    The text is one line that names the file (and the line, where it has lines), what was found and what was
    expected. Programs print it and exit with code 2; libraries may catch it.
    """


def run_program(main):
    """Calls `main()`; a UserError becomes one line on standard error and exit code 2."""
    try:
        main()
    except UserError as error:
        sys.stderr.write("error: " + " ".join(str(error).splitlines()) + "\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from the last checkpoint\n")
        sys.exit(130)
