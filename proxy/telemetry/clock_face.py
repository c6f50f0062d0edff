"""Moments as logs write them, in UTC and in English whatever the locale is."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def rfc3339(moment: float) -> str:
    """`2026-11-23T09:26:52.123Z`, of seconds since 1970 (RFC 3339 §5.6)."""
    thousandths = int(moment * 1000)
    return f"{_second(thousandths // 1000)}.{thousandths % 1000:03}Z"


@lru_cache(maxsize=4)  # records come in the order of time: nearly all are of the second before
def _second(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=4)
def _clf(moment: int) -> str:
    day = datetime.fromtimestamp(moment, UTC)
    return f"{day:%d}/{_MONTHS[day.month - 1]}/{day:%Y:%H:%M:%S} +0000"


def clf(moment: float) -> str:
    """`23/Nov/2026:09:26:52 +0000`, as the common log format has it."""
    return _clf(int(moment))
