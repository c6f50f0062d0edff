"""Host names among endpoints: which addresses each has now, asked of the system again and again."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final

from proxy.config.addresses import Address, parse_endpoint
from proxy.core.address import TcpAddress, parse_address
from proxy.core.clock import Clock

log = logging.getLogger("sluice")

Name = tuple[str, int]  # host, port
Rows = Iterable[tuple[Any, ...]]
Lookup = Callable[[str, int], Awaitable[Rows]]
IP = IPv4Address | IPv6Address

_DEADLINE: Final = 5.0  # seconds; then it is told that no answer comes, while it is still waited for


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a name, as one sentence, and since when (wall)."""

    sentence: str
    since: float


@dataclass(slots=True, eq=False)
class _Entry:
    """What is known of one name. `is_asked`: it was answered, or failed, at least once."""

    task: asyncio.Task[None] | None = None
    addresses: tuple[str, ...] = ()
    problem: Problem | None = None
    is_asked: bool = False


class Resolver:
    """Resolves what it is told to watch, every `interval` seconds each.

    `changed` is called with a name and its addresses, written as endpoints are, whenever they are others than before.
    An answer that fails, or has no address of use, leaves the last one in force. `watch` is called with a running loop.
    """

    def __init__(
        self,
        clock: Clock,
        interval: float,
        changed: Callable[[Name, tuple[str, ...]], None],
        lookup: Lookup | None = None,
    ) -> None:
        self.interval = interval
        self._clock = clock
        self._changed = changed
        self._lookup = lookup or _system
        self._entries: dict[Name, _Entry] = {}
        self._link_local: frozenset[Name] = frozenset()
        self._ours: tuple[Address, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Resolver of {len(self._entries)}, {len(self.problems())} with a problem>"

    @property
    def is_settled(self) -> bool:
        """Whether every name was answered, or has failed, at least once."""
        return all(entry.is_asked for entry in self._entries.values())

    async def settled(self) -> None:
        """Until that is so; a lookup that hangs counts as failed after five seconds."""
        while not self.is_settled:
            self._news.clear()
            await self._news.wait()

    def addresses(self, name: Name) -> tuple[str, ...]:
        """The addresses of a name, in an order of their own; none where it was never resolved."""
        entry = self._entries.get(name)
        return () if entry is None else entry.addresses

    def problems(self) -> dict[Name, Problem]:
        """What is wrong now."""
        return {name: entry.problem for name, entry in self._entries.items() if entry.problem is not None}

    def watch(self, names: Iterable[Name], link_local: Collection[Name] = (), ours: Iterable[Address] = ()) -> None:
        """Resolve these from now on; new ones at once.

        Those in `link_local` may have link-local addresses. `ours` is where we listen: no name leads there.
        """
        names = frozenset(names)
        self._link_local = frozenset(link_local)
        self._ours = tuple(ours)
        for name in self._entries.keys() - names:
            self._forget(name)
        for name in sorted(names - self._entries.keys()):
            self._begin(name)

    async def close(self) -> None:
        """End everything; nothing is called back any more."""
        for name in tuple(self._entries):
            self._forget(name)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, name: Name) -> None:
        entry = self._entries[name] = _Entry()
        entry.task = asyncio.get_running_loop().create_task(self._follow(name, entry))
        self._tasks.add(entry.task)
        entry.task.add_done_callback(self._tasks.discard)

    def _forget(self, name: Name) -> None:
        task = self._entries.pop(name).task
        if task is not None:
            task.cancel()

    async def _follow(self, name: Name, entry: _Entry) -> None:
        while True:
            try:
                await self._ask(name, entry)
            except Exception as error:
                # Whatever it is, the name keeps its addresses and is asked again.
                log.exception("taking in the addresses of %s failed", name[0])
                self._fail(name, entry, f"could not be taken in ({type(error).__name__})")
            await asyncio.sleep(self.interval)

    async def _ask(self, name: Name, entry: _Entry) -> None:
        try:
            rows = await self._answer(name, entry)
        except OSError as error:
            self._fail(name, entry, f"does not resolve ({error.strerror or error})")
        except UnicodeError as error:  # what the system's encoding of names does not take
            self._fail(name, entry, f"does not resolve ({error})")
        else:
            self._take(name, entry, rows)

    async def _answer(self, name: Name, entry: _Entry) -> Rows:
        """The system's answer. It is waited for without end, as a lookup cannot be taken back, but not in silence."""
        late = partial(self._fail, name, entry, f"has had no answer for {_DEADLINE:g} s")
        timer = asyncio.get_running_loop().call_later(_DEADLINE, late)
        try:
            return await self._lookup(*name)
        finally:
            timer.cancel()

    def _take(self, name: Name, entry: _Entry, rows: Rows) -> None:
        kept, refused = sorted_out(rows, partial(self._fault, name))
        addresses = tuple(_written(ip, name[1]) for ip in kept) or entry.addresses
        is_new = addresses != entry.addresses
        entry.addresses = addresses
        if refused:
            self._fail(name, entry, f"has addresses that are left out: {', '.join(refused)}")
        elif not kept:
            self._fail(name, entry, "has no address")
        else:
            self._mend(name, entry)
        if is_new:
            self._changed(name, addresses)

    def _fault(self, name: Name, ip: IP) -> str | None:
        if wrong := fault(ip, link_local=name in self._link_local):
            return wrong
        if isinstance(ip, IPv6Address) and ip.scope_id is not None:
            return None  # of a zone: we listen at none
        address = parse_endpoint(_written(ip, name[1]), Path())
        return "our own" if any(map(address.reaches, self._ours)) else None

    def _fail(self, name: Name, entry: _Entry, what: str) -> None:
        entry.is_asked = True
        self._news.set()
        sentence = f"{name[0]} {what}"
        if entry.problem is None or entry.problem.sentence != sentence:
            log.warning("%s", sentence)
            entry.problem = Problem(sentence, entry.problem.since if entry.problem else self._clock.wall())

    def _mend(self, name: Name, entry: _Entry) -> None:
        entry.is_asked = True
        self._news.set()
        if entry.problem is not None:
            log.info("%s resolves again", name[0])
            entry.problem = None


def name_of(address: str) -> Name | None:
    """The name to resolve for an endpoint's address; None for an IP address or a unix socket."""
    parsed = parse_address(address)
    if not isinstance(parsed, TcpAddress):
        return None
    try:
        ip_address(parsed.host)
    except ValueError:
        return parsed.host, parsed.port
    return None


def sorted_out(rows: Rows, fault_of: Callable[[IP], str | None]) -> tuple[list[IP], list[str]]:
    """The addresses in getaddrinfo's rows, each once and in order, v4 first; and what is left out, with why."""
    found = {_unmapped(ip_address(row[4][0])) for row in rows}
    kept: list[IP] = []
    refused: list[str] = []
    for ip in sorted(found, key=_order):
        fault = fault_of(ip)
        if fault is None:
            kept.append(ip)
        else:
            refused.append(f"{ip} ({fault})")
    return kept, refused


def fault(ip: IP, *, link_local: bool) -> str | None:
    """Why nothing is sent there: cloud machines give out their credentials at link-local addresses."""
    if ip.is_unspecified:
        return "unspecified"
    if ip.is_multicast:
        return "multicast"
    if ip.is_link_local and not link_local:
        return "link-local"
    return None


def _unmapped(ip: IP) -> IP:
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def _order(ip: IP) -> tuple[int, int, str]:
    return ip.version, int(ip), str(ip)


def _written(ip: IP, port: int) -> str:
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"


async def _system(host: str, port: int) -> Rows:
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
