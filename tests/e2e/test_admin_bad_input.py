"""What the admin refuses, in a table: each row changes nothing and says what is wrong."""

import asyncio
from typing import Any

import pytest

S = "/v1/services/shop"
P = f"{S}/pools/blue"
E = f"{P}/endpoints"

ROWS: list[tuple[str, str, Any, int, str]] = [
    # URLs and methods
    ("GET", "/", None, 404, "nothing at this URL"),
    ("GET", "/v1/services/", None, 404, "nothing at this URL"),
    ("GET", "/v2/services", None, 404, "nothing at this URL"),
    ("GET", "/v1/services/none", None, 404, "no service 'none'; there is shop"),
    ("GET", "/v1/services/%00", None, 404, "no service"),
    ("GET", "/v1/services/shop%2Fsplit", None, 404, "no service 'shop/split'"),
    ("GET", "/v1/services/%ff", None, 404, "no service"),
    ("DELETE", "/v1/services", None, 405, "GET, HEAD"),
    ("POST", f"{S}/split", {}, 405, "DELETE, PUT"),
    ("GET", f"{S}/flip", None, 405, "POST"),
    ("PATCH", "/v1/status", None, 405, "GET, HEAD"),
    # queries
    ("GET", "/v1/services?x=1", None, 400, "unknown key 'x'"),
    ("GET", "/v1/events?after=-1", None, 400, "after"),
    ("GET", "/v1/events?after=1&after=2", None, 400, "after stands twice"),
    ("GET", "/v1/events?after=\u0661", None, 400, "after"),
    ("POST", f"{S}/undo?force=maybe", None, 400, "force"),
    ("POST", f"{S}/undo?reason={'x' * 501}", None, 400, "reason"),
    ("PUT", f"{S}/split?sessions=leave", {"blue": 100}, 400, "sessions"),
    ("POST", f"{S}/undo?{'&'.join('a' * 40)}", None, 400, "the query cannot be read"),
    # bodies
    ("PUT", f"{S}/split", b"{", 400, "the body is not what is expected"),
    ("PUT", f"{S}/split", b"\xff\xfe", 400, "the body is not what is expected"),
    ("PUT", f"{S}/split", b"[" * 100_000, 400, "the body is not what is expected"),
    ("PUT", f"{S}/split", b"null", 400, "Expected `object`"),
    ("PUT", f"{S}/split", [], 400, "Expected `object`"),
    ("POST", f"{S}/flip", {}, 400, "required field `to`"),
    ("POST", f"{S}/flip", {"to": 5}, 400, "$.to"),
    ("POST", f"{S}/flip", {"to": "green", "sesions": "move"}, 400, "sesions"),
    ("POST", f"{S}/flip", {"to": "green", "sessions": "leave"}, 400, "$.sessions"),
    ("POST", f"{S}/undo", {"a": 1}, 400, "unknown field `a`"),
    ("POST", "/v1/reload", {"a": 1}, 400, "unknown field `a`"),
    ("POST", "/v1/config/check", {"yaml": 1}, 400, "$.yaml"),
    # splits
    ("PUT", f"{S}/split", {}, 400, "length >= 1"),
    ("PUT", f"{S}/split", {"blue": 0}, 400, "gives nothing"),
    ("PUT", f"{S}/split", {"blue": 0, "canary": 0}, 400, "gives nothing"),
    ("PUT", f"{S}/split", {"blue": -1, "canary": 2}, 400, ">= 0.0"),
    ("PUT", f"{S}/split", {"blue": "90", "canary": 10}, 400, "$[...]"),
    ("PUT", f"{S}/split", {"blue": True, "canary": 10}, 400, "$[...]"),
    ("PUT", f"{S}/split", {"blue": None, "canary": 10}, 400, "$[...]"),
    ("PUT", f"{S}/split", b'{"blue": NaN, "canary": 1}', 400, "malformed"),
    ("PUT", f"{S}/split", b'{"blue": Infinity, "canary": 1}', 400, "malformed"),
    ("PUT", f"{S}/split", b'{"blue": 1e999, "canary": 1}', 400, "out of range"),
    ("PUT", f"{S}/split", {"blue": 1e300, "canary": 1}, 400, "<= 1000000000000.0"),
    ("PUT", f"{S}/split", {"canary": 5}, 400, "canary=5 rest"),
    ("PUT", f"{S}/split", {"blue": 90, "nope": 10}, 404, "no pool 'nope'; there is blue, green, canary"),
    ("PUT", "/v1/services/none/split", {"blue": 5}, 404, "no service 'none'"),
    ("PUT", f"{S}/split", {"": 100}, 400, "length >= 1"),
    # flips, undo, persist
    ("POST", f"{S}/flip", {"to": "nope"}, 404, "no pool 'nope'"),
    ("POST", "/v1/services/none/flip", {"to": "blue"}, 404, "no service 'none'"),
    ("POST", "/v1/services/none/persist", None, 404, "no service 'none'"),
    # drains
    ("POST", f"{S}/pools/nope/drain", None, 404, "no pool 'nope'"),
    ("POST", f"{E}/127.0.0.1:1/drain", None, 404, "no endpoint '127.0.0.1:1'"),
    ("POST", f"{E}/nonsense/drain", None, 404, "no endpoint 'nonsense'"),
    ("POST", f"{E}/127.0.0.1:1/restore", None, 404, "no endpoint"),
    ("POST", f"{P}/drain", {"deadline": "5"}, 400, "$.deadline"),
    ("POST", f"{P}/drain", {"deadline": "-5s"}, 400, "$.deadline"),
    ("POST", f"{P}/drain", {"deadline": -5}, 400, "$.deadline"),
    ("POST", f"{P}/drain", {"deadline": 1e9}, 400, "$.deadline"),
    ("POST", f"{P}/drain", {"deadline": "9999999h"}, 400, "$.deadline"),
    ("POST", f"{P}/drain", {"cut": "yes"}, 400, "$.cut"),
    # endpoints
    ("POST", E, {}, 400, "required field `address`"),
    ("POST", E, {"address": "127.0.0.1"}, 400, "$.address"),
    ("POST", E, {"address": "http://127.0.0.1:80"}, 400, "leave scheme and path out"),
    ("POST", E, {"address": "127.1:80"}, 400, "neither an IP address nor a host name"),
    ("POST", E, {"address": "127.0.0.1:0"}, 400, "port 0"),
    ("POST", E, {"address": "127.0.0.1:99999"}, 400, "beyond 65535"),
    ("POST", E, {"address": "a b:80"}, 400, "$.address"),
    ("POST", E, {"address": "a\r\nb:80"}, 400, "$.address"),
    ("POST", E, {"address": "169.254.169.254:80"}, 400, "link-local"),
    ("POST", E, {"address": "[fe80::1]:80"}, 400, "link-local"),
    ("POST", E, {"address": "[::ffff:169.254.169.254]:80"}, 400, "link-local"),
    ("POST", E, {"address": "127.0.0.1:ADMIN"}, 400, "leads back to ourselves"),
    ("POST", E, {"address": "localhost:ADMIN"}, 400, "leads back to ourselves"),
    ("POST", E, {"address": "127.0.0.1:STATUS"}, 400, "leads back to ourselves"),
    ("POST", E, {"address": "127.0.0.1:PORT"}, 400, "leads back to ourselves"),
    ("POST", E, {"address": "10.0.0.1:80", "weight": 0}, 400, "$.weight"),
    ("POST", E, {"address": "10.0.0.1:80", "weight": -1}, 400, "$.weight"),
    ("POST", E, {"address": "10.0.0.1:80", "weight": "1"}, 400, "$.weight"),
    ("POST", f"{S}/pools/nope/endpoints", {"address": "10.0.0.1:80"}, 404, "no pool 'nope'"),
    ("DELETE", f"{E}/127.0.0.1%3A1", None, 404, "no endpoint"),
    ("DELETE", f"{S}/pools/green/endpoints/GREEN", None, 409, "the only endpoint"),
]


