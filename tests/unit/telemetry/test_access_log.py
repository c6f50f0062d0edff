"""Lines of the access log: what they hold, and that no client can forge one."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.telemetry.access_log import FIELDS, JSON_FIELDS, line_of, wanted
from proxy.telemetry.record import Record

PLAIN = Record(
    time=1795426012.1239,
    client="192.0.2.1",
    scheme=b"http",
    method=b"GET",
    target=b"/a?b=c",
    host=b"shop.example",
    minor=1,
    status=200,
    reason=None,
    route="shop",
    service="shop",
    pool="blue",
    endpoint="127.0.0.1:9001",
    attempts=1,
    bucket=17,
    connect=None,
    first_byte=0.0123456789,
    total=0.02,
    received=0,
    sent=128,
    request_id=b"r1",
    trace_id=b"0af7651916cd43dd8448eb211c80319c",
    user_agent=b"curl/8",
    referer=b"https://a/",
)
NO_REQUEST = msgspec.structs.replace(
    PLAIN, method=b"", target=b"", host=b"", minor=-1, status=400, reason="bad_line", route="", user_agent=b"", sent=0
)


def record(**fields: Any) -> Record:
    return msgspec.structs.replace(PLAIN, **fields)


def test_json_line_has_every_field() -> None:
    line = line_of("json")(PLAIN)
    assert line.endswith(b"}\n")
    found = json.loads(line)
    assert list(found) == list(JSON_FIELDS)
    assert found["time"] == "2026-11-23T09:26:52.123Z"
    assert (found["method"], found["target"], found["protocol"]) == ("GET", "/a?b=c", "HTTP/1.1")
    assert (found["status"], found["reason"], found["bucket"], found["attempts"]) == (200, None, 17, 1)
    assert (found["connect"], found["first_byte"], found["total"]) == (None, 0.012346, 0.02)
    assert (found["request_id"], found["trace_id"]) == ("r1", "0af7651916cd43dd8448eb211c80319c")


def test_combined_line_is_that_of_ncsa() -> None:
    assert line_of("combined")(PLAIN) == (
        b'192.0.2.1 - - [23/Nov/2026:09:26:52 +0000] "GET /a?b=c HTTP/1.1" 200 128 "https://a/" "curl/8"\n'
    )


def test_what_is_not_known_is_a_dash_or_empty() -> None:
    assert b'"-" 400 - "https://a/" "-"\n' in line_of("combined")(NO_REQUEST)
    assert json.loads(line_of("json")(NO_REQUEST))["protocol"] == ""


FORMATS = [
    ("{status}", {}, b"200\n"),
    ("{{{path}}} 100%", {}, b"{/a} 100%\n"),
    ("{connect} {first_byte} {reason}", {}, b"- 0.012346 -\n"),
    ("{user_agent} {status}", {"user_agent": b"a 200"}, rb"a\x20200 200" + b"\n"),
    ('"{user_agent}" {status}', {"user_agent": b'a" 500'}, rb'"a\" 500" 200' + b"\n"),
    ("s={status} t={target}", {"target": b"/?s=500"}, rb"s=200 t=/?s\x3d500" + b"\n"),
    ("{target}|{status}", {"target": b"/|500"}, rb"/\x7c500|200" + b"\n"),
    ("{target}\t{status}", {"target": b"/\t5"}, rb"/\x095" + b"\t200\n"),
    ("{path}", {"target": b"/\r\n\x1b[31m\x7f\\\xff"}, rb"/\x0d\x0a\x1b[31m\x7f\\\xff" + b"\n"),
    ("{path}", {"target": "/é".encode()}, rb"/\xc3\xa9" + b"\n"),
]


@pytest.mark.parametrize(("form", "fields", "line"), FORMATS)
def test_format_makes_this_line(form: str, fields: dict[str, Any], line: bytes) -> None:
    assert line_of(form)(record(**fields)) == line


MISTAKES = [
    ("", "names no field"),
    ("jason", "names no field"),
    ("{statsu}", r"there is no field \{statsu\}; there is time, "),
    ("{status", "a brace stands alone"),
    ("status}", "a brace stands alone"),
    ("{}", "a brace stands alone"),
    ("{status}\n", "one line without control characters"),
]


@pytest.mark.parametrize(("form", "message"), MISTAKES)
def test_wrong_format_is_refused(form: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        line_of(form)


HOSTILE = [
    (b"/\r\n{}", "/\r\n{}"),
    (b'/","status":200,"x":"', '/","status":200,"x":"'),
    (b"/\x1b[2J\x7f\\", "/\x1b[2J\x7f\\"),
    ("/é\u2028\u202e\x9b".encode(), "/é\u2028\u202e\x9b"),
    (b"/\xff\xc3", r"/\xff\xc3"),
    (b"/" + b"a" * 8191, "/" + "a" * 8191),
]


@pytest.mark.parametrize(("target", "read"), HOSTILE)
def test_json_line_keeps_what_is_hostile_within_its_field(target: bytes, read: str) -> None:
    line = line_of("json")(record(target=target))
    found = json.loads(line)
    assert (found["target"], found["status"]) == (read, 200)
    text = line.decode()[:-1]
    assert not [each for each in text if each < " " or "\x7f" <= each <= "\x9f" or each in "\u2028\u2029\u202e"]


CLIENTS = st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))


@given(CLIENTS, CLIENTS, CLIENTS)
def test_no_client_forges_a_line_or_a_field(target: bytes, agent: bytes, referer: bytes) -> None:
    hostile = record(target=target, user_agent=agent, referer=referer)
    line = line_of("{status} {target} {user_agent} {referer}")(hostile)
    assert line.count(b"\n") == 1
    assert line.count(b" ") == 3
    assert line.isascii()
    assert line[:-1].decode().isprintable()
    combined = line_of("combined")(hostile)
    assert combined.replace(rb"\\", b"").replace(rb"\"", b"").count(b'"') == 6
    assert combined.count(b"\n") == 1
    assert list(json.loads(line_of("json")(hostile))) == list(JSON_FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_may_be_named(name: str) -> None:
    assert line_of(f"<{{{name}}}>")(PLAIN).startswith(b"<")
    assert line_of(f"<{{{name}}}>")(NO_REQUEST).endswith(b">\n")


WANTED = [
    (((500, 599),), None, 0.0, {"status": 500}, True),
    (((500, 599),), None, 0.0, {"status": 499}, False),
    (((404, 404), (500, 599)), None, 0.0, {"status": 404}, True),
    ((), 1.0, 0.0, {"total": 1.1}, True),
    ((), 1.0, 0.0, {"total": 1.0}, False),
    ((), 1.0, 0.0, {"status": 101, "total": 3600.0, "first_byte": 0.2}, False),
    ((), 1.0, 0.0, {"status": 101, "total": 3600.0, "first_byte": 1.2}, True),
    ((), 1.0, 0.0, {"status": 101, "total": 3600.0, "first_byte": None}, False),
    (((500, 599),), 1.0, 0.0, {"total": 2.0}, True),
    (((500, 599),), None, 0.6, {}, True),
    (((500, 599),), None, 0.5, {}, False),
]


@pytest.mark.parametrize(("statuses", "slower", "sample", "fields", "is_wanted"), WANTED)
def test_record_is_wanted(statuses: Any, slower: Any, sample: float, fields: dict[str, Any], is_wanted: bool) -> None:
    asked = wanted(statuses, slower, sample, lambda: 0.5)
    assert asked is not None
    assert asked(record(**fields)) is is_wanted


def test_everything_is_wanted_without_a_question() -> None:
    assert wanted(((500, 599),), 1.0, 1.0, lambda: 0.5) is None
