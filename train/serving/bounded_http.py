"""HTTP requests within bounds: one deadline for the whole exchange, a limit on what is read, no redirects.

Python's own timeout is for a single read, so a server that sends a byte now and then could hold a caller for ever.
Here every wait on the socket, from the connection to the last byte of the answer, ends at the same moment. Every byte
from the server counts: status lines, headers and the framing of chunks too.
"""

import functools
import http.client
import io
import socket
import ssl
import time
import urllib.request

_BLOCK = 1 << 16  # bytes read at once, so that a length that a server names is never allocated
_HEADERS = 1 << 18  # bytes for all that is not the answer's body


class TooMuch(Exception):
    """The server sent more than the limit."""


class Bounds:
    """What a request may cost: `deadline`, a value of time.monotonic(), and `bytes_left` of what the server sends."""

    def __init__(self, deadline, most_bytes):
        self.deadline = deadline
        self.bytes_left = most_bytes + _HEADERS

    def limit_wait(self, sock):
        """Lets the next operation of a socket wait no longer than the deadline; socket.timeout where it has passed."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        sock.settimeout(left)

    def count(self, number):
        """Takes note of bytes that have come; TooMuch beyond the limit."""
        self.bytes_left -= number
        if self.bytes_left < 0:
            raise TooMuch


def post_or_get(request, bounds):
    """The body of the answer to a request.

    Args:
      request: urllib.request.Request of an http or https URL; with data it is a POST.
      bounds: Bounds.

    Returns:
      bytes.

    Raises:
      TooMuch: the answer is longer than the bounds allow.
      urllib.error.HTTPError: the status is not one of success, a redirect among others; `read_body` reads its text.
      OSError, http.client.HTTPException, ValueError: no answer came, or it is not HTTP. What happened may be in the
        attribute `reason` of an OSError.
    """
    request.bounds = bounds
    with _opener().open(request) as answer:
        return read_body(answer)


def read_body(answer, most=None):
    """The rest of an answer's body, or little more than its first `most` bytes; raises what `post_or_get` raises."""
    body = io.BytesIO()
    while most is None or body.tell() < most:
        block = answer.read(_BLOCK)
        if not block:
            break
        body.write(block)
    if most is None and answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    return body.getvalue()


@functools.lru_cache(maxsize=None)
def _opener():
    """urllib's opener, which knows the proxies of the environment, with connections within bounds."""
    return urllib.request.build_opener(_Handler, _SecureHandler, _NoRedirects)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to whoever handles errors: another host was not asked for, and a POST would become a GET."""

    def http_error_302(self, *_):
        return None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, request):
        return self.do_open(functools.partial(_Connection, bounds=request.bounds), request)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, request):
        context = ssl.create_default_context()
        return self.do_open(functools.partial(_SecureConnection, bounds=request.bounds, context=context), request)


class _Connection(http.client.HTTPConnection):
    """An HTTPConnection whose socket keeps to Bounds."""

    def __init__(self, host, bounds, **kwargs):
        super().__init__(host, **kwargs)
        self._bounds = bounds

    def connect(self):
        self.sock = _Socket(_connect(self.host, self.port, self._bounds), self._bounds)
        if self._tunnel_host:  # a proxy stands between
            self._tunnel()


class _SecureConnection(_Connection):
    """The same with TLS."""

    default_port = http.client.HTTPS_PORT

    def __init__(self, host, bounds, context, **kwargs):
        super().__init__(host, bounds, **kwargs)
        self._context = context

    def connect(self):
        super().connect()
        plain = self.sock.socket
        self._bounds.limit_wait(plain)  # the handshake's; it takes the timeout for all of it
        secure = self._context.wrap_socket(plain, server_hostname=self._tunnel_host or self.host)
        self.sock = _Socket(secure, self._bounds)


def _connect(host, port, bounds):
    """A connected socket: the first of the host's addresses that answers. The look-up of the name is not bounded."""
    failure = OSError(f"no address of {host}")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            bounds.limit_wait(sock)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as error:
            failure = error
            if sock is not None:
                sock.close()
    raise failure


class _Socket:
    """As much of a socket as http.client needs; each operation keeps to Bounds."""

    def __init__(self, sock, bounds):
        self.socket = sock
        self._bounds = bounds

    def sendall(self, content):
        content = memoryview(content).cast("B")
        while len(content):
            self._bounds.limit_wait(self.socket)
            content = content[self.socket.send(content) :]

    def makefile(self, *_):
        return io.BufferedReader(_Reader(self.socket, self._bounds))

    def close(self):
        self.socket.close()  # once the last reader is closed, too


class _Reader(io.RawIOBase):
    """What a socket receives."""

    def __init__(self, sock, bounds):
        super().__init__()
        self._socket, self._bounds = sock, bounds
        self._stream = sock.makefile("rb", buffering=0)

    def readable(self):
        return True

    def readinto(self, buffer):
        self._bounds.limit_wait(self._socket)
        count = self._stream.readinto(buffer)
        self._bounds.count(count or 0)
        return count

    def close(self):
        self._stream.close()
        super().close()
