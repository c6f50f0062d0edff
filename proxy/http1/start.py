"""Start lines: `GET /path HTTP/1.1` and `HTTP/1.1 200 OK` (RFC 9112 §3 and §4), whole and begun."""

import re
from typing import Final

from proxy.http1.errors import MessageError
from proxy.http1.host import split_port, valid_host
from proxy.http1.limits import HeadLimits
from proxy.http1.names import is_token

_MINORS: Final = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}
METHODS: Final = frozenset((b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"))
_LONGEST_METHOD = 32
# RFC 2326 §10: requests of RTSP parse as HTTP but for the version, and an origin may not look at that.
_OTHER_PROTOCOLS = frozenset(
    b"ANNOUNCE DESCRIBE FLUSH GET_PARAMETER PAUSE PLAY RECORD REDIRECT SETUP SET_PARAMETER TEARDOWN".split()
)
# Visible ASCII without `#` (no fragment is sent) and `\` (read as `/` by some).
TARGET: Final = bytes(byte for byte in range(33, 127) if byte not in b"#\\")
_DEFAULT_PORTS = {b"http": b"80", b"https": b"443"}
_ABSOLUTE = re.compile(rb"([A-Za-z]+)://([^/?]*)(.*)")
# The space before an empty reason may be missing: many servers leave it out, and nobody reads the line differently.
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: (.*))?", re.DOTALL)
_SHORTEST_STATUS_LINE = b"HTTP/1."


def read_request_line(line: bytes, limits: HeadLimits) -> tuple[bytes, bytes, int]:
    """Method, target as it stands there, and the minor version."""
    parts = line.split(b" ")
    if len(parts) != 3:
        raise _begun_line_error(line, limits) or MessageError(
            400, "bad_request_line", "a request line is a method, a target and a version with one space between them"
        )
    method, target, version = parts
    minor = _MINORS.get(version)
    if method not in METHODS:
        refuse_method(method)
    if minor is None:
        raise MessageError(400, "bad_version", "the version is neither HTTP/1.1 nor HTTP/1.0")
    if not target or len(target) > limits.target or target.translate(None, TARGET):
        refuse_target(target, limits)
    return method, target, minor


def refuse_begun_request_line(line: bytes, limits: HeadLimits) -> None:
    """Refuse what can no longer become a request line; `line` is without its CRLF, or its first bytes."""
    error = _begun_line_error(line.removesuffix(b"\r"), limits)
    if error:
        raise error


def _begun_line_error(line: bytes, limits: HeadLimits) -> MessageError | None:
    method, space, rest = line.partition(b" ")
    target, end, version = rest.partition(b" ")
    try:
        if method or space:
            refuse_method(method)
        if target or end:
            refuse_target(target, limits)
    except MessageError as error:
        return error
    if any(full.startswith(version) for full in _MINORS):
        return None
    return MessageError(400, "bad_version", "the version is neither HTTP/1.1 nor HTTP/1.0")


def refuse_method(method: bytes) -> None:
    """Refuse a method that is no token, longer than 32 bytes, or that only another protocol of this grammar has."""
    if method in _OTHER_PROTOCOLS:
        raise MessageError(400, "bad_method", "the method is one of RTSP, not of HTTP")
    if len(method) > _LONGEST_METHOD or not is_token(method):
        raise MessageError(400, "bad_method", "the method is not a token of at most 32 bytes")


def refuse_target(target: bytes, limits: HeadLimits) -> None:
    """Refuse a target that is too long (414) or holds what no target may hold."""
    if len(target) > limits.target:
        raise MessageError(414, "target_too_long", "the request target is too long")
    if not target or target.translate(None, TARGET):
        raise MessageError(400, "bad_target", "the request target is empty or holds what it may not")


def resolve_target(method: bytes, target: bytes, host: bytes | None) -> tuple[bytes, bytes | None]:
    """Target and host of a request whose target is not in origin-form (RFC 9112 §3.2.2 to 3.2.4)."""
    if method == b"CONNECT":
        name, port = split_port(target)
        if name and port and valid_host(target):
            return target, host
    elif target == b"*" and method == b"OPTIONS":
        return target, host
    else:
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute and absolute[1].lower() in _DEFAULT_PORTS:
            return _relative(method, absolute, host)
    raise MessageError(400, "bad_target", "the form of the request target does not go with the method")


def _relative(method: bytes, absolute: re.Match[bytes], host: bytes | None) -> tuple[bytes, bytes]:
    scheme, authority, rest = absolute.groups()
    if not valid_host(authority):
        raise MessageError(400, "bad_target", "the authority of the request target is not valid")
    # RFC 9112 §3.2.2 has the target's authority replace Host; they must agree, so there is nothing to replace.
    if host is not None and _comparable(host, scheme) != _comparable(authority, scheme):
        raise MessageError(400, "host_mismatch", "Host is not the authority of the request target")
    if not rest and method == b"OPTIONS":
        rest = b"*"  # RFC 9112 §3.2.4
    elif rest[:1] != b"/":
        rest = b"/" + rest
    return rest, authority if host is None else host


def _comparable(host: bytes, scheme: bytes) -> tuple[bytes, bytes]:
    """Without case; an absent port is the scheme's."""
    name, port = split_port(host.lower())
    return name, port.lstrip(b"0") or _DEFAULT_PORTS[scheme.lower()]


def read_status_line(line: bytes) -> tuple[int, bytes, int]:
    """Status (100 to 599), reason phrase (may be empty) and the minor version."""
    parts = _STATUS_LINE.fullmatch(line)
    if parts is None:
        raise MessageError(
            502, "upstream_malformed", "the status line is not HTTP/1.1 or HTTP/1.0 with a status of 100 to 599"
        )
    return int(parts[2]), parts[3] or b"", 1 if parts[1] == b"1" else 0


def refuse_begun_status_line(line: bytes) -> None:
    """Refuse what can no longer become a status line; `line` is without its CRLF, or its first bytes."""
    if not line.startswith(_SHORTEST_STATUS_LINE[: len(line)]):
        raise MessageError(502, "upstream_malformed", "the response does not start with HTTP/1.")
