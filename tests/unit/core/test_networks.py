"""Networks of client addresses."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.networks import Networks


@pytest.mark.parametrize(
    ("texts", "client", "inside"),
    [
        (["10.0.0.0/8"], "10.255.255.255", True),
        (["10.0.0.0/8"], "11.0.0.0", False),
        (["10.1.2.3"], "10.1.2.3", True),
        (["10.1.2.3"], "10.1.2.4", False),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", True),
        (["::ffff:10.0.0.0/104"], "10.0.0.1", True),
        (["::ffff:10.0.0.0/104"], "::ffff:10.0.0.1", True),
        (["::ffff:10.0.0.1"], "10.0.0.1", True),
        (["::/0"], "10.0.0.1", False),
        (["::/0"], "::1", True),
        (["0.0.0.0/0"], "::1", False),
        (["0.0.0.0/0"], "::a00:1", False),
        (["2001:db8::/32"], "2001:db8:ffff::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["10.0.0.0/8", "192.0.2.0/24"], "192.0.2.9", True),
        (["0.0.0.0/0", "::/0"], "", False),
        (["0.0.0.0/0", "::/0"], "unknown", False),
        (["0.0.0.0/0", "::/0"], "10.0.0.1:80", False),
        (["0.0.0.0/0", "::/0"], "10.0.0.01", False),
        ([], "10.0.0.1", False),
    ],
)
def test_network_has_its_addresses(texts: list[str], client: str, inside: bool) -> None:
    assert (client in Networks(texts)) is inside


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10.0.0.1/8", "did you mean 10.0.0.0/8"),
        ("10.0.0.0/33", "is not a network"),
        ("localhost", "is not a network"),
        ("", "is not a network"),
        ("10.0.0", "is not a network"),
    ],
)
def test_what_is_no_network_is_refused(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        Networks([text])


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=8), st.integers(0, 2**32 - 1))
def test_set_is_the_union_of_its_networks(pairs: list[tuple[int, int]], client: int) -> None:
    found = [IPv4Network((number >> (32 - length) << (32 - length), length)) for number, length in pairs]
    address = IPv4Address(client)
    assert (str(address) in Networks(map(str, found))) is any(address in network for network in found)
