"""The plain parser as it is run: ordinary heads in one flat loop, everything else by the reference.

It takes only what it is sure of and says nothing about errors: a head that is wrong, unfinished or unusual goes to
proxy/http1/head.py, which has the last word. So does the accelerator, proxy/http1/_head.pyx, for the same reason.
"""

from typing import Final

from proxy.http1 import head, names
from proxy.http1.host import valid_host
from proxy.http1.limits import HeadLimits
from proxy.http1.lines import CRLF, TEXT
from proxy.http1.message import CACHE_CONTROL, CHUNKED, CLOSE, KEEP_ALIVE, NO_BODY, VIA, RequestHead, ResponseHead
from proxy.http1.start import METHODS, TARGET

_END: Final = b"\r\n\r\n"
_OPTION_FLAGS: Final = {b"keep-alive": KEEP_ALIVE, b"Keep-Alive": KEEP_ALIVE, b"close": CLOSE}
_KEPT_FLAGS: Final = {names.CACHE_CONTROL: CACHE_CONTROL, names.VIA: VIA}
_UNKNOWN: Final = -1
_MOST_LENGTH_DIGITS: Final = 18


def parse_request_head(data: bytes, limits: HeadLimits) -> RequestHead | None:
    """As proxy.http1.head.parse_request_head."""
    return ordinary_request_head(data, limits) or head.parse_request_head(data, limits)


def parse_response_head(data: bytes, limits: HeadLimits) -> ResponseHead | None:
    """As proxy.http1.head.parse_response_head."""
    return ordinary_response_head(data, limits) or head.parse_response_head(data, limits)


def ordinary_request_head(data: bytes, limits: HeadLimits) -> RequestHead | None:  # noqa: C901, PLR0911, PLR0912 - flat is fast
    """The head, if it is whole, ordinary and right; None for all others."""
    # One function without calls of our own: 30 % less than the reference in the running proxy, where code between
    # system calls is cold and each further function costs more than a benchmark of it alone shows.
    end = data.find(_END, 0, limits.size)
    if end < 0:
        return None
    text = data[:end]
    lines = text.split(CRLF)
    count = len(lines) - 1
    if count > limits.fields or text.translate(None, TEXT) != CRLF * count:
        return None
    parts = lines[0].split(b" ")
    if len(parts) != 3:
        return None
    method, target, version = parts
    if version != b"HTTP/1.1" or method not in METHODS or len(target) > limits.target:
        return None
    if target[:1] != b"/" or target.translate(None, TARGET):
        return None
    del lines[0]
    code_of = head.REQUEST_CODES.known.get
    host = cookie = None
    length = NO_BODY
    flags = 0
    kept = []
    for line in lines:
        name, colon, value = line.partition(b":")
        code = code_of(name, _UNKNOWN)
        if not colon:
            return None
        if not code:
            kept.append(line)
        elif code == names.HOST and host is None:
            host = value.strip(b" \t")
        elif code == names.COOKIE and cookie is None:
            cookie = value.strip(b" \t")
        elif code == names.CONTENT_LENGTH and length == NO_BODY:
            digits = value.strip(b" \t")
            if not digits.isdigit() or len(digits) > _MOST_LENGTH_DIGITS:
                return None
            length = int(digits)
        elif code == names.CONNECTION and not flags:
            flags = _OPTION_FLAGS.get(value.strip(b" \t"), 0)
            if not flags:
                return None
        else:
            return None
    if host is None or not valid_host(host):
        return None
    kept.append(b"")
    return RequestHead(method, target, 1, host, length, flags, CRLF.join(kept), cookie or None, None, end + 4)


def ordinary_response_head(data: bytes, limits: HeadLimits) -> ResponseHead | None:  # noqa: C901, PLR0912 - as above
    """The head, if it is whole, ordinary and right; None for all others."""
    end = data.find(_END, 0, limits.size)
    if end < 0:
        return None
    text = data[:end]
    lines = text.split(CRLF)
    count = len(lines) - 1
    if count > limits.fields or text.translate(None, TEXT) != CRLF * count:
        return None
    start = lines[0]
    digits = start[9:12]
    if start[:9] != b"HTTP/1.1 " or start[12:13] != b" " or not digits.isdigit():
        return None
    status = int(digits)
    if not 200 <= status <= 599:
        return None
    del lines[0]
    code_of = head.RESPONSE_CODES.known.get
    length = NO_BODY
    flags = connection = 0
    kept = []
    for line in lines:
        name, colon, value = line.partition(b":")
        code = code_of(name, _UNKNOWN)
        if not colon:
            return None
        if not code:
            kept.append(line)
        elif code == names.CONTENT_LENGTH and length == NO_BODY:
            digits = value.strip(b" \t")
            if not digits.isdigit() or len(digits) > _MOST_LENGTH_DIGITS:
                return None
            length = int(digits)
        elif code == names.CONNECTION and not connection:
            connection = _OPTION_FLAGS.get(value.strip(b" \t"), 0)
            if not connection:
                return None
        elif code == names.TRANSFER_ENCODING and length == NO_BODY:
            if value.strip(b" \t") != b"chunked":
                return None
            length = CHUNKED
        elif code in _KEPT_FLAGS:
            flags |= _KEPT_FLAGS[code]
            kept.append(line)
        elif code != names.DROP:
            return None
    kept.append(b"")
    return ResponseHead(status, start[13:], 1, length, flags | connection, CRLF.join(kept), end + 4)
