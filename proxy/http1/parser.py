"""The parser of message heads in use: the accelerator where it was built, else (or with SLUICE_PURE=1) the reference."""

import os
from typing import Final

from proxy.http1 import head

try:
    if os.environ.get("SLUICE_PURE") == "1":
        raise ImportError("SLUICE_PURE=1")  # noqa: TRY301 the same way as if it were not there
    from proxy.http1 import _head as chosen
except ImportError:
    chosen = head

BUILD: Final = "plain" if chosen is head else "accelerated"
parse_request_head = chosen.parse_request_head
parse_response_head = chosen.parse_response_head
