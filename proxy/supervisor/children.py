"""The child processes: who runs, who of them counts, and how their messages reach one another.

The master is the hub: a frame says whom it is for, and is passed on unread unless that is the master.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from proxy.channel import messages as say
from proxy.channel.frames import CONTROLLER, MASTER, Frame
from proxy.channel.link import Link, decode
from proxy.supervisor.child import ChildProcess, spawn

log = logging.getLogger("sluice")

PATIENCE: Final = 3.0  # seconds a child gets, beyond what it was promised, before it is killed
_MOST_WAITING: Final = 64 * 1024 * 1024  # bytes that a child has not read: it is stopped, and will be replaced


class Children:
    """Those that run, of this era and of earlier ones that finish. `obey` is told what is said to the master."""

    def __init__(self, loop: asyncio.AbstractEventLoop, obey: Callable[[ChildProcess, say.Message], None]) -> None:
        self.era = 0
        self.next_id = 1
        self._loop = loop
        self._obey = obey
        self._running: dict[int, ChildProcess] = {}
        self._spare: ChildProcess | None = None

    def __iter__(self) -> Iterator[ChildProcess]:
        return iter(tuple(self._running.values()))

    def __len__(self) -> int:
        return len(self._running)

    def get(self, number: int) -> ChildProcess | None:
        """The child of this number, if it still runs."""
        return self._running.get(number)

    def current(self, role: say.Role) -> list[ChildProcess]:
        """Those of this era that were not told to end."""
        return [child for child in self if child.role == role and child.era == self.era and not child.is_doomed]

    def ready(self, role: say.Role) -> list[ChildProcess]:
        """Those of this era that do their work."""
        return [child for child in self.current(role) if child.state == "ready"]

    def old(self) -> list[ChildProcess]:
        """Those of earlier eras, told to end or not."""
        return [child for child in self if child.era < self.era]

    @property
    def controller(self) -> ChildProcess | None:
        """The one that stays: of the oldest era there is."""
        found = [child for child in self if child.role == "controller" and not child.is_doomed]
        return min(found, key=lambda child: child.era, default=None)

    @property
    def in_charge(self) -> ChildProcess | None:
        """The controller that decides: also one that was told to end, until it has; its successor is passive till then.

        What it has begun it brings to its end, and for that it needs to hear the workers' answers.
        """
        found = [child for child in self if child.role == "controller" and not child.is_passive]
        return min(found, key=lambda child: child.era, default=None)

    def seen(self) -> tuple[say.Child, ...]:
        """All of them, as others are told of them."""
        return tuple(child.seen() for child in self)

    def tell_controller(self, message: say.Message) -> None:
        """Send this to the controller that stays, if there is one."""
        controller = self.controller
        if controller is not None:
            controller.link.send(MASTER, message)

    def tell_who_is_there(self, restarts: int) -> None:
        """Let the controller in charge know of all children; a passive one is told when it takes over."""
        controller = self.in_charge
        if controller is not None:
            controller.link.send(MASTER, say.Children(self.seen(), restarts))

    # -- beginnings and ends

    def start(self, role: say.Role, slot: int) -> ChildProcess:
        """Start one; it waits to be told what to do."""
        child = self._take_spare() if role == "worker" else None
        if child is None:
            child = self._spawned(role, slot)
        child.slot = slot
        self.add(child)
        return child

    def spare_worker(self) -> None:
        """Start a worker of which nobody knows yet, for the next `start`: it imports while the file is read."""
        self._spare = self._spawned("worker", 0)

    def end_spare(self) -> None:
        """Nobody will start one any more."""
        child = self._take_spare()
        if child is not None:
            child.kill(signal.SIGKILL)
            child.link.close()

    def _take_spare(self) -> ChildProcess | None:
        """The spare worker, unless it has ended meanwhile."""
        child, self._spare = self._spare, None
        if child is not None and os.waitpid(child.pid, os.WNOHANG)[0]:
            child.link.close()
            return None
        return child

    def _spawned(self, role: say.Role, slot: int) -> ChildProcess:
        number = self.next_id
        self.next_id += 1
        pid, link = spawn(role, lambda sock: self.link(sock, number))
        return ChildProcess(number, role, slot, pid, self.era, self._loop.time(), link)

    def add(self, child: ChildProcess) -> None:
        """One that runs already."""
        self._running[child.id] = child

    def link(self, sock: socket.socket, number: int, unread: bytes = b"") -> Link:
        """Our end of the channel of the child with this number."""
        return Link(
            self._loop,
            sock,
            lambda frame: self._received(number, frame),
            lambda: None,  # its end is what SIGCHLD tells of
            unread=unread,
        )

    def drain(self, child: ChildProcess, grace: float, *, closes: bool = False) -> None:
        """A successor is there, or no use any more: let it finish, for so many seconds.

        `closes`: its sockets end with it.
        """
        if child.is_doomed:
            return
        child.state = "draining"
        self.end(child, grace, say.Drain(restart=True, closes=closes))

    def end(self, child: ChildProcess, grace: float, order: say.Drain) -> None:
        """Tell it to end; it is killed if it does not."""
        child.is_doomed = True
        child.link.send(MASTER, order)
        self._loop.call_later(grace + PATIENCE, self._kill_if_there, child)

    def reap(self) -> Iterator[tuple[ChildProcess, int]]:
        """Those that have ended, one by one, with their exit status; they are no longer among the others."""
        for child in self:
            try:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = child.pid, 0
            if pid:
                del self._running[child.id]
                child.link.close()
                yield child, os.waitstatus_to_exitcode(status)

    def _kill_if_there(self, child: ChildProcess) -> None:
        if self._running.get(child.id) is child:
            log.warning("%s %d does not end: killed", child.role, child.pid)
            child.is_doomed = True
            child.kill(signal.SIGKILL)

    # -- messages

    def _received(self, number: int, frame: Frame) -> None:
        child = self._running.get(number)
        if child is None:
            return
        if frame.peer == MASTER:
            try:
                message = decode(frame.body)
            except msgspec.DecodeError as error:
                log.warning("%s %d says what this version does not understand: %s", child.role, child.pid, error)
                return
            self._obey(child, message)
        else:
            self._pass_on(child, frame)

    def _pass_on(self, child: ChildProcess, frame: Frame) -> None:
        target = self.in_charge if frame.peer == CONTROLLER else self._running.get(frame.peer)
        if target is not None and target.protocol == child.protocol:
            target.link.forward(child.id, frame.body, frame.descriptors)
        for descriptor in frame.descriptors:
            os.close(descriptor)
        if target is not None and target.link.waiting > _MOST_WAITING:
            log.error("%s %d reads nothing: killed", target.role, target.pid)
            target.kill(signal.SIGKILL)
