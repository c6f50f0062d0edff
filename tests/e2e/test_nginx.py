"""nginx as the upstream: what it does by itself (closes, ranges, 304, 413) passes unharmed."""

import asyncio
import hashlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

Factory = Callable[..., Awaitable[Any]]

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

BODY = bytes(range(256)) * 4096

CONF = """
daemon off; worker_processes 1; pid nginx.pid; error_log stderr warn; USER
events { worker_connections 256; }
http {
  access_log off; keepalive_requests 3; client_max_body_size 1k;
  client_body_temp_path tmp/1; proxy_temp_path tmp/2; fastcgi_temp_path tmp/3; uwsgi_temp_path tmp/4;
  scgi_temp_path tmp/5;
  server {
    listen unix:HERE/nginx.sock; root www;
    location = /echo { return 200 "$request_method $request_uri $http_x_forwarded_for $host"; }
    location = /empty { return 204; }
    location = /moved { return 301 /elsewhere; }
  }
}
"""


def _start(folder: Path) -> subprocess.Popen[bytes]:
    for name in ("www", "tmp"):
        (folder / name).mkdir()
    (folder / "www" / "file").write_bytes(BODY)
    user = "user root;" if folder.owner() == "root" else ""
    (folder / "nginx.conf").write_text(CONF.replace("HERE", str(folder)).replace("USER", user))
    with (folder / "nginx.log").open("wb") as log:
        return subprocess.Popen([str(NGINX), "-p", folder, "-c", "nginx.conf"], stdout=log, stderr=log)


@pytest_asyncio.fixture
async def nginx(tmp_path: Path) -> AsyncIterator[str]:
    """The address of an nginx that closes each connection after three requests."""
    process = _start(tmp_path)
    async with asyncio.timeout(15):
        while not (tmp_path / "nginx.sock").is_socket():
            assert process.poll() is None, (tmp_path / "nginx.log").read_text()
            await asyncio.sleep(0.02)
    yield f"unix:{tmp_path}/nginx.sock"
    process.terminate()
    await asyncio.to_thread(process.wait, 15)


@pytest_asyncio.fixture
async def client(sluice: Factory, plain: Any, nginx: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a proxy before nginx, which never tries anything again by itself."""
    proxy = await sluice(plain(nginx, "retry: {retries: 0}"))
    async with httpx.AsyncClient(base_url=proxy.url, trust_env=False) as session:
        yield session


async def test_requests_outlive_the_connections_that_nginx_closes(client: httpx.AsyncClient) -> None:
    for number in range(20):
        response = await client.get(f"/echo?{number}", headers={"Host": "shop.example"})
        assert response.text == f"GET /echo?{number} 127.0.0.1 shop.example"


async def test_file_comes_whole_and_in_ranges(client: httpx.AsyncClient) -> None:
    whole = await client.get("/file")
    assert hashlib.sha256(whole.content).digest() == hashlib.sha256(BODY).digest()
    part = await client.get("/file", headers={"Range": "bytes=256-511"})
    assert (part.status_code, part.content) == (206, BODY[256:512])


async def test_responses_without_bodies_leave_the_connection_usable(client: httpx.AsyncClient) -> None:
    etag = (await client.head("/file")).headers["etag"]
    assert (await client.get("/file", headers={"If-None-Match": etag})).status_code == 304
    assert (await client.get("/empty")).status_code == 204
    head = await client.head("/file")
    assert (head.status_code, int(head.headers["content-length"]), head.content) == (200, len(BODY), b"")
    assert (await client.get("/moved")).headers["location"].endswith("/elsewhere")


async def test_body_that_nginx_refuses_gets_its_answer(client: httpx.AsyncClient) -> None:
    assert (await client.post("/echo", content=b"a" * 100)).text.startswith("POST /echo")
    assert (await client.post("/echo", content=BODY)).status_code == 413
    assert (await client.get("/echo")).status_code == 200


async def test_parallel_requests_get_their_own_answers(client: httpx.AsyncClient) -> None:
    responses = await asyncio.gather(*(client.get(f"/echo?{number}") for number in range(200)))
    texts = [response.text.split()[1] for response in responses]
    assert texts == [f"/echo?{number}" for number in range(200)]
