"""The head parser in use: the accelerator where it was built, else, or with SLUICE_PURE=1, the plain one."""

import os

try:
    if os.environ.get("SLUICE_PURE") == "1":
        raise ImportError("plain is asked for")  # noqa: TRY301 as if it had not been built
    from proxy.http1._head import (
        ordinary_request_head,
        ordinary_response_head,
        parse_request_head,
        parse_response_head,
    )

    BUILD = "accelerated"
except ImportError:
    from proxy.http1.ordinary import (
        ordinary_request_head,
        ordinary_response_head,
        parse_request_head,
        parse_response_head,
    )

    BUILD = "plain"

__all__ = ["BUILD", "ordinary_request_head", "ordinary_response_head", "parse_request_head", "parse_response_head"]
