"""The base of objects that hold something open, such as a session, until they are closed."""


class Closing:
    """An object to `close`; the end of a `with` statement closes it."""

    def close(self):
        """Frees what is held; the object cannot be used afterwards."""
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
