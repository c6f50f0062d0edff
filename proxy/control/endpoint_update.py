"""How one endpoint is updated by a command, and what is asked of it afterwards: one coroutine each."""

import asyncio
import os
import signal
from contextlib import suppress
from typing import Final

import aiohttp
from yarl import URL

from proxy.control.webhooks import readable
from proxy.core.address import UnixAddress, parse_address
from proxy.rollouts.steps.wave import Version, Wave
from proxy.snapshot.document import Endpoint

_MOST_BODY: Final = 64 * 1024
_MOST_OUTPUT: Final = 500  # bytes of a command's output that are shown


class FailedError(Exception):
    """An endpoint cannot be updated, in a sentence."""


async def run(wave: Wave, address: str, *, rollback: bool) -> str:
    """Run the command, without a shell and with hardly any environment; FailedError unless it ends with 0."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    said_to = {"SLUICE_ENDPOINT": address, "SLUICE_ROLLBACK": "true" if rollback else "false"}
    try:
        process = await asyncio.create_subprocess_exec(
            *(each.replace("{endpoint}", address) for each in wave.update.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**kept, **said_to},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise FailedError(f"the command cannot be run: {readable(str(error))}") from error
    try:
        async with asyncio.timeout(wave.update.timeout):
            said = await _output(process)
            code = await process.wait()
    except TimeoutError:
        raise FailedError(f"the command has not ended within {wave.update.timeout:g} s") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if code:
        raise FailedError(f"the command ends with {code}: {said}")
    return f"the command ends with 0: {said}".rstrip(": ")


async def _output(process: asyncio.subprocess.Process) -> str:
    """The beginning of what it says; the rest is read and dropped."""
    said = b""
    while process.stdout is not None and (piece := await process.stdout.read(_MOST_BODY)):
        said = (said + piece)[:_MOST_OUTPUT]
    return readable(said.decode(errors="replace"))


async def wrong_version(endpoint: Endpoint, version: Version) -> str:
    """Why an endpoint is not of this version; empty where it says that it is. What is not a 2xx says nothing."""
    address = parse_address(endpoint.address)
    is_unix = isinstance(address, UnixAddress)
    connector = aiohttp.UnixConnector(address.path) if isinstance(address, UnixAddress) else aiohttp.TCPConnector()
    host = "localhost" if is_unix else endpoint.address
    headers = {"Host": endpoint.name or host, "User-Agent": "sluice-version", "Accept-Encoding": "identity"}
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            ) as session,
            session.get(
                URL(f"http://{host}{version.path}", encoded=True), headers=headers, allow_redirects=False
            ) as response,
        ):
            if not 200 <= response.status < 300:
                return f"{version.path} answers {response.status}"
            return await _not_said(response, version)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"cannot be asked: {type(error).__name__}"


async def _not_said(response: aiohttp.ClientResponse, version: Version) -> str:
    if version.header is not None:
        said = response.headers.get(version.header, "none")
        return "" if said == version.value else f"its {version.header} is {readable(said[:80])}, not {version.value}"
    body = b""
    async for piece in response.content.iter_any():
        body += piece
        if version.value.encode() in body:
            return ""
        if len(body) >= _MOST_BODY:
            break
    return f"{version.path} does not say {version.value}"


async def unreachable(text: str) -> str:
    """Why an endpoint cannot be connected to; empty where it can."""
    address = parse_address(text)
    try:
        if isinstance(address, UnixAddress):
            _, writer = await asyncio.open_unix_connection(address.path)
        else:
            _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError as error:
        return f"cannot be connected to: {type(error).__name__}"
    writer.close()
    return ""
