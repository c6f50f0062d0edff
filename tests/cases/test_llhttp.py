"""llhttp's vectors: its errors are refused, what it calls valid passes unless a rule of ours refuses it."""

import re
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOURCE = "llhttp/vectors.jsonl"
ENDS = (5, 6, 22)  # bytes after a closing message, a method llhttp does not know, its pause at an upgrade

VERSION = "versions other than HTTP/1.0 and 1.1 are refused"
CODING = "any Transfer-Encoding but exactly one `chunked` is refused"
FRAGMENT = "a target with # is refused"
ASTERISK = "asterisk-form belongs to OPTIONS alone (RFC 9112 §3.2.4)"
BEFORE = "nothing may stand before a status line: RFC 9112 §2.2 allows an empty line before requests only"
REFUSED = {
    "request/method.md:137": ASTERISK,
    "request/method.md:374": VERSION,
    "request/method.md:404": VERSION,
    "request/method.md:432": VERSION,
    "request/sample.md:316": VERSION,
    "request/transfer-encoding.md:753": CODING,
    "request/transfer-encoding.md:795": CODING,
    "request/uri.md:6": "a target with a backslash is refused",
    "request/uri.md:167": FRAGMENT,
    "request/uri.md:224": "a target with userinfo is refused",
    "response/connection.md:588": BEFORE,
    "response/connection.md:643": "announces 17 bytes and brings 16: never passed on as whole",
    "response/sample.md:42": VERSION,
    "response/sample.md:62": VERSION,
    "response/sample.md:647": VERSION,
    "response/sample.md:697": BEFORE,
    "response/transfer-encoding.md:45": CODING,
    "response/transfer-encoding.md:76": CODING,
    "response/transfer-encoding.md:114": CODING,
}


def place(vector: dict[str, Any]) -> str:
    """The file and line of a vector."""
    return f"{vector['src'].removeprefix('llhttp/test/')}:{vector['line']}"


def is_wrong(vector: dict[str, Any]) -> bool:
    """Whether it has to be refused: an error for llhttp, or one of our rules."""
    return vector["error"] not in (None, *ENDS) or place(vector) in REFUSED


def chosen(kind: str, *, wrong: bool = False, ends: bool = False) -> Any:
    """Vectors of a type; skipBody is a switch of llhttp's interface, which no bytes can set."""

    def wanted(vector: dict[str, Any]) -> bool:
        meta = vector["meta"]
        mine = meta["type"] == kind and not meta.get("skipBody")
        return mine and is_wrong(vector) == wrong and (vector["error"] in ENDS) == ends

    return wanted


VECTORS = {
    "wrong_request": chosen("request", wrong=True),
    "valid_request": chosen("request"),
    "last_request": chosen("request", ends=True),
    "wrong_response": chosen("response", wrong=True),
    "valid_response": chosen("response"),
    "last_response": chosen("response", ends=True),
}


def with_host(raw: bytes) -> bytes:
    """The request with a Host in each head, which most vectors lack, and with an end to its head."""
    if not re.search(rb"(?i)\n[ \t]*host[ \t]*:", raw):
        authority = re.search(rb"^\s*\w+ http://([^/? ]+)", raw)
        line = b"Host: " + (authority[1] if authority else b"a") + b"\r\n"
        raw = re.sub(rb"(?m)^([A-Z-]+ [^\r\n]*\r\n)", lambda found: found[1] + line, raw)
    if b"\r\n\r\n" in raw:
        return raw
    return raw + (b"\r\n" if raw.endswith(b"\r\n") else b"\r\n\r\n")


async def test_wrong_request_is_refused(stage: Any, wrong_request: dict[str, Any]) -> None:
    outcome = await stage.replay(with_host(wrong_request["raw"].encode()))
    assert outcome.refused, (wrong_request["reason"], REFUSED.get(place(wrong_request)), outcome)
    assert 408 not in outcome.statuses, "refused for being slow, not for being wrong"


async def test_valid_request_reaches_the_origin(stage: Any, valid_request: dict[str, Any]) -> None:
    messages = valid_request["messages"]
    outcome = await stage.replay(with_host(valid_request["raw"].encode()), messages)
    assert all(status == 200 for status in outcome.statuses)
    if messages:
        assert (len(outcome.statuses), len(outcome.requests)) == (messages, messages)


async def test_last_request_is_not_followed_by_another(stage: Any, last_request: dict[str, Any]) -> None:
    outcome = await stage.replay(with_host(last_request["raw"].encode()), 1)
    assert len(outcome.statuses) == 1
    assert len(outcome.requests) == (outcome.statuses == [200])


async def test_wrong_response_is_never_whole(stage: Any, wrong_response: dict[str, Any]) -> None:
    status, whole = await stage.answer(wrong_response["raw"].encode())
    assert status == 502 if whole else status != 502


async def test_valid_response_reaches_the_client(stage: Any, valid_response: dict[str, Any]) -> None:
    status, whole = await stage.answer(valid_response["raw"].encode())
    finals = [int(line[9:12]) for line in valid_response["raw"].split("\r\n") if re.match(r"HTTP/1\.[01] [2-5]", line)]
    assert status == finals[0]
    assert whole or not valid_response["messages"]


async def test_last_response_is_not_followed_by_another(stage: Any, last_response: dict[str, Any]) -> None:
    status, whole = await stage.answer(last_response["raw"].encode())
    unasked = last_response["raw"].startswith("HTTP/1.1 101")
    assert (status, whole) == (502 if unasked else int(last_response["raw"][9:12]), True)
