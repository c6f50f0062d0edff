"""The children as a hub: whom a frame reaches, who is in charge, and who counts."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from proxy.channel import messages as say
from proxy.channel.frames import CONTROLLER, MASTER, Frame
from proxy.supervisor.child import ChildProcess
from proxy.supervisor.children import Children


class Channel:
    """A child's channel that writes down what is passed on."""

    def __init__(self) -> None:
        self.passed: list[tuple[int, bytes, int]] = []
        self.waiting = 0

    def forward(self, peer: int, body: bytes, descriptors: tuple[int, ...]) -> None:
        self.passed.append((peer, body, len(descriptors)))


class Stage:
    """Children that are no processes, and what the master was told by them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[tuple[int, Any]] = []
        self.killed: list[int] = []
        self.children = Children(loop, lambda child, message: self.told.append((child.id, message)))
        monkeypatch.setattr(ChildProcess, "kill", lambda child, _: self.killed.append(child.id))

    def add(self, number: int, role: say.Role, era: int = 0) -> Any:
        self.children.add(ChildProcess(number, role, 0, number, era, 0.0, Channel()))  # type: ignore[arg-type]
        return self.children.get(number)

    def receive(self, number: int, peer: int, body: bytes, descriptors: tuple[int, ...] = ()) -> None:
        self.children._received(number, Frame(peer, body, descriptors))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    loop = asyncio.new_event_loop()
    yield Stage(loop, monkeypatch)
    loop.close()


def test_frame_reaches_whom_it_is_for_with_who_sent_it(stage: Stage) -> None:
    controller, worker = stage.add(1, "controller"), stage.add(2, "worker")
    stage.receive(2, CONTROLLER, b"up")
    stage.receive(1, 2, b"down")
    stage.receive(1, 99, b"to nobody")
    stage.receive(99, 2, b"from nobody")
    assert controller.link.passed == [(2, b"up", 0)]
    assert worker.link.passed == [(1, b"down", 0)]
    assert stage.told == []


def test_descriptors_that_were_passed_on_are_closed_here(stage: Stage) -> None:
    stage.add(1, "controller")
    worker = stage.add(2, "worker")
    descriptor = os.open(os.devnull, os.O_RDONLY)
    stage.receive(1, 2, b"x", (descriptor,))
    assert worker.link.passed == [(1, b"x", 1)]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_master_reads_only_what_is_for_it_and_takes_no_nonsense(stage: Stage) -> None:
    stage.add(1, "worker")
    stage.receive(1, MASTER, msgspec.msgpack.encode(say.Restart()))
    stage.receive(1, MASTER, b"\xff")
    assert stage.told == [(1, say.Restart())]


def test_child_that_reads_nothing_is_killed(stage: Stage) -> None:
    stage.add(1, "controller")
    worker = stage.add(2, "worker")
    worker.link.waiting = 65 * 1024 * 1024
    stage.receive(1, 2, b"x")
    assert stage.killed == [2]


def test_controller_that_stays_is_that_of_the_oldest_era(stage: Stage) -> None:
    old, new = stage.add(1, "controller", 0), stage.add(2, "controller", 1)
    stage.children.era = 1
    assert stage.children.controller is old
    assert stage.children.current("controller") == [new]
    assert stage.children.old() == [old]
    old.is_doomed = True
    assert stage.children.controller is new
    assert stage.children.ready("controller") == []
    new.state = "ready"
    assert stage.children.ready("controller") == [new]


def test_controller_that_was_told_to_end_hears_of_the_workers_until_it_has(stage: Stage) -> None:
    old, new = stage.add(1, "controller", 0), stage.add(2, "controller", 1)
    stage.add(3, "worker", 1)
    old.is_doomed = new.is_passive = True
    stage.receive(3, CONTROLLER, b"the answer to what the old one has asked")
    assert stage.children.in_charge is old
    assert (len(old.link.passed), len(new.link.passed)) == (1, 0)
    del stage.children._running[1]
    assert stage.children.in_charge is None, "it is told all there is to know when it takes over"
    new.is_passive = False
    assert stage.children.in_charge is new
