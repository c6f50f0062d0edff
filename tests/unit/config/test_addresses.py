from pathlib import Path

import pytest

from proxy.config.addresses import parse_bind, parse_endpoint

HERE = Path("/etc/sluice")

ENDPOINTS = [
    ("127.0.0.1:9001", "127.0.0.1:9001"),
    ("[::1]:9001", "[::1]:9001"),
    ("[0:0:0:0:0:0:0:1]:9001", "[::1]:9001"),
    ("Shop.Internal.:80", "shop.internal:80"),
    ("my_service:80", "my_service:80"),
    ("a-1.b:65535", "a-1.b:65535"),
    ("unix:/run/a.sock", "unix:/run/a.sock"),
    ("unix:run/a.sock", "unix:/etc/sluice/run/a.sock"),
]


@pytest.mark.parametrize(("text", "canonical"), ENDPOINTS)
def test_endpoint_has_one_canonical_form(text: str, canonical: str) -> None:
    address = parse_endpoint(text, HERE)
    assert str(address) == canonical
    assert str(parse_endpoint(canonical, HERE)) == canonical


NO_ENDPOINTS = [
    *("", ":", ":80", "a", "a:", "a:0", "a:65536", "a:-1", "a:+1", "a:1_0", "a: 80", "a:٨٠", "a:80 ", " a:80"),
    *(
        "::1:80",
        "[::1]",
        "[::1]80",
        "[127.0.0.1]:80",
        "[a]:80",
        "[]:80",
        "[fe80::1%eth0]:80",
        "1.2.3:80",
        "1.2.3.4.5:80",
    ),
    *(
        "127.1:80",
        "0x7f.1:80",
        "2130706433:80",
        "0x7f000001:80",
        "010.0.0.1:80",
        "256.0.0.1:80",
        "-a:80",
        "a-:80",
        "a..b:80",
    ),
    *(
        "é:80",
        "a/b:80",
        "http://a:80",
        "a@b:80",
        "a:80/x",
        "unix:",
        "unix:/run/",
        "unix:/" + "x" * 200,
        "unix:a\0b",
        "*:80",
    ),
    *("a" * 64 + ":80", "a." * 127 + "a:80", "a:" + "0" * 20),
]


@pytest.mark.parametrize("text", NO_ENDPOINTS)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_endpoint(text, HERE)


BINDS = [
    ("0.0.0.0:8080", "0.0.0.0:8080"),
    ("[::]:0", "[::]:0"),
    ("localhost:8080", "127.0.0.1:8080"),
    ("unix:a.sock", "unix:/etc/sluice/a.sock"),
]


@pytest.mark.parametrize(("text", "canonical"), BINDS)
def test_bind_has_one_canonical_form(text: str, canonical: str) -> None:
    assert str(parse_bind(text, HERE)) == canonical


@pytest.mark.parametrize("text", ["*:80", ":80", "shop:80", "8080", "0.0.0.0", "127.1:80", "[::1%lo]:80", "unix:"])
def test_what_cannot_be_bound_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_bind(text, HERE)


REACHES = [
    ("127.0.0.1:80", "127.0.0.1:80", True),
    ("127.0.0.1:81", "127.0.0.1:80", False),
    ("127.0.0.2:80", "127.0.0.1:80", False),
    ("127.0.0.2:80", "0.0.0.0:80", True),
    ("0.0.0.0:80", "0.0.0.0:80", True),
    ("[::1]:80", "[::]:80", True),
    ("[::ffff:127.0.0.1]:80", "0.0.0.0:80", True),
    ("localhost:80", "127.0.0.1:80", True),
    ("localhost:80", "[::1]:80", True),
    ("localhost:80", "10.0.0.1:80", False),
    ("10.0.0.1:80", "0.0.0.0:80", False),
    ("unix:/a", "unix:/a", True),
    ("unix:/a", "unix:/b", False),
    ("unix:/a", "0.0.0.0:80", False),
]


@pytest.mark.parametrize(("endpoint", "bind", "expected"), REACHES)
def test_endpoint_that_leads_back_is_seen(endpoint: str, bind: str, expected: bool) -> None:
    assert parse_endpoint(endpoint, HERE).reaches(parse_bind(bind, HERE)) is expected


LOCAL = [
    ("127.0.0.1:1", True, False),
    ("[::ffff:127.0.0.1]:1", True, False),
    ("unix:/a", True, False),
    ("0.0.0.0:1", False, False),
    ("10.0.0.1:1", False, False),
    ("169.254.169.254:1", False, True),
    ("[fe80::1]:1", False, True),
    ("[::ffff:169.254.1.1]:1", False, True),
]


@pytest.mark.parametrize(("text", "loopback", "link_local"), LOCAL)
def test_address_knows_how_far_it_is(text: str, loopback: bool, link_local: bool) -> None:
    address = parse_bind(text, HERE)
    assert (address.is_loopback, address.is_link_local) == (loopback, link_local)
