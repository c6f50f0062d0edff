"""OFREP as bytes: what each request is answered with."""

import json
from typing import Any

import pytest

from proxy.flags import definitions, header, rules
from proxy.flags.context import merge
from proxy.flags.evaluation import Evaluation
from proxy.flags.ofrep import PREFIX, Asked, Service

DOCUMENT = {
    "flags": {
        "on-off": {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"},
        "ratio": {"state": "ENABLED", "variants": {"whole": 3, "part": 0.5}, "defaultVariant": "whole"},
        "dark": {"state": "DISABLED", "variants": {"on": True}, "defaultVariant": "on"},
    }
}
DEEP = b'{"context":{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}}"


def ask(path: str, body: bytes = b"{}", service: Any = None, **fields: str) -> Any:
    made = service or Service(definitions.read(DOCUMENT), "7")
    return made.answer(Asked("POST", PREFIX + path, fields, body), {}, 0)


@pytest.mark.parametrize(
    ("path", "body", "status", "part"),
    [
        ("/on-off", b"", 200, b'"variant":"on","value":true'),
        ("/ratio", b'{"context":{}}', 200, b'"value":3.0'),
        ("/dark", b"{}", 200, b'"reason":"DISABLED","variant":""'),
        ("/gone", b"{}", 404, b"FLAG_NOT_FOUND"),
        ("/../admin", b"{}", 404, b"FLAG_NOT_FOUND"),
        ("/on-off", b"{", 400, b"PARSE_ERROR"),
        ("/on-off", b"[]", 400, b"INVALID_CONTEXT"),
        ("", b'{"context":3}', 400, b"errorDetails"),
        ("/on-off", DEEP, 400, b"errorDetails"),
        ("/on-off", b" " * 70_000, 413, b"errorDetails"),
    ],
)
def test_request_is_answered(path: str, body: bytes, status: int, part: bytes) -> None:
    answer = ask(path, body)
    assert (answer.status, part in answer.body) == (status, True), answer


def test_disabled_flag_has_no_value_unless_asked_for() -> None:
    assert "value" not in json.loads(ask("/dark").body)
    explicit = Service(definitions.read(DOCUMENT), "7", explicit=True)
    assert json.loads(ask("/dark", service=explicit).body)["value"] is True


def test_etag_follows_context_and_version() -> None:
    first = ask("", b'{"context":{"a":1}}')
    tag = first.fields["etag"]
    assert ask("", b'{"context":{"a":1}}', **{"if-none-match": f'"x", W/{tag}'}).status == 304
    assert ask("", b'{"context":{"a":2}}', **{"if-none-match": tag}).status == 200
    newer = Service(definitions.read(DOCUMENT), "8")
    assert ask("", b'{"context":{"a":1}}', newer, **{"if-none-match": tag}).status == 200


def test_private_flag_is_not_seen() -> None:
    service = Service(definitions.read(DOCUMENT), "7", public=frozenset({"dark"}))
    assert ask("/on-off", service=service).status == 404
    assert [flag["key"] for flag in json.loads(ask("", service=service).body)["flags"]] == ["dark"]


def test_edge_wins_over_static_over_client() -> None:
    assert merge({"a": 1, "b": 1, "c": 1}, {"b": 2, "c": 2}, {"c": 3}) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize(
    ("key", "variant", "expected"),
    [
        ("checkout-v2", "on", "checkout-v2=on;r=STATIC"),
        ("a", 'x "y"', 'a="x \\"y\\"";r=STATIC'),
        ("a", "é\r\n", 'a=%"%c3%a9%0d%0a";r=STATIC'),
        ("Big", "on", "f-big=on;r=STATIC;k=Big"),
        ("a", None, ""),
    ],
)
def test_header_member_is_written(key: str, variant: str | None, expected: str) -> None:
    assert header.dictionary([(key, Evaluation(True, variant, "STATIC"))]) == expected


def test_header_is_bounded() -> None:
    many = [(f"flag{place}", Evaluation(True, "on", "STATIC")) for place in range(1000)]
    assert 400 < len(header.dictionary(many, 500)) <= 500


def expanded(rule: Any) -> Any:
    flags, problems = rules.expand({"f": rule})
    made = definitions.read({"flags": flags})
    assert not problems
    assert not made.problems
    return made


def test_short_form_chooses_users_regions_and_share() -> None:
    made = expanded({"on_for": {"users": ["ann"], "regions": ["eu"], "percent": 10}, "otherwise": "off"})
    assert made.evaluate("f", {"targetingKey": "ann"}, 0).variant == "on"
    assert made.evaluate("f", {"targetingKey": "x", "region": "eu"}, 0).variant == "on"
    on = sum(made.evaluate("f", {"targetingKey": f"u{place}"}, 0).variant == "on" for place in range(5000))
    assert 400 < on < 600


@pytest.mark.parametrize(("now", "low", "high"), [(0, 30, 70), (1500, 450, 600), (9999, 1000, 1000)])
def test_ramp_moves_with_time(now: int, low: int, high: int) -> None:
    made = expanded({"ramp": {"from": 5, "to": 100, "start": 1000, "end": 2000}})
    on = sum(made.evaluate("f", {"targetingKey": f"u{place}"}, now).variant == "on" for place in range(1000))
    assert low <= on <= high


@pytest.mark.parametrize("rule", [3, {"on": 1}, {"on_for": {"percent": 101}}, {"ramp": {"start": 2, "end": 1}}])
def test_wrong_short_form_is_refused(rule: Any) -> None:
    assert rules.expand({"f": rule})[1]
