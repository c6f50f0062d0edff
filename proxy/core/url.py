"""URLs of webhooks."""

import re
from typing import Final
from urllib.parse import urlsplit

_URL: Final = re.compile(r"https?://[^\s/?#]+[!-~]*")


def is_url(text: str) -> bool:
    """Is it an http or https URL that can be asked: with a host, and a port that there is?"""
    try:
        parts = urlsplit(text)
        return _URL.fullmatch(text) is not None and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no such port, or no such address in brackets
        return False
