"""Addresses taken apart."""

import pytest

from proxy.core.address import TcpAddress, UnixAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", TcpAddress("127.0.0.1", 8080)),
        ("[::1]:8080", TcpAddress("::1", 8080)),
        ("shop.internal:80", TcpAddress("shop.internal", 80)),
        ("unix:/run/app.sock", UnixAddress("/run/app.sock")),
    ],
)
def test_address_is_taken_apart(text: str, address: TcpAddress | UnixAddress) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "shop", "shop:", "shop:http", "shop:8 0", "shop:٨", "shop:-1", "shop:1_0"])
def test_address_without_a_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        parse_address(text)
