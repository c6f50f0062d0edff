#!/usr/bin/env python3
"""CPU microseconds of our own code per request: the data plane between transports in memory, without any socket.

    .venv/bin/python bench/hot_path.py                # the parser at hand
    SLUICE_PURE=1 .venv/bin/python bench/hot_path.py  # the plain one
    .venv/bin/python bench/hot_path.py --profile      # where it goes
    .venv/bin/python bench/hot_path.py --access-log json  # with a line in a file for each; or combined, or a format
    .venv/bin/python bench/hot_path.py --watch  # while a rollout watches, in turn with the same without it

What a real worker spends beyond this is the event loop and the kernel (side by side with peers: README.md here).
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import random
import time
from typing import Any

from proxy.dataplane.downstream import Downstream
from proxy.dataplane.listener import Listener
from proxy.dataplane.plane import Plane
from proxy.dataplane.upstream import Upstream
from proxy.flags.spec import Flags
from proxy.http1.parser import BUILD
from proxy.pools.registry import EndpointRegistry
from proxy.routing.sticky import Session, SessionCodec
from proxy.snapshot.compile import compile_snapshot
from proxy.snapshot.document import AccessLog as Settings
from proxy.snapshot.document import Document, Endpoint, Plugin, Pool, Route, Service, Sticky, Timeouts
from proxy.snapshot.document import Listener as ListenerPart
from proxy.telemetry.evidence import Watch
from proxy.worker.access_log import AccessLog

KEY = "a key of sixteen bytes and more"
SMALL = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:9207\r\n\r\n"
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 128\r\nConnection: keep-alive\r\nX-Color: blue\r\n\r\n" + b"BLUE" * 32
)


CODEC = SessionCodec("bench", [KEY.encode()])


def sticky(number: int) -> bytes:
    """The same with a session of ours behind its other cookies."""
    session = CODEC.encode(Session(number.to_bytes(16, "big"), int(time.time())))
    return varied(number).replace(b"; theme=dark", b"; session=%s; theme=dark" % session)


def varied(number: int) -> bytes:
    """A browser's request that no other equals."""
    return (
        b"GET /p/%d/item?id=%d HTTP/1.1\r\nHost: shop.example.com\r\n"
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130 Safari/537\r\n"
        b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
        b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
        b"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nDNT: 1\r\n"
        b"Cookie: sid=%016x; theme=dark; cart=%s\r\nReferer: https://shop.example.com/products/%d\r\n\r\n"
    ) % (number % 2000, number, number * 2654435761, b"x" * (200 + number % 300), number % 977)


class Wire:
    """A transport in memory: takes what is written and lets go of it."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written = data

    def writelines(self, parts: object) -> None:
        self.written = b"".join(parts)  # type: ignore[arg-type]

    def set_write_buffer_limits(self, high: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None: ...
    def close(self) -> None: ...


def rig(
    loop: asyncio.AbstractEventLoop,
    filters: tuple[Plugin, ...] = (),
    classes: Any = None,
    watch: Watch | None = None,
    flagged: tuple[Flags, Route] | None = None,
    sessions: Sticky | None = None,
) -> tuple[Downstream, list[Upstream]]:
    """A client connection, and one idle connection for each of two pools; `flagged` has flags, and a first route."""
    flags, first = (None, ()) if flagged is None else (flagged[0], flagged[1:])
    pools = (Pool("blue", (Endpoint("127.0.0.1:1"),)), Pool("green", (Endpoint("127.0.0.1:2"),)))
    split = {"blue": 0.9, "green": 0.1}
    document = Document(
        (ListenerPart("127.0.0.1:0"),),
        (Service("bench", pools, split, timeouts=Timeouts(upstream_idle=1e9), watch=watch, sticky=sessions),),
        (*first, Route(service="bench", filters=filters)),
        cookie_keys=(KEY,),
        flags=flags,
    )
    registry = EndpointRegistry()
    snapshot = compile_snapshot(document, 1, registry, random.random, token=os.urandom, plugins=classes)
    snapshot.activate()
    plane = Plane(loop, snapshot, time.time)
    upstreams = []
    for endpoint in registry:
        upstream = Upstream(endpoint, plane.wheel)
        upstream.connection_made(Wire())  # type: ignore[arg-type]
        upstream.park(plane.wheel.now + 1e9)
        upstreams.append(upstream)
    listener = Listener(plane, document.listeners[0], None)  # type: ignore[arg-type]
    listener._accepting = True
    downstream = Downstream(listener, "127.0.0.1")
    downstream.connection_made(Wire())  # type: ignore[arg-type]
    return downstream, upstreams


def run(downstream: Downstream, upstreams: list[Upstream], requests: list[bytes]) -> None:
    for request in requests:
        downstream.data_received(request)
        for upstream in upstreams:
            if upstream.exchange is not None:
                upstream.data_received(RESPONSE)
                break
    assert downstream.transport.written.endswith(b"BLUE" * 32), downstream.transport.written


WATCHES: dict[str, Watch | None] = {
    "no rollout": None,
    "errors": Watch("r", 1, 0, "blue", "green"),
    "errors and two slower_than": Watch("r", 1, 0, "blue", "green", slower_than=(0.25, 1.0)),
}


def compare_watches(loop: asyncio.AbstractEventLoop, cases: dict[str, list[bytes]]) -> None:
    """Each watch in turn, round by round; the best round of each, and its ratio to none."""
    for case, requests in cases.items():
        sides = {name: rig(loop, watch=watch) for name, watch in WATCHES.items()}
        best = dict.fromkeys(sides, 1e9)
        for _ in range(12):
            for name, both in sides.items():
                run(*both, requests[:500])
                began = time.process_time()
                run(*both, requests)
                best[name] = min(best[name], time.process_time() - began)
        for name, seconds in best.items():
            ratio = seconds / best["no rollout"]
            print(f"{case:8} {name:28} {seconds / len(requests) * 1e6:6.2f} us/request  {ratio:.2f}  ({BUILD})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--access-log", metavar="FORMAT")
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--count", type=int, default=20_000)
    args = parser.parse_args()
    loop = asyncio.new_event_loop()
    numbers = range(args.count)
    cases = {"small": [SMALL] * args.count, "varied": [varied(n) for n in numbers]}
    if args.watch:
        compare_watches(loop, cases)
        return
    for name, requests in (cases | {"sticky": [sticky(n) for n in numbers]}).items():
        sides = rig(loop, sessions=Sticky("session") if name == "sticky" else None)
        if args.access_log:
            access_log = AccessLog(loop)
            access_log.use(Settings("/dev/null", args.access_log), sides[0].plane)
        run(*sides, requests[:1000])
        best = 1e9
        for _ in range(12):
            began = time.process_time()
            run(*sides, requests)
            best = min(best, time.process_time() - began)
        print(f"{name:8} {best / args.count * 1e6:6.2f} us/request  ({BUILD})")
        if args.profile:
            with cProfile.Profile() as profile:
                run(*sides, requests)
            pstats.Stats(profile).sort_stats("tottime").print_stats(22)
    loop.close()


if __name__ == "__main__":
    main()
