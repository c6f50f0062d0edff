"""The exchange between two sides that speak no protocol at all: what it promises does not depend on HTTP/1.1."""

from typing import Any

from proxy.snapshot.document import Timeouts


def test_body_streams_both_ways(make: Any) -> None:
    stage = make()
    exchange = stage.begin(b"POST", 6, b"ab", False)
    exchange.request_data(b"cd")
    exchange.response(stage.head(length=4), b"", False)
    exchange.request_data(b"ef")
    exchange.request_end(b"")
    exchange.response_data(b"12")
    server = stage.busy
    exchange.response_end(b"34", b"t: 1\r\n")
    assert server.bodies == [b"abcdef"]
    assert stage.client.body == b"1234"
    assert stage.client.events == ["begun", "endt: 1\r\n", "finished"]
    assert stage.places == [(0, 0)]


def test_response_before_the_request_ends_is_seen_through_when_little_is_left(make: Any) -> None:
    stage = make()
    exchange = stage.begin(b"POST", 4, b"ab", False)
    server = stage.busy
    exchange.response(stage.head(), b"ok", True)
    assert stage.client.events == ["done"]
    exchange.request_data(b"cd")
    exchange.request_end(b"")
    assert server.bodies == [b"abcd"]
    assert stage.client.events == ["done", "finished"]
    assert server.events[-1] == "released"


def test_response_before_the_request_ends_gives_the_connection_up_when_much_is_left(make: Any) -> None:
    stage = make()
    stage.client.drains = False
    exchange = stage.begin(b"POST", 4, b"ab", False)
    server = stage.busy
    exchange.response(stage.head(), b"ok", True)
    assert stage.client.events == ["done", "finished"]
    assert server.events[-1] == "closed"
    assert stage.places == [(0, 0)]


def test_client_that_leaves_ends_the_attempt_and_blames_nobody(make: Any) -> None:
    stage = make()
    exchange = stage.begin()
    server = stage.busy
    exchange.abandon()
    assert server.events[-1] == "closed"
    assert exchange.status == 499
    assert (server.endpoint.consecutive_errors, stage.places) == (0, [(0, 0)])


def test_response_that_breaks_is_never_whole_and_never_tried_again(make: Any) -> None:
    stage = make(2)
    exchange = stage.begin()
    exchange.response(stage.head(length=9), b"half", False)
    exchange.response_broken("upstream_reset")
    assert stage.client.events == ["begun", "broken"]
    assert sum(len(server.bodies) for server in stage.servers.values()) == 1
    assert stage.places == [(0, 0), (0, 0)]


def test_total_time_includes_the_response(make: Any) -> None:
    stage = make(timeouts=Timeouts(total=1.0))
    exchange = stage.begin()
    server = stage.busy
    exchange.response(stage.head(length=9), b"half", False)
    exchange.expire(exchange.deadline)
    assert stage.client.events == ["begun", "broken"]
    assert server.events[-1] == "closed"
    assert stage.places == [(0, 0)]


def test_upgrade_joins_the_sides(make: Any) -> None:
    stage = make()
    exchange = stage.begin()
    exchange.upgrade(stage.head(101), b"early")
    assert stage.client.events == ["joined 101 b'early'"]


def test_back_pressure_is_passed_on(make: Any) -> None:
    stage = make()
    exchange = stage.begin(b"POST", 4, b"ab", False)
    server = stage.busy
    exchange.pause_request()
    assert stage.client.is_paused
    exchange.resume_request()
    assert not stage.client.is_paused
    exchange.pause_response()
    exchange.resume_response()
    assert server.events[-2:] == ["pause", "resume"]
