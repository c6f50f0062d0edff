"""Whose a request is."""

from collections.abc import Callable

import pytest

from proxy.filters.keyed_by import Named, key_of, network
from proxy.http1.facts import Facts


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("2001:DB8::1", "2001:db8:0:0::2", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "192.0.2.1", False),
        ("not:an:address", "not:an:other", False),
    ],
)
def test_client_is_its_network(one: str, other: str, same: bool) -> None:
    assert (network(one, 64) == network(other, 64)) is same


def test_network_is_as_long_as_it_is_told() -> None:
    one, other = "2001:db8:1:1::1", "2001:db8:1:2::1"
    assert network(one, 48) == network(other, 48)
    assert network(one, 64) != network(other, 64)
    assert network("2001:db8::1", 128) != network("2001:db8::2", 128)


def test_missing_is_one_and_differs_from_empty(request_of: Callable[..., Facts]) -> None:
    by_header, by_cookie = key_of(Named(header="X-Key")), key_of(Named(cookie="uid"))
    missing, empty = request_of(), request_of("/", b"x-key: \r\n", b"uid=")
    assert by_header(missing) == by_header(request_of()) != by_header(empty)
    assert by_cookie(missing) == by_cookie(request_of("/", b"", b"other=1")) != by_cookie(empty)
    assert by_cookie(request_of("/", b"", b"a=1; uid=7")) == by_cookie(request_of("/", b"", b"uid=7; b=2"))


def test_route_is_its_name(request_of: Callable[..., Facts]) -> None:
    assert key_of("route")(request_of()) == b"all"
