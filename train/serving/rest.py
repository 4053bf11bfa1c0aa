"""TF Serving's REST interface, by Python's standard library."""

import http.client
import json
import socket
import urllib.error
import urllib.parse
import urllib.request

from bert.system.errors import UserError, first_line
from train.serving.errors import Retriable, ServingError


class Rest:
    """TF Serving's REST interface; each request has a connection of its own.

    Args:
      url: `host:port`, `http://host:port` or `https://...`.
      model_name: the server's `--model_name`.
      timeout: seconds to wait for an answer.

    Raises:
      UserError: the url names no server.
    """

    def __init__(self, url, model_name, timeout):
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

    def __str__(self):
        return self._base

    def close(self):
        """Nothing is open between requests."""

    def predict(self, signature, inputs):
        """The outputs of a signature.

        Args:
          signature: its name.
          inputs: dict from name to numpy array or list.

        Returns:
          dict from name to list, a row for each row of the inputs.

        Raises:
          ServingError: the server refuses the request.
          Retriable: the server is not there, is overloaded or gives no answer in time.
        """
        values = {name: value if isinstance(value, list) else value.tolist() for name, value in inputs.items()}
        return self._request(":predict", "outputs", {"signature_name": signature, "inputs": values})

    def signatures(self):
        """The names of the model's signatures, as the keys of a dict; raises what `predict` raises."""
        return self._request("/metadata", "metadata").get("signature_def", {}).get("signature_def", {})

    def _request(self, path, expected, content=None):
        """The JSON object under the key `expected` of the answer."""
        body = None if content is None else json.dumps(content).encode("ascii")
        request = urllib.request.Request(self._model + path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise self._refusal(error)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)  # URLError wraps what happened
            if isinstance(reason, socket.timeout):
                raise Retriable(f"{self._base}: no answer in {self._timeout:g} seconds", timed_out=True)
            raise Retriable(f"{self._base}: no answer: {getattr(reason, 'strerror', None) or reason}")
        try:
            answer = json.loads(text.decode("utf-8"))[expected]
            if not isinstance(answer, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise ServingError(f"{self._base}: expected an answer of TF Serving, with {expected}; found {text[:80]!r}")
        return answer

    def _refusal(self, error):
        """The error for an HTTP status other than success."""
        try:
            said = json.loads(error.read().decode("utf-8"))["error"]
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            said = error.reason
        message = f"{self._base}: model {self._model_name}: HTTP {error.code}: {first_line(said)}"
        if error.code in (502, 503, 504):
            return Retriable(message, timed_out=error.code == 504)
        return ServingError(message)
