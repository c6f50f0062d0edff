"""Starts of the proxy at a fifth of their cost: forked from a process that has imported all of it.

A start imports Python's and the proxy's modules three times over, 1.5 s of CPU, and the tests start some five hundred
proxies. Here one process for each of pytest's imports them once. What it forks is what `python -m proxy.supervisor`,
`proxy.controller` and `proxy.worker` are otherwise: processes of their own, with only the descriptors that an exec
would have left them, their arguments, environment and signals, which run the same `main`. Restarts, trials of new code
and every start with an environment of its own are executed as users do.

Run as a program it is that process: each connection to its listening socket starts one proxy.
"""

import asyncio
import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

_SPAWN: Final = os.posix_spawn
_ROLES: Final = ("proxy.supervisor", "proxy.controller", "proxy.worker")


class Forked:
    """A proxy that was forked, as a `subprocess.Popen` of it would be."""

    def __init__(self, at: str, command: Sequence[str], environ: dict[str, str], folder: Path, log: Path) -> None:
        self.args = list(command)
        self.returncode: int | None = None
        self._lock = threading.Lock()
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._told.connect(at)
        self._told.send(json.dumps([self.args, environ, str(folder), str(log)]).encode())
        self.pid = int(self._told.recv(100))

    def poll(self) -> int | None:
        """The exit status, where it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, for so many seconds; the exit status."""
        with self._lock:
            if self.returncode is None:
                self._told.settimeout(timeout)
                try:
                    self.returncode = int(self._told.recv(100))
                except (TimeoutError, BlockingIOError):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0.0) from None
                self._told.close()
            return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, where it still runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Warm:
    """The process that forks, which ends with this one, or by `stop`."""

    def __init__(self) -> None:
        self._at = f"\0sluice-warm-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self._at)
            listener.listen()
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
            )

    def start(self, command: Sequence[str], environ: dict[str, str], folder: Path, log: Path) -> Forked:
        """A proxy that runs this command in this folder, its output added to `log`."""
        return Forked(self._at, command, environ, folder, log)

    def stop(self) -> None:
        """End it; what it has forked goes on."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def plays(role: str, pid: int) -> bool:
    """Whether this process is a worker or controller, however it was started."""
    process = Path(f"/proc/{pid}")
    name = f"proxy.{role}".encode()
    return name in (process / "cmdline").read_bytes() or name[:15] == (process / "comm").read_bytes().strip()


# -- in the process that forks


def _become(command: Sequence[str], environ: dict[str, str], keep: set[int]) -> None:
    """Be in this forked process what executing the command would have made of it."""
    gc.freeze()  # nothing of the parent's is ever collected here: its destructors would close descriptors of ours
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers
        if int(name) > 2 and int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))
    os.environ.clear()
    os.environ.update(environ)
    module = command[3]
    Path("/proc/self/comm").write_text(module)
    sys.argv = [module, *command[4:]]
    asyncio.set_event_loop_policy(None)
    logging = importlib.import_module("logging")
    logging.root.handlers.clear()
    status: Any = 1
    try:
        status = importlib.import_module(f"{module}.__main__").main()
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else bool(status))


def _fork(become: Callable[[], None]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        try:
            become()
        finally:
            os._exit(1)
    return pid


def _spawn(path: str, command: Sequence[str], environ: dict[str, str]) -> int:
    """`os.posix_spawn` as the master uses it for its children."""
    if command[3] not in _ROLES:
        return _SPAWN(path, command, environ)
    return _fork(lambda: _become(command, environ, {int(command[4])}))


def _start(command: Sequence[str], environ: dict[str, str], folder: str, log: str) -> None:
    os.chdir(folder)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(number, target)
    _become(command, environ, set())


def main() -> int:
    """Fork whatever is asked for on the listening socket, until stdin ends."""
    for role in _ROLES:
        importlib.import_module(f"{role}.__main__")
    importlib.import_module("proxy.controller.__main__").import_all()
    importlib.import_module("uvloop")
    os.posix_spawn = _spawn
    gc.collect()
    gc.freeze()
    ready = selectors.DefaultSelector()
    listener = socket.socket(fileno=int(sys.argv[1]))
    ready.register(sys.stdin, selectors.EVENT_READ, None)
    ready.register(listener, selectors.EVENT_READ, None)
    while True:
        for key, _ in ready.select():
            if key.fileobj is sys.stdin:
                return 0
            if key.fileobj is listener:
                asking, _ = listener.accept()
                command, environ, folder, log = json.loads(asking.recv(1 << 20))
                pid = _fork(lambda: _start(command, environ, folder, log))  # noqa: B023 - at once
                ready.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, asking))
                asking.send(b"%d" % pid)
                continue
            pid, asking = key.data
            _, status = os.waitpid(pid, 0)
            ready.unregister(key.fd)
            os.close(key.fd)
            with asking, contextlib.suppress(OSError):
                asking.send(b"%d" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    sys.exit(main())
