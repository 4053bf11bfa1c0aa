"""Servers that mean harm: each answers a connection in its own way, for as long as the other side listens."""

import contextlib
import json
import socket
import threading
import time


class HostileServer:
    """Hands every connection on 127.0.0.1, its request read, to a function from the socket.

    Attributes:
      url: host:port.
      requests: the first line of each request so far, bytes.
    """

    def __init__(self, answer):
        self.requests = []
        self._answer, self._is_open = answer, True
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self.url = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self):
        self._is_open = False
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _listen(self):
        with contextlib.suppress(OSError):
            while self._is_open:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(1 << 16)
            self.requests.append(received.split(b"\r\n")[0])
            self._answer(connection)
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                connection.recv(1 << 16)


def head(status="200 OK", *headers):
    return ("\r\n".join([f"HTTP/1.1 {status}", *headers]) + "\r\n\r\n").encode("ascii")


def whole(content):
    """An attack whose answer is whole: bytes, or a value that is written in JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode("ascii")
    return lambda connection: connection.sendall(head("200 OK", f"Content-Length: {len(body)}") + body)


def endless(beginning, repeated, pause=0.0):
    """An attack that sends something, and then something again and again."""

    def answer(connection):
        connection.sendall(beginning)
        while True:
            connection.sendall(repeated)
            time.sleep(pause)

    return answer


def silent(beginning=b""):
    """An attack that sends something, and then holds the line."""

    def answer(connection):
        connection.sendall(beginning)
        connection.recv(1 << 20)
        time.sleep(30)

    return answer


CHUNKED = head("200 OK", "Transfer-Encoding: chunked")
MEGABYTE = b" " * (1 << 20)
# What keeps a caller waiting, or fills its memory.
ENDLESS = {
    "nothing": silent(),
    "a slow status line": endless(b"HTTP/1.1 200 OK", b"K", 0.05),
    "a slow body": endless(head("200 OK", "Content-Length: 1000000"), b" ", 0.05),
    "100 Continue": endless(b"", head("100 Continue"), 0.001),
    "100 Continue at full speed": endless(b"", head("100 Continue") * 1000),
    "headers": endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1000),
    "a header": endless(b"HTTP/1.1 200 OK\r\nX-A: ", b"b" * 10000),
    "slow headers": endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", 0.05),
    "a body without an end": endless(head(), MEGABYTE),
    "a huge Content-Length": silent(head("200 OK", f"Content-Length: {1 << 60}")),
    "a huge Content-Length with a body": endless(head("200 OK", f"Content-Length: {1 << 60}"), MEGABYTE),
    "a huge chunk": silent(CHUNKED + b"7fffffffffffffff\r\n{"),
    "chunks without an end": endless(CHUNKED, b"100000\r\n" + MEGABYTE + b"\r\n"),
    "slow chunks": endless(CHUNKED, b"1\r\n \r\n", 0.05),
    "an endless chunk size": endless(CHUNKED, b"0" * 10000),
    "an endless trailer": endless(CHUNKED + b"0\r\n", b"X-A: b\r\n" * 1000),
    "an endless error": endless(head("400 Bad Request"), MEGABYTE),
    "a slow error": endless(head("503 Busy", "Content-Length: 1000000"), b" ", 0.05),
}
# What is at fault at once.
WHOLE = {
    "no HTTP": lambda connection: connection.sendall(b"\x00\xff" * 100),
    "a negative chunk": lambda connection: connection.sendall(CHUNKED + b"-5\r\nabcdef\r\n0\r\n\r\n"),
    "a chunk of no number": lambda connection: connection.sendall(CHUNKED + b"zz\r\n"),
    "a short body": lambda connection: connection.sendall(head("200 OK", "Content-Length: 9") + b"{}"),
    "deep nesting": whole(b"[" * 200000),
    "deep objects": whole(b'{"a":' * 100000),
    "many lists": whole(b'{"outputs": {"tags": [' + b"[]," * 250000 + b"[]]}}"),
    "many digits": whole(b'{"outputs": ' + b"9" * 900000 + b"}"),
    "an error of many lines": lambda connection: connection.sendall(
        head("400 Bad Request") + json.dumps({"error": "\x1b[2J" * 500 + "\n" * 500}).encode("ascii")
    ),
    "an error that is no text": lambda connection: connection.sendall(head("500 No") + b'{"error": [[[]]]}'),
    "a strange status": lambda connection: connection.sendall(head("999 " + "x" * 5000)),
    "a Location of many lines": lambda connection: connection.sendall(head("302 Found", "Location: " + "x" * 9999)),
}
