"""How tests end what is still open."""

import asyncio
import contextlib


def cut(transport: asyncio.BaseTransport) -> None:
    """Abort it, also if it has ended already.

    asyncio's own transport that wrote the last of its buffer after `close()` has no loop any more, and its `abort()`
    fails on that.
    """
    assert isinstance(transport, asyncio.WriteTransport)
    with contextlib.suppress(AttributeError):
        transport.abort()
