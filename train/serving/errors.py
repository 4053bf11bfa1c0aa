"""How requests to TF Serving fail: for good, or in a way that another attempt may not."""

from bert.system.errors import LONGEST, UserError, fit_message, printable

ATTEMPTS = len(" (attempt 1000, the last)")  # what a client adds to the text of the last failure


class ServingError(UserError):
    """A request failed; the text is one line of at most LONGEST characters that names the server and what it said."""

    def __init__(self, message):
        super().__init__(fit_message(printable(message)))


class Retriable(Exception):
    """An attempt failed in a way the next may not; `timed_out`: because no answer came in time."""

    def __init__(self, message, timed_out=False):
        super().__init__(fit_message(printable(message), LONGEST - ATTEMPTS))
        self.timed_out = timed_out