def _filled(value: Any, guarded: Any) -> Any:
    names = {
        "ADMIN": guarded.api.port,
        "STATUS": guarded.status_port,
        "PORT": guarded.sluice.port,
        "GREEN": f"127.0.0.1:{guarded.origin_port}",
    }
    if isinstance(value, str):
        for name, number in names.items():
            value = value.replace(name, str(number))
    return {key: _filled(each, guarded) for key, each in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1][:60]} {str(row[2])[:50]!r}")
async def test_bad_request_is_told_and_changes_nothing(guarded: Any, row: tuple[str, str, Any, int, str]) -> None:
    method, path, body, status, expected = row
    before = await guarded.api("GET", S)
    said = await guarded.api(method, _filled(path, guarded).replace("\u0661", "%D9%A1"), _filled(body, guarded))
    assert said.status == status, said.body
    assert said.headers["Content-Type"] == "application/problem+json"
    assert set(said.body) == {"type", "title", "status", "detail", "problems"}
    assert said.body["status"] == status
    assert expected in said.body["detail"]
    assert (said.headers["Allow"] is not None) is (status == 405)
    after = await guarded.api("GET", S)
    assert (after.body["pools"], after.headers["ETag"]) == (before.body["pools"], before.headers["ETag"])


KINDS = [
    ("text/plain", 415),
    ("application/x-www-form-urlencoded", 415),
    ("multipart/form-data; boundary=x", 415),
    ("application/jsonp", 415),
    ("application/json; charset=utf-16", 415),
    ("", 415),
    ("application/json", 200),
    ("application/json; charset=utf-8", 200),
    ("Application/JSON", 200),
    ("application/merge-patch+json", 200),
]


