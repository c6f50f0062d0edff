"""A hot restart without processes: what each phase makes of what happens to children."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.channel import messages as say
from proxy.supervisor.child import ChildProcess
from proxy.supervisor.children import Children
from proxy.supervisor.restart import HotRestart, Phase


class Channel:
    """A child's channel that writes down what is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, _peer: int, message: Any) -> None:
        self.sent.append(message)


class Stage:
    """A master in name only, with children that are no processes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = loop
        self.kept = SimpleNamespace(workers=1)
        self.is_stopping = False
        self.killed: list[int] = []
        self.drained: list[int] = []
        self.children = Children(loop, lambda *_: None)
        self.restart = HotRestart(self)  # type: ignore[arg-type]
        monkeypatch.setattr(ChildProcess, "kill", lambda child, _: self.killed.append(child.id))

    @property
    def has_all_workers(self) -> bool:
        return len(self.children.ready("worker")) >= self.kept.workers

    def add(self, number: int, role: say.Role, era: int, state: say.ChildState = "ready") -> Any:
        self.children.add(ChildProcess(number, role, 0, number, era, 0.0, Channel(), state))  # type: ignore[arg-type]
        return self.children.get(number)

    def drain(self, child: ChildProcess) -> None:
        child.is_doomed = True
        self.drained.append(child.id)

    def end(self, number: int) -> None:
        del self.children._running[number]  # as reaping does

    def activation(self) -> say.Activate:
        return say.Activate(1, {}, {}, ())

    def reap(self) -> None: ...
    def fill(self) -> None: ...
    def forget_deaths(self) -> None: ...
    def new_controller(self) -> None: ...
    def start_controller(self, *, passive: bool) -> None: ...


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    loop = asyncio.new_event_loop()
    yield Stage(loop, monkeypatch)
    loop.close()


def rising(stage: Stage) -> tuple[Any, Any]:
    """After the exec, both of the new era started; its controller and its worker."""
    stage.add(1, "controller", 0)
    stage.add(2, "worker", 0)
    stage.children.era = 1
    stage.restart.go_on()
    controller = stage.add(3, "controller", 1, "starting")
    controller.is_passive = True
    return controller, stage.add(4, "worker", 1, "starting")


def test_old_era_drains_once_all_of_the_new_one_is_ready(stage: Stage) -> None:
    controller, worker = rising(stage)
    worker.state = "ready"
    stage.restart.child_ready()
    assert stage.drained == []
    controller.state = "ready"
    stage.restart.child_ready()
    assert stage.drained == [1, 2]
    stage.restart.controller_ended()
    assert controller.link.sent == []  # the old one is still there
    stage.end(1)
    stage.restart.controller_ended()
    stage.restart.controller_ended()
    assert [type(message) for message in controller.link.sent] == [say.Activate]
    assert not stage.restart.is_under_way


def test_new_era_that_fails_goes_and_the_old_one_stays(stage: Stage) -> None:
    rising(stage)
    assert stage.restart.fails("no")
    assert (stage.killed, stage.children.era, stage.restart.is_under_way) == ([4, 3], 0, False)
    old = stage.children.controller
    assert old is not None
    assert old.link.sent == [say.Restarting("no")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("phase", [Phase.NONE, Phase.TRIAL])
def test_children_come_and_go_while_the_code_is_only_tried(
    stage: Stage, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = stage.add(1, "controller", 0)
    stage.add(2, "worker", 0)
    monkeypatch.setattr(stage.restart, "_phase", phase)
    stage.restart.child_ready()
    stage.restart.controller_ended()
    assert not stage.restart.fails("died too often")
    assert stage.restart.is_under_way is (phase is Phase.TRIAL)
    assert (stage.killed, stage.drained, controller.link.sent) == ([], [], [])


@pytest.mark.parametrize(("kept", "stopping", "again"), [(None, False, False), (1, True, False), (1, False, True)])
def test_restart_is_refused_where_it_cannot_be(stage: Stage, kept: Any, stopping: bool, again: bool) -> None:
    stage.kept, stage.is_stopping = kept, stopping
    controller = stage.add(1, "controller", 0)
    if again:
        stage.restart.go_on()
    stage.restart.begin()
    assert [type(message) for message in controller.link.sent] == [say.Restarting]
