"""How requests to TF Serving fail: for good, or in a way that another attempt may not."""

from bert.system.errors import UserError


class ServingError(UserError):
    """A request failed; the text is one line that names the server and what it said."""


class Retriable(Exception):
    """An attempt failed in a way the next may not; `timed_out`: because no answer came in time."""

    def __init__(self, message, timed_out=False):
        super().__init__(message)
        self.timed_out = timed_out
