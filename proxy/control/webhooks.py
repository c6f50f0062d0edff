"""Webhooks: asked, where an answer decides; or told, where nobody waits, again and again until they listen."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from proxy.control.elsewhere import HOME, Elsewhere
from proxy.rollouts.step import Result

log = logging.getLogger("sluice")

_PATIENCE: Final = 10.0  # seconds for one try
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # between the tries to tell
_MOST_WAITING: Final = 1_000
_MOST_BODY: Final = 500  # bytes of an answer that are shown


class Webhooks:
    """POSTs JSON. What it sends has `text`, so that Slack and those like it show it as it is.

    `ours` are addresses where none may lead.
    """

    def __init__(
        self, spawn: Callable[[Coroutine[Any, Any, None]], None], ours: Callable[[], Iterable[str]] = lambda: ()
    ) -> None:
        self._spawn = spawn
        self._ours = ours
        self._waiting = 0
        self.lost = 0
        """How many could not be told, since the start."""

    def tell(self, url: str, event: Mapping[str, Any]) -> None:
        """Send it, and try again with longer and longer pauses; what is too much or comes to nothing is counted."""
        if self._waiting >= _MOST_WAITING:
            self.lost += 1
            return
        self._waiting += 1
        self._spawn(self._told(url, event))

    async def ask(self, url: str, event: Mapping[str, Any], *, patience: float = _PATIENCE, retries: int = 2) -> Result:
        """Send it and wait: ok where the answer is 2xx. Connections that fail and 5xx are tried again."""
        for pause in (*_PAUSES[:retries], None):
            status, said = await _post(url, event, patience, Elsewhere(self._ours()))
            if 200 <= status < 300:
                return Result(ok=True, text=f"{_shown(url)} answers {status}")
            if pause is None or 400 <= status < 500:
                break
            await asyncio.sleep(pause)
        return Result(ok=False, text=f"{_shown(url)} {f'answers {status}: ' if status else ''}{said}".rstrip(": "))

    async def _told(self, url: str, event: Mapping[str, Any]) -> None:
        try:
            result = await self.ask(url, event, retries=len(_PAUSES))
        finally:
            self._waiting -= 1
        if not result.ok:
            self.lost += 1
            log.warning("a webhook could not be told of %r: %s", event.get("text", "an event"), result.text)


def readable(text: str) -> str:
    """In one line, and without what a terminal would obey."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


async def _post(url: str, event: Mapping[str, Any], patience: float, elsewhere: Elsewhere) -> tuple[int, str]:
    """Status and the beginning of the answer; status 0 with the reason where there is none."""
    try:
        if not elsewhere.allows(url):
            return 0, HOME
        timeout = aiohttp.ClientTimeout(total=patience)
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=elsewhere),
                timeout=timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            ) as session,
            session.post(url, json=dict(event), allow_redirects=False, ssl=await _tls(url)) as response,
        ):
            body = await response.content.read(_MOST_BODY)
            return response.status, readable(body.decode(errors="replace"))
    except TimeoutError:
        return 0, f"does not answer within {patience:g} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return 0, HOME if elsewhere.refused else f"cannot be reached: {type(error).__name__}"


async def _tls(url: str) -> ssl.SSLContext | bool:
    """How to know whom we talk to: by the certificates of the system, read when the first hook needs them."""
    return await asyncio.to_thread(_context) if url.startswith("https:") else True


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _shown(url: str) -> str:
    """Without what may be secret: user, path and query often are."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # no such port: the error would tell what stands there
        return "the webhook"
    return f"{parts.scheme}://{parts.hostname}{port}"
