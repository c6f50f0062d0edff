"""A record as one line of the access log: JSON, the combined format of NCSA, or a format of one's own.

Whatever a client sends, it can neither begin a line nor a field: control characters, quotes and backslashes are
escaped, and so is what separates fields where they stand without quotes.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from proxy.telemetry.clock_face import clf, rfc3339
from proxy.telemetry.record import Record

Line = Callable[[Record], bytes]
Value = Callable[[Record], Any]

COMBINED: Final = '{client} - - [{clf_time}] "{request}" {status} {bytes} "{referer}" "{user_agent}"'
_OURS: Final = ("time", "clf_time")  # no client has a say in them
_UNKNOWN: Final = b"-"
_SWITCHED: Final = 101
_HOLE: Final = re.compile(r"\{\{|\}\}|\{([a-z_]*)\}|[{}]")
_UNSAFE: Final = re.compile(rb'[\x00-\x1f\x7f-\xff"\\]')
_SEPARATORS: Final = " ,;|&='()[]<>^!#$*@"  # what an unquoted value must not hold where the format uses it
# What JSON leaves as it is and terminals and readers of lines do not: DEL, C1, line separators, directions of text.
_UNSEEN: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def protocol(record: Record) -> bytes:
    """`HTTP/1.1`; nothing of what was no request."""
    return b"HTTP/1.%d" % record.minor if record.minor >= 0 else b""


def _request(record: Record) -> bytes:
    return b"%b %b %b" % (record.method, record.target, protocol(record)) if record.method else b""


def _named(name: str) -> Value:
    return lambda record: getattr(record, name)


JSON_FIELDS: Final[dict[str, Value]] = {
    "time": lambda record: rfc3339(record.time),
    **{name: _named(name) for name in ("client", "scheme", "method", "target", "host")},
    "protocol": protocol,
    **{
        name: _named(name)
        for name in (
            *("status", "reason", "route", "service", "pool", "endpoint", "attempts", "bucket", "connect"),
            *("first_byte", "total", "received", "sent", "request_id", "trace_id", "user_agent", "referer"),
        )
    },
}
"""What a line of JSON has, in this order."""

FIELDS: Final[dict[str, Value]] = {
    **JSON_FIELDS,
    "path": lambda record: record.target.partition(b"?")[0],
    "request": _request,
    "clf_time": lambda record: clf(record.time),
    "bytes": lambda record: record.sent or None,
}
"""What a format may name."""


def line_of(form: str) -> Line:
    """What makes a line with its newline of a record; ValueError where the format is none."""
    if form == "json":
        return json_line
    return _formatted(COMBINED if form == "combined" else form)


class _Row(msgspec.Struct, gc=False):
    """A line of JSON; the same names as JSON_FIELDS, in the same order."""

    time: str
    client: str
    scheme: str
    method: str
    target: str
    host: str
    protocol: str
    status: int
    reason: str | None
    route: str
    service: str
    pool: str
    endpoint: str
    attempts: int
    bucket: int | None
    connect: float | None
    first_byte: float | None
    total: float
    received: int
    sent: int
    request_id: str
    trace_id: str
    user_agent: str
    referer: str


_LENIENT: Final = ("utf-8", "backslashreplace")
_encode: Final = msgspec.json.Encoder().encode


def json_line(record: Record) -> bytes:
    """The record as one line of JSON. Bytes that are no UTF-8 are told as `\\xff`."""
    connect, first_byte = record.connect, record.first_byte
    row = _Row(
        rfc3339(record.time),
        record.client,
        record.scheme.decode(),
        record.method.decode(*_LENIENT),
        record.target.decode(*_LENIENT),
        record.host.decode(*_LENIENT),
        f"HTTP/1.{record.minor}" if record.minor >= 0 else "",
        record.status,
        record.reason,
        record.route,
        record.service,
        record.pool,
        record.endpoint,
        record.attempts,
        record.bucket,
        None if connect is None else round(connect, 6),
        None if first_byte is None else round(first_byte, 6),
        round(record.total, 6),
        record.received,
        record.sent,
        record.request_id.decode(*_LENIENT),
        record.trace_id.decode(*_LENIENT),
        record.user_agent.decode(*_LENIENT),
        record.referer.decode(*_LENIENT),
    )
    line = _encode(row)
    if not line.isascii() or b"\x7f" in line:
        line = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", line.decode()).encode()
    return line + b"\n"


# -- formats


def _formatted(form: str) -> Line:
    pieces, holes = _parsed(form)
    template = b"%b".join(piece.replace("%", "%%").encode() for piece in pieces) + b"\n"
    literal = "".join(pieces)
    writers = tuple(_writer(name, literal, quoted=quoted) for name, quoted in holes)
    return lambda record: template % tuple([write(record) for write in writers])


def _parsed(form: str) -> tuple[list[str], list[tuple[str, bool]]]:
    """The text around the fields, and the fields, each with whether it stands between quotes."""
    if any((ord(character) < 0x20 and character != "\t") or ord(character) == 0x7F for character in form):
        raise ValueError("a format is one line without control characters; the end of the line is added")
    pieces, holes, at = [""], [], 0
    for found in _HOLE.finditer(form):
        pieces[-1] += form[at : found.start()]
        at = found.end()
        if found[0] in ("{{", "}}"):
            pieces[-1] += found[0][0]
            continue
        holes.append((_known(found), sum(piece.count('"') for piece in pieces) % 2 == 1))
        pieces.append("")
    pieces[-1] += form[at:]
    if not holes:
        raise ValueError("the format names no field; write json, combined, or fields in braces such as {status}")
    return pieces, holes


def _known(found: "re.Match[str]") -> str:
    name = found[1]
    if not name:
        raise ValueError("a brace stands alone; write {{ or }} for one that is meant as such")
    if name not in FIELDS:
        raise ValueError(f"there is no field {{{name}}}; there is {', '.join(FIELDS)}")
    return name


def _writer(name: str, literal: str, *, quoted: bool) -> Callable[[Record], bytes]:
    value = FIELDS[name]
    apart = "" if quoted or name in _OURS else "".join({" ", *(each for each in _SEPARATORS if each in literal)})
    unsafe = re.compile(_UNSAFE.pattern[:-1] + re.escape(apart.encode()) + b"]") if apart else _UNSAFE

    def write(record: Record) -> bytes:
        told = _bytes(value(record))
        return unsafe.sub(_escape, told) if told else _UNKNOWN

    return write


def _bytes(value: Any) -> bytes:
    match value:
        case bytes():
            return value
        case None:
            return b""
        case float():
            return b"%.6f" % value
        case _:
            return str(value).encode("utf-8", "surrogateescape")


def _escape(found: "re.Match[bytes]") -> bytes:
    """As Apache does it, so that what reads combined logs understands it."""
    byte = found[0]
    return b"\\" + byte if byte in b'"\\' else b"\\x%02x" % byte[0]


# -- which


def _slowness(record: Record) -> float:
    """Seconds in all; of a tunnel until it began, since it is no slower for lasting."""
    return record.total if record.status != _SWITCHED else record.first_byte or 0.0


def wanted(
    statuses: Iterable[tuple[int, int]], slower_than: float | None, sample: float, chance: Callable[[], float]
) -> Callable[[Record], bool] | None:
    """Which records are written: those of a status or as slow as that, and a share of the others; None: all."""
    if sample >= 1:
        return None
    meant = frozenset(status for low, high in statuses for status in range(low, high + 1))
    slow = float("inf") if slower_than is None else slower_than

    def is_wanted(record: Record) -> bool:
        return record.status in meant or _slowness(record) > slow or chance() < sample

    return is_wanted
