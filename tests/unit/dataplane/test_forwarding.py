"""Forwarding fields: what an upstream is told of its client, and whom that is believed from."""

import pytest

from proxy.dataplane.forwarding import Origin, is_loop, is_trusted, networks
from proxy.http1.message import NO_BODY, TRACEPARENT, RequestHead

TRUSTED = ("10.0.0.0/8", "192.0.2.7/32", "fd00::/8")


def describe(
    client: str, told: dict[bytes, bytes] | None = None, flags: int = 0, host: bytes = b"shop.example.com"
) -> tuple[str, bytes, dict[str, str]]:
    origin = Origin(client, networks(TRUSTED), lambda bits: (1 << bits) - 1)
    head = RequestHead(b"GET", b"/", 1, host, NO_BODY, flags, b"", None, told, 0)
    address, scheme, block = origin.describe(head)
    assert block.endswith(b"\r\n")
    pairs = [line.split(": ", 1) for line in block.decode("latin-1").split("\r\n")[:-1]]
    assert len({name.lower() for name, _ in pairs}) == len(pairs), "no field twice"
    return address, scheme, {name.lower(): value for name, value in pairs}


def test_untrusted_peer_is_the_client_whatever_it_says() -> None:
    told = {
        b"x-forwarded-for": b"6.6.6.6",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-host": b"evil",
        b"x-request-id": b"mine",
        b"x-real-ip": b"6.6.6.6",
        b"x-sluice-shadow": b"1",
        b"forwarded": b"for=6.6.6.6",
    }
    client, scheme, fields = describe("203.0.113.9", told)
    assert (client, scheme) == ("203.0.113.9", b"http")
    assert fields == {
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-proto": "http",
        "via": "1.1 sluice",
        "x-forwarded-host": "shop.example.com",
        "x-request-id": "f" * 32,
        "traceparent": f"00-{'f' * 32}-{'f' * 16}-01",
    }


def test_trusted_peer_is_believed_and_continued() -> None:
    told = {
        b"x-forwarded-for": b"203.0.113.9",
        b"x-forwarded-proto": b"HTTPS",
        b"x-forwarded-host": b"www.example.com",
        b"x-request-id": b"abc",
        b"x-real-ip": b"203.0.113.9",
        b"x-sluice-shadow": b"1",
    }
    client, scheme, fields = describe("10.1.2.3", told)
    assert (client, scheme) == ("203.0.113.9", b"https")
    assert fields["x-forwarded-for"] == "203.0.113.9, 10.1.2.3"
    assert fields["x-forwarded-proto"] == "https"
    assert fields["x-forwarded-host"] == "www.example.com"
    assert fields["x-request-id"] == "abc"
    assert fields["x-real-ip"] == "203.0.113.9"
    assert fields["x-sluice-shadow"] == "1"


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (b"", "10.1.2.3"),
        (b"203.0.113.9", "203.0.113.9"),
        (b"6.6.6.6, 203.0.113.9", "203.0.113.9"),  # what stands left of an untrusted one is hearsay
        (b"203.0.113.9, 10.9.9.9, 192.0.2.7", "203.0.113.9"),
        (b"10.9.9.9", "10.9.9.9"),
        (b"203.0.113.9:4711", "203.0.113.9"),
        (b"[2001:db8::1]:4711", "2001:db8::1"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"::ffff:203.0.113.9", "203.0.113.9"),
        (b"203.0.113.9, unknown", "10.1.2.3"),
        (b"garbage, \xff", "10.1.2.3"),
    ],
)
def test_client_is_the_rightmost_address_that_is_not_trusted(chain: bytes, client: str) -> None:
    assert describe("10.1.2.3", {b"x-forwarded-for": chain})[0] == client


@pytest.mark.parametrize(
    ("client", "told", "named"),
    [
        ("203.0.113.9", None, None),
        ("203.0.113.9", {b"x-forwarded-host": b"evil"}, None),
        ("10.1.2.3", None, None),
        ("10.1.2.3", {b"x-forwarded-for": b"203.0.113.9"}, None),
        ("10.1.2.3", {b"x-forwarded-host": b"www.example.com"}, "www.example.com"),
    ],
)
def test_request_without_host_names_none(client: str, told: dict[bytes, bytes] | None, named: str | None) -> None:
    fields = describe(client, told, host=b"")[2]
    assert fields.get("x-forwarded-host") == named
    assert fields["x-request-id"] == "f" * 32


@pytest.mark.parametrize("given", [b"", b"x" * 129])
def test_request_id_that_is_empty_or_overlong_is_replaced(given: bytes) -> None:
    assert describe("10.1.2.3", {b"x-request-id": given})[2]["x-request-id"] == "f" * 32


@pytest.mark.parametrize("client", ["203.0.113.9", "10.1.2.3"])
def test_traceparent_that_is_there_is_not_started_again(client: str) -> None:
    told = {b"x-forwarded-for": b"203.0.113.9"}
    assert "traceparent" not in describe(client, told, TRACEPARENT)[2]


@pytest.mark.parametrize(
    ("client", "trusted"),
    [("10.0.0.1", True), ("11.0.0.1", False), ("::ffff:10.0.0.1", True), ("fd00::1", True), ("", False)],
)
def test_trust_goes_by_network(client: str, trusted: bool) -> None:
    assert is_trusted(client, networks(TRUSTED)) is trusted


@pytest.mark.parametrize(("hops", "loop"), [(0, False), (9, False), (10, True)])
def test_loop_is_many_of_our_own_kind(hops: int, loop: bool) -> None:
    assert is_loop(b", ".join([b"1.1 other"] * 20 + [b"1.1 sluice"] * hops)) is loop
