"""Mistakes in the endpoints of a pool, and the line that a person is told."""

# ruff: noqa: E501 - a line of the table is the line that is told

from collections.abc import Callable

import pytest

Problems = Callable[..., list[str]]

# what is replaced in the plain configuration, by what, and all that is said then
MISTAKES = [
    (
        "endpoints: [127.0.0.1:9001]",
        "endpoint: [127.0.0.1:9001]",
        ["5:14: unknown key 'endpoint' (did you mean endpoints?)"],
    ),
    ("[127.0.0.1:9001]", "[]", ["5:25: at least one belongs here"]),
    (
        "[127.0.0.1:9001]",
        "[{address: 127.0.0.1:9001, backup: true}]",
        ["5:13: every endpoint of the pool is a backup (leave `backup` out where requests go first)"],
    ),
    (
        "[127.0.0.1:9001]",
        "[127.0.0.1:9001, {address: 127.0.0.1:9001, backup: true}]",
        ["5:52: '127.0.0.1:9001' is an endpoint of 'blue' twice (first at 5:26; a weight gives it more)"],
    ),
    (
        "[127.0.0.1:9001]",
        "[127.0.0.1:9001, {address: 127.0.0.1:9009, backup: yes}]",
        ["5:76: 'yes' is neither true nor false (yes, no, on and off are texts in YAML 1.2)"],
    ),
    (
        "[127.0.0.1:9001]",
        "127.0.0.1:9001",
        ["5:25: a list belongs here, not '127.0.0.1:9001' (write [one, two], or one to a line after a dash)"],
    ),
    (
        "[127.0.0.1:9001]",
        "[127.0.0.1]",
        [
            "5:26: '127.0.0.1' is not an address with a port (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)"
        ],
    ),
    ("[127.0.0.1:9001]", "[127.0.0.1:0]", ["5:26: '127.0.0.1:0' has port 0 (an endpoint's port is 1 to 65535)"]),
    (
        "[127.0.0.1:9001]",
        "[127.0.0.1:70000]",
        [
            "5:26: '127.0.0.1:70000' has a port beyond 65535 (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "['::1:9001']",
        ["5:26: '::1:9001' is not an address with a port (put IPv6 addresses in brackets: [::1]:8080)"],
    ),
    (
        "[127.0.0.1:9001]",
        "['[::1:9001']",
        [
            "5:26: '[::1:9001' is not an address with a port (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "[0x7f000001:9001]",
        [
            "5:26: '0x7f000001:9001' has neither an IP address nor a host name before the port (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "[127.1:9001]",
        [
            "5:26: '127.1:9001' has neither an IP address nor a host name before the port (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "[http://a:9001]",
        [
            "5:26: 'http://a:9001' is not an address with a port (leave scheme and path out: write it like 10.0.0.1:8080)"
        ],
    ),
    ("[127.0.0.1:9001]", "['unix:']", ["5:26: 'unix:' names no socket (write it like unix:/run/shop.sock)"]),
    (
        "[127.0.0.1:9001]",
        "[169.254.169.254:80]",
        [
            "5:26: '169.254.169.254:80' is a link-local address (cloud machines give out their credentials there; if it is meant: allow_link_local: true in the pool)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "['[::ffff:169.254.169.254]:80']",
        [
            "5:26: '[::ffff:169.254.169.254]:80' is a link-local address (cloud machines give out their credentials there; if it is meant: allow_link_local: true in the pool)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "[127.0.0.1:9001, 127.0.0.1:9001]",
        ["5:42: '127.0.0.1:9001' is an endpoint of 'blue' twice (first at 5:26; a weight gives it more)"],
    ),
    (
        "[127.0.0.1:9001]",
        "[localhost:9900]",
        [
            "5:26: 'localhost:9900' leads back to ourselves: the admin (by default) listens there (requests would go in circles)"
        ],
    ),
    (
        "[127.0.0.1:9001]",
        "[127.0.0.1:8080]",
        ["5:26: '127.0.0.1:8080' leads back to ourselves: a listener listens there (requests would go in circles)"],
    ),
    (
        "[127.0.0.1:9001]",
        "[{address: 127.0.0.1:9001, weight: 0}]",
        ["5:60: '0' is no weight (a weight is more than 0; drain or remove what shall take nothing)"],
    ),
    (
        "[127.0.0.1:9001]",
        "[{address: 127.0.0.1:9001, weight: '2'}]",
        ["5:60: '2' is not a number (write it in digits, without quotes)"],
    ),
    ("[127.0.0.1:9001]", "[{adress: 127.0.0.1:9001}]", ["5:27: unknown key 'adress' (did you mean address?)"]),
    (
        "[127.0.0.1:9001]",
        "['unix:/run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx']",
        [
            "5:26: the path of 'unix:/run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is longer than 107 bytes (the system takes no longer ones)"
        ],
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_mistake_in_an_endpoint_is_told_with_its_place_and_a_remedy(
    problems: Problems, plain: str, old: str, new: str, expected: list[str]
) -> None:
    assert old in plain
    assert problems(plain.replace(old, new, 1)) == expected
