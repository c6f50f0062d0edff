"""The master: starts children, replaces those that die, gives new ones what is in force, and ends with the last one.

It knows what new children are to be given (`Keep`), never what it means.
"""

import asyncio
import logging
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import cast

import msgspec

from proxy.channel import messages as say
from proxy.channel.frames import MASTER
from proxy.supervisor import systemd
from proxy.supervisor.backoff import Backoff
from proxy.supervisor.child import ChildProcess
from proxy.supervisor.children import PATIENCE, Children
from proxy.supervisor.handover import Handover, hold, take_over
from proxy.supervisor.restart import HotRestart
from proxy.supervisor.sockets import Sockets, socket_of

log = logging.getLogger("sluice")


class Master:
    """Everything the master process has. `run` returns the exit status.

    `kept` is what was committed last, less its parts and notes, which stand apart; None before the first time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, config: str) -> None:
        self.loop = loop
        self.config = config
        self.sockets = Sockets()
        self.children = Children(loop, self._obey)
        self.kept: say.Keep | None = None
        self.notes: dict[str, bytes] = {}
        self.parts: say.Parts = {}
        self.is_stopping = False
        self._restart = HotRestart(self)
        self._restarts = 0  # of workers, each by itself
        self._backoffs: defaultdict[tuple[str, int], Backoff] = defaultdict(Backoff)
        self._has_served = False
        self._interrupted = False
        self._status: asyncio.Future[int] = loop.create_future()
        self.sockets.given = systemd.listening(os.environ)

    async def run(self) -> int:
        """Be the master until everything has ended."""
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: self.stop,
            signal.SIGINT: self._interrupt,
            signal.SIGHUP: self._reload,
            signal.SIGUSR1: self._reopen,
            signal.SIGUSR2: self._restart.begin,
            signal.SIGCHLD: self.reap,
        }
        for number, handler in handlers.items():
            self.loop.add_signal_handler(number, handler)
        if not self.children:
            self.start_controller()
            self.children.spare_worker()
        else:
            self._restart.go_on()
        status = await self._status
        for number in handlers:
            signal.signal(number, signal.SIG_IGN)  # the loop goes: a child that ends now would wake what is closed
        return status

    # -- children

    def start_controller(self, *, passive: bool = False) -> None:
        """Start one; a passive one waits until it is told that the one in charge has gone."""
        child = self.children.start("controller", 0)
        binds, descriptors = self.sockets.of_controller()
        seen = self.children.seen()
        start = say.StartController(self.config, self._generation, self.parts, self.notes, seen, binds, passive)
        child.link.send(MASTER, start, descriptors)
        child.is_passive = passive

    def _give(self, child: ChildProcess, kept: say.Keep) -> None:
        """Tell a worker what is in force."""
        child.generation = kept.generation
        health, shared = self.notes.get("health", b""), tuple(self.sockets.shared)
        start = say.StartWorker(child.slot, kept.generation, self.parts, kept.binds, health, shared)
        child.link.send(MASTER, start, self.sockets.of_slot(kept.binds, child.slot))

    def fill(self) -> None:
        """Start workers that are missing, and end those that are too many."""
        kept = self.kept
        if self.is_stopping or kept is None:
            return
        slots = {child.slot for child in self.children.current("worker")}
        for slot in range(kept.workers):
            if slot not in slots:
                self._give(self.children.start("worker", slot), kept)
        for child in self.children.current("worker"):
            if child.slot >= kept.workers:
                self.drain(child, closes=True)

    def drain(self, child: ChildProcess, *, closes: bool = False) -> None:
        """Let it finish what it has; `closes`: its sockets end with it."""
        grace = self.kept.restart_grace if self.kept and child.role == "worker" else 0.0
        self.children.drain(child, grace, closes=closes)

    def activation(self) -> say.Activate:
        """What a passive controller is told when it takes over."""
        return say.Activate(self._generation, self.parts, self.notes, self.children.seen())

    @property
    def has_all_workers(self) -> bool:
        """Is there a ready one of this era in every slot?"""
        return len(self.children.ready("worker")) >= (self.kept.workers if self.kept else 0)

    @property
    def _generation(self) -> int:
        return self.kept.generation if self.kept else 0

    def _tell_children(self) -> None:
        self.children.tell_who_is_there(self._restarts)

    # -- ends of children

    def reap(self) -> None:
        """Some child has ended: see which, and what that means."""
        for child, status in self.children.reap():
            self._ended(child, status)

    def _ended(self, child: ChildProcess, status: int) -> None:
        if self.is_stopping:
            self._go_on_stopping()
            return
        if child.era == self.children.era and not child.is_doomed:
            self._replace_dead(child, status)
        elif child.role == "controller":
            self._restart.controller_ended()
        self._tell_children()

    def _replace_dead(self, child: ChildProcess, status: int) -> None:
        backoff = self._backoffs[child.role, child.slot]
        delay = backoff.delay(self.loop.time() - child.started)
        if backoff.is_hopeless and self._restart.fails("the new version does not start"):
            return
        if backoff.is_hopeless and not self._has_served:
            log.critical("%s died %d times while starting: giving up", child.role, backoff.deaths)
            self._end_at_once(1)
            return
        self._restarts += child.role == "worker"
        log.error("%s %d ended with status %d: replaced in %.1f s", child.role, child.pid, status, delay)
        self._later(delay, self.fill if child.role == "worker" else self.new_controller)

    def forget_deaths(self) -> None:
        """Whatever died lately, what is started now has not."""
        self._backoffs.clear()

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        """At once means now: nobody waits for a turn of the loop."""
        if delay:
            self.loop.call_later(delay, action)
        else:
            action()

    def new_controller(self) -> None:
        """Start one if there is none of this era; while one of another is there, doomed or not, it waits."""
        if not self.is_stopping and not self.children.current("controller"):
            self.start_controller(passive=any(child.role == "controller" for child in self.children))

    # -- messages

    def _obey(self, child: ChildProcess, message: say.Message) -> None:
        match message:
            case say.Ready():
                self._ready(child, message)
            case say.Failed():
                self._failed(child, message)
            case say.Bind():
                self._bind(child, message)
            case say.Keep():
                self._keep(child, message)
            case say.Note():
                self.notes.update(message.notes)
            case say.Reloaded():
                systemd.notify("READY=1", os.environ)
            case say.Replace():
                self._replace(message.id)
            case say.Echo():
                child.link.send(MASTER, message)
            case say.Restart():
                self._restart.begin()
            case say.Applied():
                child.generation = message.generation
            case _:
                log.error("%s %d says %s to the master", child.role, child.pid, type(message).__name__)

    def _ready(self, child: ChildProcess, ready: say.Ready) -> None:
        child.protocol = ready.protocol
        if child.is_doomed or (self.is_stopping and child.role == "worker"):
            return  # it was told to end before it could serve: what it would be given is gone
        if child.role == "worker" and self.kept is not None and ready.generation != self.kept.generation:
            self._give(child, self.kept)  # something changed while it was starting
            return
        if child.state == "starting":
            child.state = "ready"
            child.link.send(MASTER, say.Serve())
        if child.role == "worker" and self.has_all_workers:
            if not self._has_served:
                systemd.notify("READY=1", os.environ)
                for address in self.sockets.given:
                    log.warning("systemd listens at %s for us, but no listener does: who connects there waits", address)
            self._has_served = True
        self._tell_children()
        self._restart.child_ready()

    def _failed(self, child: ChildProcess, failed: say.Failed) -> None:
        for problem in failed.problems:
            print(problem, file=sys.stderr)  # noqa: T201 - what a user who just started it reads
        if child.era == self.children.era and self._restart.fails("; ".join(failed.problems)):
            return
        if child.role == "controller" and self.kept is None:
            self._end_at_once(1)
        else:
            child.link.send(MASTER, say.Drain())  # what is in its way may go away: another tries later

    def _bind(self, child: ChildProcess, bind: say.Bind) -> None:
        if self.is_stopping:  # our ends of the sockets are closed already
            child.link.send(MASTER, say.Bound(dict.fromkeys((*bind.binds, *bind.own), "the proxy is ending")))
            return
        self._unbind()
        failed = self.sockets.bind(bind.binds, bind.own, bind.workers)
        if failed:
            self._unbind()
        passed = tuple(address for address in bind.own if address in self.sockets.own)
        descriptors = tuple(self.sockets.own[address].fileno() for address in passed)
        for worker in self.children.current("worker"):
            if not failed and worker.slot < bind.workers:
                there = say.Sockets(bind.binds, tuple(self.sockets.shared))
                worker.link.send(MASTER, there, self.sockets.of_slot(bind.binds, worker.slot))
        child.link.send(MASTER, say.Bound(failed, passed), descriptors)

    def _unbind(self) -> None:
        """Leave what was bound for a change that was not to be: nobody serves it."""
        kept = self.kept
        if kept is not None:
            self.sockets.keep_only(kept.binds, kept.own, kept.workers)

    def _keep(self, child: ChildProcess, keep: say.Keep) -> None:
        if child is not self.children.in_charge:
            return
        self.kept = msgspec.structs.replace(keep, parts={}, notes={})
        self.parts.update(keep.parts)
        for name in keep.dropped:
            self.parts.pop(name, None)
        self.notes.update(keep.notes)
        child.link.send(MASTER, say.Kept(keep.generation, self.children.seen()))
        self.sockets.keep_only(keep.binds, keep.own, keep.workers)
        self.fill()

    def _replace(self, number: int) -> None:
        child = self.children.get(number)
        if child is not None and child.role == "worker":
            log.error("worker %d does not answer: replaced", child.pid)
            child.kill(signal.SIGKILL)

    # -- hot restart

    def hand_over(self) -> Handover:
        """Let go of everything, for the master after the exec. Only with something kept."""
        kept = cast("say.Keep", self.kept)
        slots, shared, own_sockets = self.sockets.hold()
        return Handover(
            config=self.config,
            next_id=self.children.next_id,
            era=self.children.era + 1,
            restarts=self._restarts,
            generation=kept.generation,
            parts=self.parts,
            notes=self.notes,
            binds=kept.binds,
            own=kept.own,
            workers=kept.workers,
            restart_grace=kept.restart_grace,
            shutdown=kept.shutdown,
            children=tuple(map(hold, self.children)),
            slots=slots,
            shared=shared,
            own_sockets=own_sockets,
            given=self.sockets.hold_given(),
            lent=tuple(self.sockets.lent),
        )

    def resume(self, handover: Handover) -> None:
        """Take over what the master before this exec had."""
        self._restarts = handover.restarts
        self.parts, self.notes = handover.parts, handover.notes
        self.kept = say.Keep(
            handover.generation, {}, (), {}, handover.binds, handover.own, handover.workers,
            handover.restart_grace, handover.shutdown,
        )  # fmt: skip
        self._has_served = True
        self.sockets.take_over(handover.slots, handover.shared, handover.own_sockets)
        self.sockets.given = {address: socket_of(number) for address, number in handover.given.items()}
        self.sockets.lent = set(handover.lent)
        self.children.era, self.children.next_id = handover.era, handover.next_id
        for held in handover.children:
            take_over(held, self.children, self.loop.time())

    # -- the end

    def stop(self) -> None:
        """End gracefully: workers first, the controller last."""
        if self.is_stopping:
            return
        self.is_stopping = True
        systemd.notify("STOPPING=1", os.environ)
        self.children.tell_controller(say.Signalled("stop"))
        self.sockets.release()
        for child in self.children:
            if child.role == "worker":
                child.link.send(MASTER, say.Drain(closes=True))
        self.loop.call_later((self.kept.shutdown if self.kept else 0.0) + PATIENCE, self._end_late)
        self._go_on_stopping()

    def _go_on_stopping(self) -> None:
        if any(child.role == "worker" for child in self.children):
            return
        for child in self.children:
            if not child.is_doomed:
                self.children.end(child, 0.0, say.Drain())
        if not self.children:
            self._finish(0)

    def _interrupt(self) -> None:
        if self._interrupted:
            log.warning("interrupted a second time: ending at once")
            self._end_at_once(1)
        self._interrupted = True
        self.stop()

    def _reload(self) -> None:
        systemd.notify("RELOADING=1", os.environ)
        self.children.tell_controller(say.Signalled("reload"))

    def _reopen(self) -> None:
        for child in self.children:
            child.link.send(MASTER, say.Signalled("reopen"))

    def _end_late(self) -> None:
        for child in self.children:
            log.warning("%s %d does not end: killed", child.role, child.pid)
        self._end_at_once(0)

    def _end_at_once(self, status: int) -> None:
        self.is_stopping = True
        for child in self.children:
            child.kill(signal.SIGKILL)
        self._finish(status)

    def _finish(self, status: int) -> None:
        if not self._status.done():
            self.children.end_spare()
            self.sockets.close()
            self._status.set_result(status)
