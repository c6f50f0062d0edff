"""Outcomes as one field for upstreams: an RFC 9651 dictionary, `checkout-v2=on;r=TARGETING_MATCH`, bounded in size.

Keys of a dictionary are lower case and start with a letter or `*`; flags whose keys do not are written by `f-` and
their key in lower case with what is not allowed as `*`, their true key beside it as parameter `k`.
"""

import re
from collections.abc import Iterable

from proxy.flags.evaluation import Evaluation

LARGEST = 2_048  # bytes of the field's value
_KEY = re.compile(r"[a-z*][a-z0-9_.*-]*")
_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*")
_PLAIN = re.compile(r"[ -~]*")
_LOST = re.compile(r"[^a-z0-9_.-]")


def dictionary(outcomes: Iterable[tuple[str, Evaluation]], largest: int = LARGEST) -> str:
    """The members in order while they fit: flags without a variant are left out, the first too long ends it."""
    parts: list[str] = []
    room = largest + 2
    for key, found in outcomes:
        if found.variant is None:
            continue
        part = _member(key, found)
        room -= len(part) + 2
        if room < 0:
            break
        parts.append(part)
    return ", ".join(parts)


def _member(key: str, found: Evaluation) -> str:
    value = f"{_item(found.variant or '')};r={_item(found.reason)}"
    if _KEY.fullmatch(key):
        return f"{key}={value}"
    return f"f-{_LOST.sub('*', key.lower())}={value};k={_item(key)}"


def _item(text: str) -> str:
    """A token, else a string, else a display string (RFC 9651 §4.1.7, §4.1.6, §4.1.11)."""
    if _TOKEN.fullmatch(text):
        return text
    if _PLAIN.fullmatch(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    raw = text.encode("utf-8", "replace")
    return (
        '%"' + "".join(f"%{byte:02x}" if byte in b'%"' or not 0x20 <= byte <= 0x7E else chr(byte) for byte in raw) + '"'
    )
