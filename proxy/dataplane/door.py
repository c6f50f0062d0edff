"""The last moment of a listening socket: nobody new begins, so that whoever was let in is served.

Closing a socket resets what the kernel has queued on it, and a client's handshake may end between the last accept and
the close: the client is connected, asks, and is reset. With the door shut its SYN is not heard instead; it sends
another a second later, and is refused, or is served by whoever listens then. Who had sent it before is half way in:
the last accept waits for those.
"""

import socket
from contextlib import suppress
from pathlib import Path
from struct import pack
from typing import Final

_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h; the socket module has no name for it
_SYN: Final = 0x02
_SYN_RECEIVED: Final = "03"  # include/net/tcp_states.h
# Classic BPF over the TCP header: (code, jump if true, jump if false, constant).
_PROGRAM: Final = (
    (0x30, 0, 0, 13),  # load the byte of the flags
    (0x45, 0, 1, _SYN),  # is SYN in it?
    (0x06, 0, 0, 0),  # then drop the segment
    (0x06, 0, 0, 0xFFFFFFFF),  # else keep all of it
)


def shut(sock: socket.socket) -> None:
    """Let nobody begin to connect. For good and for all who hold the socket: only where it ends with us.

    Where the system does not have that, nothing happens.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    import ctypes  # noqa: PLC0415 - 0.3 MiB that nobody needs before the end

    program = ctypes.create_string_buffer(b"".join(pack("=HBBI", *row) for row in _PROGRAM))
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pack("HP", len(_PROGRAM), ctypes.addressof(program)))


def is_passing(sock: socket.socket) -> bool:
    """Is anybody half way in, at this address: the SYN was answered, and the client's ACK is still on its way?

    From proc(5), /proc/net/tcp; what can't be read there holds nobody up.
    """
    tables = {socket.AF_INET: "/proc/net/tcp", socket.AF_INET6: "/proc/net/tcp6"}
    if sock.family not in tables:
        return False
    ending = f":{sock.getsockname()[1]:04X}"
    with suppress(OSError):
        rows = (line.split(None, 4) for line in Path(tables[sock.family]).read_text().splitlines())
        return any(row[3] == _SYN_RECEIVED and row[1].endswith(ending) for row in rows)
    return False
