"""Tickets: what a URL carries where no header can be sent, as browsers' EventSource can't (OFREP ADR-0008).

A ticket is good for hearing that something has changed and for nothing else. It names the quarter of an hour it is of,
and holds for that one and the next, so that who asks again soon gets the same URL.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from typing import Final

PERIOD: Final = 900  # seconds

_SIZE: Final = 16  # bytes of the signature
_TICKET: Final = re.compile(r"([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{22})")


def ticket(key: bytes, now: float) -> str:
    """The ticket of who has shown the secret `key`, at `now` (Unix seconds)."""
    period = int(now // PERIOD)
    return f"{period}.{_signature(key, period)}"


def is_good(shown: str, key: bytes, now: float) -> bool:
    """Was it made with this key, and lately?"""
    found = _TICKET.fullmatch(shown)
    if found is None:
        return False
    period, current = int(found[1]), int(now // PERIOD)
    is_ours = hmac.compare_digest(found[2], _signature(key, period))
    return is_ours and period in (current, current - 1)


def _signature(key: bytes, period: int) -> str:
    made = hmac.digest(key, b"sluice flag events\0%d" % period, "sha256")[:_SIZE]
    return urlsafe_b64encode(made).rstrip(b"=").decode()
