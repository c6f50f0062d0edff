"""Under systemd: sockets that it passes are used, and it is told of every state."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True); "
    "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}; "
    "os.execv(sys.executable, [sys.executable, '-m', 'proxy', 'run', sys.argv[2]])"
)


async def told(server: socket.socket) -> str:
    """The next datagram."""
    async with asyncio.timeout(20):
        return (await asyncio.get_running_loop().sock_recv(server, 4096)).decode()


async def test_socket_is_taken_over_and_every_state_is_told(
    plain: Callable[..., str], origin: Any, free_port: Callable[[], int], tmp_path: Path
) -> None:
    back = await origin()
    config = tmp_path / "sluice.yaml"
    with socket.create_server(("127.0.0.1", 0)) as passed, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        port = passed.getsockname()[1]
        notices.bind(str(tmp_path / "notify"))
        notices.setblocking(False)
        listeners = f"listeners: [{{bind: 127.0.0.1:{port}}}]\nadmin: {{bind: 127.0.0.1:{free_port()}}}\n"
        config.write_text(f"{listeners}shutdown: {{idle: 0s}}\n{plain(back.address)}")
        process = subprocess.Popen(  # noqa: ASYNC220 - it only starts it
            [sys.executable, "-c", START, str(passed.fileno()), str(config)],
            pass_fds=[passed.fileno()],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "STATE_DIRECTORY": str(tmp_path)},
            stderr=subprocess.DEVNULL,
        )
        try:
            # Systemd holds the socket: who connects before the proxy is up just waits.
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 200")
            writer.close()
            assert await told(notices) == "READY=1"
            process.send_signal(signal.SIGHUP)
            assert (await told(notices)).startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert await told(notices) == "READY=1"
            process.send_signal(signal.SIGTERM)
            assert await told(notices) == "STOPPING=1"
            assert await asyncio.to_thread(process.wait, 20) == 0
        finally:
            process.kill()
            process.wait()
