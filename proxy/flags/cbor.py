"""Canonical CBOR of plain JSON data (RFC 8949 §4.2.1): what generation v3 of `fractional` hashes.

Whole numbers are integers (-0.0 is 0), other floats take their shortest form, keys are sorted by their encoding.
"""

import math
import struct
from typing import Any

from proxy.flags.coercion import DEPTH, RuleError

_LEAST, _MOST = -(1 << 63), (1 << 64) - 1


def encode(value: Any, depth: int = 0) -> bytes:
    """The canonical encoding; RuleError beyond DEPTH levels or for what JSON does not know."""
    if isinstance(value, str):
        return encode_text(value)
    if isinstance(value, bool) or value is None:
        return b"\xf6" if value is None else b"\xf5" if value else b"\xf4"
    if isinstance(value, (int, float)):
        return _number(value)
    if depth == DEPTH:
        raise RuleError(f"a value to hash is nested deeper than {DEPTH} levels")
    if isinstance(value, list):
        return _head(0x80, len(value)) + b"".join([encode(item, depth + 1) for item in value])
    if isinstance(value, dict):
        pairs = sorted((encode(key, depth + 1), encode(item, depth + 1)) for key, item in value.items())
        return _head(0xA0, len(pairs)) + b"".join([key + item for key, item in pairs])
    raise RuleError(f"{type(value).__name__} cannot be hashed")


def encode_text(value: str) -> bytes:
    """A text string: its head and its UTF-8; half a surrogate pair is an error."""
    try:
        raw = value.encode()
    except UnicodeEncodeError as error:
        raise RuleError("text with half a surrogate pair cannot be hashed") from error
    size = len(raw)
    if size < 24:
        return bytes((0x60 | size,)) + raw
    return _head(0x60, size) + raw


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes((major | value,))
    for kind, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << 8 * width:
            return bytes((major | kind,)) + value.to_bytes(width, "big")
    raise RuleError("a number is too large to be hashed")


def _number(value: float) -> bytes:
    if isinstance(value, float):
        if not (math.isfinite(value) and value.is_integer() and _LEAST <= value <= _MOST):
            return _float(value)
        value = int(value)
    if value > _MOST or value < -1 - _MOST:
        raise RuleError("a number is too large to be hashed")
    return _head(0x00, value) if value >= 0 else _head(0x20, -1 - value)


def _float(value: float) -> bytes:
    if math.isnan(value):
        return b"\xf9\x7e\x00"
    for lead, form in ((b"\xf9", ">e"), (b"\xfa", ">f")):
        try:
            packed = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == value:
            return lead + packed
    return b"\xfb" + struct.pack(">d", value)
