"""Hot restart: new code, same pid, same sockets, and the old children serve until the new ones do.

The code on disk is tried in a process of its own. If it starts, the master execs itself: what it has goes to its
successor by a `Handover`. That one starts a new era of children beside the old one; once all of them are ready the old
ones drain, their controller first, and the new controller takes over when the old one has gone. Where the code does not
start, or its children do not, everything stays as it was.
"""

import asyncio
import logging
import os
import signal
import sys
from enum import Enum
from typing import TYPE_CHECKING, Final, NoReturn

from proxy.channel import messages as say
from proxy.channel.frames import MASTER
from proxy.supervisor.child import environment

if TYPE_CHECKING:
    from proxy.supervisor.master import Master

log = logging.getLogger("sluice")

TRIAL: Final = 30.0  # seconds for the code on disk to show that it starts
COMING_UP: Final = 30.0  # seconds for everything of a restart to be ready, or it is called off
_HANDLED: Final = (
    signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip


class Phase(Enum):
    """How far a restart is."""

    NONE = "none is under way"
    TRIAL = "the code on disk is tried"
    RISING = "the new era comes up beside the old one"
    HANDING_OVER = "the new controller waits for the old one to go"


class HotRestart:
    """The restart that is under way in a master, if one is."""

    def __init__(self, master: "Master") -> None:
        self._master = master
        self._phase = Phase.NONE

    @property
    def is_under_way(self) -> bool:
        """Is there one?"""
        return self._phase is not Phase.NONE

    # -- before the exec

    def begin(self) -> None:
        """Restart with the code that is on disk now; with what runs, if that does not start."""
        master = self._master
        if master.is_stopping or self.is_under_way or master.kept is None:
            self._tell("a restart or the end is under way, or nothing was started yet")
            return
        self._phase = Phase.TRIAL
        master.loop.create_task(self._try_and_exec()).add_done_callback(lambda task: task.result())

    async def _try_and_exec(self) -> None:
        log.info("restart: trying the code on disk")
        starts, why = await _try_start(self._master.config)
        if starts and not self._master.is_stopping:
            self._exec()
        self._phase = Phase.NONE
        log.error("restart refused, everything stays as it is: %s", why)
        self._tell(f"the code on disk does not start: {why}")

    def _exec(self) -> NoReturn:
        for number in _HANDLED:
            # Blocked, not handled: what comes in between waits for the successor.
            signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        descriptor = self._master.hand_over().to_file()
        arguments = [sys.executable, "-P", "-m", "proxy.supervisor", "--resume", str(descriptor)]
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, arguments, environment())  # noqa: S606 - the same program again

    # -- after the exec

    def go_on(self) -> None:
        """Start the new era beside the old one."""
        self._phase = Phase.RISING
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._master.reap()
        log.info("restart: starting new workers")
        self._master.fill()
        self._master.start_controller(passive=True)
        self._master.loop.call_later(
            COMING_UP, self.fails, f"the new version does not come up within {COMING_UP:.0f} s"
        )

    def child_ready(self) -> None:
        """Once all of the new era is ready, the old one drains: its controller first, which hands over."""
        master = self._master
        ready = master.children.ready("controller")
        if self._phase is Phase.RISING and master.has_all_workers and ready:
            self._phase = Phase.HANDING_OVER if any(child.is_passive for child in ready) else Phase.NONE
            for child in master.children.old():
                master.drain(child)
            log.info("restart: done; the old workers finish what they have")
        self.controller_ended()

    def controller_ended(self) -> None:
        """Where no other controller is left, the one that waits takes over."""
        controllers = [child for child in self._master.children if child.role == "controller"]
        if len(controllers) != 1 or not controllers[0].is_passive or controllers[0].state != "ready":
            return
        controllers[0].is_passive = False
        controllers[0].link.send(MASTER, self._master.activation())
        if self._phase is Phase.HANDING_OVER:
            self._phase = Phase.NONE

    def fails(self, why: str) -> bool:
        """The new era does not come up: it goes, the old one stays. False where no new era is coming up."""
        if self._phase is not Phase.RISING:
            return False
        log.error("restart called off, the old version stays: %s", why)
        self._phase = Phase.NONE
        children = self._master.children
        old = max((child.era for child in children.old()), default=children.era)
        for child in children.current("worker") + children.current("controller"):
            child.is_doomed = True
            child.kill(signal.SIGKILL)
        children.era = old
        self._master.forget_deaths()
        self._master.fill()
        self._master.new_controller()
        self._tell(why)
        return True

    def _tell(self, why: str) -> None:
        self._master.children.tell_controller(say.Restarting(why))


async def _try_start(config: str) -> tuple[bool, str]:
    """Does the code on disk start with this configuration? If not, the last thing it said."""
    trial = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "proxy.supervisor", "--check-start", config, env=environment(),
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _, said = await asyncio.wait_for(trial.communicate(), TRIAL)
    except TimeoutError:
        trial.kill()
        said = b"it takes longer than 30 s"
    return trial.returncode == 0, said.decode(errors="replace").strip().rpartition("\n")[2]
