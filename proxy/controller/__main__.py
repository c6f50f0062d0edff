"""`python -m proxy.controller DESCRIPTOR`: started by the master, never by hand."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from ssl import SSLContext


async def serve(channel: socket.socket) -> None:
    """Be the controller."""
    from proxy.controller.controller import Controller  # noqa: PLC0415 - see import_all

    await Controller(asyncio.get_running_loop(), channel).run()


def import_all() -> None:
    """Import what a controller is made of. It stays: to look for what goes away would cost 45 ms meanwhile."""
    gc.disable()
    # aiohttp reads all the certificates of the system as it is imported: 85 ms and 0.8 MiB. Who needs them makes a
    # context of their own (proxy/control/webhooks.py).
    load_certificates = SSLContext.load_default_certs
    SSLContext.load_default_certs = _load_none  # type: ignore[method-assign,assignment]
    import proxy.controller.controller  # noqa: F401, PLC0415

    SSLContext.load_default_certs = load_certificates  # type: ignore[method-assign]
    gc.collect()
    gc.freeze()
    gc.enable()


def _load_none(*_: object) -> None:
    pass


def main() -> int:
    """Control on the channel whose descriptor is the argument."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # the master's business, which then speaks to its children
    import_all()
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    asyncio.run(serve(channel))
    return 0


if __name__ == "__main__":
    sys.exit(main())
