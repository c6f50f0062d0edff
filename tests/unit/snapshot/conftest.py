"""Requests for tests of snapshots."""

from dataclasses import dataclass, field

import pytest

from proxy.http1.facts import Facts
from proxy.http1.message import NO_BODY, RequestHead


@dataclass(slots=True)
class Request:
    """What the data plane's exchange is to a snapshot."""

    head: RequestHead = field(
        default_factory=lambda: RequestHead(b"GET", b"/a/b", 1, b"h", NO_BODY, 0, b"X-A: 1\r\n", None, None, 0)
    )
    path: bytes = b"/a/b"
    query: bytes = b""
    host: bytes = b"h"
    client: str = "192.0.2.1"
    scheme: bytes = b"http"
    is_ready: bool = True


@pytest.fixture
def facts() -> Facts:
    return Request()
