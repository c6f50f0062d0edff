"""One child process: how it is started, what is known of it, and its end of the channel."""

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import proxy
from proxy.channel.link import Link
from proxy.channel.messages import PROTOCOL, Child, ChildState, Role

# glibc gives the top of the heap back, and faults it in again, with every body of 64 KiB: 30 µs a request. What it may
# keep instead is 8 MiB. Read by the C library when the worker starts; others ignore it.
_ALLOCATOR: Final = {
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "MALLOC_TRIM_THRESHOLD_": "8388608",
    "MALLOC_TOP_PAD_": "1048576",
}


@dataclass(slots=True, eq=False)
class ChildProcess:
    """A child that runs. `era` counts hot restarts: those of an earlier one are being replaced, or were.

    `started` is monotonic, in seconds. `is_doomed`: it was told to end, or is being killed. `is_passive`: a controller
    that waits for `Activate`.
    """

    id: int
    role: Role
    slot: int
    pid: int
    era: int
    started: float
    link: Link = field(repr=False)
    state: ChildState = "starting"
    generation: int = 0
    protocol: int = PROTOCOL
    is_doomed: bool = False
    is_passive: bool = False

    def seen(self) -> Child:
        """As others are told of it."""
        return Child(self.id, self.role, self.slot, self.pid, self.state, self.generation, self.protocol)

    def kill(self, number: signal.Signals) -> None:
        """Send a signal; it may have ended already."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


def spawn(role: Role, link: Callable[[socket.socket], Link]) -> tuple[int, Link]:
    """Start `python -m proxy.ROLE DESCRIPTOR`, its end of a new channel; the pid, and our end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        theirs.set_inheritable(True)
        arguments = [sys.executable, "-P", "-m", f"proxy.{role}", str(theirs.fileno())]
        pid = os.posix_spawn(sys.executable, arguments, environment())
    return pid, link(ours)


def environment() -> dict[str, str]:
    """What a child finds in its environment: this very package, whatever stands where the user happens to be."""
    roots = [str(Path(proxy.__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(dict.fromkeys(filter(None, os.pathsep.join(roots).split(os.pathsep))))
    return {**_ALLOCATOR, **os.environ, "PYTHONPATH": path}
