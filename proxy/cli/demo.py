"""`sluice demo`: backends, proxy and traffic on one machine, until Ctrl-C.

It works on a copy of config/demo.yaml in `.demo/` of the current directory, so that edits leave git clean,
and starts everything afresh each time. Nothing is started before every port is known to be free.
"""

import contextlib
import errno
import http.client
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxy.cli.demo_backends import BACKENDS, HOST

CONFIG: Final = Path(__file__).parents[2] / "config" / "demo.yaml"
PROXY_PORT: Final = 8080
ADMIN_PORT: Final = 9900
AT: Final = f"{HOST}:{PROXY_PORT}"
PAUSE: Final = 0.2  # seconds between requests
REPORT_EVERY: Final = 25  # requests
WINDOW: Final = 200  # latest requests that a report counts

NEXT: Final = f"""\
Sluicegate is at work on http://{AT} (open it in a browser, too). In another terminal:

  see the split      for i in $(seq 20); do curl -s {AT} | head -1; done | sort | uniq -c
  force the canary   curl -s -H 'X-Canary: true' {AT}
  stick by cookie    for i in $(seq 5); do curl -s -b .demo/jar -c .demo/jar {AT} | head -1; done
  move the weights   edit .demo/demo.yaml, e.g. canary: 50, and see the split again
  flip, and back     .venv/bin/sluice flip shop green; .venv/bin/sluice undo shop
  is it ready?       curl -s {HOST}:{ADMIN_PORT}/readyz

The configuration at work is .demo/demo.yaml, a copy of config/demo.yaml. Ctrl-C ends it all.
"""


class DemoError(Exception):
    """Why the demo cannot run, as one line for a person."""


def demo() -> int:
    """Run the demo until Ctrl-C; the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _check_ports()
        config = _fresh_config(Path.cwd() / ".demo")
        with _running(config) as proxy:
            print(NEXT, flush=True)
            _trickle(proxy)
    except DemoError as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nended; nothing is left running")
    return 0


def _check_ports() -> None:
    names = {PROXY_PORT: "the proxy", ADMIN_PORT: "its admin"}
    names.update({port: f"the {colour} backend" for colour, port in BACKENDS.items()})
    taken = [f"{port} ({name})" for port, name in names.items() if _is_taken(port)]
    if taken:
        raise DemoError(f"taken on {HOST}: port {', port '.join(taken)}; `ss -ltnp` tells by whom")


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise DemoError(f"cannot listen on {HOST}:{port}: {error.strerror}") from error
    return False


def _fresh_config(folder: Path) -> Path:
    if not CONFIG.is_file():
        raise DemoError(
            "the demo runs from a clone of the source: config/demo.yaml is not part of the installed package"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return Path(shutil.copy(CONFIG, folder))


@contextlib.contextmanager
def _running(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Backends and proxy as children of this process group; both have ended when this is left."""
    with contextlib.ExitStack() as children:
        _start_backends(children)
        proxy = _start("proxy", "run", str(config))
        children.callback(_end, proxy)
        _await_proxy(proxy)
        yield proxy


def _start(module: str, *arguments: str, pipe: int | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe)  # noqa: S603 - our own modules


def _start_backends(children: contextlib.ExitStack) -> None:
    backends = _start("proxy.cli.demo_backends", pipe=subprocess.PIPE)
    children.callback(_end, backends)
    if not backends.stdout or backends.stdout.readline() != b"ready\n":
        raise DemoError("the demo backends did not start; what they say stands above")


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe:
            pipe.close()


def _await_proxy(proxy: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 15
    while not _accepts(PROXY_PORT):
        if proxy.poll() is not None or time.monotonic() > deadline:
            raise DemoError("the proxy did not start; what it says stands above")
        time.sleep(0.05)


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


def _trickle(proxy: subprocess.Popen[bytes]) -> None:
    """Ask a few times a second, always as a new visitor, and report the shares seen."""
    latest: deque[str] = deque(maxlen=WINDOW)
    asked = 0
    connection = http.client.HTTPConnection(HOST, PROXY_PORT, timeout=10)
    with contextlib.closing(connection):
        while proxy.poll() is None:
            latest.append(_ask(connection, asked))
            asked += 1
            if asked % REPORT_EVERY == 0:
                print(_summary(latest, asked), flush=True)
            time.sleep(PAUSE)
    raise DemoError(f"the proxy ended by itself with status {proxy.returncode}")


def _ask(connection: http.client.HTTPConnection, number: int) -> str:
    try:
        connection.request("GET", f"/visit/{number}")
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return type(error).__name__
    return response.headers.get("X-Colour") or f"status {response.status}"


def _summary(latest: deque[str], asked: int) -> str:
    shares = ", ".join(f"{what} {count / len(latest):.0%}" for what, count in Counter(latest).most_common())
    return f"{asked:>6} requests; of the last {len(latest)}: {shares}"
