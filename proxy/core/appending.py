"""Opening a file that several processes append to."""

import errno
import os
from typing import Final

_STANDARD: Final = {"stdout": 1, "stderr": 2}


def open_log(path: str) -> int:
    """A descriptor that appends; OSError where there can be none. `stdout` and `stderr` are the process's own."""
    if path in _STANDARD:
        return os.dup(_STANDARD[path])
    # Not blocking, for a FIFO that nobody reads would let us wait.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o640)
    os.set_blocking(descriptor, True)
    return descriptor


def reason(error: OSError) -> str:
    """Why a log cannot be opened, and what to do about it."""
    text = (error.strerror or str(error)).lower()
    remedies = {
        errno.ENOENT: "make the directory",
        errno.EACCES: "let the proxy's user write there",
        errno.EISDIR: "name a file in it",
        errno.ENXIO: "start what reads the pipe",
    }
    remedy = remedies.get(error.errno or 0, "")
    return f"{text} ({remedy})" if remedy else text
