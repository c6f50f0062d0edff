"""Bodies taken apart, chunked ones (RFC 9112 §7.1) and those of known length: any pieces in, payload out."""

import re
from typing import Final

from proxy.http1 import names
from proxy.http1.errors import MessageError
from proxy.http1.limits import HeadLimits
from proxy.http1.lines import CRLF, refuse_controls
from proxy.http1.meaning import Meaning, read_fields

_LONGEST_SIZE_LINE: Final = 256  # bytes, extension included, CRLF not
# RFC 9112 §7.1.1, less white space before the first `;`: what stands there is read as part of the size by some.
# Possessive throughout, so that no line makes it search back.
_WORD = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = rb'"(?:[^"\\\0-\x08\n-\x1f\x7f]|\\[^\0-\x08\n-\x1f\x7f])*+"'
_EXTENSION = rb";[ \t]*+%b(?:[ \t]*+=[ \t]*+(?:%b|%b))?[ \t]*+" % (_WORD, _WORD, _QUOTED)
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:%b)*+" % _EXTENSION)
_BEGUN_SIZE_LINE = re.compile(rb"[0-9A-Fa-f]{1,16}(?:;[^\0-\x08\n-\x1f\x7f]*)?\r?")
_CODES = names.Codes(names.trailer_code)

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class LengthDecoder:
    """The reader of one body of known length: as `ChunkedDecoder`, with nothing that could be wrong.

    `left` is how many bytes are still to come.
    """

    __slots__ = ("left", "rest")

    trailers: Final = b""

    def __init__(self, length: int) -> None:
        self.left = length
        self.rest = b""

    @property
    def done(self) -> bool:
        """Whether the body is complete."""
        return not self.left

    def feed(self, data: bytes) -> bytes:
        """The payload in these bytes."""
        left = self.left = self.left - len(data)
        if left >= 0:
            return data
        self.left = 0
        self.rest = data[left:]
        return data[:left]


class ChunkedDecoder:
    """The reader of one chunked body.

    `feed` takes the bytes as they come and returns the payload in them. Once `done`, `rest` is what follows the body
    and `trailers` the block of its trailer section, less the fields that may not stand there (RFC 9110 §6.5.1). After a
    MessageError the connection is of no further use. At most one size line or trailer section is held back.
    """

    __slots__ = ("_held", "_left", "_limits", "_state", "rest", "trailers")

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._state = _SIZE
        self._left = 0  # payload bytes still to come in this chunk
        self._held = b""
        self.rest = b""
        self.trailers = b""

    @property
    def done(self) -> bool:
        """Whether the body is complete, trailer section included."""
        return self._state == _DONE

    def feed(self, data: bytes) -> bytes:
        """The payload in these bytes; MessageError 400 or 431 for what is no chunked body."""
        # A piece inside one chunk is passed on as it is, not copied: 0.2 µs whatever its size.
        if self._left > len(data):
            self._left -= len(data)
            return data
        if self._held:
            data = self._held + data
            self._held = b""
        if self._state == _DONE:
            self.rest += data
            return b""
        return self._chunks(data)

    def _chunks(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        at = 0
        while at < len(data):
            if self._state == _SIZE:
                at = self._take_whole_chunks(data, at, parts)
            elif self._state == _DATA:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                if not self._left:
                    self._state = _DATA_END
            elif self._state == _DATA_END:
                at = self._take_data_end(data, at)
            else:
                self._take_trailers(data[at:])
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take_whole_chunks(self, data: bytes, at: int, parts: list[bytes]) -> int:
        """Take size lines from `at`, and with each its chunk where that is here whole; where it stopped."""
        # All in one loop: 1.0 µs a chunk instead of 1.9 when each goes through the states.
        while at < len(data):
            end = data.find(CRLF, at, at + _LONGEST_SIZE_LINE + 2)
            if end < 0:
                self._hold_size_line(data[at:])
                return len(data)
            match = _SIZE_LINE.fullmatch(data, at, end)
            if match is None:
                raise _bad_size_line()
            at = end + 2
            size = int(match[1], 16)
            end = at + size
            if not size or data[end : end + 2] != CRLF:
                self._left = size
                self._state = _DATA if size else _TRAILERS
                return at
            parts.append(data[at:end])
            at = end + 2
        return at

    def _take_data_end(self, data: bytes, at: int) -> int:
        end = data[at : at + 2]
        if end == CRLF:
            self._state = _SIZE
        elif end == b"\r":
            self._held = end
        else:
            raise MessageError(400, "bad_chunk", "a chunk's data does not end in CR LF")
        return at + 2

    def _hold_size_line(self, begun: bytes) -> None:
        if len(begun) > _LONGEST_SIZE_LINE + 1 or not _BEGUN_SIZE_LINE.fullmatch(begun):
            raise _bad_size_line()
        self._held = begun

    def _take_trailers(self, data: bytes) -> None:
        if data.startswith(CRLF):
            self._finish(data[2:])
            return
        end = data.find(b"\r\n\r\n")
        size = end + 4 if end >= 0 else len(data) + 1
        section = data[: min(size, self._limits.size)]
        lines = section.split(CRLF)
        refuse_controls(CRLF + section, len(lines))  # the CRLF before it, so that its first line is no start line
        if size > self._limits.size:
            raise MessageError(431, "head_too_large", "the trailer section is too large")
        if len(lines) - (1 if end < 0 else 2) > self._limits.fields:
            raise MessageError(431, "too_many_fields", "the trailer section has too many fields")
        if end < 0:
            self._held = data
            return
        self.trailers = _allowed(lines[:-2], self._limits)
        self._finish(data[size:])

    def _finish(self, rest: bytes) -> None:
        self._state = _DONE
        self.rest = rest


def _bad_size_line() -> MessageError:
    return MessageError(400, "bad_chunk", "a chunk's size line is not up to 16 hexadecimal digits and an extension")


def _allowed(lines: list[bytes], limits: HeadLimits) -> bytes:
    meaning = Meaning()
    meaning.underscores = limits.underscores
    kept = read_fields(lines, _CODES, meaning)
    return CRLF.join((*kept, b"")) if kept else b""
