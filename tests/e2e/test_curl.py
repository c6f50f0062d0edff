"""curl as a client: what people type, and what it does by itself (100-continue, HTTP/1.0, uploads)."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


async def curl(*arguments: str) -> tuple[int, str]:
    """Exit status and output of `curl --silent`; nothing of the user's own settings applies."""
    process = await asyncio.create_subprocess_exec(
        "curl", "--disable", "--noproxy", "*", "--silent", "--show-error", "--max-time", "15", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode("latin-1")


async def test_get_shows_the_body(proxied: Factory) -> None:
    sluice, _ = await proxied()
    assert await curl(sluice.url) == (0, "echo")


async def test_urls_of_one_command_share_a_connection(proxied: Factory) -> None:
    sluice, origin = await proxied()
    status, output = await curl("--verbose", f"{sluice.url}/[1-3]")
    assert status == 0
    assert output.lower().count("re-us") == 2
    assert len(origin.requests) == 3


async def test_head_ends_at_the_head(proxied: Factory) -> None:
    sluice, _ = await proxied(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    status, output = await curl("--head", sluice.url)
    assert status == 0
    assert "content-length: 1000" in output.lower()


async def test_http10_gets_the_whole_body(proxied: Factory) -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    sluice, _ = await proxied(answer=chunks)
    assert await curl("--http1.0", sluice.url) == (0, "abc")


async def test_upload_waits_for_continue(proxied: Factory) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)
        await writer.drain()

    sluice, _ = await proxied(serve=serve)
    status, output = await curl("--include", "--header", "Expect: 100-continue", "--data", "hello", sluice.url)
    assert status == 0
    assert output.startswith("HTTP/1.1 100")
    assert output.endswith("hello")


async def test_chunked_upload_arrives_whole(proxied: Factory, tmp_path: Path) -> None:
    sluice, origin = await proxied()
    body = bytes(range(256)) * 4096
    (tmp_path / "body").write_bytes(body)
    upload = ("--upload-file", str(tmp_path / "body"), "--header", "Transfer-Encoding: chunked")
    assert await curl(*upload, f"{sluice.url}/") == (0, "echo")
    assert origin.requests[0].body == body
    assert origin.requests[0].one(b"transfer-encoding") == b"chunked"


async def test_cookie_jar_keeps_the_pool(sluice: Factory, origin: Factory, tmp_path: Path) -> None:
    answers = {pool: f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{pool:5}".encode() for pool in ("blue", "green")}
    pools = ", ".join(
        [f"{pool}: {{endpoints: ['{(await origin(answer=answers[pool])).address}']}}" for pool in answers]
    )
    proxy = await sluice(
        f"services: {{shop: {{pools: {{{pools}}}, split: {{blue: 1, green: 1}}, sticky: {{cookie: s}}}}}}\n"
        "routes: [{service: shop}]\n"
    )
    jar = str(tmp_path / "jar")
    seen = [await curl("--cookie", jar, "--cookie-jar", jar, proxy.url) for _ in range(8)]
    assert len(set(seen)) == 1
    assert seen[0] in [(0, "blue "), (0, "green")]
