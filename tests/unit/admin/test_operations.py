"""The table of operations, how URLs are found in it, and the description that is made of it."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from proxy.admin import openapi
from proxy.admin.body import check_split, read_query, seconds
from proxy.admin.operation import Nothing
from proxy.admin.operations import OPERATIONS, STATUS_TABLE, TABLE
from proxy.admin.problem import ProblemError

DOCUMENT = openapi.document(OPERATIONS, "1")

FOUND: list[tuple[str, set[str], dict[str, str]]] = [
    ("/healthz", {"GET"}, {}),
    ("/v1/services/shop", {"GET"}, {"service": "shop"}),
    ("/v1/services/a%2Fb", {"GET"}, {"service": "a/b"}),
    ("/v1/services/shop/split", {"PUT", "DELETE"}, {"service": "shop"}),
    ("/v1/services/s/pools/p/endpoints", {"POST"}, {"service": "s", "pool": "p"}),
    (
        "/v1/services/s/pools/p/endpoints/unix:%2Frun%2Fa%20b",
        {"DELETE"},
        {"service": "s", "pool": "p", "address": "unix:/run/a b"},
    ),
    (
        "/v1/services/s/pools/p/endpoints/[::1]:80/drain",
        {"POST"},
        {"service": "s", "pool": "p", "address": "[::1]:80"},
    ),
    ("/v1/services//split", set(), {}),
    ("/v1/services/shop/", set(), {}),
    ("/V1/services", set(), {}),
    ("", set(), {}),
    ("/healthz\n", set(), {}),
]


@pytest.mark.parametrize(("path", "methods", "names"), FOUND)
def test_url_is_found_as_it_was_sent(path: str, methods: set[str], names: dict[str, str]) -> None:
    found, said = TABLE.find(path)
    assert (set(found), dict(said)) == (methods, names)


def test_status_table_has_three_urls() -> None:
    assert [each.path for each in STATUS_TABLE.operations] == ["/healthz", "/readyz", "/metrics"]


def test_no_operation_stands_twice() -> None:
    rows = [(each.method, each.path) for each in OPERATIONS]
    assert len(rows) == len(set(rows))


def test_description_has_every_operation_and_no_other() -> None:
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == {(each.method, each.path) for each in OPERATIONS}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_operation_is_described_as_it_is_checked(operation: Any) -> None:
    found = DOCUMENT["paths"][operation.path][operation.method.lower()]
    by_place = {
        place: [each["name"] for each in found["parameters"] if each["in"] == place] for place in ("path", "query")
    }
    assert by_place == {"path": list(operation.names), "query": [each.name for each in operation.query]}
    assert ("requestBody" in found) is (operation.body is not Nothing)
    assert found["security"] == ([] if operation.needs == "nothing" else [{way: []} for way in operation.ways])
    assert operation.ways[0] == "bearer"
    assert (len(operation.ways) > 1) is operation.path.startswith("/ofrep/")
    assert {"200", "400"} <= set(found["responses"])


def test_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]

    def references(node: Any) -> Any:
        if isinstance(node, dict):
            yield from ([node["$ref"]] if "$ref" in node else ())
            node = list(node.values())
        for each in node if isinstance(node, list) else ():
            yield from references(each)

    found = set(references(DOCUMENT))
    assert found
    assert {each.removeprefix("#/components/schemas/") for each in found} <= set(schemas)
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


SPLITS: list[tuple[dict[str, float], str | None]] = [
    ({"blue": 100}, None),
    ({"blue": 90, "canary": 0}, None),
    ({"blue": 0.1, "canary": 0.2}, None),
    ({"blue": 5}, "blue=5 rest"),
    ({"blue": 0}, "gives nothing"),
    ({"blue": 0, "canary": 0}, "gives nothing"),
]


@pytest.mark.parametrize(("split", "problem"), SPLITS)
def test_split_is_one_that_can_be_meant(split: dict[str, float], problem: str | None) -> None:
    if problem is None:
        check_split(split)
        return
    with pytest.raises(ProblemError, match=problem):
        check_split(split)


@pytest.mark.parametrize(("duration", "expected"), [(None, None), ("30s", 30.0), ("250ms", 0.25), (1.5, 1.5), (0, 0)])
def test_duration_is_read_as_in_the_yaml(duration: Any, expected: float | None) -> None:
    assert seconds(duration) == expected


QUERIES: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("force", {"force": True}),
    ("force=", {"force": True}),
    ("force=true&reason=a%20b+c", {"force": True, "reason": "a b c"}),
    ("force=0", {"force": False}),
    ("reason=a%0Ab%1b", {"reason": "a b "}),
    ("reason=%ff", {"reason": "\ufffd"}),
]


@pytest.mark.parametrize(("text", "expected"), QUERIES)
def test_query_is_read_by_the_row(text: str, expected: dict[str, Any]) -> None:
    operation = TABLE.find("/v1/services/s/undo")[0]["POST"]
    assert read_query(text, operation.query) == expected
