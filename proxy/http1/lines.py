"""Bytes that may stand in a head's lines, and the proof over a whole head at once that no others do."""

import re
from typing import Final

from proxy.http1.errors import MessageError

CRLF: Final = b"\r\n"
# All but the control characters, of which only HTAB may stand in a line (RFC 9110 §5.5).
TEXT: Final = bytes(byte for byte in range(256) if byte == 9 or (byte >= 32 and byte != 127))
_STRAY = re.compile(rb"(?<!\r)\n|\r(?!\n)|[\0-\x08\x0b\x0c\x0e-\x1f\x7f]")


def refuse_controls(data: bytes, ends: int) -> None:
    """Refuse control characters in a begun head: any but HTAB, its `ends` CRLF pairs, and a CR as last byte."""
    left = data.translate(None, TEXT)
    if left != CRLF * ends and not (data.endswith(b"\r") and left == CRLF * ends + b"\r"):
        raise wrong_control(data)


def wrong_control(data: bytes) -> MessageError:
    """The error that names the first control character that may not be there."""
    stray = _STRAY.search(data)
    at = stray.start() if stray else 0
    if data[at : at + 1] in (b"\r", b"\n"):
        return MessageError(400, "bad_line_ending", "a line ends in something else than CR LF")
    line = data.rfind(CRLF, 0, at)
    if line < 0:
        return MessageError(400, "bad_request_line", "the start line holds a control character")
    if data.find(b":", line, at) < 0:
        return MessageError(400, "bad_field_name", "a field name holds a control character")
    return MessageError(400, "bad_field_value", "a field value holds a control character")
