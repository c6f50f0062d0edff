"""Filter `ip_allow`: who may come in."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS, Reply
from proxy.filters.site import Site
from proxy.http1.facts import Facts

RequestOf = Callable[..., Facts]


@pytest.mark.parametrize(
    ("options", "client", "taken"),
    [
        ({"allow": ["10.0.0.0/8"]}, "10.1.2.3", True),
        ({"allow": ["10.0.0.0/8"]}, "11.1.2.3", False),
        ({"allow": ["10.0.0.0/8"]}, "::ffff:10.1.2.3", True),
        ({"allow": ["10.0.0.0/8"]}, "::1", False),
        ({"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"]}, "10.1.2.3", False),
        ({"allow": ["10.1.2.3"], "deny": ["10.0.0.0/8"]}, "10.1.2.3", False),
        ({"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"]}, "10.2.2.3", True),
        ({"deny": ["10.0.0.0/8"]}, "10.1.2.3", False),
        ({"deny": ["10.0.0.0/8"]}, "::ffff:10.1.2.3", False),
        ({"deny": ["::ffff:10.0.0.0/104"]}, "10.1.2.3", False),
        ({"deny": ["10.0.0.0/8"]}, "192.0.2.7", True),
        ({"deny": ["10.0.0.0/8"]}, "2001:db8::1", True),
        ({"allow": ["0.0.0.0/0", "::/0"]}, "", False),
        ({"deny": ["10.0.0.0/8"]}, "", False),
        ({"deny": ["10.0.0.0/8"], "unix": True}, "", True),
        ({"allow": ["10.0.0.0/8"], "unix": True}, "", True),
        ({"allow": ["10.0.0.0/8"], "unix": True}, "192.0.2.7", False),
        ({"deny": ["10.0.0.0/8"], "unix": True}, "unknown", False),
        ({"deny": ["10.0.0.0/8"]}, "not an address", False),
        ({"deny": ["10.0.0.0/8"]}, "10.0.0.1, 192.0.2.1", False),
    ],
)
def test_address_decides(request_of: RequestOf, options: dict[str, Any], client: str, taken: bool) -> None:
    request = FILTERS.build("ip_allow", options).compile(Site()).request
    assert request is not None
    reply = request.on_request(request_of(client=client))
    assert (reply is None) is taken
    if not taken:
        assert isinstance(reply, Reply)
        assert (reply.status, reply.reason) == (403, "ip_refused")


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "names no network"),
        ({"unix": True}, "names no network"),
        ({"allow": ["10.0.0.1/8"]}, "did you mean 10.0.0.0/8"),
        ({"deny": ["localhost"]}, "is not a network"),
        ({"allows": ["10.0.0.0/8"]}, "did you mean 'allow'"),
    ],
)
def test_what_names_no_network_is_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build("ip_allow", options)
