"""TF Serving's REST interface, by Python's standard library."""

import contextlib
import http.client
import json
import socket
import urllib.error
import urllib.parse
import urllib.request

from bert.system.errors import UserError, first_line, shorten
from bert.system.files import parse_json
from train.serving import bounded_http
from train.serving.answers import most_bytes, size_of, too_much
from train.serving.errors import Retriable, ServingError

_MOST_LISTS = 1 << 16  # lists and objects in an answer, besides those that stand for the rows of its outputs
_LISTS_OF_A_ROW = 32
_REFUSAL = 1 << 16  # bytes that are read of an error's text


class Rest:
    """TF Serving's REST interface; each request has a connection of its own.

    Args:
      url: `host:port`, `http://host:port` or `https://...`.
      model_name: the server's `--model_name`.
      timeout: seconds that a caller waits for an answer, for messages.
      max_answer_mb: megabytes that are read of an answer at most.

    Raises:
      UserError: the url names no server.
    """

    def __init__(self, url, model_name, timeout, max_answer_mb):
        self._base = (url if "://" in url else "http://" + url).rstrip("/")
        try:
            parts = urllib.parse.urlsplit(self._base)
            known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except ValueError:  # a port that is no number
            known = False
        if not known or any(character.isspace() for character in url):
            raise UserError(f"{url}: expected a server as host:port or http://host:port")
        self._model_name = model_name
        self._model = f"{self._base}/v1/models/{urllib.parse.quote(model_name, safe='')}"
        self._timeout = timeout
        self._max_answer_mb = max_answer_mb

    def __str__(self):
        return self._base

    def close(self):
        """Nothing is open between requests."""

    def predict(self, signature, inputs, outputs, deadline):
        """The outputs of a signature.

        Args:
          signature: its name.
          inputs: dict from name to numpy array or list.
          outputs: names of the outputs that are needed; there may be others.
          deadline: the value of time.monotonic() at which the answer has to be there.

        Returns:
          dict from name to what the server says, any JSON value; see `answers`.

        Raises:
          ServingError: the server refuses the request, or its answer is none.
          Retriable: the server is not there, is overloaded or gives no answer in time.
        """
        values = {name: value if isinstance(value, list) else value.tolist() for name, value in inputs.items()}
        content = {"signature_name": signature, "inputs": values}
        return self._request(":predict", "outputs", deadline, size_of(inputs), content)

    def signatures(self, deadline):
        """The names of the model's signatures; arguments and errors as of `predict`."""
        found = self._request("/metadata", "metadata", deadline, (1, 1)).get("signature_def", {})
        found = found.get("signature_def", {}) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise ServingError(f"{self._base}: expected the metadata of a model, with signature_def; found none")
        return list(found)

    def _request(self, path, expected, deadline, size, content=None):
        """The JSON object under the key `expected` of the answer; `size` is that of the request, see `size_of`."""
        most = most_bytes(size, self._max_answer_mb)
        body = None if content is None else json.dumps(content).encode("ascii")
        request = urllib.request.Request(self._model + path, body, {"Content-Type": "application/json"})
        try:
            text = bounded_http.post_or_get(request, bounded_http.Bounds(deadline, most))
        except urllib.error.HTTPError as error:
            raise self._refusal(error)
        except bounded_http.TooMuch:
            raise too_much(self._base, most, self._max_answer_mb)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)  # URLError wraps what happened
            if isinstance(reason, socket.timeout):
                raise Retriable(f"{self._base}: no answer in {self._timeout:g} seconds", timed_out=True)
            raise Retriable(f"{self._base}: no answer: {getattr(reason, 'strerror', None) or reason}")
        try:
            if text.count(b"[") + text.count(b"{") > _MOST_LISTS + _LISTS_OF_A_ROW * size[0]:
                raise ValueError  # they take thirty times as much memory as room in the text
            answer = parse_json(text)[expected]
            if not isinstance(answer, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise ServingError(f"{self._base}: expected an answer of TF Serving, with {expected}; found {text[:40]!r}")
        return answer

    def _refusal(self, error):
        """The error for an HTTP status other than success."""
        said = error.reason
        if error.code in (301, 302, 303, 307, 308):
            said = f"it redirects to {shorten(error.headers.get('Location'), 100)}, which is not followed"
        else:
            no_text = (OSError, http.client.HTTPException, bounded_http.TooMuch)
            with contextlib.suppress(*no_text, ValueError, KeyError, TypeError):
                said = parse_json(bounded_http.read_body(error, _REFUSAL))["error"]
        said = shorten(first_line(said if isinstance(said, str) else error.reason or ""), 120)
        message = f"{self._base}: model {self._model_name}: HTTP {error.code}: {said}"
        if error.code in (502, 503, 504):
            return Retriable(message, timed_out=error.code == 504)
        return ServingError(message)
