"""What a master tells its successor in the same process: it execs itself, and descriptors and children stay."""

import os
from typing import Self, cast

import msgspec

from proxy.channel import messages as say
from proxy.channel.messages import Parts
from proxy.supervisor.child import ChildProcess
from proxy.supervisor.children import Children
from proxy.supervisor.sockets import socket_of


class HeldChild(msgspec.Struct, frozen=True):
    """A child that goes on. `unread` and `unsent` are what was under way on its channel."""

    id: int
    role: str
    slot: int
    pid: int
    era: int
    state: str
    generation: int
    protocol: int
    is_doomed: bool
    descriptor: int
    unread: bytes
    unsent: bytes


def hold(child: ChildProcess) -> HeldChild:
    """Let go of a child, so that the successor can take it over."""
    descriptor = child.link.fileno
    unread, unsent = child.link.stop()
    os.set_inheritable(descriptor, True)
    return HeldChild(
        child.id, child.role, child.slot, child.pid, child.era, child.state, child.generation, child.protocol,
        child.is_doomed, descriptor, unread, unsent,
    )  # fmt: skip


def take_over(held: HeldChild, children: Children, now: float) -> None:
    """Take a child over from the predecessor."""
    link = children.link(socket_of(held.descriptor), held.id, held.unread)
    link.resume(held.unsent)
    child = ChildProcess(
        held.id, cast("say.Role", held.role), held.slot, held.pid, held.era, now, link,
        cast("say.ChildState", held.state), held.generation, held.protocol, held.is_doomed,
    )  # fmt: skip
    children.add(child)


class Handover(msgspec.Struct, frozen=True):
    """Everything that outlives the exec. Sockets are descriptors by address, those of workers by slot too."""

    config: str
    next_id: int
    era: int
    restarts: int
    generation: int
    parts: Parts
    notes: dict[str, bytes]
    binds: tuple[str, ...]
    own: tuple[str, ...]
    workers: int
    restart_grace: float
    shutdown: float
    children: tuple[HeldChild, ...]
    slots: dict[str, dict[int, int]]
    shared: dict[str, int]
    own_sockets: dict[str, int]
    given: dict[str, int] = {}
    lent: tuple[str, ...] = ()

    def to_file(self) -> int:
        """The descriptor of an inheritable file that has it."""
        descriptor = os.memfd_create("sluice-handover", 0)
        data = msgspec.msgpack.encode(self)
        while data:
            data = data[os.write(descriptor, data) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.set_inheritable(descriptor, True)
        return descriptor

    @classmethod
    def from_file(cls, descriptor: int) -> Self:
        """Read it, and close the file."""
        with os.fdopen(descriptor, "rb") as file:
            return msgspec.msgpack.decode(file.read(), type=cls)