@pytest.mark.parametrize(("kind", "status"), KINDS)
async def test_body_must_be_json(guarded: Any, kind: str, status: int) -> None:
    assert (await guarded.api("POST", "/v1/config/check", b"{}", Content_Type=kind)).status == status


async def test_empty_body_is_an_empty_object_whatever_its_type(guarded: Any) -> None:
    for kind in ("text/plain", "application/json"):
        said = await guarded.api("POST", "/v1/config/check", b"", Content_Type=kind)
        assert (said.status, said.body["valid"]) == (200, True)


@pytest.mark.parametrize("chunked", [False, True])
async def test_body_over_a_mebibyte_is_refused(guarded: Any, *, chunked: bool) -> None:
    size = 1024 * 1024 + 1
    client = await _connected(guarded)
    head = b"POST /v1/config/check HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer the-first-token\r\n"
    if chunked:
        await client.send(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size + b"x" * size)
    else:
        await client.send(head + b"Content-Length: %d\r\n\r\n" % size)
    assert (await client.response()).status == 413
    await client.close()


async def test_body_of_a_mebibyte_is_read(guarded: Any) -> None:
    body = b'{"yaml": "' + b"#" * (1024 * 1024 - 12) + b'"}'
    assert len(body) == 1024 * 1024
    said = await guarded.api("POST", "/v1/config/check", body)
    assert (said.status, said.body["valid"]) == (200, False)


async def test_expected_continue_comes_before_the_body(guarded: Any) -> None:
    client = await _connected(guarded)
    await client.send(
        b"POST /v1/config/check HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer the-first-token\r\n"
        b"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    assert (await client.response()).status == 100
    await client.send(b"{}")
    assert (await client.response()).status == 200
    await client.close()


async def _connected(guarded: Any) -> Any:
    """A raw client of the admin."""
    other = await guarded.sluice.connect()
    await other.close()
    return type(other)(*await asyncio.open_connection("127.0.0.1", guarded.api.port, limit=1 << 22))


async def test_proxy_has_seen_no_error_of_ours(guarded: Any) -> None:
    assert "Traceback" not in guarded.sluice.output
