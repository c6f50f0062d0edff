"""`python -m proxy.controller DESCRIPTOR`: started by the master, never by hand."""

import asyncio
import logging
import signal
import socket
import sys

from proxy.controller.controller import Controller


async def serve(channel: socket.socket) -> None:
    """Be the controller."""
    await Controller(asyncio.get_running_loop(), channel).run()


def main() -> int:
    """Control on the channel whose descriptor is the argument."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # the master's business, which then speaks to its children
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    asyncio.run(serve(channel))
    return 0


if __name__ == "__main__":
    sys.exit(main())
