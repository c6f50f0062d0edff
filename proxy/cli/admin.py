"""A client of the admin API with nothing but the standard library, so that a command starts at once."""

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

DEFAULT: Final = "http://127.0.0.1:9900"
_PATIENCE: Final = 60.0
_SHORT: Final = 5.0


class UnreachableError(Exception):
    """Nobody answers there, or not an admin."""


class RefusedError(Exception):
    """The admin's answer is a problem; `problems` says more."""

    def __init__(self, status: int, detail: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a change is asked for."""

    reason: str | None = None
    force: bool = False

    def query(self) -> dict[str, str]:
        """As the URL says it."""
        given = {"reason": self.reason, "force": "true" if self.force else None}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the admin has answered."""

    body: Any
    etag: str | None


@dataclass(slots=True)
class Admin:
    """The admin at a URL: `http://host:port`, `host:port` or `unix:/path`."""

    url: str = DEFAULT
    token: str | None = field(default=None, repr=False)

    def get(self, path: str) -> Any:
        """What is there."""
        return self.ask("GET", path).body

    def text(self, path: str) -> str:
        """What is there, as it is; RefusedError where the status is no good one."""
        with closing(self._connect(_SHORT)) as connection:
            response = self._send(connection, "GET", path, ({}, None))
            body = response.read(1024).decode(errors="replace").strip()
        if response.status >= 400:
            raise RefusedError(response.status, body)
        return body

    def ask(
        self, method: str, path: str, body: Any = None, terms: Terms | None = None, etag: str | None = None
    ) -> Reply:
        """One call; UnreachableError or RefusedError where it comes to nothing."""
        query = urlencode(terms.query(), quote_via=quote) if terms else ""
        headers = {"Content-Type": "application/json"} | ({"If-Match": etag} if etag else {})
        with closing(self._connect()) as connection:
            response = self._send(connection, method, f"{path}?{query}" if query else path, (headers, body))
            data = self._read(response)
        return Reply(data, response.headers.get("ETag"))

    def follow(self, path: str, last: str | None) -> Iterator[tuple[str, Any]]:
        """The events of a stream with their ids, until the server ends it."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last is not None else {})
        with closing(self._connect()) as connection:
            response = self._send(connection, "GET", path, (headers, None))
            if response.status != 200:
                self._read(response)
            number = ""
            for line in _lines(response):
                name, _, value = line.partition(": ")
                if name == "id":
                    number = value
                elif name == "data":
                    yield number, json.loads(value)

    def _connect(self, patience: float = _PATIENCE) -> http.client.HTTPConnection:
        if self.url.startswith("unix:"):
            return _UnixConnection(self.url.removeprefix("unix:"), patience)
        url = urlsplit(self.url if "://" in self.url else f"http://{self.url}")
        kinds: dict[str, type[http.client.HTTPConnection]] = {
            "http": http.client.HTTPConnection,
            "https": http.client.HTTPSConnection,
        }
        if url.scheme not in kinds or not url.hostname:
            raise UnreachableError(f"{self.url!r} is not the address of an admin; write {DEFAULT} or unix:/path")
        try:
            port = url.port
        except ValueError:
            raise UnreachableError(f"{self.url!r} has no port between 1 and 65535") from None
        return kinds[url.scheme](url.hostname, port, timeout=patience)

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, what: tuple[Mapping[str, str], Any]
    ) -> http.client.HTTPResponse:
        headers, body = what
        authorisation = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = b"" if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {**headers, **authorisation})
            return connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnreachableError(f"the admin at {self.url} cannot be reached: {_why(error)}") from error

    def _read(self, response: http.client.HTTPResponse) -> Any:
        try:
            data = response.read()
            body = json.loads(data) if data else None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnreachableError(f"what answers at {self.url} is no admin of Sluicegate") from error
        if response.status >= 400:
            told = body if isinstance(body, dict) else {}
            detail = told.get("detail") or f"the admin answers {response.status}"
            raise RefusedError(response.status, detail, tuple(told.get("problems", ())))
        return body


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the socket of a path."""

    def __init__(self, path: str, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _lines(response: http.client.HTTPResponse) -> Iterator[str]:
    """The lines of a stream; its end, however it comes, is only an end."""
    try:
        while line := response.readline():
            yield line.decode().rstrip("\n")
    except (OSError, http.client.HTTPException):
        return


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower() if error.errno > 0 else str(error)
    return str(error) or type(error).__name__


def service_path(service: str, *more: str) -> str:
    """The URL of a service, or of something below it; every part is encoded."""
    return "/".join(["/v1/services", *(quote(part, safe="") for part in (service, *more))])
