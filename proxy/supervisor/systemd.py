"""What systemd gives and wants to hear: sockets (sd_listen_fds(3)) and one datagram for each state (sd_notify(3))."""

import errno
import logging
import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

log = logging.getLogger("sluice")

_FIRST: Final = 3  # SD_LISTEN_FDS_START


def listening(environ: MutableMapping[str, str], first: int = _FIRST) -> dict[str, socket.socket]:
    """Listening sockets that systemd has passed to this process, by address as `bind` writes it."""
    given = environ.get("LISTEN_FDS", "")
    ours = environ.get("LISTEN_PID") == str(os.getpid())
    count = int(given) if ours and given.isascii() and given.isdigit() else 0
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(name, None)  # not the children's
    found = {}
    for descriptor in range(first, first + count):
        try:
            sock = _listening(descriptor)
        except OSError as error:
            log.warning("what systemd passed as descriptor %d is left out: %s", descriptor, error.strerror)
            if error.errno == errno.EBADF:
                break  # nor are those that would come after it
        else:
            found[_address(sock)] = sock
    return found


def _listening(descriptor: int) -> socket.socket:
    """The stream socket that listens there; OSError where there is something else, which stays as it is."""
    sock = socket.socket(fileno=descriptor)
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise OSError(errno.EINVAL, "it is no listening stream socket")
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


def notify(state: str, environ: MutableMapping[str, str]) -> None:
    """Tell systemd, where there is one: READY=1, RELOADING=1, STOPPING=1."""
    where = environ.get("NOTIFY_SOCKET", "")
    if not where.startswith(("/", "@")):
        return
    if state == "RELOADING=1":
        state += f"\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock, suppress(OSError):
        sock.sendto(state.encode(), "\0" + where[1:] if where.startswith("@") else where)


def _address(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(name)}"
    host, port = name[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"
