"""The index of the route table gives what reading the table from its top gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http1.facts import Facts
from proxy.http1.message import NO_BODY, RequestHead
from proxy.routing.matches import MATCHES, Place
from proxy.routing.route import Route
from proxy.routing.router import SMALL, Router, Row


@dataclass(slots=True)
class Request:
    head: RequestHead
    path: bytes
    host: bytes
    query: bytes = b""
    client: str = "192.0.2.1"
    scheme: bytes = b"http"


LABELS = st.sampled_from(["a", "b", "com"])
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
ELEMENTS = st.lists(st.sampled_from(["x", "y", "xy", ""]), max_size=4)
PATHS = ELEMENTS.map(lambda elements: "/" + "/".join(elements))
HOST_PATTERNS = st.one_of(HOSTS, HOSTS.map(lambda host: f"*.{host}"))
PATH_PATTERNS = st.one_of(
    PATHS,
    PATHS.map(lambda path: path.rstrip("/") + "/*"),
    st.sampled_from(["~/x.*", "~.*y", "~/"]),
)
METHODS = st.sampled_from(["GET", "POST"])
MATCHES_OF_A_ROUTE = st.fixed_dictionaries(
    {},
    optional={
        "host": st.one_of(HOST_PATTERNS, st.lists(HOST_PATTERNS, min_size=1, max_size=3)),
        "path": st.one_of(PATH_PATTERNS, st.lists(PATH_PATTERNS, min_size=1, max_size=3)),
        "methods": METHODS,
    },
)
REQUESTS = st.tuples(st.one_of(HOSTS, st.just("")), st.one_of(PATHS, st.just("*")), METHODS)


def row(number: int, matches: dict[str, Any]) -> Row:
    built = tuple(MATCHES.build(kind, {"value": value}) for kind, value in matches.items())
    place = Place(None, lambda: 0.5)
    return Row(Route(str(number)), built, tuple(match.compile(place) for match in built))


def request(host: str, path: str, method: str) -> Facts:
    head = RequestHead(method.encode(), path.encode(), 1, host.encode(), NO_BODY, 0, b"", None, None, 0)
    return Request(head, path.encode(), host.encode())


def scan(rows: list[Row]) -> Callable[[Facts], Route | None]:
    return lambda facts: next((each.route for each in rows if all(test(facts) for test in each.tests)), None)


@settings(max_examples=200)
@given(st.lists(MATCHES_OF_A_ROUTE, min_size=1, max_size=60), st.lists(REQUESTS, min_size=1, max_size=20))
def test_index_finds_what_a_scan_finds(table: list[dict[str, Any]], requests: list[tuple[str, str, str]]) -> None:
    table += [{"host": f"filler{number}"} for number in range(SMALL)]
    rows = [row(number, matches) for number, matches in enumerate(table)]
    find, naive = Router(rows).find, scan(rows)
    for host, path, method in requests:
        facts = request(host, path, method)
        assert find(facts) is naive(facts)


@settings(max_examples=50)
@given(st.lists(MATCHES_OF_A_ROUTE, max_size=SMALL), REQUESTS)
def test_short_table_finds_what_a_scan_finds(table: list[dict[str, Any]], asked: tuple[str, str, str]) -> None:
    rows = [row(number, matches) for number, matches in enumerate(table)]
    facts = request(*asked)
    assert Router(rows).find(facts) is scan(rows)(facts)
