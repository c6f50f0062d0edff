"""What is behind the proxies: an nginx in two colours, or a WebSocket echo."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from beside import echo
from beside.configs import TEMPORARY, user
from beside.machine import Cores, allow_files, end, pinned
from beside.proxies import Stage, find

SIZES = {"100k": 102_400, "1m": 1_048_576}


@contextlib.contextmanager
def stage(cores: Cores) -> Iterator[Stage]:
    """A folder for everything, and the coloured upstream; all gone afterwards."""
    files = allow_files()
    folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    folder.chmod(0o755)
    try:
        with on_loopback() as blue, on_loopback() as green:
            ports = blue.getsockname()[1], green.getsockname()[1]
            process = start(folder, blue, green, cores)
            try:
                for port in ports:
                    wait_for(port)
                yield Stage(folder, *ports, cores, files)
            finally:
                end([process])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def on_loopback() -> Iterator[socket.socket]:
    """A listening socket of every address of the loopback device, and of no other."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        listening.bind(("0.0.0.0", 0))  # noqa: S104 - only on lo, see above
        listening.listen(4096)
        yield listening


def start(folder: Path, blue: socket.socket, green: socket.socket, cores: Cores) -> subprocess.Popen[bytes]:
    """nginx on both sockets, which it takes as from a predecessor: its variable NGINX names them."""
    program = find("nginx")
    if program is None:
        raise SystemExit("the upstream is an nginx: apt-get install nginx-light")
    for name, size in SIZES.items():
        (folder / f"{name}.bin").write_bytes(random.Random(size).randbytes(size))
    servers = "\n".join(
        f" server {{ listen 0.0.0.0:{each.getsockname()[1]}; add_header X-Colour {colour} always;\n"
        f'  location /files/ {{ alias {folder}/; }} location / {{ return 200 "{colour * (128 // len(colour))}"; }} }}'
        for colour, each in (("blue", blue), ("green", green))
    )
    text = f"""{user()} worker_processes 1; daemon off; pid up.pid; error_log /dev/null crit;
events {{ worker_connections 65536; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s; client_max_body_size 0;
 client_body_buffer_size 1m; default_type text/plain; sendfile on;
{TEMPORARY}
{servers}
}}
"""
    (folder / "upstream.conf").write_text(text)
    fds = (blue.fileno(), green.fileno())
    return subprocess.Popen(
        pinned(cores.load, [program, "-p", str(folder), "-c", str(folder / "upstream.conf")]),
        pass_fds=fds,
        env={**os.environ, "NGINX": "".join(f"{fd};" for fd in fds)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@contextlib.contextmanager
def echoing(plain: Stage) -> Iterator[Stage]:
    """The same stage before a WebSocket server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, echo.__file__, "serve", str(port)]
    process = subprocess.Popen(pinned(plain.cores.load, command), stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield Stage(plain.folder, port, port, plain.cores, plain.files)
    finally:
        end([process])


def wait_for(port: int) -> None:
    """Until it takes connections; TimeoutError after ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"the upstream does not listen on port {port}")
