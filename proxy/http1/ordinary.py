"""The plain parser as it is run: ordinary heads in one flat loop, everything else by the reference.

It takes only what it is sure of and says nothing about errors: a head that is wrong, unfinished or unusual goes to
proxy/http1/head.py, which has the last word. So does the accelerator, proxy/http1/_head.pyx, for the same reason.
"""

from typing import Final

from proxy.http1 import head
from proxy.http1.errors import MessageError
from proxy.http1.host import known_hosts, valid_host
from proxy.http1.limits import HeadLimits
from proxy.http1.lines import CRLF, TEXT
from proxy.http1.message import CACHE_CONTROL, CHUNKED, CLOSE, KEEP_ALIVE, NO_BODY, VIA, RequestHead, ResponseHead
from proxy.http1.names import CACHE_CONTROL as CACHE_CONTROL_FIELD
from proxy.http1.names import CONNECTION, CONTENT_LENGTH, COOKIE, DROP, HOST, TRANSFER_ENCODING
from proxy.http1.names import VIA as VIA_FIELD
from proxy.http1.start import METHODS, TARGET, read_status_line

_END: Final = b"\r\n\r\n"
_OPTION_FLAGS: Final = {b"keep-alive": KEEP_ALIVE, b"Keep-Alive": KEEP_ALIVE, b"close": CLOSE}
_KEPT_FLAGS: Final = {CACHE_CONTROL_FIELD: CACHE_CONTROL, VIA_FIELD: VIA}
_SLASH: Final = 0x2F
_MOST_LENGTH_DIGITS: Final = 18
_LONGEST_REMEMBERED: Final = 64
_MOST_REMEMBERED: Final = 1024


def _only(allowed: bytes) -> bytes:
    """A table that leaves these bytes as they are and no others."""
    return bytes(byte if byte in allowed else byte ^ 1 for byte in range(256))


# `text.translate(_TEXT_ONLY) == text` is 0.2 µs cheaper than asking what deleting TEXT leaves over: nothing to set up,
# and the very same object comes back where nothing has changed.
_TEXT_ONLY: Final = _only(TEXT)
_TARGET_ONLY: Final = _only(TARGET)

# Codes of names, as the reference has learned them; a subscript costs less than `get`.
_request_codes: Final = head.REQUEST_CODES.known
_response_codes: Final = head.RESPONSE_CODES.known

# Status and reason of status lines met lately, 0.2 µs less than reading one: at most 1,024 of up to 64 bytes.
_status_lines: Final[dict[bytes, tuple[int, bytes]]] = {}


def parse_request_head(data: bytes, limits: HeadLimits) -> RequestHead | None:
    """As proxy.http1.head.parse_request_head."""
    return ordinary_request_head(data, limits) or head.parse_request_head(data, limits)


def parse_response_head(data: bytes, limits: HeadLimits) -> ResponseHead | None:
    """As proxy.http1.head.parse_response_head."""
    return ordinary_response_head(data, limits) or head.parse_response_head(data, limits)


def ordinary_request_head(data: bytes, limits: HeadLimits) -> RequestHead | None:  # noqa: C901, PLR0912 - flat is fast
    """The head, if it is whole, ordinary and right; None for all others."""
    # One function without calls of our own: half of the reference's cost in the running proxy, where code between
    # system calls is cold and each further function costs more than a benchmark of it alone shows.
    end = data.find(_END, 0, limits.size)
    if end < 0:
        return None
    lines = data[: end + 2].split(CRLF)  # the last one is empty
    text = b"".join(lines)
    if text.translate(_TEXT_ONLY) != text or len(lines) - 2 > limits.fields:
        return None
    host = cookie = None
    length = NO_BODY
    flags = 0
    try:
        method, target, version = lines.pop(0).split(b" ")
        if version != b"HTTP/1.1" or method not in METHODS or len(target) > limits.target:
            return None
        if target[0] != _SLASH or target.translate(_TARGET_ONLY) != target:
            return None
        for line in lines[:-1]:  # what is not passed on is taken out of `lines`: fewer steps than collecting the rest
            name, colon, value = line.partition(b":")
            if not colon:
                return None
            code = _request_codes[name]
            if not code:
                continue
            if code == HOST and host is None:
                host = value.strip(b" \t")
            elif code == COOKIE and cookie is None:
                cookie = value.strip(b" \t")
            elif code == CONTENT_LENGTH and length == NO_BODY:
                digits = value.strip(b" \t")
                if not digits.isdigit() or len(digits) > _MOST_LENGTH_DIGITS:
                    return None
                length = int(digits)
            elif code == CONNECTION and not flags:
                flags = _OPTION_FLAGS[value.strip(b" \t")]
            else:
                return None
            lines.remove(line)
    except (KeyError, ValueError, IndexError):
        return None  # a name or an option that is not known, a request line of other than three parts, an empty target
    if host not in known_hosts and (host is None or not valid_host(host)):
        return None
    return RequestHead(method, target, 1, host, length, flags, CRLF.join(lines), cookie or None, None, end + 4)


def ordinary_response_head(data: bytes, limits: HeadLimits) -> ResponseHead | None:  # noqa: C901 - as above
    """The head, if it is whole, ordinary and right; None for all others."""
    end = data.find(_END, 0, limits.size)
    if end < 0:
        return None
    lines = data[: end + 2].split(CRLF)  # the last one is empty
    text = b"".join(lines)
    if text.translate(_TEXT_ONLY) != text or len(lines) - 2 > limits.fields:
        return None
    start = lines.pop(0)
    known = _status_lines.get(start) or _learn_status(start)
    if known is None:
        return None
    length = NO_BODY
    flags = connection = 0
    try:
        for line in lines[:-1]:
            name, colon, value = line.partition(b":")
            if not colon:
                return None
            code = _response_codes[name]
            if not code:
                continue
            if code == CONTENT_LENGTH and length == NO_BODY:
                digits = value.strip(b" \t")
                if not digits.isdigit() or len(digits) > _MOST_LENGTH_DIGITS:
                    return None
                length = int(digits)
            elif code == CONNECTION and not connection:
                connection = _OPTION_FLAGS[value.strip(b" \t")]
            elif code == TRANSFER_ENCODING and length == NO_BODY:
                if value.strip(b" \t") != b"chunked":
                    return None
                length = CHUNKED
            elif code in _KEPT_FLAGS:
                flags |= _KEPT_FLAGS[code]
                continue
            elif code != DROP:
                return None
            lines.remove(line)
    except KeyError:
        return None  # a name or an option that is not known
    status, reason = known
    return ResponseHead(status, reason, 1, length, flags | connection, CRLF.join(lines), end + 4)


def _learn_status(line: bytes) -> tuple[int, bytes] | None:
    """Status and reason of a line that was not met lately; None where it is not ordinary."""
    try:
        status, reason, minor = read_status_line(line)
    except MessageError:
        return None
    if not minor or status < 200:
        return None
    if len(line) <= _LONGEST_REMEMBERED:
        if len(_status_lines) >= _MOST_REMEMBERED:
            _status_lines.clear()
        _status_lines[line] = status, reason
    return status, reason
