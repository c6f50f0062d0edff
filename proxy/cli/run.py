"""`sluice run`: read the configuration, take the addresses, and become the worker.

Everything that can be wrong is found here, where it can be said with its place in the file; the worker that follows (by
exec, in this very process) imports neither YAML nor pydantic.
"""

import os
import secrets
import socket
import sys
from pathlib import Path

import proxy
from proxy.config.load import Loaded, find_config, load
from proxy.config.problems import Problem
from proxy.dataplane.listener import bind
from proxy.snapshot.document import Document
from proxy.worker.start import Start

# glibc gives the top of the heap back, and faults it in again, with every body of 64 KiB: 30 µs a request. What it may
# keep instead is 8 MiB. Read by the C library when the worker starts; others ignore it.
_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "MALLOC_TRIM_THRESHOLD_": "8388608",
    "MALLOC_TOP_PAD_": "1048576",
}


def run(config: Path | None) -> int:
    """Serve the configuration; returns only if that is not possible."""
    path = config or find_config()
    if path is None:
        return _say("no configuration: name one, or put it at ./sluice.yaml or /etc/sluice/sluice.yaml")
    loaded = load(path, os.environ)
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if loaded.document is None:
        return _report(loaded.problems)
    sockets, problems = _bind_all(loaded, loaded.document)
    if problems:
        return _report(problems)
    _become_worker(loaded.document, sockets)
    return 1


def _bind_all(loaded: Loaded, document: Document) -> tuple[dict[str, socket.socket], list[Problem]]:
    """A listening socket for every address, or why there is none."""
    sockets, problems = {}, []
    for address in (*(part.bind for part in document.listeners), document.admin.bind):
        try:
            sockets[address] = bind(address)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            problem = loaded.place_of_bind(address).problem(
                f"cannot listen on {address}: {why.lower()}", _remedy(error)
            )
            problems.append(loaded.hide(problem))
    return sockets, problems


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one"
    return "is another process, or another sluice, using it? choose another address, or stop that one"


def _become_worker(document: Document, sockets: dict[str, socket.socket]) -> None:
    for sock in sockets.values():
        sock.set_inheritable(True)
    numbers = {address: sock.fileno() for address, sock in sockets.items()}
    descriptor = Start(document, numbers, cookie_key=secrets.token_hex(32)).to_file()
    # -P: a folder called proxy where the user happens to stand is not ours.
    roots = [str(Path(proxy.__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**_ALLOCATOR, **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, roots))}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-P", "-m", "proxy.worker", str(descriptor)], environment)  # noqa: S606


def _report(problems: list[Problem]) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1


def _say(message: str) -> int:
    print(f"sluice: {message}", file=sys.stderr)
    return 1
