import pytest

from proxy.http1.host import normal_host, split_port, valid_host


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        (b"a.example", b"a.example"),
        (b"A.Example:8080", b"a.example"),
        (b"a.example.", b"a.example"),
        (b"a.example.:80", b"a.example"),
        (b"a.example..", b"a.example."),
        (b"a:", b"a"),
        (b"[::1]:80", b"[::1]"),
        (b"[2001:DB8::1]", b"[2001:db8::1]"),
        (b"", b""),
    ],
)
def test_normal_host_has_neither_case_nor_port_nor_trailing_dot(host: bytes, normal: bytes) -> None:
    assert normal_host(host) == normal
    assert normal_host(normal) == normal or normal.endswith(b".")


@pytest.mark.parametrize(
    ("host", "parts"),
    [(b"a:1", (b"a", b"1")), (b"a", (b"a", b"")), (b"[::1]", (b"[::1]", b"")), (b"[::1]:1", (b"[::1]", b"1"))],
)
def test_port_is_what_follows_the_last_colon_outside_brackets(host: bytes, parts: tuple[bytes, bytes]) -> None:
    assert split_port(host) == parts


@pytest.mark.parametrize(
    ("host", "valid"),
    [
        (b"a", True),
        (b"a_b.example", True),
        (b"xn--bcher-kva.example", True),
        (b"1.2.3.4:65535", True),
        (b"[::ffff:1.2.3.4]:1", True),
        (b"a:65536", False),
        (b"a\n", False),
        (b"[::1]\n", False),
        (b"a:1\n", False),
        (b"[::1%25lo]", False),
        (b"a,b", False),
        (b"", False),
    ],
)
def test_host_is_valid_only_by_its_grammar(host: bytes, valid: bool) -> None:
    assert valid_host(host) is valid
