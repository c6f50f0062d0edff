"""Writing several pieces in one go, whatever loop is at work."""

import asyncio
from collections.abc import Sequence


def write_pieces(transport: asyncio.WriteTransport, pieces: Sequence[bytes]) -> None:
    """Write the pieces one behind the other, with the same back-pressure as `write`.

    In Python 3.12 and 3.13, `writelines` of asyncio's own socket transport does not call `pause_writing` (CPython issue
    127655), and asks after the descriptor of a connection that is lost already. uvloop's is right, and spares a copy;
    its transports are not of asyncio's classes.
    """
    if isinstance(transport, asyncio.Transport):
        transport.write(b"".join(pieces))
    else:
        transport.writelines(pieces)
