"""Http11Probe's requests, judged by what the origin received: what the case allows, or stricter."""

import re
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOURCE = "http11probe/vectors.jsonl"


def may_wait(vector: dict[str, Any]) -> bool:
    """Whether the case allows that nothing happens: the message never ends."""
    return "timeout" in vector["expected"]


def must_pass(vector: dict[str, Any]) -> bool:
    """Whether only success will do."""
    return vector["expected"] in ("2xx", "2xx or close", "2xx + close")


VECTORS = {
    "endless": may_wait,
    "valid": must_pass,
    "doubtful": lambda vector: not may_wait(vector) and not must_pass(vector),
}


async def test_valid_request_reaches_the_origin_once(stage: Any, valid: dict[str, Any]) -> None:
    closes = "+ close" in valid["expected"]
    outcome = await stage.replay(valid["raw"].encode("latin-1"), None if closes else 1)
    assert (outcome.statuses, len(outcome.requests)) == ([200], 1)
    assert outcome.closed is closes


async def test_doubtful_request_is_refused_or_read_as_allowed(stage: Any, doubtful: dict[str, Any]) -> None:
    raw = doubtful["raw"].encode("latin-1")
    outcome = await stage.replay(raw, 1)
    if outcome.statuses == [200]:
        assert re.search(r"2xx|200|!101", doubtful["expected"]), "must be refused"
        assert len(outcome.requests) == 1
        return
    assert not outcome.requests
    assert outcome.closed or 400 <= outcome.statuses[0] <= 505
    if outcome.statuses != [417]:  # understood, and declined
        assert (await stage.replay(raw)).refused, "the connection stays open after a refusal"


async def test_endless_request_never_becomes_a_whole_one(stage: Any, endless: dict[str, Any]) -> None:
    outcome = await stage.replay(endless["raw"].encode("latin-1"), 0)
    assert all(400 <= status <= 505 for status in outcome.statuses)
    assert not outcome.requests
