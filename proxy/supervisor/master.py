"""The master: starts children, replaces those that die, passes their messages on, and ends with the last of them.

It knows what new children are to be given (`Keep`), never what it means. It reads only messages that are for itself.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Final, NoReturn, cast

import msgspec

from proxy.channel import messages as say
from proxy.channel.frames import CONTROLLER, MASTER, Frame
from proxy.channel.link import Link, decode
from proxy.supervisor import systemd
from proxy.supervisor.backoff import Backoff
from proxy.supervisor.child import ChildProcess, environment, spawn
from proxy.supervisor.handover import Handover, HeldChild
from proxy.supervisor.sockets import Sockets

log = logging.getLogger("sluice")

PATIENCE: Final = 3.0  # seconds a child gets, beyond what it was promised, before it is killed
TRIAL: Final = 30.0  # seconds for the code on disk to show that it starts
COMING_UP: Final = 30.0  # seconds for everything of a restart to be ready, or it is called off
_MOST_WAITING: Final = 64 * 1024 * 1024  # bytes that a child has not read: it is stopped, and will be replaced


class Master:
    """Everything the master process has. `run` returns the exit status."""

    def __init__(self, loop: asyncio.AbstractEventLoop, config: str) -> None:
        self.loop = loop
        self.config = config
        self.sockets = Sockets()
        self.children: dict[int, ChildProcess] = {}
        self.era = 0
        self.kept: say.Keep | None = None
        self.notes: dict[str, bytes] = {}
        self.parts: say.Parts = {}
        self.restarts = 0
        self._next_id = 1
        self._backoffs: defaultdict[tuple[str, int], Backoff] = defaultdict(Backoff)
        self._has_served = False
        self._stopping = False
        self._interrupted = False
        self._restarting = False
        self._can_call_off = False  # while the new era comes up, and the old one has not been told to go
        self._status: asyncio.Future[int] = loop.create_future()
        self.sockets.given = systemd.listening(os.environ)

    async def run(self) -> int:
        """Be the master until everything has ended."""
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: self.stop,
            signal.SIGINT: self._interrupt,
            signal.SIGHUP: self._reload,
            signal.SIGUSR1: self._reopen,
            signal.SIGUSR2: self._restart,
            signal.SIGCHLD: self._reap,
        }
        for number, handler in handlers.items():
            self.loop.add_signal_handler(number, handler)
        if not self.children:
            self._start_controller()
        else:
            self._go_on()
        return await self._status

    # -- children

    def _start_controller(self, *, passive: bool = False) -> ChildProcess:
        child = self._spawn("controller", 0)
        binds, descriptors = self.sockets.of_controller()
        start = say.StartController(self.config, self._generation, self.parts, self.notes, self._seen(), binds, passive)
        child.link.send(MASTER, start, descriptors)
        child.is_passive = passive
        return child

    def _start_worker(self, slot: int) -> ChildProcess | None:
        kept = self.kept
        if kept is None:
            return None
        child = self._spawn("worker", slot)
        self._give(child, kept)
        return child

    def _give(self, child: ChildProcess, kept: say.Keep) -> None:
        child.generation = kept.generation
        shared = tuple(self.sockets.shared)
        start = say.StartWorker(
            child.slot, kept.generation, self.parts, kept.binds, self.notes.get("health", b""), shared
        )
        child.link.send(MASTER, start, self.sockets.of_slot(kept.binds, child.slot))

    def _spawn(self, role: say.Role, slot: int) -> ChildProcess:
        number = self._next_id
        self._next_id += 1
        pid, link = spawn(role, lambda sock: self._link(sock, number))
        child = ChildProcess(number, role, slot, pid, self.era, self.loop.time(), link)
        self.children[number] = child
        return child

    def _link(self, sock: socket.socket, number: int, unread: bytes = b"") -> Link:
        return Link(
            self.loop,
            sock,
            lambda frame: self._received(number, frame),
            lambda: None,  # its end is what SIGCHLD tells of
            unread=unread,
        )

    def _fill(self) -> None:
        """Start what is missing, and end what is too much."""
        if self._stopping or self.kept is None:
            return
        slots = {child.slot for child in self._current("worker")}
        for slot in range(self.kept.workers):
            if slot not in slots:
                self._start_worker(slot)
        for child in self._current("worker"):
            if child.slot >= self.kept.workers:
                self._drain(child, closes=True)

    def _current(self, role: say.Role) -> list[ChildProcess]:
        """Those of this era that were not told to end."""
        return [
            child
            for child in self.children.values()
            if child.role == role and child.era == self.era and not child.is_doomed
        ]

    def _controller(self) -> ChildProcess | None:
        """The one in charge: of the oldest era there is."""
        found = [child for child in self.children.values() if child.role == "controller" and not child.is_doomed]
        return min(found, key=lambda child: child.era, default=None)

    @property
    def _generation(self) -> int:
        return self.kept.generation if self.kept else 0

    def _seen(self) -> tuple[say.Child, ...]:
        return tuple(child.seen() for child in self.children.values())

    def _tell_controller(self, message: say.Message) -> None:
        controller = self._controller()
        if controller is not None:
            controller.link.send(MASTER, message)

    def _tell_children(self) -> None:
        self._tell_controller(say.Children(self._seen(), self.restarts))

    def _drain(self, child: ChildProcess, *, closes: bool = False) -> None:
        """A successor is there, or no use any more (then its sockets close with it): let it finish."""
        if child.is_doomed:
            return
        child.is_doomed = True
        child.state = "draining"
        child.link.send(MASTER, say.Drain(restart=True, closes=closes))
        grace = self.kept.restart_grace if self.kept and child.role == "worker" else 0.0
        self.loop.call_later(grace + PATIENCE, self._kill_if_there, child)

    def _kill_if_there(self, child: ChildProcess) -> None:
        if self.children.get(child.id) is child:
            log.warning("%s %d does not end: killed", child.role, child.pid)
            self._kill(child)

    def _kill(self, child: ChildProcess) -> None:
        child.is_doomed = True
        child.kill(signal.SIGKILL)

    # -- ends of children

    def _reap(self) -> None:
        for child in tuple(self.children.values()):
            try:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = child.pid, 0
            if pid:
                self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: ChildProcess, status: int) -> None:
        del self.children[child.id]
        child.link.close()
        if self._stopping:
            self._go_on_stopping()
            return
        if child.era == self.era and not child.is_doomed:
            self._replace_dead(child, status)
        elif child.role == "controller":
            self._promote()
        self._tell_children()

    def _replace_dead(self, child: ChildProcess, status: int) -> None:
        backoff = self._backoffs[child.role, child.slot]
        delay = backoff.delay(self.loop.time() - child.started)
        if backoff.is_hopeless and self._can_call_off:
            self._call_off("the new version does not start")
            return
        if backoff.is_hopeless and not self._has_served:
            log.critical("%s died %d times while starting: giving up", child.role, backoff.deaths)
            self._end_at_once(1)
            return
        self.restarts += child.role == "worker"
        log.error("%s %d ended with status %d: replaced in %.1f s", child.role, child.pid, status, delay)
        if child.role == "worker":
            self._later(delay, self._fill)
        else:
            self._later(delay, self._new_controller)

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        """At once means now: nobody waits for a turn of the loop."""
        if delay:
            self.loop.call_later(delay, action)
        else:
            action()

    def _new_controller(self) -> None:
        if not self._stopping and not self._current("controller"):
            self._start_controller(passive=any(child.role == "controller" for child in self.children.values()))

    # -- messages

    def _received(self, number: int, frame: Frame) -> None:
        child = self.children.get(number)
        if child is None:
            return
        if frame.peer == MASTER:
            try:
                self._obey(child, decode(frame.body))
            except msgspec.DecodeError as error:
                log.warning("%s %d says what this version does not understand: %s", child.role, child.pid, error)
            return
        target = self._controller() if frame.peer == CONTROLLER else self.children.get(frame.peer)
        if target is not None and target.protocol == child.protocol:
            target.link.forward(child.id, frame.body, frame.descriptors)
        for descriptor in frame.descriptors:
            os.close(descriptor)
        if target is not None and target.link.waiting > _MOST_WAITING:
            log.error("%s %d reads nothing: killed", target.role, target.pid)
            target.kill(signal.SIGKILL)

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
            case say.Restart():
                self._restart()
            case say.Applied():
                child.generation = message.generation
            case _:
                log.error("%s %d says %s to the master", child.role, child.pid, type(message).__name__)

    def _ready(self, child: ChildProcess, ready: say.Ready) -> None:
        child.protocol = ready.protocol
        if child.role == "worker" and self.kept is not None and ready.generation != self.kept.generation:
            self._give(child, self.kept)  # something changed while it was starting
            return
        if child.state == "starting":
            child.state = "ready"
            child.link.send(MASTER, say.Serve())
        if child.role == "worker" and len(self._ready_workers()) == (self.kept.workers if self.kept else 0):
            if not self._has_served:
                systemd.notify("READY=1", os.environ)
            self._has_served = True
        self._tell_children()
        if self._can_call_off:
            self._replace_era()
        self._promote()

    def _ready_workers(self) -> list[ChildProcess]:
        return [child for child in self._current("worker") if child.state == "ready"]

    def _failed(self, child: ChildProcess, failed: say.Failed) -> None:
        for problem in failed.problems:
            print(problem, file=sys.stderr)  # noqa: T201 - what a user who just started it reads
        if self._can_call_off and child.era == self.era:
            self._call_off("; ".join(failed.problems))
        elif child.role == "controller" and self.kept is None:
            self._end_at_once(1)
        else:
            child.link.send(MASTER, say.Drain())  # what is in its way may go away: another tries later

    def _bind(self, child: ChildProcess, bind: say.Bind) -> None:
        if self._stopping:  # our ends of the sockets are closed already
            child.link.send(MASTER, say.Bound(dict.fromkeys((*bind.binds, *bind.own), "the proxy is ending")))
            return
        kept = self.kept
        if kept is not None:  # what was bound for a change that was not to be has nobody who serves it
            self.sockets.keep_only(kept.binds, kept.own, kept.workers)
        failed = self.sockets.bind(bind.binds, bind.own, bind.workers)
        if failed and kept is not None:
            self.sockets.keep_only(kept.binds, kept.own, kept.workers)
        passed = tuple(address for address in bind.own if address in self.sockets.own)
        descriptors = tuple(self.sockets.own[address].fileno() for address in passed)
        for worker in self._current("worker"):
            if not failed and worker.slot < bind.workers:
                there = say.Sockets(bind.binds, tuple(self.sockets.shared))
                worker.link.send(MASTER, there, self.sockets.of_slot(bind.binds, worker.slot))
        child.link.send(MASTER, say.Bound(failed, passed), descriptors)

    def _keep(self, child: ChildProcess, keep: say.Keep) -> None:
        if child is not self._controller():
            return
        self.kept = msgspec.structs.replace(keep, parts={}, notes={})
        self.parts.update(keep.parts)
        for name in keep.dropped:
            self.parts.pop(name, None)
        self.notes.update(keep.notes)
        child.link.send(MASTER, say.Kept(keep.generation, self._seen()))
        self.sockets.keep_only(keep.binds, keep.own, keep.workers)
        self._fill()

    def _replace(self, number: int) -> None:
        child = self.children.get(number)
        if child is not None and child.role == "worker":
            log.error("worker %d does not answer: replaced", child.pid)
            child.kill(signal.SIGKILL)

    # -- hot restart

    def _restart(self) -> None:
        """Restart with the code that is on disk now; with what runs, if that does not start."""
        if self._stopping or self._restarting or self.kept is None:
            self._tell_controller(say.Restarting("a restart or the end is under way, or nothing was started yet"))
            return
        self._restarting = True
        self.loop.create_task(self._try_and_exec()).add_done_callback(lambda task: task.result())

    async def _try_and_exec(self) -> None:
        log.info("restart: trying the code on disk")
        trial = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "proxy.supervisor", "--check-start", self.config, env=environment(),
            stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _, said = await asyncio.wait_for(trial.communicate(), TRIAL)
        except TimeoutError:
            trial.kill()
            said = b"it takes longer than 30 s"
        if trial.returncode != 0 or self._stopping:
            self._restarting = False
            why = said.decode(errors="replace").strip().rpartition("\n")[2]
            log.error("restart refused, everything stays as it is: %s", why)
            self._tell_controller(say.Restarting(f"the code on disk does not start: {why}"))
            return
        self._exec()

    def _exec(self) -> NoReturn:
        kept = cast("say.Keep", self.kept)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            # Blocked, not handled: what comes in between waits for the successor.
            signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        handover = Handover(
            config=self.config,
            next_id=self._next_id,
            era=self.era + 1,
            restarts=self.restarts,
            generation=kept.generation,
            parts=self.parts,
            notes=self.notes,
            binds=kept.binds,
            own=kept.own,
            workers=kept.workers,
            restart_grace=kept.restart_grace,
            shutdown=kept.shutdown,
            children=tuple(map(_held, self.children.values())),
            slots={a: {slot: _kept_open(sock) for slot, sock in s.items()} for a, s in self.sockets.slots.items()},
            shared={address: _kept_open(sock) for address, sock in self.sockets.shared.items()},
            own_sockets={address: _kept_open(sock) for address, sock in self.sockets.own.items()},
        )
        descriptor = handover.to_file()
        arguments = [sys.executable, "-P", "-m", "proxy.supervisor", "--resume", str(descriptor)]
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, arguments, environment())  # noqa: S606 - the same program again

    def resume(self, handover: Handover) -> None:
        """Take over what the master before this exec had."""
        self.era = handover.era
        self.restarts = handover.restarts
        self._next_id = handover.next_id
        self.parts, self.notes = handover.parts, handover.notes
        self.kept = say.Keep(
            handover.generation, {}, (), {}, handover.binds, handover.own, handover.workers,
            handover.restart_grace, handover.shutdown,
        )  # fmt: skip
        self._has_served = True
        self.sockets.slots = {
            address: {slot: _socket(number) for slot, number in slots.items()}
            for address, slots in handover.slots.items()
        }
        self.sockets.shared = {address: _socket(number) for address, number in handover.shared.items()}
        self.sockets.own = {address: _socket(number) for address, number in handover.own_sockets.items()}
        for held in handover.children:
            self.children[held.id] = self._took_over(held)

    def _took_over(self, held: HeldChild) -> ChildProcess:
        link = self._link(_socket(held.descriptor), held.id, held.unread)
        link.resume(held.unsent)
        return ChildProcess(
            held.id, cast("say.Role", held.role), held.slot, held.pid, held.era, self.loop.time(), link,
            cast("say.ChildState", held.state), held.generation, held.protocol, held.is_doomed,
        )  # fmt: skip

    def _go_on(self) -> None:
        """After the exec: start the new era beside the old one."""
        self._restarting = self._can_call_off = True
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._reap()
        log.info("restart: starting new workers")
        self._fill()
        self._start_controller(passive=True)
        self.loop.call_later(COMING_UP, self._expire)

    def _expire(self) -> None:
        if self._can_call_off:
            self._call_off(f"the new version does not come up within {COMING_UP:.0f} s")

    def _replace_era(self) -> None:
        """Once all of the new era is ready, the old one drains: its controller first, which hands over."""
        workers = cast("say.Keep", self.kept).workers
        controllers = [child for child in self._current("controller") if child.state == "ready"]
        if len(self._ready_workers()) < workers or not controllers:
            return
        self._can_call_off = False
        self._restarting = any(child.is_passive for child in controllers)
        old = [child for child in self.children.values() if child.era < self.era and not child.is_doomed]
        for child in old:
            self._drain(child)
        log.info("restart: done; the old workers finish what they have")

    def _promote(self) -> None:
        """Where no other controller is left, the one that waits takes over."""
        controllers = [child for child in self.children.values() if child.role == "controller"]
        if len(controllers) == 1 and controllers[0].is_passive and controllers[0].state == "ready":
            controllers[0].is_passive = False
            start = say.Activate(self._generation, self.parts, self.notes, self._seen())
            controllers[0].link.send(MASTER, start)
            self._restarting = self._can_call_off

    def _call_off(self, why: str) -> None:
        """The new era does not come up: it goes, the old one stays."""
        log.error("restart called off, the old version stays: %s", why)
        self._restarting = self._can_call_off = False
        old = max((child.era for child in self.children.values() if child.era < self.era), default=self.era)
        for child in self._current("worker") + self._current("controller"):
            self._kill(child)
        self.era = old
        self._backoffs.clear()
        self._fill()
        self._new_controller()
        self._tell_controller(say.Restarting(why))

    # -- the end

    def stop(self) -> None:
        """End gracefully: workers first, the controller last."""
        if self._stopping:
            return
        self._stopping = True
        systemd.notify("STOPPING=1", os.environ)
        self._tell_controller(say.Signalled("stop"))
        self.sockets.release()
        for child in self.children.values():
            if child.role == "worker":
                child.link.send(MASTER, say.Drain(closes=True))
        self.loop.call_later((self.kept.shutdown if self.kept else 0.0) + PATIENCE, self._end_at_once, 0)
        self._go_on_stopping()

    def _go_on_stopping(self) -> None:
        if any(child.role == "worker" for child in self.children.values()):
            return
        for child in self.children.values():
            if not child.is_doomed:
                child.is_doomed = True
                child.link.send(MASTER, say.Drain())
                self.loop.call_later(PATIENCE, self._kill_if_there, child)
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
        self._tell_controller(say.Signalled("reload"))

    def _reopen(self) -> None:
        for child in self.children.values():
            child.link.send(MASTER, say.Signalled("reopen"))

    def _end_at_once(self, status: int) -> None:
        self._stopping = True
        for child in self.children.values():
            child.kill(signal.SIGKILL)
        self._finish(status)

    def _finish(self, status: int) -> None:
        if not self._status.done():
            self.sockets.close()
            self._status.set_result(status)


def _held(child: ChildProcess) -> HeldChild:
    descriptor = child.link.fileno
    unread, unsent = child.link.stop()
    os.set_inheritable(descriptor, True)
    return HeldChild(
        child.id, child.role, child.slot, child.pid, child.era, child.state, child.generation, child.protocol,
        child.is_doomed, descriptor, unread, unsent,
    )  # fmt: skip


def _kept_open(sock: socket.socket) -> int:
    sock.set_inheritable(True)
    return sock.fileno()


def _socket(descriptor: int) -> socket.socket:
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock
