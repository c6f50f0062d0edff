#!/usr/bin/env python3
"""What filters and plug-ins cost: CPU microseconds per request of our own code, above those of a route without any.

    .venv/bin/python bench/filters.py

As in hot_path.py, between transports in memory and on requests that all differ. Where the loop has to turn for a filter
to go on, `turned` is what a turn costs without it. `basic_auth` has checked the password before. `maintenance` and
`pause` are not here: where they do something, no request goes on.
"""

import asyncio
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import bcrypt
from hot_path import RESPONSE, rig, varied

from proxy.dataplane.downstream import Downstream
from proxy.dataplane.upstream import Upstream
from proxy.filters import FILTERS
from proxy.http1.parser import BUILD
from proxy.plugins import Facts, Record, Request, Response
from proxy.plugins.library import loaded_library
from proxy.snapshot.document import AccessLog as Settings
from proxy.snapshot.document import Plugin
from proxy.worker.access_log import AccessLog

COUNT = 600
ROUNDS = 6
_ALLOWED = b"\r\nAuthorization: Basic %b\r\n\r\n" % b64encode(b"ann:secret")
REQUESTS = [varied(number).replace(b"\r\n\r\n", _ALLOWED) for number in range(COUNT)]


@dataclass
class Nothing:
    """Sees requests, and does nothing."""

    def on_request(self, request: Request, facts: Facts) -> None: ...


@dataclass
class Header:
    """Reads one header and sets another."""

    def on_request(self, request: Request, facts: Facts) -> None:
        request.headers.set("x-tier", request.headers.get("accept-language") or "")


@dataclass
class Everything:
    """Sees requests, responses and ends."""

    def on_request(self, request: Request, facts: Facts) -> None: ...
    def on_response(self, response: Response, facts: Facts) -> None: ...
    def on_end(self, record: Record) -> None: ...


@dataclass
class Later:
    """Sees requests, in a coroutine."""

    async def on_request(self, request: Request, facts: Facts) -> None: ...


def plugin(cls: type) -> tuple[Plugin, ...]:
    return (Plugin("plugin", {"use": f"{__name__}:{cls.__name__}"}),)


CASES: dict[str, tuple[Plugin, ...]] = {
    "plug-in, does nothing": plugin(Nothing),
    "plug-in, reads and sets a header": plugin(Header),
    "plug-in, all three hooks": plugin(Everything),
    "request_headers": (Plugin("request_headers", {"set": {"x-a": "b"}}),),
    "request_headers, template": (Plugin("request_headers", {"set": {"x-a": "{client.ip} {pool}"}}),),
    "response_headers": (Plugin("response_headers", {"set": {"x-a": "b"}}),),
    "rewrite": (Plugin("rewrite", {"prefix": {"/p": "/q"}}),),
    "rate_limit": (Plugin("rate_limit", {"rate": "1000000/s", "by": "client"}),),
    "concurrency_limit": (Plugin("concurrency_limit", {"limit": 100}),),
    "cors": (Plugin("cors", {"origins": ["https://shop.example.com"]}),),
    "basic_auth": (Plugin("basic_auth", {"users": {"ann": bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()}}),),
    "ip_allow": (Plugin("ip_allow", {"allow": ["127.0.0.0/8"]}),),
    "max_body": (Plugin("max_body", {"size": 1000}),),
    "security_headers": (Plugin("security_headers", {}),),
    "fault, 0 %": (Plugin("fault", {"abort": 503, "share": 0.0}),),
}
TURNED: dict[str, tuple[Plugin, ...]] = {
    "plug-in, async": plugin(Later),
    "mirror": (Plugin("mirror", {"pool": "green"}),),
}


LOGS = ("json", "combined")


class Rig:
    """A client's connection and two idle ones, with these filters; `best` is the least a round took, in seconds."""

    def __init__(self, filters: tuple[Plugin, ...] = (), *, turns: bool = False, log: str = "") -> None:
        self._loop = asyncio.new_event_loop()
        uses = [each.options["use"] for each in filters if each.kind == "plugin"]
        self._sides = rig(self._loop, filters, loaded_library(None, uses))
        self._turned = self._loop if turns else None
        if log:
            AccessLog(self._loop).use(Settings("/dev/null", log), self._sides[0].plane)
        self.best = 1e9
        self._first()
        self.round(REQUESTS[:300])
        self.best = 1e9

    def _first(self) -> None:
        """One request, however long a filter needs for it."""
        downstream, upstreams = self._sides
        downstream.data_received(REQUESTS[0])
        while all(upstream.exchange is None for upstream in upstreams):
            self._loop.run_until_complete(asyncio.sleep(0.001))
        for upstream in upstreams:
            if upstream.exchange is not None:
                upstream.data_received(RESPONSE)

    def round(self, requests: Sequence[bytes]) -> None:
        """Send all of them."""
        began = time.process_time()
        ask(*self._sides, requests, self._turned)
        self.best = min(self.best, time.process_time() - began)


def cost(filters: tuple[Plugin, ...], *, turns: bool = False, log: str = "") -> tuple[float, float]:
    """Microseconds per request of a route without any, and how many more with these; in turns, as machines vary."""
    bare, with_them = Rig(turns=turns), Rig(filters, turns=turns, log=log)
    for _ in range(ROUNDS):
        bare.round(REQUESTS)
        with_them.round(REQUESTS)
    return bare.best / COUNT * 1e6, (with_them.best - bare.best) / COUNT * 1e6


def ask(
    downstream: Downstream, upstreams: list[Upstream], requests: Sequence[bytes], loop: asyncio.AbstractEventLoop | None
) -> None:
    for request in requests:
        downstream.data_received(request)
        for _ in range(2 if loop else 0):
            loop.call_soon(loop.stop)
            loop.run_forever()
        for upstream in upstreams:
            if upstream.exchange is not None:
                upstream.data_received(RESPONSE)
    assert downstream.transport.written.endswith(b"BLUE" * 32), downstream.transport.written


def main() -> None:
    print(f"{BUILD}; microseconds per request above a route without filters")
    for cases, turns in ((CASES, False), (TURNED, True)):
        bares = []
        for name, filters in cases.items():
            if filters[0].kind in FILTERS:
                bare, more = cost(filters, turns=turns)
                bares.append(bare)
                print(f"{name:34} {more:+6.2f}")
        print(f"{'turned' if turns else 'bare':34} {min(bares):6.2f}")
    for log in LOGS:
        print(f"{f'access log, {log}':34} {cost((), log=log)[1]:+6.2f}")


if __name__ == "__main__":
    main()
