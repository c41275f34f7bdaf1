"""A client of `impasto serve` with nothing but the standard library."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from impasto.errors import ImpastoError

_OPEN = ("queued", "running")


class Client:
    """Has a server make things, over its HTTP API.

    Args:
        address: what `impasto serve` prints, with the token behind the #.

    Example:
        >>> client = Client("http://127.0.0.1:8765/#token=a-token-for-an-example")
        >>> client.origin, client.token
        ('http://127.0.0.1:8765', 'a-token-for-an-example')
    """

    def __init__(self, address: str) -> None:
        self.origin, _, self.token = address.partition("/#token=")

    def submit(self, method: str, options: dict[str, Any] | None = None, **files: Any) -> str:
        """Ask for a job, and return its id; `files` are paths, or lists of paths, by their field.

        Raises:
            ImpastoError: the server refuses it.
        """
        boundary, body = secrets.token_hex(16), b""
        fields = {"options": json.dumps(options or {}).encode()} | files
        for name, values in fields.items():
            for value in values if isinstance(values, (list, tuple)) else [values]:
                is_text = isinstance(value, bytes)
                file = "" if is_text else f'; filename="{Path(value).name}"'
                head = (
                    f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
                )
                body += head.encode() + (value if is_text else Path(value).read_bytes()) + b"\r\n"
        body += f"--{boundary}--\r\n".encode()
        content_type = f"multipart/form-data; boundary={boundary}"
        return json.loads(self.ask(f"/v1/jobs/{method}", body, content_type))["id"]

    def wait(self, job: str, interval: float = 0.5) -> dict[str, Any]:
        """Wait until a job has ended, and return it; its `status` says how.

        Args:
            job: its id.
            interval: seconds from one look to the next.
        """
        while (state := json.loads(self.ask(f"/v1/jobs/{job}")))["status"] in _OPEN:
            time.sleep(interval)
        return state

    def result(self, job: str, **query: Any) -> bytes:
        """Return the file that a job made; `query` is the route's, such as `format="jpeg"`."""
        return self.ask(f"/v1/jobs/{job}/result?{urlencode(query)}")

    def ask(self, path: str, body: bytes | None = None, content_type: str = "") -> bytes:
        """Return what the server answers to a GET, or with a body to a POST.

        Raises:
            ImpastoError: it refuses.
        """
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        try:
            with urlopen(Request(self.origin + path, body, headers)) as answer:
                return answer.read()
        except HTTPError as error:
            with error:
                problem = json.load(error)
            raise ImpastoError(f"{problem['detail']} ({problem['code']})") from None
