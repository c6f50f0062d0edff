"""Listening sockets: bound here once, inherited by every child that serves them, closed when no document has them.

TCP listeners have one SO_REUSEPORT socket for each worker's slot, which outlives the worker: what the kernel has queued
there, its successor takes. One shared socket would starve workers. Unix sockets, those of systemd and the
controller's own are shared.

Of the slots only the first listens from the start, which keeps the address from everybody else; the others when their
worker takes connections. What the kernel would give to a worker that does not serve yet would wait for it, and be
reset where the worker is not to come after all.
"""

import os
import socket
from pathlib import Path
from typing import Final

from proxy.core.address import TcpAddress, UnixAddress, parse_address

BACKLOG: Final = 4096


class Sockets:
    """Every listening socket of this proxy. `own` are the controller's.

    Those of systemd are `lent`: while nothing is served there they are in `given`, and their files are never removed.
    """

    def __init__(self) -> None:
        self.slots: dict[str, dict[int, socket.socket]] = {}
        self.shared: dict[str, socket.socket] = {}
        self.own: dict[str, socket.socket] = {}
        self.given: dict[str, socket.socket] = {}
        self.lent: set[str] = set()

    def bind(self, binds: tuple[str, ...], own: tuple[str, ...], workers: int) -> dict[str, str]:
        """Have a socket for every address and worker; why there is none, by address, where one can't be had."""
        failed = {}
        for address in (*binds, *own):
            try:
                self._bind(address, workers, is_own=address in own)
            except OSError as error:
                failed[address] = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
        return failed

    def of_slot(self, binds: tuple[str, ...], slot: int) -> tuple[int, ...]:
        """The descriptors of a worker, in the order of the addresses."""
        return tuple((self.shared.get(bind) or self.slots[bind][slot]).fileno() for bind in binds)

    def of_controller(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Addresses and descriptors of the controller."""
        return tuple(self.own), tuple(sock.fileno() for sock in self.own.values())

    def keep_only(self, binds: tuple[str, ...], own: tuple[str, ...], workers: int) -> None:
        """Close what no child needs any more."""
        for address in self.slots.keys() - set(binds):
            for sock in self.slots.pop(address).values():
                sock.close()
        for slots in self.slots.values():
            for slot in [slot for slot in slots if slot >= workers]:
                slots.pop(slot).close()
        for table, wanted in ((self.shared, binds), (self.own, own)):
            for address in table.keys() - set(wanted):
                self._leave(address, table.pop(address))

    def _leave(self, address: str, sock: socket.socket) -> None:
        if address not in self.lent:
            _close(address, sock)
            return
        self.lent.discard(address)
        self.given[address] = sock

    def release(self) -> None:
        """Leave listening to the workers: a socket that only the master holds takes connections nobody serves."""
        for slots in self.slots.values():
            for sock in slots.values():
                sock.close()
        for sock in self.shared.values():
            sock.close()

    def hold(self) -> tuple[dict[str, dict[int, int]], dict[str, int], dict[str, int]]:
        """The descriptors of `slots`, `shared` and `own`, which now stay open over an exec."""
        slots = {
            address: {slot: _kept_open(sock) for slot, sock in each.items()} for address, each in self.slots.items()
        }
        shared, own = (
            {address: _kept_open(sock) for address, sock in table.items()} for table in (self.shared, self.own)
        )
        return slots, shared, own

    def hold_given(self) -> dict[str, int]:
        """As `hold`, of what systemd gave and nobody serves."""
        return {address: _kept_open(sock) for address, sock in self.given.items()}

    def take_over(self, slots: dict[str, dict[int, int]], shared: dict[str, int], own: dict[str, int]) -> None:
        """Have what `hold` gave before the exec."""
        self.slots = {
            address: {slot: socket_of(number) for slot, number in each.items()} for address, each in slots.items()
        }
        self.shared = {address: socket_of(number) for address, number in shared.items()}
        self.own = {address: socket_of(number) for address, number in own.items()}

    def close(self) -> None:
        """Close everything, and take Unix sockets out of the file system."""
        self.keep_only((), (), 0)
        for sock in self.given.values():
            sock.close()

    def _bind(self, address: str, workers: int, *, is_own: bool) -> None:
        if address in self.given:
            (self.own if is_own else self.shared)[address] = self.given.pop(address)
            self.lent.add(address)
            return
        parsed = parse_address(address)
        if is_own:
            if address not in self.own:
                self.own[address] = _bind_tcp(parsed) if isinstance(parsed, TcpAddress) else _bind_private(parsed)
        elif not isinstance(parsed, TcpAddress):
            if address not in self.shared:
                self.shared[address] = _bind_unix(parsed.path)
        elif address not in self.shared:
            self._bind_slots(address, parsed, workers)

    def _bind_slots(self, address: str, parsed: TcpAddress, workers: int) -> None:
        slots = self.slots.get(address, {})
        missing = [slot for slot in range(workers) if slot not in slots]
        if not slots:
            # SO_REUSEPORT would also join another sluice of the same user: one that is alone finds out.
            _bind_tcp(parsed).close()
        made: dict[int, socket.socket] = {}
        try:
            for slot in missing:
                made[slot] = _bind_tcp(parsed, reuse_port=True, listens=slot == 0)
        except OSError:
            for sock in made.values():
                sock.close()
            raise
        self.slots[address] = {**slots, **made}


def socket_of(descriptor: int) -> socket.socket:
    """A socket that was kept open over an exec; children do not inherit it."""
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


def _kept_open(sock: socket.socket) -> int:
    sock.set_inheritable(True)
    return sock.fileno()


def _bind_tcp(address: TcpAddress, *, reuse_port: bool = False, listens: bool = True) -> socket.socket:
    family, kind, proto, _, where = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Accepted sockets inherit it: no system call for each.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return _listening(sock) if listens else sock


def _bind_private(address: UnixAddress) -> socket.socket:
    """A socket of the admin or for its like: who may open the file may change the proxy, so nobody else may."""
    before = os.umask(0o177)
    try:
        return _bind_unix(address.path)
    finally:
        os.umask(before)


def _bind_unix(path: str) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
    except OSError:
        sock.close()
        raise
    return _listening(sock)


def _listening(sock: socket.socket) -> socket.socket:
    try:
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _remove_stale(path: str) -> None:
    """A socket file that nobody answers is what a crash left behind."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)


def _close(address: str, sock: socket.socket) -> None:
    sock.close()
    if address.startswith("unix:"):
        Path(address[5:]).unlink(missing_ok=True)
