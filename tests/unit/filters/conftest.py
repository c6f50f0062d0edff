"""Requests and responses for tests of filters."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.http1.facts import Facts
from proxy.http1.message import NO_BODY, RequestHead


class Request:
    """What the data plane's exchange is to filters."""

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        self.path, _, self.query = head.target.partition(b"?")
        self.host = head.host
        self.client = "192.0.2.7"
        self.scheme = b"http"
        self.is_ready = True
        self.now = 0.0
        self.request_id = b"id"
        self.route_name, self.service_name, self.pool_name = "all", "shop", "blue"
        self.notes: dict[object, Any] = {}


@pytest.fixture
def request_of() -> Callable[..., Facts]:
    def build(target: str = "/", block: bytes = b"", cookie: bytes | None = None, **others: Any) -> Facts:
        """A GET; `others` are other attributes of the request, or `method` and `length` of its head."""
        method, length = others.pop("method", b"GET"), others.pop("length", NO_BODY)
        head = RequestHead(method, target.encode(), 1, b"shop.example.com", length, 0, block, cookie, None, 0)
        request = Request(head)
        for name, value in others.items():
            setattr(request, name, value)
        return request

    return build
