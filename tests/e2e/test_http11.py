"""HTTP/1.1 on the wire, seen from both ends: a raw client, the running proxy, a raw origin."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def target(message: Any) -> bytes:
    """The request target that the origin saw."""
    return message.start.split(b" ")[1]


async def test_connection_is_kept_on_both_sides(proxied: Factory) -> None:
    sluice, origin = await proxied()
    client = await sluice.connect()
    for number in range(3):
        response = await client.ask(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        assert (response.status, response.body) == (200, b"echo")
    await client.close()
    assert [target(request) for request in origin.requests] == [b"/0", b"/1", b"/2"]
    assert len(origin.streams) == 1


async def test_close_is_answered_and_kept_to(proxied: Factory) -> None:
    sluice, _ = await proxied()
    client = await sluice.connect()
    response = await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert response.one(b"connection") == b"close"
    assert await client.rest() == b""
    await client.close()


async def test_pipelined_requests_are_answered_in_order(proxied: Factory) -> None:
    sluice, origin = await proxied(
        answer=lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + target(request)
    )
    client = await sluice.connect()
    await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(9)))
    assert [(await client.response()).body for _ in range(9)] == [b"/%d" % number for number in range(9)]
    await client.close()
    assert len(origin.requests) == 9


async def test_pipelined_bodies_do_not_run_into_each_other(proxied: Factory) -> None:
    sluice, origin = await proxied()
    chunked = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    sized = b"POST /s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /"
    client = await sluice.connect()
    await client.send(chunked + sized + GET)
    assert [(await client.response()).status for _ in range(3)] == [200, 200, 200]
    await client.close()
    seen = [(target(request), request.body) for request in origin.requests]
    assert seen == [(b"/c", b"abc"), (b"/s", b"GET /"), (b"/", b"")]


async def test_request_that_comes_byte_by_byte_is_the_same(proxied: Factory) -> None:
    sluice, origin = await proxied()
    client = await sluice.connect()
    for byte in b"POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
        await client.send(bytes([byte]))
    assert (await client.response()).status == 200
    await client.close()
    assert [(target(request), request.body) for request in origin.requests] == [(b"/slow", b"abc")]


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"5"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", b"9"),
    ],
)
async def test_head_has_the_fields_and_no_body(proxied: Factory, head: bytes, length: bytes | None) -> None:
    sluice, origin = await proxied(answer=head)
    client = await sluice.connect()
    for _ in range(2):
        response = await client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (response.status, response.one(b"content-length")) == (int(head[9:12]), length)
    await client.close()
    assert len(origin.requests) == 2


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_status_without_body_does_not_wait_for_one(proxied: Factory, status: bytes) -> None:
    sluice, origin = await proxied(answer=b'HTTP/1.1 %b\r\nETag: "x"\r\n\r\n' % status)
    client = await sluice.connect()
    for _ in range(2):
        response = await client.ask(GET)
        assert (response.status, response.one(b"etag"), response.body) == (int(status[:3]), b'"x"', b"")
    await client.close()
    assert len(origin.streams) == 1


async def test_chunks_are_framed_again_without_their_extensions(proxied: Factory) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
    sluice, origin = await proxied(answer=answer)
    body = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n0\r\n\r\n"
    response = await sluice.ask(body)
    assert (response.body, origin.requests[0].body) == (b"hello!", b"ab")
    assert b"a=b" not in response.raw
    assert b";x" not in origin.requests[0].raw


async def test_trailers_pass_except_what_could_change_the_message(proxied: Factory) -> None:
    trailers = b"X-Sum: 1\r\nContent-Length: 9\r\nHost: evil\r\n"
    chunks = b"1\r\na\r\n0\r\n%b\r\n" % trailers
    sluice, origin = await proxied(answer=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
    response = await sluice.ask(head + chunks)
    assert response.trailers == ((b"X-Sum", b"1"),)
    assert origin.requests[0].trailers == ((b"X-Sum", b"1"),)
    assert origin.requests[0].one(b"te") == b"trailers"


async def test_body_until_close_becomes_chunks(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
        await writer.drain()

    sluice, _ = await proxied(serve=serve)
    client = await sluice.connect()
    for _ in range(2):
        response = await client.ask(GET)
        assert (response.body, response.one(b"transfer-encoding")) == (b"until the end", b"chunked")
    await client.close()


async def test_http10_client_gets_what_it_understands(proxied: Factory) -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    sluice, origin = await proxied(answer=chunks)
    client = await sluice.connect()
    response = await client.ask(b"GET / HTTP/1.0\r\n\r\n")
    assert (response.one(b"transfer-encoding"), response.body) == (None, b"abc")
    await client.close()
    assert origin.requests[0].start == b"GET / HTTP/1.1"


async def test_http10_client_may_keep_its_connection(proxied: Factory) -> None:
    sluice, _ = await proxied()
    client = await sluice.connect()
    for _ in range(2):
        response = await client.ask(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        assert response.one(b"connection") == b"keep-alive"
    await client.close()


async def test_http10_request_without_host_names_the_endpoint_itself(proxied: Factory) -> None:
    sluice, origin = await proxied()
    client = await sluice.connect()
    for _ in range(2):
        assert (await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")).status == 200
    await client.close()
    assert [request.one(b"host") for request in origin.requests] == [origin.address.encode()] * 2


async def test_informational_responses_pass_before_the_final_one(proxied: Factory) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    sluice, _ = await proxied(answer=early + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    client = await sluice.connect()
    hints = await client.ask(GET)
    assert (hints.status, hints.one(b"link")) == (103, b"</a.css>")
    assert (await client.response()).body == b"ok"
    await client.close()


async def test_continue_reaches_a_client_that_waits_for_it(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"100-continue" in head
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(3)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + body)
        await writer.drain()

    sluice, _ = await proxied(serve=serve)
    client = await sluice.connect()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    assert (await client.ask(head)).status == 100
    assert (await client.ask(b"abc")).body == b"abc"
    await client.close()


async def test_final_answer_instead_of_continue_closes(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    sluice, origin = await proxied(serve=serve)
    client = await sluice.connect()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    response = await client.ask(head)
    assert (response.status, response.one(b"connection")) == (401, b"close")
    await client.send(GET)
    assert await client.rest() == b""
    await client.close()
    assert origin.received.count(b"\r\n\r\n") == 1


async def test_early_response_arrives_while_the_body_is_still_sent(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")
        body = await reader.readexactly(10)
        writer.write(b"a\r\n%b\r\n0\r\n\r\n" % body)
        await writer.drain()

    sluice, _ = await proxied(serve=serve)
    client = await sluice.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    assert b"200 OK" in await asyncio.wait_for(client.reader.readuntil(b"early\r\n"), 15)
    await client.send(b"0123456789")
    assert b"0123456789" in await asyncio.wait_for(client.reader.readuntil(b"0\r\n\r\n"), 15)
    await client.close()


async def test_early_refusal_of_a_big_body_can_be_read(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        await writer.drain()

    sluice, _ = await proxied(serve=serve)
    client = await sluice.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + bytes(100_000))
    response = await client.response()
    assert (response.status, response.body, response.one(b"connection")) == (413, b"big", b"close")
    assert await client.rest() == b""
    await client.close()


async def test_options_star_and_absolute_form_reach_the_origin(proxied: Factory) -> None:
    sluice, origin = await proxied()
    assert (await sluice.ask(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
    assert (await sluice.ask(b"GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n")).status == 200
    assert [target(request) for request in origin.requests] == [b"*", b"/x?y"]
    assert origin.requests[1].one(b"host") == b"a.example"


async def test_path_is_forwarded_in_its_canonical_form(proxied: Factory) -> None:
    sluice, origin = await proxied()
    assert (await sluice.ask(b"GET /a/./b/../%7Ec?d=/../%7e HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
    assert target(origin.requests[0]) == b"/a/~c?d=/../%7e"


async def test_idle_connection_that_the_origin_closed_costs_no_request(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    sluice, origin = await proxied(service="retry: {retries: 0}", serve=serve)
    client = await sluice.connect()
    assert [(await client.ask(GET)).status for _ in range(20)] == [200] * 20
    await client.close()
    assert len(origin.streams) == 20


@pytest.mark.parametrize(
    "tail",
    [
        b"Content-Length: 10\r\n\r\nhalf",
        b"Transfer-Encoding: chunked\r\n\r\na\r\nhalf",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\nzz\r\n" % (1 << 20, bytes(1 << 20)),
    ],
    ids=["sized", "inside a chunk", "between chunks", "malformed"],
)
async def test_broken_response_is_never_passed_off_as_whole(proxied: Factory, tail: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + tail)
        await writer.drain()

    sluice, _ = await proxied(service="retry: {retries: 0}", serve=serve)
    client = await sluice.connect()
    await client.send(GET)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.response()
    await client.close()


async def test_bytes_after_a_response_never_answer_the_next_request(proxied: Factory) -> None:
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    sluice, origin = await proxied(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood" + poison)
    client = await sluice.connect()
    assert [(await client.ask(GET)).body for _ in range(3)] == [b"good"] * 3
    await client.close()
    assert len(origin.streams) == 3


async def test_plain_asyncio_loop_serves_too(sluice: Factory, origin: Factory, plain: Any) -> None:
    back = await origin()
    proxy = await sluice(plain(back.address), {"SLUICE_LOOP": "asyncio"})
    client = await proxy.connect()
    post = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    assert [(await client.ask(post)).body for _ in range(3)] == [b"echo"] * 3
    await client.close()
    assert [request.body for request in back.requests] == [b"abc"] * 3
