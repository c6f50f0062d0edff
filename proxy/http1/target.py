"""Request targets: path and query, and the one canonical form of a path that is both routed by and forwarded."""

import re
from typing import Final

from proxy.http1.errors import MessageError

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SEPARATORS: Final = frozenset(b"/\\\0")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
# `..;x` is a parent directory to servers that know path parameters, an ordinary segment to all others.
_DOTS_WITH_PARAMETER = re.compile(rb"/\.\.?(?:;|%3B)")


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """A target in origin-form as its path and the query without its `?` (b"" where there is none)."""
    path, _, query = target.partition(b"?")
    return path, query


def canonical_path(path: bytes) -> bytes:
    """The path with unreserved escapes decoded, the others in upper case, and then dot segments resolved.

    RFC 3986 §6.2.2 and §5.2.4; what would climb above the root stays there. MessageError 400 `bad_path` for what others
    may read differently: an encoded slash, backslash or NUL, a backslash, an escape that is none, a dot segment with a
    parameter, a path that does not start with a slash. `*` is canonical.
    """
    # Bytes searched for as numbers, and with find: 0.25 µs. `b"%" in path` raises and clears a TypeError inside:
    # 1.2 µs for four. The whole way costs 3 µs.
    if 0x25 not in path and path.find(b"/.") < 0 and 0x5C not in path and path[:1] == b"/":
        return path
    if path == b"*":
        return path
    if path[:1] != b"/" or b"\\" in path:
        raise MessageError(400, "bad_path", "the path does not start with a slash or holds a backslash")
    path = _ESCAPE.sub(_decoded, path)
    return _without_dots(path) if b"/." in path else path


def _decoded(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None:
        raise MessageError(400, "bad_path", "the path holds a % without two hexadecimal digits")
    byte = int(escape[1], 16)
    if byte in _SEPARATORS:
        raise MessageError(400, "bad_path", "the path holds an encoded slash, backslash or NUL")
    return bytes((byte,)) if byte in _UNRESERVED else escape[0].upper()


def _without_dots(path: bytes) -> bytes:
    if _DOTS_WITH_PARAMETER.search(path):
        raise MessageError(400, "bad_path", "the path holds a dot segment with a parameter")
    segments = path[1:].split(b"/")
    kept: list[bytes] = []
    for segment in segments:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)
